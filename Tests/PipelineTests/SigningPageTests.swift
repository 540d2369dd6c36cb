import AWS
import Bytes
import Development
import Foundation
import HTTP
import JOSE
import JSON
import Telemetry
import TestSupport
import Testing

@testable import Pipeline

/// Routes whose requests are signed for a service that is an API of AWS.
@Suite struct SigningPageTests {
  private static let routes = """
    { match: 'GET,PUT,POST /own/{rest...}', access: 'authenticated', sign: { service: 'execute-api', region: 'eu-west-1' } },
    { match: 'GET,PUT /bucket/{rest...}', access: 'authenticated', body_limit: '16B', sign: { service: 's3', region: 'eu-west-1' } },
    { match: 'GET,PUT /mine/{rest...}', access: 'authenticated',
      sign: { service: 's3', region: 'eu-west-1', credentials: 'identity_pool', identity_pool: 'us-east-1:pool' } },
    { match: 'PUT /stream/{rest...}', access: 'authenticated', upstream: 'https://bucket.example', sign: { service: 's3', region: 'eu-west-1', body: 'unsigned' } },
    { match: 'GET /tried', mode: 'observe', sign: { service: 's3', region: 'eu-west-1' } },
    { match: 'GET /tried/mine', mode: 'observe', sign: { service: 's3', credentials: 'identity_pool', identity_pool: 'us-east-1:pool' } },
    """
  private static let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

  private func desk() throws -> Desk { try Desk(policies: "", configuration: "routes: [\(Self.routes)],") }

  private func known(session: String? = nil, expiresAt: Int64? = nil) throws -> SigningAnswer.Outcome {
    .known(
      try #require(Credentials(accessKeyID: "AKIDEXAMPLE", secretAccessKey: Self.secret, sessionToken: session, expiresAt: expiresAt)),
      region: "eu-west-1", source: "keys of the test")
  }

  /// What the page waits for.
  private func question(_ desk: Desk, _ exchange: inout Exchange) -> SigningQuestion? {
    guard case .wait(.credentials(let question)) = exchange.decide(desk.facts) else { return nil }
    return question
  }

  private func signed(
    _ desk: Desk, _ line: String, _ fields: [String] = [], token: String, body: String? = nil, session: String? = nil
  ) throws -> String {
    var exchange = try desk.exchange(line, fields, token: token)
    let asked = try #require(question(desk, &exchange))
    desk.facts.learn(SigningAnswer(try known(session: session), askedAt: .max, until: .max), to: asked)
    if let body {
      #expect(desk.verdict(&exchange) == "wait body")
      Array(body.utf8).withUnsafeBytes { exchange.bodyArrived($0) }
    }
    return try #require(try desk.forwarded(&exchange))
  }

  /// The signature by the documented steps, from the head as it is sent.
  private func expected(_ head: String, path: String, query: String = "", service: String, payload: String) throws -> String {
    let lines = head.components(separatedBy: "\r\n").dropLast(2)
    var fields: [(String, String)] = []
    for line in lines.dropFirst() {
      let name = line.prefix { $0 != ":" }.lowercased()
      guard name == "host" || name == "content-type" || name == "content-md5" || name.hasPrefix("x-amz-") else { continue }
      fields.append((name, line.dropFirst(name.count + 1).trimmingCharacters(in: [" "])))
    }
    fields.sort { $0.0 < $1.0 }
    let method = head.prefix { $0 != " " }
    let names = fields.map(\.0).joined(separator: ";")
    let canonical =
      "\(method)\n\(path)\n\(query)\n" + fields.map { "\($0.0):\($0.1)\n" }.joined() + "\n\(names)\n\(payload)"
    let credentials = try #require(Credentials(accessKeyID: "AKIDEXAMPLE", secretAccessKey: Self.secret))
    let key = SigningKey(credentials, region: "eu-west-1", service: service, at: Desk.time)
    let signature = key.signature(of: SigV4.stringToSign(canonical, in: key.scope, at: Desk.time))
    return "Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/\(key.scope), SignedHeaders=\(names), Signature=\(signature)"
  }

  private static let empty = SigV4.hash([])

  @Test func theHeadIsSignedAsItIsSent() throws {
    let desk = try desk()
    let token = try desk.token("alice")
    let head = try signed(
      desk, "GET /own/a%20b/c?z=%7e&a=1&a=&b", ["X-Amz-Target: Orders.Get", "Content-Type: text/plain", "X-Amz-Date: 20000101T000000Z"],
      token: token)
    #expect(head.hasPrefix("GET /own/a%20b/c?z=%7e&a=1&a=&b HTTP/1.1\r\nHost: upstream:80\r\n"))
    let wanted = try expected(head, path: "/own/a%2520b/c", query: "a=&a=1&b=&z=~", service: "execute-api", payload: Self.empty)
    #expect(head.hasSuffix("\r\n\(wanted)\r\n\r\n"), "\(head)\n\(wanted)")
    #expect(head.contains("\r\nX-Amz-Target: Orders.Get\r\n") && !head.contains("20000101T000000Z") && !head.contains(token))
    #expect(wanted.contains("SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;x-amz-target"))
  }

  @Test func nothingGoesOnBehindABodyThatNoSignatureCovers() throws {
    let desk = try desk()
    var exchange = try desk.exchange(
      "PUT /stream/a", ["Transfer-Encoding: chunked", "Trailer: X-Sum", "TE: trailers"], token: desk.token("alice"))
    let asked = try #require(question(desk, &exchange))
    desk.facts.learn(SigningAnswer(try known(), askedAt: .max, until: .max), to: asked)
    let head = try #require(try desk.forwarded(&exchange))
    #expect(!head.lowercased().contains("trailer"))
    var out: [UInt8] = []
    ForwardedHead(upstreamAuthority: "a").appendTrailers(Array("X-Sum: 1\r\n".utf8), of: exchange, to: &out)
    #expect(out.isEmpty)
  }

  @Test func pathsOfBucketsAreSignedAsTheyAre() throws {
    let desk = try desk()
    let head = try signed(desk, "GET /bucket/a%20b/c(1)", token: try desk.token("alice"), session: "SESSION")
    #expect(head.contains("\r\nX-Amz-Security-Token: SESSION\r\n"))
    #expect(head.contains(try expected(head, path: "/bucket/a%20b/c%281%29", service: "s3", payload: Self.empty)))
  }

  @Test func whatAClientSaysOfSignaturesIsRemovedUnderEverySpelling() throws {
    let desk = try desk()
    let fields = [
      "X-Amz-Security-Token: theirs", "x_amz_date: theirs", "X-Amz-Content-SHA256: theirs", "X.Amz.Date: theirs", "X-Amz-Meta-A: mine",
      "x-amz-s3session-token: theirs", "X-Amz-Region-Set: theirs",
    ]
    let head = try signed(desk, "GET /bucket/a", fields, token: try desk.token("alice"))
    #expect(!head.contains("theirs") && head.contains("X-Amz-Meta-A: mine"))
    #expect(head.components(separatedBy: "Authorization:").count == 2)
  }

  @Test func aBodyIsReadWholeAndItsHashIsSigned() throws {
    let desk = try desk()
    let token = try desk.token("alice")
    let head = try signed(desk, "PUT /bucket/a", ["Content-Length: 5"], token: token, body: "hello")
    #expect(head.contains("X-Amz-Content-Sha256: \(SigV4.hash("hello".utf8))") && head.contains("Content-Length: 5\r\n"))
    // What came in chunks goes on with its length: services that sign take no chunks.
    let other = try self.desk()
    let chunked = try signed(other, "PUT /bucket/b", ["Transfer-Encoding: chunked"], token: try other.token("bob"), body: "hello")
    #expect(chunked.contains("Content-Length: 5\r\n") && !chunked.contains("chunked"))
    // An empty one needs no reading.
    let empty = try signed(desk, "PUT /mine/b", ["Content-Length: 0"], token: try desk.token("alice", .id))
    #expect(empty.contains("X-Amz-Content-Sha256: \(Self.empty)"))
  }

  @Test func aBodyThatIsTooLargeIsRefusedBeforeItIsRead() throws {
    let desk = try desk()
    let token = try desk.token("alice")
    #expect(try desk.verdict("PUT /bucket/a", ["Content-Length: 17"], token: token) == "413 request_too_large")
    var exchange = try desk.exchange("PUT /own/a", ["Content-Length: 1048577"], token: token)
    let asked = try #require(question(desk, &exchange))
    desk.facts.learn(SigningAnswer(try known(), askedAt: .max, until: .max), to: asked)
    #expect(desk.verdict(&exchange) == "413 request_too_large")
  }

  @Test func aBodyThatIsNotSignedGoesOnAsItComes() throws {
    let desk = try desk()
    let head = try signed(desk, "PUT /stream/a", ["Transfer-Encoding: chunked"], token: try desk.token("alice"))
    #expect(head.contains("X-Amz-Content-Sha256: UNSIGNED-PAYLOAD\r\n") && head.contains("Transfer-Encoding: chunked\r\n"))
  }

  @Test func onlyIdentityTokensAreShownToAnIdentityPool() throws {
    let desk = try desk()
    #expect(try desk.verdict("GET /mine/a", token: try desk.token("alice", .access)) == "401 token_use")
    let token = try desk.token("alice", .id)
    var exchange = try desk.exchange("GET /mine/a", token: token)
    let login = try #require(question(desk, &exchange)?.login)
    #expect(login.token.exposed == token && login.provider == desk.issuer.issuer.dropFirst("http://".count))
    #expect(!"\(login)".contains(token))
  }

  @Test func twoTokensNeverShareASession() throws {
    let desk = try desk()
    var questions: Set<SigningQuestion> = []
    for (name, time) in [("alice", Desk.time), ("bob", Desk.time), ("alice", Desk.time - 1)] {
      var exchange = try desk.exchange("GET /mine/a", token: try desk.token(name, .id, at: time))
      questions.insert(try #require(question(desk, &exchange)))
    }
    #expect(questions.count == 3)
    for asked in questions { #expect(desk.facts.signing.answer(to: asked, at: Desk.time, arrival: 0) == nil) }
  }

  @Test func withoutCredentialsNothingIsForwarded() throws {
    let desk = try desk()
    let cases: [(SigningAnswer.Outcome, String)] = [
      (.unavailable("down"), "503 credentials_unavailable"), (.refused("no"), "403 credentials_refused"),
      (try known(expiresAt: Desk.time), "503 credentials_unavailable"),
    ]
    for path in ["/mine/a", "/tried", "/tried/mine"] {
      for (outcome, verdict) in cases {
        var exchange = try desk.exchange("GET \(path)", token: try desk.token("alice", .id))
        let asked = try #require(question(desk, &exchange))
        desk.facts.learn(SigningAnswer(outcome, askedAt: .max, until: .max), to: asked)
        #expect(desk.verdict(&exchange) == verdict, "\(path)")
        #expect(exchange.record(status: 0, wallMillis: 0, observed: false).signedWith == nil)
        desk.facts.signing.removeAll()
      }
    }
    // Observed, but nobody is known to sign for.
    #expect(try desk.verdict("GET /tried/mine") == "401 no_token")
  }

  @Test func anAnswerServesUntilItsTimeAndForWhatWaitedForIt() throws {
    let desk = try desk()
    let token = try desk.token("alice")
    var exchange = try desk.exchange("GET /own/a", token: token, arrival: 10)
    let asked = try #require(question(desk, &exchange))
    desk.facts.learn(SigningAnswer(try known(), askedAt: 9, until: Desk.time), to: asked)
    #expect(question(desk, &exchange) == asked, "it was found out before the request came, and serves no longer")
    desk.facts.learn(SigningAnswer(try known(), askedAt: 10, until: 0), to: asked)
    #expect(desk.verdict(&exchange) == "forward")
    let record = exchange.record(status: 200, wallMillis: 0, observed: false)
    #expect(record.signedWith == "keys of the test")
  }

  @Test func whatIsKeptIsBounded() throws {
    var memory = SigningMemory()
    for number in 0..<(Defaults.callerSessions + 100) {
      let login = SigningQuestion.Login(provider: "p", token: "t\(number)", owner: "o")
      memory.learn(SigningAnswer(.unavailable(""), askedAt: 0, until: .max), to: SigningQuestion(signing: 0, generation: 1, login: login))
    }
    func knows(_ number: Int) -> Bool {
      let login = SigningQuestion.Login(provider: "p", token: "t\(number)", owner: "o")
      return memory.answer(to: SigningQuestion(signing: 0, generation: 1, login: login), at: 0, arrival: 1) != nil
    }
    #expect(!knows(0) && !knows(99) && knows(100) && knows(Defaults.callerSessions + 99))
  }

  @Test func aValueThatIsNoTextIsRefused() throws {
    let desk = try desk()
    var exchange = Exchange(peer: Peer(address: nil, octets: []), under: desk.snapshot)
    var bytes = Array("GET /own/a HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \(try desk.token("alice"))\r\nX-Amz-Meta-A: ".utf8)
    bytes += [0xff] + Array("\r\n\r\n".utf8)
    guard
      case .complete = bytes.withUnsafeBytes({ RequestHeadParser.parse($0, limits: desk.snapshot.mapping.headLimits, into: &exchange.head) }
      )
    else { return }
    exchange.begin(id: exchange.id, at: Desk.time, under: desk.snapshot)
    #expect(desk.verdict(&exchange) == "400 request_invalid")
  }
}
