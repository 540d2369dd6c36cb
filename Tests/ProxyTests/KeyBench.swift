import Bytes
import Crypto
import Foundation
import HTTP
import JOSE
import JSON
import Net
import Telemetry
import Testing

@testable import Pipeline
@testable import Proxy

/// A key ring on a loop of its own, with issuers whose key sets a test serves as it likes.
final class KeyBench {
  let loop: EventLoop
  let metrics = Metrics()
  private(set) var ring: KeyRing?
  /// What was told of each issuer, in order.
  var told: [[IssuerKeys]] = []
  /// What each provider answers; nil leaves the request without an answer.
  var answers: [(HTTPServer.Request) -> HTTPServer.Response?] = []
  /// The requests that each provider got.
  var asked: [Int] = []
  private var servers: [HTTPServer] = []
  private var pending: [HTTPServer.Answer] = []

  init() throws {
    Signals.ignoreBrokenPipes()
    loop = try EventLoop()
  }

  deinit { loop.releaseAll() }

  /// One more provider; gives its address.
  func provider(_ answer: @escaping (HTTPServer.Request) -> HTTPServer.Response?) throws -> String {
    let index = answers.count
    answers.append(answer)
    asked.append(0)
    let server = try HTTPServer(loop, at: .ip(.loopbackV4, port: 0)) { [unowned self] request, reply in
      asked[index] += 1
      if let response = answers[index](request) { reply.send(response) } else { pending.append(reply) }
    }
    servers.append(server)
    return "http://\(server.address)"
  }

  /// Starts a ring for issuers with these key addresses, after the one before.
  func start(_ urls: [String], _ settings: String = "", after before: KeyRing? = nil, folder: String? = nil) throws {
    let issuers = urls.enumerated().map { index, url in
      "i\(index): { issuer: 'https://i\(index).example', client_ids: ['app'], jwks_url: '\(url)', \(settings) }"
    }
    let file = "{ upstream: 'http://127.0.0.1:2', issuers: { \(issuers.joined(separator: ", ")) } }"
    let configuration = try Configuration.read(file: SourceText(name: "stockade.json5", file), flags: [:], surroundings: Surroundings())
    let policies = PolicyFiles(
      policies: [SourceText(name: "t.cedar", "permit(principal, action, resource);")], schema: nil, entities: nil, hash: "")
    let snapshot = try SnapshotBuilder.build(configuration, policies: policies, generation: 1)
    told = Array(repeating: [], count: urls.count)
    let client = HTTPClient(loop, resolver: try Resolver(loop), tls: try TLSContext(clientTrusting: .system), rule: .noLinkLocal)
    ring = KeyRing(
      loop, client: client, issuers: Array(zip(snapshot.issuers.issuers, configuration.issuers)), after: before,
      trustsDevelopmentKeys: false, snapshots: folder.map { KeySnapshots(folder: $0) },
      serverLog: ServerLog(level: .error, descriptor: -1), metrics: metrics.shard()
    ) { [unowned self] keys, issuer in told[issuer].append(keys) }
    ring?.start()
  }

  /// Turns the loop until so much was told of an issuer.
  func wait(for count: Int, of issuer: Int = 0) throws { try turn("\(count) messages") { told[issuer].count >= count } }

  func turn(_ what: String, seconds: Double = 10, until condition: () -> Bool) throws {
    let end = LoopClock.monotonicNanos() + UInt64(seconds * 1e9)
    while !condition() {
      guard LoopClock.monotonicNanos() < end else { throw Late(what: what) }
      try loop.turn(maxWaitMillis: 10)
    }
  }

  struct Late: Error { let what: String }

  /// The names of the keys that were last told of.
  func kids(of issuer: Int = 0) -> [String] { known(issuer)?.set.keys.compactMap(\.kid) ?? [] }

  func known(_ issuer: Int = 0) -> IssuerKeys.Known? {
    if case .known(let known) = told[issuer].last { known } else { nil }
  }

  static func set(_ kids: String...) -> [UInt8] {
    do {
      let keys = try kids.map { kid in JWSSigner(kid: kid, algorithm: .es256, key: try PrivateKey.generateEC(.p256)).publicJWK }
      return Array(JSONValue.object(["keys": .array(keys)]).text.utf8)
    } catch {
      preconditionFailure("\(error)")
    }
  }

  static func response(_ body: [UInt8], _ status: Status = .ok, cacheControl: String? = nil) -> HTTPServer.Response {
    var fields = FieldBlock()
    if let cacheControl { fields.append("Cache-Control", cacheControl) }
    return HTTPServer.Response(status, fields: fields, body: body)
  }

  /// A folder that is gone with the test.
  static func withFolder(_ body: (String) throws -> Void) throws {
    let folder = NSTemporaryDirectory() + "stockade-keys-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try body(folder)
  }
}
