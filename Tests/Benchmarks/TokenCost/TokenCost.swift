import Bytes
import Crypto
import Glibc
import JOSE
import JSON

// What it costs to accept a token the first time, to find it again, and to refuse each kind of bad one: CPU time of one thread, the
// least of several rounds. BENCH=1 swift run -c release TokenCost

private let now: Int64 = 1_800_000_000
private let issuer = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbCdEf123"

private func cpuNanos() -> UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

/// Nanoseconds of one call.
private func cost(_ body: () -> Void) -> Double {
  var count = 1
  while true {
    let start = cpuNanos()
    for _ in 0..<count { body() }
    if cpuNanos() - start > 20_000_000 { break }
    count *= 2
  }
  return (0..<7).map { _ in
    let start = cpuNanos()
    for _ in 0..<count { body() }
    return Double(cpuNanos() - start) / Double(count)
  }.min() ?? 0
}

private func line(_ what: String, _ nanos: Double, against full: Double? = nil) {
  let micros = "\(Double((nanos / 10).rounded()) / 100)"
  let ratio = full.map { "   \(Double((nanos / $0 * 100).rounded()) / 100) of the first acceptance" } ?? ""
  print("  " + what + String(repeating: " ", count: max(44 - what.utf8.count, 1)) + micros + " us" + ratio)
}

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

@main
enum TokenCost {
  static func main() throws {
    let rules = ClaimRules(issuers: [issuer], profile: .cognito, clientIDs: [ExactString("1example23456789")])
    for algorithm in JWSAlgorithm.allCases {
      let signer = JWSSigner(kid: "aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789+/aBcDe=", algorithm: algorithm, key: try key(algorithm))
      let keys = try set(signer)
      let verifier = SignatureVerifier()
      let good = Array(try signer.token(claims: claims()).utf8)
      guard case .success(let verified) = judge(good, keys, rules, verifier) else { fatalError("a good token was refused") }
      let full = cost { _ = judge(good, keys, rules, verifier) }
      print("\(algorithm), token of \(good.count) bytes")
      line("first acceptance", full)
      guard algorithm == .rs256 || algorithm == .es256 || algorithm == .edDSA else { continue }
      line("of it parsing", cost { _ = good.withUnsafeBytes { try? UnverifiedToken.parse($0) } }, against: full)

      let cache = TokenCache<Int>(key: (RandomBytes.makeUInt64(), RandomBytes.makeUInt64()))
      cache.insert(verified, entry: 1, generation: .init(snapshot: 1, issuer: 0, keys: 1), now: now)
      line(
        "hot: found in the cache",
        cost { _ = good.withUnsafeBytes { cache.entry(for: $0, now: now, snapshot: 1, keys: { _ in 1 }) } }, against: full)
      var other = good
      other[other.count - 1] ^= 1
      line(
        "not in the cache", cost { _ = other.withUnsafeBytes { cache.entry(for: $0, now: now, snapshot: 1, keys: { _ in 1 }) } },
        against: full)

      let stray = JWSSigner(kid: signer.kid, algorithm: algorithm, key: try key(algorithm))
      let bad: [(String, String)] = [
        ("forged", try stray.token(claims: claims())),
        ("expired", try signer.token(claims: claims(["exp": .integer(now - 3600)]))),
        ("not yet valid", try signer.token(claims: claims(["iat": .integer(now + 3600)]))),
        ("other client", try signer.token(claims: claims(["client_id": .string("other")]))),
        ("other issuer", try signer.token(claims: claims(["iss": .string("https://other.example")]))),
        ("unknown key", try JWSSigner(kid: "other", algorithm: algorithm, key: signer.key).token(claims: claims())),
        ("alg none", JWSSigner.part(.object(["alg": .string("none")])) + "." + JWSSigner.part(claims()) + "."),
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
        line("refused: \(name)", cost { _ = judge(token, keys, rules, verifier) }, against: full)
      }
    }
  }
}
