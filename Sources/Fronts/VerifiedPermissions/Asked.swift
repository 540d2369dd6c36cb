internal import Bytes
internal import Cedar
internal import Crypto
internal import JOSE
internal import JSON
internal import Pipeline

/// Who asks, by the tokens of a request.
struct Asked {
  let principal: EntityUID
  /// The principal and its groups.
  private let own: [Entity]
  /// The access token's claims.
  private let token: Record?
  private let mapping: IdentityMapping

  enum Reading {
    case asked(Asked)
    case wait(IssuerPlace)
  }

  /// Verifies the tokens of a request by the store's identity source.
  static func read(
    _ input: Input, source: IdentitySource?, keys: any IssuerKeyStore, verifier: SignatureVerifier, seconds: Int64
  ) throws(Fault) -> Reading {
    let identity = try input.text("identityToken", 1...131_072)
    let access = try input.text("accessToken", 1...131_072)
    guard identity != nil || access != nil else { throw .validation("Either identityToken or accessToken is required.") }
    guard let source else { throw .notFound(.identitySource, input.json["policyStoreId"]?.string ?? "") }
    var verified: [VerifiedToken] = []
    for (text, use, name) in [(identity, TokenUse.id, "identityToken"), (access, TokenUse.access, "accessToken")] {
      guard let text else { continue }
      guard source.uses.contains(use) else { throw .validation("The identity source takes no \(name).", at: name) }
      var rules = source.rules
      rules.tokenUses = [use]
      let unverified: UnverifiedToken
      do throws(TokenError) { unverified = try UnverifiedToken.parse(text.utf8) } catch { throw refused(error, name) }
      guard rules.issuers.contains(where: { exactlyEquals($0, unverified.issuer) }) else {
        throw refused(.issuer(found: unverified.issuer, expected: rules.issuers), name)
      }
      guard let found = keys.keys(of: source.place, kid: unverified.kid) else { return .wait(source.place) }
      let set: JWKSet
      switch found {
      case .success(let keys): set = keys
      case .failure(let error): throw .validation("The issuer's keys cannot be had: \(error.reason)", at: name)
      }
      do throws(TokenError) {
        verified.append(try TokenVerifier.verify(unverified, keys: set, rules: rules, now: seconds, verifier: verifier))
      } catch { throw refused(error, name) }
    }
    guard let first = verified.first else { throw .validation("Either identityToken or accessToken is required.") }
    return .asked(try Asked(first, verified.last, source.mapping))
  }

  private static func refused(_ error: TokenError, _ name: String) -> Fault {
    .validation("The token is not accepted: \(error).", at: name)
  }

  private init(_ first: VerifiedToken, _ last: VerifiedToken?, _ mapping: IdentityMapping) throws(Fault) {
    guard let claimed = mapping.claims(of: first) else { throw .validation("The token has no claim that names the principal.") }
    principal = claimed.principal
    own = claimed.entities
    self.mapping = mapping
    guard let last, last.tokenUse != first.tokenUse else {
      token = claimed.context
      return
    }
    guard let other = mapping.claims(of: last), other.principal == claimed.principal else {
      throw .validation("The tokens are of different users.")
    }
    token = other.context
  }

  /// The caller's entities and those of the token: what the token says of principals and groups, no one else may.
  func entities(joining others: [Entity]) throws(Fault) -> [Entity] {
    for entity in others {
      if entity.uid.type == mapping.principalType {
        throw .validation("PrincipalEntityType \(entity.uid.type) cannot be defined in Entities", at: "entities")
      }
      if entity.uid.type == mapping.groupType {
        throw .validation("GroupEntityType \(entity.uid.type) cannot be defined in Entities", at: "entities")
      }
    }
    return own + others
  }

  /// The question with the access token's claims in its context.
  func question(_ question: Request) throws(Fault) -> Request {
    guard let token else { return question }
    guard question.context["token"] == nil else { throw .validation("The context has a token already.", at: "context") }
    var whole = question
    whole.context = Record(lastWins: question.context.fields + [Record.Field("token", .record(token))])
    return whole
  }
}
