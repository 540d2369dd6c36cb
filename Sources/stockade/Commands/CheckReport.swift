internal import Bytes
internal import Cedar
internal import CedarSchema
internal import JSON
internal import Pipeline
internal import PolicyTools

/// What `check --json` prints: one object, whatever is wrong.
enum CheckReport {
  static func print(_ arguments: Arguments) -> ExitStatus {
    var problems: [JSONValue] = []
    var members: [JSONValue.Member] = []
    let status: ExitStatus
    do throws(ConfigurationError) {
      status = try run(arguments, &problems, &members)
    } catch {
      // Drawn already, each with its place.
      problems += error.problems.map { .object(["severity": .string("error"), "text": .string($0)]) }
      status = .invalid
    }
    members.insert(.init(name: "ok", value: .bool(status == .success)), at: 0)
    members.insert(.init(name: "problems", value: .array(problems)), at: 1)
    Terminal.out(JSONValue(.object(members)).text + "\n")
    return status
  }

  private static func run(_ arguments: Arguments, _ problems: inout [JSONValue], _ members: inout [JSONValue.Member])
    throws(ConfigurationError) -> ExitStatus
  {
    let check = try ConfigurationCheck(arguments)
    guard let bundle = check.bundle else { return .invalid }
    problems = bundle.problems.map(json)
    for (name, set) in [("policies", bundle.policiesInForce), ("shadow", bundle.policiesInShadow)] {
      members.append(.init(name: name, value: .array(set.ids.map { .string($0.text) })))
    }
    if arguments.has("explain-public") { members.append(.init(name: "public", value: .string(check.openAccess))) }
    guard bundle.isSound, problems.isEmpty || !arguments.has("deny-warnings") else { return .invalid }
    guard let tests = try check.tests() else { return .success }
    members.append(
      .init(
        name: "tests",
        value: .object(["passed": .integer(Int64(tests.passed)), "failed": .integer(Int64(tests.failed)), "output": .string(tests.output)]))
    )
    return tests.failed == 0 ? .success : .testsFailed
  }

  private static func json(_ problem: PolicyBundle.Problem) -> JSONValue {
    var members: [JSONValue.Member] = []
    func add(_ name: String, _ value: JSONValue) { members.append(.init(name: name, value: value)) }
    add("severity", .string(problem.diagnostic.severity.rawValue))
    add("text", .string(problem.rendered))
    add("message", .string(problem.diagnostic.message))
    if let source = problem.source {
      add("file", .string(source.name))
      if let span = problem.diagnostic.span {
        let place = source.position(of: span.lowerBound)
        add("line", .integer(Int64(place.line)))
        add("column", .integer(Int64(place.column)))
      }
    }
    if let help = problem.diagnostic.help { add("help", .string(help)) }
    return JSONValue(.object(members))
  }
}
