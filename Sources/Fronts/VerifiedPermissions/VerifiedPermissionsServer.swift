internal import HTTP
internal import JOSE
internal import JSON
public import Net

/// The Verified Permissions service behind a listener: AWS JSON 1.0, `POST` on any path, for tests and for machines without AWS.
///
/// Signatures are not looked at: it listens on loopback, where whoever can ask could read its state as well.
public final class VerifiedPermissionsServer {
  private let loop: EventLoop
  private let service: PolicyStoreService
  private let keys: FetchedKeys
  private var server: HTTPServer?

  /// A server over the state in a folder; `keyURLs` says where the keys of issuers are that are not where their names say.
  public init(
    _ loop: EventLoop, at address: SocketAddress, stateFolder: String, keyURLs: [String: String]
  ) throws(VerifiedPermissionsServerError) {
    self.loop = loop
    do throws(JournalError) { service = try PolicyStoreService(stateFolder: stateFolder) } catch { throw .journal(error) }
    do throws(NetError) {
      let client = HTTPClient(loop, resolver: try Resolver(loop), tls: try TLSContext(clientTrusting: .system), rule: .noLinkLocal)
      keys = FetchedKeys(loop, client: client, keyURLs: keyURLs)
      var limits = HTTPServer.Limits()
      limits.bodyBytes = 4 << 20
      server = try HTTPServer(loop, at: address, limits: limits) { [unowned self] in respond(to: $0, $1) }
    } catch { throw .net(error) }
  }

  /// Where it listens.
  public var address: SocketAddress? { server?.address }

  private func respond(to request: HTTPServer.Request, _ answer: HTTPServer.Answer) {
    let target = request.head.fields.values(named: "x-amz-target")
    let prefix = "VerifiedPermissions."
    guard request.head.method == .post, target.count == 1, target[0].hasPrefix(prefix) else {
      return send(.fault(.unknownOperation), answer)
    }
    proceed(String(target[0].dropFirst(prefix.utf8.count)), request.body, answer, mayFetch: true)
  }

  private func proceed(_ operation: String, _ body: [UInt8], _ answer: HTTPServer.Answer, mayFetch: Bool) {
    let outcome = service.answer(operation, body, keys: keys, micros: loop.wallMillis * 1000)
    guard case .wait(let place) = outcome else { return send(outcome, answer) }
    guard mayFetch else { return send(.fault(.validation("The issuer's keys cannot be had.")), answer) }
    keys.fetch(place) { [unowned self] in proceed(operation, body, answer, mayFetch: false) }
  }

  private func send(_ outcome: PolicyStoreService.Outcome, _ answer: HTTPServer.Answer) {
    var fields = FieldBlock()
    fields.append("Content-Type", "application/x-amz-json-1.0")
    fields.append("x-amzn-RequestId", RequestID.make())
    switch outcome {
    case .answer(let json): answer.send(HTTPServer.Response(.ok, fields: fields, body: Array(json.text.utf8)))
    case .fault(let fault):
      fields.append("x-amzn-ErrorType", fault.name)
      let status = Status(rawValue: UInt16(clamping: fault.status)) ?? .badRequest
      answer.send(HTTPServer.Response(status, fields: fields, body: Array(fault.body.text.utf8)))
    case .wait: break
    }
  }
}

/// Why there is no server.
public enum VerifiedPermissionsServerError: Error, Sendable, CustomStringConvertible {
  /// Its state cannot be read or kept.
  case journal(JournalError)
  /// It cannot listen.
  case net(NetError)

  /// One sentence.
  public var description: String {
    switch self {
    case .journal(let error): error.description
    case .net(let error): error.description
    }
  }
}
