internal import Bytes
internal import Cedar
internal import CedarSchema
internal import PolicyTools

/// The request that the flags of `authorize` and `explain` describe.
enum RequestFlags {
  static let flags =
    [
      Flag("principal", "UID", #"who asks, such as 'User::"alice"'"#),
      Flag("action", "UID", #"what is asked for, such as 'Action::"GET"'"#),
      Flag("resource", "UID", #"what it is asked of, such as 'Path::"/orders/42"'"#),
      Flag("context", "FILE|JSON", "the context, a JSON object or a file with one"),
      Flag("request", "FILE", #"all four in one file: {"principal": "User::\"alice\"", "action": …, "resource": …, "context": {…}}"#),
      PolicyCommands.folder, PolicyCommands.policyIDs,
    ] + PolicyCommands.validation

  /// The request and the policies, or what there is to say instead.
  static func read(_ arguments: Arguments) -> Result<(PolicyBundle, Request), Refused> {
    let single = ["principal", "action", "resource"]
    if let file = arguments["request"] {
      guard (single + ["context"]).allSatisfy({ arguments[$0] == nil }) else { return usage("--request stands for the other four flags") }
      guard let source = TextFiles.read([file])?.first else { return .failure(Refused(status: .failure)) }
      guard let bundle = PolicyCommands.bundle(arguments) else { return .failure(Refused(status: .invalid)) }
      return found(Question.request(in: source, for: bundle), bundle)
    }
    if let missing = single.first(where: { arguments[$0] == nil }) {
      return usage("--\(missing) is missing; a request has --principal, --action and --resource, or is in a file: --request FILE")
    }
    func source(_ name: String) -> SourceText { SourceText(name: "--" + name, arguments[name] ?? "") }
    var context: SourceText?
    if let text = arguments["context"] {
      if text.utf8.first(where: { $0 > ASCII.space }) == UInt8(ascii: "{") {
        context = source("context")
      } else {
        guard let file = TextFiles.read([text])?.first else { return .failure(Refused(status: .failure)) }
        context = file
      }
    }
    guard let bundle = PolicyCommands.bundle(arguments) else { return .failure(Refused(status: .invalid)) }
    let question = Question(principal: source("principal"), action: source("action"), resource: source("resource"), context: context)
    return found(question.request(for: bundle), bundle)
  }

  /// Why there is no request; said already.
  struct Refused: Error {
    let status: ExitStatus
  }

  private static func usage(_ message: String) -> Result<(PolicyBundle, Request), Refused> {
    Terminal.error("stockade: \(message)\n")
    return .failure(Refused(status: .usage))
  }

  private static func found(_ request: Result<Request, ToolFailure>, _ bundle: PolicyBundle) -> Result<(PolicyBundle, Request), Refused> {
    // Mistakes of the folder come first: with a broken schema no request is right.
    guard bundle.isSound else { return .failure(Refused(status: PolicyCommands.finish(Check.run(bundle, folder: "policies/")))) }
    switch request {
    case .success(let request): return .success((bundle, request))
    case .failure(let failure): return .failure(Refused(status: PolicyCommands.finish(failure.outcome)))
    }
  }
}

/// `stockade authorize`: one decision.
let authorizeCommand = Command(
  name: "authorize",
  summary: "decide one request by a policy folder; exit 0 allow, 2 deny",
  operand: nil,
  flags: RequestFlags.flags + [Flag("json", nil, "print JSON: the decision, the policies that determine it, and what failed")],
  examples: [
    #"stockade authorize --principal 'User::"alice"' --action 'Action::"GET"' --resource 'Path::"/orders/42"' --context '{"http": {"method": "GET", "path": "/orders/42"}, "time": "2026-11-23T09:00:00Z"}'"#
  ]
) { arguments in
  switch RequestFlags.read(arguments) {
  case .success(let (bundle, request)):
    PolicyCommands.finish(arguments.has("json") ? Authorize.json(bundle, request) : Authorize.run(bundle, request))
  case .failure(let refused): refused.status
  }
}

/// `stockade explain`: one decision, and why of every policy.
let explainCommand = Command(
  name: "explain",
  summary: "decide one request and tell of every policy why it matched or not",
  operand: nil,
  flags: RequestFlags.flags + [Flag("every-policy", nil, "list all policies, however many do not match")],
  examples: [
    #"stockade explain --principal 'User::"alice"' --action 'Action::"DELETE"' --resource 'Path::"/orders/42"' --context '{"http": {"method": "DELETE", "path": "/orders/42"}, "time": "2026-11-23T09:00:00Z"}'"#
  ]
) { arguments in
  switch RequestFlags.read(arguments) {
  case .success(let (bundle, request)):
    PolicyCommands.finish(Explain.run(bundle, request, everyPolicy: arguments.has("every-policy"), style: Terminal.textStyle))
  case .failure(let refused): refused.status
  }
}
