import AWS
import Bytes
import Foundation
import HTTP
import Net
import Testing

@testable import AWSClient

/// A stub service on loopback that answers from a function and notes what it was asked.
final class StubService {
  struct Asked {
    var line: String
    var fields: [String: String]
    var body: String
  }

  private(set) var asked: [Asked] = []
  var answer: (Asked) -> HTTPServer.Response
  private var server: HTTPServer?
  private(set) var url = ""

  init(_ loop: EventLoop, _ answer: @escaping (Asked) -> HTTPServer.Response) throws {
    self.answer = answer
    let server = try HTTPServer(loop, at: try SocketAddress.parse("127.0.0.1:0")) { [unowned self] (request: HTTPServer.Request) in
      let names = [
        "authorization", "x-amz-target", "x-aws-ec2-metadata-token", "x-aws-ec2-metadata-token-ttl-seconds", "x-amz-security-token",
      ]
      var fields: [String: String] = [:]
      for name in names { fields[name] = request.head.fields.values(named: name).first }
      let asked = Asked(
        line: "\(request.head.methodText) \(request.head.rawPath)\(request.head.query.map { "?\($0)" } ?? "")", fields: fields,
        body: String(decoding: request.body, as: UTF8.self))
      self.asked.append(asked)
      return self.answer(asked)
    }
    self.server = server
    url = "http://\(server.address)"
  }

  func close() { server?.close() }
}

func json(_ text: String) -> HTTPServer.Response { HTTPServer.Response(.ok, "application/json", text) }

func withLoop(_ body: (EventLoop) throws -> Void) throws {
  Signals.ignoreBrokenPipes()
  let loop = try EventLoop()
  defer { loop.releaseAll() }
  try body(loop)
}

extension EventLoop {
  func turn(until condition: () -> Bool, seconds: Double = 20) throws -> Bool {
    let end = LoopClock.monotonicNanos() + UInt64(seconds * 1e9)
    while !condition() {
      guard LoopClock.monotonicNanos() < end else { return false }
      try turn(maxWaitMillis: 20)
    }
    return true
  }
}

@Suite struct CredentialFetchTests {
  private let session = #"{"Code":"Success","AccessKeyId":"AK","SecretAccessKey":"sk","Token":"tk","Expiration":"2099-01-01T00:00:00Z"}"#
  private let sts = """
    <R><Credentials><AccessKeyId>AK</AccessKeyId><SecretAccessKey>sk</SecretAccessKey><SessionToken>tk</SessionToken>\
    <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></R>
    """

  private func fetch(
    _ source: CredentialSource, _ loop: EventLoop, endpoints: [AWSService: String] = [:]
  ) throws -> Result<Credentials, CredentialError> {
    let fetch = CredentialFetch(
      loop, resolver: try Resolver(loop), tls: try TLSContext(clientTrusting: .system),
      setting: .init(region: "us-east-1", endpointURLs: endpoints))
    var result: Result<Credentials, CredentialError>?
    fetch.fetch(source) { result = $0 }
    _ = try loop.turn(until: { result != nil })
    return try #require(result)
  }

  private func file(_ content: String) throws -> String {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
    try content.write(toFile: path, atomically: true, encoding: .utf8)
    return path
  }

  @Test func aContainerIsAskedWithTheTokenOfItsFile() throws {
    try withLoop { loop in
      let stub = try StubService(loop) { _ in json(self.session) }
      defer { stub.close() }
      let source = CredentialSource.container(
        .init(url: stub.url + "/role?x=1", authorizationFile: try file(" token \n"), authorization: Secret("other")))
      #expect(try fetch(source, loop).get().sessionToken?.exposed == "tk")
      #expect(stub.asked.map(\.line) == ["GET /role?x=1"] && stub.asked[0].fields["authorization"] == "token")
    }
  }

  @Test func aContainersTokenCannotEndItsLine() throws {
    try withLoop { loop in
      let stub = try StubService(loop) { _ in json(self.session) }
      defer { stub.close() }
      let source = CredentialSource.container(.init(url: stub.url, authorization: Secret("a\r\nX: y")))
      #expect(throws: CredentialError.self) { try fetch(source, loop).get() }
      #expect(stub.asked.isEmpty)
    }
  }

  @Test(arguments: [
    ("http://127.0.0.1/x", true), ("http://localhost:80/x", true), ("http://[::1]/x", true), ("http://169.254.170.2/x", true),
    ("http://169.254.170.23/x", true), ("http://[fd00:ec2::23]/x", true), ("https://example.com/x", true), ("http://example.com/x", false),
    ("http://169.254.169.254/x", false), ("http://10.0.0.1/x", false), ("http://localhost.evil.com/x", false),
    ("http://169.254.170.24/", false),
  ]) func onlyKnownHostsAreBelievedOverPlainHTTP(_ text: String, isAllowed: Bool) throws {
    #expect(ContainerHosts.allows(try HTTPURL.parse(text)) == isAllowed)
  }

  @Test func aContainerThatFailsTwiceIsAskedAThirdTime() throws {
    try withLoop { loop in
      var count = 0
      let stub = try StubService(loop) { _ in
        count += 1
        return count < 3 ? HTTPServer.Response(.serviceUnavailable, "text/plain", "no") : json(self.session)
      }
      defer { stub.close() }
      #expect(try fetch(.container(.init(url: stub.url)), loop).get().accessKeyID == "AK")
      #expect(count == 3)
    }
  }

  @Test func aMachineIsAskedByVersion2() throws {
    try withLoop { loop in
      let stub = try StubService(loop) { asked in
        switch asked.line {
        case "PUT /latest/api/token": HTTPServer.Response(.ok, "text/plain", "session")
        case "GET /latest/meta-data/iam/security-credentials/": HTTPServer.Response(.ok, "text/plain", "role\n")
        default: json(self.session)
        }
      }
      defer { stub.close() }
      #expect(try fetch(.instance(.init(baseURL: stub.url, allowsVersion1: false)), loop).get().accessKeyID == "AK")
      #expect(stub.asked.map(\.line).last == "GET /latest/meta-data/iam/security-credentials/role")
      #expect(stub.asked[0].fields["x-aws-ec2-metadata-token-ttl-seconds"] == "21600")
      #expect(stub.asked.dropFirst().allSatisfy { $0.fields["x-aws-ec2-metadata-token"] == "session" })
    }
  }

  @Test(arguments: [true, false]) func version1IsAskedOnlyIfAllowed(_ isAllowed: Bool) throws {
    try withLoop { loop in
      let stub = try StubService(loop) { asked in
        switch asked.line {
        case "PUT /latest/api/token": HTTPServer.Response(.forbidden, "text/plain", "")
        case "GET /latest/meta-data/iam/security-credentials/": HTTPServer.Response(.ok, "text/plain", "role")
        default: json(self.session)
        }
      }
      defer { stub.close() }
      let result = try fetch(.instance(.init(baseURL: stub.url, allowsVersion1: isAllowed)), loop)
      #expect(((try? result.get()) != nil) == isAllowed)
      #expect(stub.asked.count == (isAllowed ? 3 : 1))
    }
  }

  @Test func aTokenFileIsReadForEverySession() throws {
    try withLoop { loop in
      let stub = try StubService(loop) { _ in HTTPServer.Response(.ok, "text/xml", self.sts) }
      defer { stub.close() }
      let path = try file("first.jwt.x")
      let source = CredentialSource.webIdentity(.init(role: .init(arn: "arn:aws:iam::1:role/a+b", sessionName: "n"), tokenFile: path))
      #expect(try fetch(source, loop, endpoints: [.sts: stub.url]).get().expiresAt == 4_070_908_800)
      try "second.jwt.x".write(toFile: path, atomically: true, encoding: .utf8)
      _ = try fetch(source, loop, endpoints: [.sts: stub.url])
      #expect(
        stub.asked[0].body
          == "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fa%2Bb&RoleSessionName=n&WebIdentityToken=first.jwt.x"
      )
      #expect(stub.asked[1].body.hasSuffix("second.jwt.x"))
      #expect(stub.asked.allSatisfy { $0.fields["authorization"] == nil })
    }
  }

  @Test func aRoleIsAskedForWithASignature() throws {
    try withLoop { loop in
      let stub = try StubService(loop) { asked in
        asked.line.hasPrefix("GET") ? json(self.session) : HTTPServer.Response(.ok, "text/xml", self.sts)
      }
      defer { stub.close() }
      let source = CredentialSource.role(
        .init(arn: "arn:r", sessionName: "n", externalID: "e", durationSeconds: 900), with: .container(.init(url: stub.url + "/c")))
      _ = try fetch(source, loop, endpoints: [.sts: stub.url]).get()
      #expect(stub.asked[1].fields["authorization"]?.hasPrefix("AWS4-HMAC-SHA256 Credential=AK/") == true)
      #expect(stub.asked[1].fields["authorization"]?.contains("/us-east-1/sts/aws4_request") == true)
      #expect(stub.asked[1].fields["x-amz-security-token"] == "tk")
      #expect(stub.asked[1].body.hasSuffix("&ExternalId=e&DurationSeconds=900"))
    }
  }

  @Test func anErrorOfTheServiceIsSaidAndNotTriedAgain() throws {
    try withLoop { loop in
      let stub = try StubService(loop) { _ in
        HTTPServer.Response(
          .forbidden, "text/xml", "<ErrorResponse><Error><Code>AccessDenied</Code><Message>not you</Message></Error></ErrorResponse>")
      }
      defer { stub.close() }
      let source = CredentialSource.webIdentity(.init(role: .init(arn: "arn:r"), tokenFile: try file("hush.jwt.x")))
      let result = try fetch(source, loop, endpoints: [.sts: stub.url])
      guard case .failure(let error) = result else { return #expect(Bool(false)) }
      #expect(error.reason == "AccessDenied (403): not you" && stub.asked.count == 1)
      #expect(!error.description.contains("hush"))
    }
  }

  @Test func anIdentityPoolGivesTheSessionOfAGuestOrAUser() throws {
    try withLoop { loop in
      let stub = try StubService(loop) { asked in
        asked.fields["x-amz-target"] == "AWSCognitoIdentityService.GetId"
          ? json(#"{"IdentityId":"us-east-1:i"}"#)
          : json(
            #"{"IdentityId":"us-east-1:i","Credentials":{"AccessKeyId":"AK","SecretKey":"sk","SessionToken":"tk","Expiration":4070908800}}"#
          )
      }
      defer { stub.close() }
      let fetch = CredentialFetch(
        loop, resolver: try Resolver(loop), tls: try TLSContext(clientTrusting: .system),
        setting: .init(region: "us-east-1", endpointURLs: [.cognitoIdentity: stub.url]))
      var results: [Result<Credentials, CredentialError>] = []
      for _ in 0..<2 {
        fetch.fetch(.identityPool(.init(id: "us-east-1:p", accountID: "123456789012"))) { results.append($0) }
        let count = results.count
        _ = try loop.turn(until: { results.count > count })
      }
      fetch.fetch(.identityPool(.init(id: "us-east-1:p", roleARN: "arn:r", loginFiles: ["idp/x": try file("jwt")]))) { results.append($0) }
      _ = try loop.turn(until: { results.count == 3 })
      #expect(results.allSatisfy { (try? $0.get())?.accessKeyID == "AK" })
      // A guest's identity is asked for once; logins go with both calls.
      #expect(
        stub.asked.map(\.body) == [
          #"{"IdentityPoolId":"us-east-1:p","AccountId":"123456789012"}"#, #"{"IdentityId":"us-east-1:i"}"#,
          #"{"IdentityId":"us-east-1:i"}"#,
          #"{"IdentityPoolId":"us-east-1:p","Logins":{"idp/x":"jwt"}}"#,
          #"{"IdentityId":"us-east-1:i","CustomRoleArn":"arn:r","Logins":{"idp/x":"jwt"}}"#,
        ])
    }
  }

  @Test(
    arguments: [
      (["/bin/echo", #"{"Version":1,"AccessKeyId":"AK","SecretAccessKey":"sk"}"#], nil),
      (["/bin/false"], "the program ended with status 1"),
      (["/nowhere/x"], "the program could not be started (errno 2)"),
      (["/bin/echo", "{}"], "the program printed no credentials of Version 1"),
      (["/usr/bin/yes"], "the program took too long or printed too much"),
    ] as [([String], String?)]) func aProgramPrintsCredentials(_ command: [String], reason: String?) throws
  {
    try withLoop { loop in
      switch try fetch(.process(command: command, profile: "p"), loop) {
      case .success(let credentials): #expect(reason == nil && credentials.accessKeyID == "AK")
      case .failure(let error): #expect(error.reason == reason)
      }
    }
  }
}

@Suite struct CredentialKeeperTests {
  private final class Clock {
    var millis: UInt64 = 1_000
    var wall: Int64 = 1_700_000_000_000
    // Less than any call may take: what is on its way arrives.
    func step() {
      millis += 100
      wall += 100
    }
    func advance(seconds: Int64) {
      millis += UInt64(seconds) * 1000
      wall += seconds * 1000
    }
  }

  private func session(_ name: String, endsAt seconds: Int64) -> String {
    #"{"AccessKeyId":"\#(name)","SecretAccessKey":"sk","Token":"tk","Expiration":"\#(Instant.iso8601(micros: seconds * 1_000_000))"}"#
  }

  /// One fetch for all who wait; another in the background before the end; what is held stays while that fails, and no longer
  /// than it holds.
  @Test func credentialsAreKeptFresh() throws {
    Signals.ignoreBrokenPipes()
    let clock = Clock()
    let loop = try EventLoop(clock: LoopClock(monotonicMillis: { clock.millis }, wallMillis: { clock.wall }))
    defer { loop.releaseAll() }
    var number = 0
    var fails = false
    let stub = try StubService(loop) { [self] _ in
      number += 1
      guard !fails else { return HTTPServer.Response(.notFound, "text/plain", "") }
      return json(session("K\(number)", endsAt: clock.wall / 1000 + 3600))
    }
    defer { stub.close() }
    let fetch = CredentialFetch(
      loop, resolver: try Resolver(loop), tls: try TLSContext(clientTrusting: .system), setting: .init(region: "us-east-1"))
    var states: [String] = []
    let keeper = CredentialKeeper(loop, source: .container(.init(url: stub.url)), fetch: fetch) { state in
      switch state {
      case .known(let credentials): states.append(credentials.accessKeyID)
      case .unavailable: states.append("-")
      case .unfetched: states.append("?")
      }
    }
    var answers: [String] = []
    for _ in 0..<3 { keeper.credentials { answers.append((try? $0.get())?.accessKeyID ?? "-") } }
    #expect(try loop.turn(until: { answers.count == 3 }))
    #expect(answers == ["K1", "K1", "K1"] && number == 1)

    // Not within the first minutes, but before the end.
    clock.advance(seconds: 1000)
    try loop.turn(maxWaitMillis: 0)
    try loop.turn(maxWaitMillis: 0)
    #expect(number == 1)
    clock.advance(seconds: 1800)
    #expect(try loop.turn(until: { states.last == "K2" }))

    // Fetching fails: what is held stays, until it ends.
    fails = true
    clock.advance(seconds: 2800)
    let before = states.count
    #expect(
      try loop.turn(until: {
        clock.step()
        return states.count > before
      }))
    #expect(states.last == "K2")
    #expect(keeper.problem == nil)
    clock.advance(seconds: 900)
    try loop.turn(maxWaitMillis: 0)
    guard case .unavailable = keeper.state else { return #expect(Bool(false), "\(keeper.state)") }
    #expect(
      try loop.turn(until: {
        clock.step()
        return states.last == "-"
      }))

    // And comes back.
    fails = false
    #expect(
      try loop.turn(until: {
        clock.step()
        return states.last == "K\(number)"
      }))
    keeper.close()
  }
}
