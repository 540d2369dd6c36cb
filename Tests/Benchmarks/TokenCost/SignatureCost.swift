import Bytes
import Crypto
import JOSE
import JSON

private let now: Int64 = 1_800_000_000
private let issuer = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbCdEf123"

private func claims(_ changes: [String: JSONValue] = [:]) -> JSONValue {
  let groups = JSONValue.array((0..<6).map { .string("department-number-\($0)") })
  let base: [(String, JSONValue)] = [
    ("sub", .string("aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee")), ("cognito:groups", groups), ("iss", .string(issuer)),
    ("version", .integer(2)),
    ("client_id", .string("1example23456789")), ("origin_jti", .string("aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee")),
    ("event_id", .string("aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee")), ("token_use", .string("access")),
    ("scope", .string("openid profile email orders/read")), ("auth_time", .integer(now)), ("exp", .integer(now + 3600)),
    ("iat", .integer(now)),
    ("jti", .string("aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee")), ("username", .string("my-test-user")),
  ]
  return JSONValue(.object(base.map { JSONValue.Member(name: $0.0, value: changes[$0.0] ?? $0.1) }))
}

private func key(_ algorithm: JWSAlgorithm) throws(KeyError) -> PrivateKey {
  switch algorithm.signature {
  case .rsaPKCS1, .rsaPSS: try PrivateKey.generateRSA()
  case .ecdsa(let curve): try PrivateKey.generateEC(curve)
  case .ed25519: try PrivateKey.generateEd25519()
  }
}

private func set(_ signer: JWSSigner) throws(JWKSetError) -> JWKSet {
  try JWKSet.parse(JSONValue.object(["keys": .array([signer.publicJWK])]).text.utf8)
}

/// A token that is refused once its claims were read: its issuer is nobody.
private func unsigned(_ payload: String) -> String {
  JWSSigner.part(.object(["alg": .string("RS256")])) + "." + Base64URL.encode(Array(payload.utf8)) + ".AA"
}

private func judge(_ token: [UInt8], _ keys: JWKSet, _ rules: ClaimRules, _ verifier: SignatureVerifier) -> Result<
  VerifiedToken, TokenError
> {
  token.withUnsafeBytes { bytes in
    do throws(TokenError) {
      return .success(try TokenVerifier.verify(UnverifiedToken.parse(bytes), keys: keys, rules: rules, now: now, verifier: verifier))
    } catch {
      return .failure(error)
    }
  }
}

/// The verifier alone, by every algorithm.
enum SignatureCost {
  static func measure(_ report: inout Report) throws {
    let rules = ClaimRules(issuers: [issuer], profile: .cognito, clientIDs: [ExactString("1example23456789")])
    for algorithm in JWSAlgorithm.allCases {
      let signer = JWSSigner(kid: "aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789+/aBcDe=", algorithm: algorithm, key: try key(algorithm))
      let keys = try set(signer)
      let verifier = SignatureVerifier()
      let good = Array(try signer.token(claims: claims()).utf8)
      guard case .success(let verified) = judge(good, keys, rules, verifier) else { fatalError("a good token was refused") }
      // What libcrypto does for it, and nothing else: message and signature lie ready.
      guard let dot = good.lastIndex(of: UInt8(ascii: ".")), let signature = Base64URL.decode(good[(dot + 1)...]) else {
        fatalError("a token without signature")
      }
      let (message, publicKey) = (Array(good[..<dot]), signer.key.publicKey)
      guard verifier.verify(algorithm.signature, key: publicKey, message: message, signature: signature) else { fatalError("not signed") }
      let raw = cost { _ = verifier.verify(algorithm.signature, key: publicKey, message: message, signature: signature) }
      let full = cost { _ = judge(good, keys, rules, verifier) }
      report.title("\(algorithm), token of \(good.count) bytes", of: algorithm.rawValue)
      report.line("OpenSSL alone", raw, against: full)
      report.line("first acceptance", full)
      report.note(algorithm.rawValue) {
        $0.raw = raw
        $0.ours = full
      }
      report.line("of it parsing", cost { _ = good.withUnsafeBytes { try? UnverifiedToken.parse($0) } }, against: full)

      let cache = TokenCache<Int>(key: (RandomBytes.makeUInt64(), RandomBytes.makeUInt64()))
      cache.insert(verified, entry: 1, generation: .init(snapshot: 1, issuer: 0, keys: 1), now: now)
      report.line(
        "hot: found in the cache",
        cost { _ = good.withUnsafeBytes { cache.entry(for: $0, now: now, snapshot: 1, keys: { _ in 1 }) } }, against: full)
      var other = good
      other[other.count - 1] ^= 1
      report.line(
        "not in the cache", cost { _ = other.withUnsafeBytes { cache.entry(for: $0, now: now, snapshot: 1, keys: { _ in 1 }) } },
        against: full)

      // Forms that no issuer makes; the page's list has the development issuer's bad tokens. What is as large as may be is set against a
      // good token of that size.
      let notes = JSONValue.array((0..<1_900).map { .string("note-\($0)") })
      let large = Array(try signer.token(claims: claims(["username": notes])).utf8)
      guard case .success = judge(large, keys, rules, verifier) else { fatalError("a large token was refused") }
      let fullLarge = cost { _ = judge(large, keys, rules, verifier) }
      report.line("first acceptance, token of \(large.count) bytes", fullLarge)
      let bad: [(String, String)] = [
        ("not a token", String(repeating: "x", count: good.count)),
        ("32 KiB of brackets", unsigned(String(repeating: "[", count: 24_000))),
        ("32 KiB of numbers", unsigned("{\"a\":[0" + String(repeating: ",0", count: 12_100) + "]}")),
        ("32 KiB of members", unsigned("{\"a\":0" + (0..<2_400).map { ",\"\($0)\":0" }.joined() + "}")),
        ("32 KiB of escapes", unsigned("{\"a\":\"" + String(repeating: "\\u00e9", count: 4_000) + "\"}")),
        ("larger than 32 KiB", String(repeating: "x", count: 33_000)),
      ]
      for (name, text) in bad {
        let token = Array(text.utf8)
        guard case .failure = judge(token, keys, rules, verifier) else { fatalError("\(name) was accepted") }
        let against = token.count > 8_192 ? fullLarge : full
        let nanos = cost { _ = judge(token, keys, rules, verifier) }
        report.line("refused: \(name)", nanos, against: against)
        report.note(algorithm.rawValue) { if nanos / against > $0.worst.ratio { $0.worst = (nanos / against, name) } }
      }
    }
  }
}
