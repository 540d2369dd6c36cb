import AWS
import Bytes
import Foundation
import JSON
import TestSupport
import Testing

@Suite struct SigV4Tests {
  /// Amazon's and botocore's suites: canonical request, string to sign and signature of every case, by header and by query.
  @Test func theSharedVectorsAreSignedToTheByte() throws {
    guard let file = TestData.sharedFile("vectors/aws/sigv4-aws-c-auth.jsonl.gz") else { return }
    var count = 0
    for line in try TestData.lines(of: file) {
      let vector = try JSONParser.parse(line)
      try check(vector, "header", asQuery: false)
      try check(vector, "query", asQuery: true)
      count += 1
    }
    #expect(count == 38)
    TestData.report("SigV4 of aws-c-auth", ran: count)
  }

  @Test func botocoresSuiteIsSignedToTheByte() throws {
    guard let file = TestData.sharedFile("vectors/aws/sigv4-botocore.jsonl.gz") else { return }
    var count = 0
    for line in try TestData.lines(of: file) {
      let vector = try JSONParser.parse(line)
      var sent = try Sent(vector)
      // botocore's own tests leave these out: their files contradict its canonical form.
      let name = try #require(vector["name"]?.string)
      guard
        !["get-space", "get-vanilla-query-order-key", "get-vanilla-query-order-key-case", "get-vanilla-query-order-value"].contains(name)
      else { continue }
      // The token is no part of the suite's request; the signed one shows it.
      let signed = String(decoding: Data(base64Encoded: vector["signedRequest"]?.string ?? "") ?? Data(), as: UTF8.self)
      for line in signed.split(whereSeparator: \.isNewline)
      where name == "get-vanilla-with-session-token" && line.lowercased().hasPrefix("x-amz-security-token:") {
        sent.fields.append(("X-Amz-Security-Token", String(line.split(separator: ":")[1])))
      }
      let request = SigV4.Request(
        method: sent.method, path: sent.path, query: sent.query, fields: sent.fields, bodyHash: SigV4.hash(sent.body))
      let canonical = CanonicalRequest(request)
      #expect(canonical.text == vector["canonicalRequest"]?.string, "\(name)")
      #expect(SigV4.authorization(request, with: try key(), at: moment) == vector["authorization"]?.string, "\(name)")
      count += 1
    }
    #expect(count >= 30)
    TestData.report("SigV4 of botocore", ran: count)
  }

  /// 300 random requests, signed by botocore (`Tests/Deep/aws_cases.py` writes them).
  @Test func randomRequestsAreSignedAsBotocoreSigns() throws {
    let file = TestData.checkout.appendingPathComponent("Tests/AWSTests/Golden/botocore-requests.jsonl")
    var count = 0
    for line in try TestData.lines(of: file) {
      let json = try JSONParser.parse(line)
      func text(_ name: String) throws -> String { try #require(json[name]?.string) }
      let credentials = try #require(
        Credentials(accessKeyID: try text("key"), secretAccessKey: try text("secret"), sessionToken: json["session"]?.string))
      let seconds = try #require(json["seconds"]?.integer)
      let fields = try #require(json["fields"]?.array).map { pair in
        (name: pair.array?.first?.string ?? "", value: pair.array?.last?.string ?? "")
      }
      let request = SigV4.Request(
        method: try text("method"), path: try text("path"), query: try text("query"), fields: fields,
        bodyHash: SigV4.hash(try text("body").utf8))
      let key = SigningKey(credentials, region: try text("region"), service: try text("service"), at: seconds)
      #expect(SigV4.authorization(request, with: key, at: seconds) == json["authorization"]?.string, "\(line)")
      count += 1
    }
    #expect(count == 300)
  }

  /// The two requests that the specification prints (section 6.1).
  @Test(
    arguments: [
      (
        nil, "5675ef9838f3790c8ade94b4bb1f2cf471dd0020e51667f65178b3927009386d",
        "5d23cf5d17493ba9ad63b5c1cc58124b801ec368ac2bc264bcbc1a344157f562"
      ),
      (
        "SESSIONTOKEN", "69c8f89071467cdf3fe70c352cdbeec56d47ec1ace277c5026f2bb8759e14a8a",
        "fb2cb63e77b6334d72f0570a07aee99aa091c63f851e767df12cd47fd090816b"
      ),
    ] as [(String?, String, String)])
  func aCallOfVerifiedPermissionsIsSignedAsSpecified(_ session: String?, hash: String, signature: String) throws {
    let seconds = try #require(Instant.seconds(iso8601: "2026-01-02T03:04:05Z"))
    let credentials = try #require(
      Credentials(accessKeyID: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", sessionToken: session))
    var fields = [
      (name: "Host", value: "verifiedpermissions.us-east-1.amazonaws.com"), ("X-Amz-Date", Instant.basic(seconds)),
      ("Content-Type", "application/x-amz-json-1.0"), ("X-Amz-Target", "VerifiedPermissions.IsAuthorized"),
    ]
    if let session { fields.append(("X-Amz-Security-Token", session)) }
    let request = SigV4.Request(
      method: "POST", path: "/", fields: fields, bodyHash: SigV4.hash(#"{"policyStoreId":"PSEXAMPLEabcdefg111111"}"#.utf8))
    #expect(SigV4.hash(CanonicalRequest(request).text.utf8) == hash)
    let key = SigningKey(credentials, region: "us-east-1", service: "verifiedpermissions", at: seconds)
    #expect(SigV4.authorization(request, with: key, at: seconds).hasSuffix("Signature=\(signature)"))
  }

  @Test(arguments: [nil, "SESSION"] as [String?]) func whatIsMadeReadyForASecondSignsEveryBodyAsIfItWereNot(_ session: String?) throws {
    let key = try key(session)
    var fields = [(name: "Host", value: "a"), ("X-Amz-Date", Instant.basic(moment)), ("Content-Type", "t")]
    if let session { fields.append(("X-Amz-Security-Token", session)) }
    let ready = PreparedSignature(
      SigV4.Request(method: "POST", path: "/a b", query: "x=1", fields: fields, bodyHash: "anything"), with: key, at: moment)
    for body in ["", "{}", String(repeating: "long", count: 5000)] {
      let request = SigV4.Request(method: "POST", path: "/a b", query: "x=1", fields: fields, bodyHash: SigV4.hash(body.utf8))
      #expect(ready.authorization(body: Array(body.utf8)) == SigV4.authorization(request, with: key, at: moment))
    }
  }

  @Test func aKeyServesItsDayAlone() throws {
    let midnight = try #require(Instant.seconds(iso8601: "2026-01-03T00:00:00Z"))
    let credentials = try #require(Credentials(accessKeyID: "A", secretAccessKey: "b"))
    let key = SigningKey(credentials, region: "us-east-1", service: "s", at: midnight - 1)
    #expect(key.serves(midnight - 1) && key.serves(midnight - 86_400) && !key.serves(midnight))
  }

  @Test func aSecretIsNeverPrinted() throws {
    let credentials = try #require(Credentials(accessKeyID: "AKID", secretAccessKey: "hush", sessionToken: "whisper"))
    var dumped = ""
    dump(credentials, to: &dumped)
    let key = SigningKey(credentials, region: "us-east-1", service: "s", at: 0)
    dump(key, to: &dumped)
    #expect(!"\(credentials)\(dumped)".contains("hush") && !"\(credentials)\(dumped)".contains("whisper"))
  }

  @Test(arguments: ["", "a b", "a\r\nX-Evil: 1", "a\u{e9}"]) func keysThatCouldNotStandInAFieldAreNoKeys(_ text: String) {
    #expect(Credentials(accessKeyID: text, secretAccessKey: "s") == nil)
    #expect(Credentials(accessKeyID: "A", secretAccessKey: text) == nil)
    #expect(Credentials(accessKeyID: "A", secretAccessKey: "s", sessionToken: text) == nil)
  }

  // MARK: - Vectors

  private let moment: Int64 = 1_440_938_160

  private func key(_ session: String? = nil) throws -> SigningKey {
    let credentials = Credentials(
      accessKeyID: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", sessionToken: session)
    return SigningKey(try #require(credentials), region: "us-east-1", service: "service", at: moment)
  }

  private func check(_ vector: JSONValue, _ kind: String, asQuery: Bool) throws {
    let name = try #require(vector["name"]?.string)
    let context = try #require(vector["context"])
    let expected = try #require(vector[kind])
    var sent = try Sent(vector)
    let session = context["credentials"]?["token"]?.string
    let key = try key(session)
    // The suite says where the parameters of the signature go; the signer signs what it is given.
    let signsSession = context["omit_session_token"]?.bool != true
    let signsBody = context["sign_body"]?.bool == true
    let hash = SigV4.hash(sent.body)
    if asQuery {
      let names = CanonicalRequest(
        SigV4.Request(method: sent.method, path: sent.path, fields: sent.fields, bodyHash: hash)
      ).signedFields
      var pairs = [
        ("X-Amz-Algorithm", SigV4.algorithm), ("X-Amz-Credential", "\(key.accessKeyID)/\(key.scope)"),
        ("X-Amz-Date", Instant.basic(moment)),
        ("X-Amz-SignedHeaders", names), ("X-Amz-Expires", "3600"),
      ]
      if let session, signsSession { pairs.append(("X-Amz-Security-Token", session)) }
      let allowed = CharacterSet(charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
      let own = pairs.map { "\($0.0)=\($0.1.addingPercentEncoding(withAllowedCharacters: allowed) ?? "")" }.joined(separator: "&")
      sent.query = sent.query.isEmpty ? own : sent.query + "&" + own
    } else {
      sent.fields.append(("X-Amz-Date", Instant.basic(moment)))
      if let session, signsSession { sent.fields.append(("X-Amz-Security-Token", session)) }
      if signsBody { sent.fields.append(("x-amz-content-sha256", hash)) }
    }
    let normalizes = context["normalize"]?.bool == true
    let request = SigV4.Request(
      method: sent.method, path: sent.path, query: sent.query, fields: sent.fields, bodyHash: hash, normalizesPath: normalizes)
    let canonical = CanonicalRequest(request).text
    #expect(canonical == expected["canonicalRequest"]?.string, "\(name) \(kind)")
    let string = SigV4.stringToSign(canonical, in: key.scope, at: moment)
    #expect(string == expected["stringToSign"]?.string, "\(name) \(kind)")
    #expect(key.signature(of: string) == expected["signature"]?.string, "\(name) \(kind)")
  }

  /// A request of the suites as it was sent: lines end at LF, values may be folded.
  private struct Sent {
    var method = ""
    var path = ""
    var query = ""
    var fields: [(name: String, value: String)] = []
    var body: [UInt8] = []

    init(_ vector: JSONValue) throws {
      let data = try #require(Data(base64Encoded: vector["request"]?.string ?? "?"))
      let text = String(decoding: data, as: UTF8.self).replacingOccurrences(of: "\r\n", with: "\n")
      let halves = text.components(separatedBy: "\n\n")
      body = Array(halves.dropFirst().joined(separator: "\n\n").utf8)
      var lines = halves[0].split(separator: "\n")
      let first = lines.removeFirst()
      let space = try #require(first.firstIndex(of: " "))
      method = String(first[..<space])
      let target = first[first.index(after: space)...].replacingOccurrences(of: " HTTP/1.1", with: "")
      let mark = target.firstIndex(of: "?") ?? target.endIndex
      path = String(target[..<mark])
      query = mark == target.endIndex ? "" : String(target[target.index(after: mark)...])
      for line in lines {
        if line.first == " ", let last = fields.indices.last {
          fields[last].value += " " + line
        } else if let colon = line.firstIndex(of: ":") {
          fields.append((String(line[..<colon]), String(line[line.index(after: colon)...])))
        }
      }
    }
  }
}
