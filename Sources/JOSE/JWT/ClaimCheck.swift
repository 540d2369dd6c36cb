internal import Bytes
internal import JSON

/// The claims of a token after every rule was applied. Only `TokenVerifier` makes something of it.
struct CheckedClaims {
  /// All of them, as they stand in the token.
  var claims: JSONValue
  var subject: String
  var tokenUse: TokenUse
  var clientID: String?
  var audiences: [String]
  var scopes: [String]
  var expiresAt: Int64
  var notBefore: Int64?
  var issuedAt: Int64?
  var jti: String?
}

/// Applies `ClaimRules` to claims whose signature was found good.
struct ClaimCheck {
  let claims: JSONValue
  let type: String?
  let rules: ClaimRules
  let now: Int64

  func checked() throws(TokenError) -> CheckedClaims {
    let times = try times()
    if claims["cnf"] != nil, !rules.acceptsSenderConstrained { throw .senderConstrained }
    let audiences = try audiences()
    let client = try clientID()
    let scopes = try scopes()
    let use: TokenUse
    switch rules.profile {
    case .cognito: use = try cognito(audiences, client)
    case .oidc: use = try oidc(audiences, client, scopes)
    }
    guard let subject = try string("sub"), !subject.isEmpty else { throw .missing("sub") }
    return CheckedClaims(
      claims: claims, subject: subject, tokenUse: use, clientID: client ?? (use == .id ? addressed(among: audiences) : nil),
      audiences: audiences,
      scopes: scopes,
      expiresAt: times.expiresAt, notBefore: times.notBefore, issuedAt: times.issuedAt, jti: try string("jti"))
  }

  // MARK: times (RFC 7519 §4.1.4 to §4.1.6)

  private func times() throws(TokenError) -> (expiresAt: Int64, notBefore: Int64?, issuedAt: Int64?) {
    guard let expiresAt = try date("exp") else { throw .missing("exp") }
    let notBefore = try date("nbf")
    let issuedAt = try date("iat")
    // Sums saturate: a date at the edge of 64 bits is a date, not a trap.
    guard now < Self.sum(expiresAt, rules.clockSkew) else { throw .expired(at: expiresAt, now: now) }
    for (claim, date) in [("nbf", notBefore), ("iat", issuedAt)] {
      if let date, Self.sum(now, rules.clockSkew) < date { throw .notYetValid(claim: claim, at: date, now: now) }
    }
    if let maximum = rules.maximumLifetime {
      // Without iat the rest of the lifetime is all that is known.
      let lifetime = Self.difference(expiresAt, issuedAt ?? Self.sum(now, rules.clockSkew))
      guard lifetime <= maximum else { throw .lifetime(seconds: lifetime, maximum: maximum) }
    }
    return (expiresAt, notBefore, issuedAt)
  }

  private func date(_ name: String) throws(TokenError) -> Int64? {
    guard let value = claims[name] else { return nil }
    guard let seconds = NumericDate.seconds(value) else { throw .wrongType(name, expected: "a date", found: value.kindName) }
    return seconds
  }

  private static func sum(_ a: Int64, _ b: Int64) -> Int64 {
    let (sum, overflow) = a.addingReportingOverflow(b)
    return overflow ? (a < 0 ? .min : .max) : sum
  }

  private static func difference(_ a: Int64, _ b: Int64) -> Int64 {
    let (difference, overflow) = a.subtractingReportingOverflow(b)
    return overflow ? (a < 0 ? .min : .max) : difference
  }

  // MARK: whose and for whom

  /// Cognito: `token_use` is always there, and each use has its own claim for the app client.
  private func cognito(_ audiences: [String], _ client: String?) throws(TokenError) -> TokenUse {
    guard let name = try string("token_use") else { throw .missing("token_use") }
    guard let use = TokenUse(name: name), rules.tokenUses.contains(use) else { throw .tokenUse(found: name, expected: accepted) }
    if let groups = claims["cognito:groups"] { _ = try strings(groups, "cognito:groups") }
    switch use {
    case .id:
      guard !audiences.isEmpty else { throw .missing("aud") }
      if let clients = rules.clientIDs, !Self.overlap(audiences, clients) {
        throw .audience(claim: "aud", found: audiences, expected: Self.shown(clients))
      }
    case .access:
      guard let client else { throw .missing("client_id") }
      if let clients = rules.clientIDs, !clients.contains(ExactString(client)) {
        throw .audience(claim: "client_id", found: [client], expected: Self.shown(clients))
      }
      if !rules.audiences.isEmpty, !audiences.isEmpty, !Self.overlap(audiences, rules.audiences) {
        throw .audience(claim: "aud", found: audiences, expected: Self.shown(rules.audiences))
      }
    }
    return use
  }

  /// OpenID Connect and RFC 9068: `aud` must name one of our audiences or clients; only a token without `aud` is judged by its client.
  private func oidc(_ audiences: [String], _ client: String?, _ scopes: [String]) throws(TokenError) -> TokenUse {
    let ours = Self.overlap(audiences, rules.audiences)
    if !rules.audiences.isEmpty || rules.clientIDs != nil {
      let clients = rules.clientIDs ?? []
      if audiences.isEmpty {
        guard let client else { throw .missing("aud") }
        guard clients.contains(ExactString(client)) else {
          throw .audience(claim: "client_id", found: [client], expected: Self.shown(clients))
        }
      } else if !ours, !Self.overlap(audiences, clients) {
        throw .audience(claim: "aud", found: audiences, expected: Self.shown(rules.audiences.union(clients)))
      }
    }
    let use = try oidcUse(namesOurAPI: ours, hasAudience: !audiences.isEmpty)
    guard rules.tokenUses.contains(use) else { throw .tokenUse(found: use.rawValue, expected: accepted) }
    return use
  }

  /// Nothing standard tells ID from access tokens, so in this order: `typ` at+jwt (RFC 9068 §2.1) and `token_use` say it; a token for
  /// one of our audiences is for access; what only ID tokens carry (OpenID Connect Core §2) makes it one; scopes or a client make it an
  /// access token; what is left and has an audience was issued to that client, so it is an ID token.
  private func oidcUse(namesOurAPI: Bool, hasAudience: Bool) throws(TokenError) -> TokenUse {
    if let type, exactlyEquals(type, "at+jwt") { return .access }
    if let name = try string("token_use") {
      guard let use = TokenUse(name: name) else { throw .tokenUse(found: name, expected: accepted) }
      return use
    }
    if namesOurAPI { return .access }
    if ["nonce", "at_hash", "c_hash"].contains(where: { claims[$0] != nil }) { return .id }
    if ["scope", "scp", "client_id", "cid"].contains(where: { claims[$0] != nil }) || !hasAudience { return .access }
    return .id
  }

  /// The client that an ID token is for: of several audiences the one that is ours.
  private func addressed(among audiences: [String]) -> String? {
    audiences.first { rules.clientIDs?.contains(ExactString($0)) ?? true } ?? audiences.first
  }

  private var accepted: [TokenUse] { TokenUse.allCases.filter(rules.tokenUses.contains) }

  /// What the log shows as expected: a short list in order, or nothing where many would have done.
  private static func shown(_ accepted: Set<ExactString>) -> [String] {
    accepted.count <= 20 ? accepted.map(\.string).sorted() : []
  }

  private static func overlap(_ values: [String], _ accepted: Set<ExactString>) -> Bool {
    values.contains { accepted.contains(ExactString($0)) }
  }

  // MARK: typed claims

  /// `aud`: a string or an array of strings, RFC 7519 §4.1.3.
  private func audiences() throws(TokenError) -> [String] {
    guard let value = claims["aud"] else { return [] }
    if let one = value.string { return [one] }
    return try strings(value, "aud")
  }

  /// `client_id` (RFC 9068, Cognito), else `cid` or `azp` as other issuers name the client.
  private func clientID() throws(TokenError) -> String? {
    if let client = try string("client_id") { return client }
    guard rules.profile == .oidc else { return nil }
    if let client = try string("cid") { return client }
    return try string("azp")
  }

  /// `scope`: separated by spaces (RFC 9068 §2.2.3); `scp` and `scope` as an array occur too.
  private func scopes() throws(TokenError) -> [String] {
    guard let (name, value) = ["scope", "scp"].lazy.compactMap({ name in claims[name].map { (name, $0) } }).first else { return [] }
    if let text = value.string {
      return text.utf8.split(separator: ASCII.space).map { String(decoding: $0, as: UTF8.self) }
    }
    return try strings(value, name)
  }

  private func string(_ name: String) throws(TokenError) -> String? {
    guard let value = claims[name] else { return nil }
    guard let text = value.string else { throw .wrongType(name, expected: "a string", found: value.kindName) }
    return text
  }

  private func strings(_ value: JSONValue, _ name: String) throws(TokenError) -> [String] {
    guard let elements = value.array else { throw .wrongType(name, expected: "an array of strings", found: value.kindName) }
    var out: [String] = []
    out.reserveCapacity(elements.count)
    for element in elements {
      guard let text = element.string else {
        throw .wrongType(name, expected: "an array of strings", found: "an array with \(element.kindName)")
      }
      out.append(text)
    }
    return out
  }
}
