internal import AWS
internal import AWSClient
internal import Bytes
internal import JSON
internal import Net
internal import Pipeline
internal import Proxy

/// A store as a command reaches it: one call after the other, each waited for.
final class StoreSession {
  private let loop: EventLoop
  private let keeper: CredentialKeeper
  private let calls: PolicyStoreCalls
  private let reader: PolicyStoreReader
  /// Where it is.
  let place: String

  /// The flags by which a command says where a store is.
  static let flags = [
    Flag("policy-store", "ID", "the policy store: its id, or policy-store-alias/NAME"),
    Flag("region", "REGION", "the store's region; default: the environment's, else the profile's"),
    Flag("endpoint-url", "URL", "the service's URL; default: AWS_ENDPOINT_URL_VERIFIEDPERMISSIONS, else the region's"),
    Flag("profile", "NAME", "the profile of the AWS configuration whose credentials sign; default: the usual chain"),
  ]

  /// A session with the store of a setting.
  ///
  /// - Parameter attempts: How often a call is made at most.
  init(_ engine: RemoteEngine, attempts: Int = 8) throws(ConfigurationError) {
    let tls: TLSContext
    do throws(NetError) { tls = try TLSContext(clientTrusting: .system) } catch { throw ConfigurationError([error.description]) }
    var problems: [String] = []
    guard let plan = EnginePlan.make(engine, AWSFiles.read(), tls: tls, &problems) else { throw ConfigurationError(problems) }
    do throws(NetError) {
      Signals.ignoreBrokenPipes()
      loop = try EventLoop()
      let resolver = try Resolver(loop)
      place = plan.url.description
      keeper = CredentialKeeper(
        loop, source: plan.source, fetch: CredentialFetch(loop, resolver: resolver, tls: tls, setting: plan.setting)
      ) { _ in }
      calls = PolicyStoreCalls(
        loop, resolver: resolver, tls: tls, at: plan.url, region: plan.region, credentials: keeper, attempts: attempts)
      reader = PolicyStoreReader(calls, store: engine.policyStore)
    } catch {
      throw ConfigurationError([error.description])
    }
  }

  /// The engine that flags name; nil if they name no store.
  static func engine(_ arguments: Arguments) -> RemoteEngine? {
    guard let store = arguments["policy-store"], RemoteEngine.isStore(store) else { return nil }
    var engine = RemoteEngine(policyStore: store)
    engine.region = arguments["region"]
    engine.endpoint = arguments["endpoint-url"]
    engine.profile = arguments["profile"]
    return engine
  }

  /// Reads the store as a whole.
  func read(after known: PolicyStoreContents? = nil) throws(StoreCallError) -> PolicyStoreContents {
    try wait { reader.read(after: known, $0) }
  }

  /// Calls an operation.
  func call(_ operation: String, _ input: JSONValue) throws(StoreCallError) -> JSONValue {
    try wait { calls.call(operation, input, $0) }
  }

  private func wait<Value>(
    _ begin: (@escaping (Result<Value, StoreCallError>) -> Void) -> Void
  ) throws(StoreCallError) -> Value {
    var outcome: Result<Value, StoreCallError>?
    begin { [loop] result in
      outcome = result
      loop.stop()
    }
    do throws(NetError) { try loop.run() } catch { throw .failed(error.description) }
    guard let outcome else { throw .failed("nothing came back") }
    return try outcome.get()
  }
}
