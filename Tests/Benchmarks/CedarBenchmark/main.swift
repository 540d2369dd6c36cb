// Measures the authorizer: medians and 99th percentiles in nanoseconds of whole answers, release builds only.

import Cedar
import Glibc
import JSON

/// Time of this thread on a processor: what others do on the machine does not count, as long as they leave the caches alone.
func now() -> UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

func pad(_ text: String, _ width: Int) -> String { text + String(repeating: " ", count: max(width - text.count, 1)) }

func quantile(_ sorted: [Double], _ fraction: Double) -> Double { sorted.isEmpty ? 0 : sorted[Int(Double(sorted.count - 1) * fraction)] }

/// Nanoseconds of one call, in batches so that the clock costs nothing: medians over batches, and the 99th percentile.
func measure(_ batch: Int, _ batches: Int = 400, _ body: (Int) -> Void) -> (median: Double, p99: Double) {
  for index in 0..<(batch * 4) { body(index) }
  var times: [Double] = []
  for round in 0..<batches {
    let start = now()
    for index in 0..<batch { body(round &* batch &+ index) }
    times.append(Double(now() - start) / Double(batch))
  }
  times.sort()
  return (quantile(times, 0.5), quantile(times, 0.99))
}

func run(_ input: Input) throws {
  let start = now()
  let statements = try PolicyParser.parse(input.policies)
  let parsed = now()
  var set = try PolicySet(statements)
  for link in input.links { try set.link(link) }
  let entities = try Entities(input.entities)
  let built = now()
  let authorizer = Authorizer(policies: set, entities: entities)
  let ready = now()
  let token = try authorizer.prepare(input.token)
  let evaluation = Evaluation()
  var allowed = 0
  var reasons = 0
  var errors = 0
  let resources = input.resources.isEmpty ? input.requests.map { _ in [] } : input.resources
  for (request, own) in zip(input.requests, resources) {
    let response = try authorizer.isAuthorized(request, with: token, and: own, in: evaluation)
    allowed += response.decision == .allow ? 1 : 0
    reasons += response.determining.count
    errors += response.errors.count
  }
  let count = input.requests.count
  let whole = measure(64) { index in
    do { _ = try authorizer.isAuthorized(input.requests[index % count], with: token, and: resources[index % count], in: evaluation) } catch
    {}
  }
  print(
    pad(input.name, 40), "median", Int(whole.median), "ns  p99", Int(whole.p99), "ns | parse", (parsed - start) / 1000, "µs, entities",
    (built - parsed) / 1000,
    "µs, compile", (ready - built) / 1000, "µs | allow", allowed, "of", count, "reasons", reasons, "errors", errors)
}

/// An input as JSON, everything that a token or a request brings among the entities: what a peer can be given.
func json(of input: Input) throws -> JSONValue {
  var entities = input.entities + input.token
  var seen = Set(entities.map(\.uid))
  for own in input.resources.joined() where seen.insert(own.uid).inserted { entities.append(own) }
  return .object([
    "name": .string(input.name), "policies": .string(input.policies),
    "entities": .array(try EntitiesJSON.json(Entities(entities)).array ?? []),
    "requests": .array(
      input.requests.map { request in
        .object([
          "principal": .string("\(request.principal)"), "action": .string("\(request.action)"), "resource": .string("\(request.resource)"),
          "context": EntitiesJSON.json(request.context),
        ])
      }),
  ])
}

/// Loads entities with parents and three attributes from JSON, and asks about one.
func load(_ count: Int) throws {
  var text = "["
  for number in 0..<count {
    text += number == 0 ? "" : ","
    text += """
      {"uid":{"type":"User","id":"user-\(number)@example.org"},"attrs":{"department":"d\(number % 100)","level":\(number % 7),\
      "manager":{"__entity":{"type":"User","id":"user-\(number / 10)@example.org"}}},\
      "parents":[{"type":"Group","id":"g\(number % 1000)"},{"type":"Group","id":"all"}]}
      """
  }
  text += "]"
  let before = residentBytes()
  let start = now()
  let json = try JSONParser.parse(text)
  let parsed = now()
  let list = try EntitiesJSON.entities(json)
  let read = now()
  let entities = try Entities(list)
  let closed = now()
  let authorizer = Authorizer(
    policies: try PolicySet(PolicyParser.parse("permit(principal in Group::\"g7\", action, resource);")), entities: entities)
  let ready = now()
  let request = Request(principal: uid("User", "user-7@example.org"), action: uid("Action", "a"), resource: uid("Doc", "d"))
  let decision = try authorizer.isAuthorized(request).decision
  print(
    count, "entities:", (parsed - start) / 1_000_000, "ms JSON,", (read - parsed) / 1_000_000, "ms entities,", (closed - read) / 1_000_000,
    "ms hierarchy,", (ready - closed) / 1_000_000, "ms authorizer;", (residentBytes() - before) / count, "bytes each at the most;", decision
  )
}

func residentBytes() -> Int {
  guard let file = fopen("/proc/self/statm", "r") else { return 0 }
  defer { fclose(file) }
  var line = [CChar](repeating: 0, count: 128)
  guard fgets(&line, 128, file) != nil else { return 0 }
  let fields = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self).split(separator: " ")
  return fields.count > 1 ? (Int(fields[1]) ?? 0) * 4096 : 0
}

/// `CedarBenchmark [WORD]`: only the inputs whose name contains the word; `entities`: loading entities; `--dump`: the inputs
/// themselves, one line of JSON each, for `cedar.py` beside this folder.
let wanted = CommandLine.arguments.dropFirst().first ?? ""
var inputs = [gateway(), gatewayWithResources()]
for count in [10, 100, 1000, 10_000] { inputs += [perPrincipal(count), perGroup(count), linked(count), open(count)] }
if wanted == "--dump" {
  for input in inputs where input.links.isEmpty { print(try json(of: input).text) }
  exit(0)
}
if wanted == "entities" {
  for count in [10_000, 100_000] { try load(count) }
  exit(0)
}
for input in inputs where wanted.isEmpty || input.name.contains(wanted) { try run(input) }
