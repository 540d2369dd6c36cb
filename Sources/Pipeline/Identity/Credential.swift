internal import Bytes
internal import HTTP
internal import JOSE

/// Where the one credential of a request lies in its head: `Authorization: Bearer <token>` (RFC 6750 §2.1), or the bare
/// token for issuers whose clients send it so.
///
/// A request with several credentials is refused whatever they are: nobody can say whose it is (RFC 6750 §2).
struct Credential {
  /// The token's bytes in the head.
  let range: Range<Int>
  /// The issuer whose load balancer says it; nil for what the client sent.
  var loadBalancer: Issuer?
  /// The issuer of a token that is no JWS, and that it alone can say something about; nil for what can be verified.
  var opaqueIssuer: Issuer?

  /// - Parameters:
  ///   - peer: who sent the request to us, for the word of a load balancer.
  ///   - proven: whether it must come with a proof of possession, `Authorization: DPoP <token>` (RFC 9449 §7.1).
  static func find(in head: RequestHead, for issuers: IssuerTable, from peer: Peer, proven: Bool) throws(Stop) -> Credential {
    if !proven, let said = try fromLoadBalancer(in: head, for: issuers, from: peer) { return said }
    switch BearerCredential.find(in: head.fields, scheme: proven ? .dpop : .bearer) {
    case .token(let range):
      guard let issuer = issuers.opaque, head.fields.withBytes(range, OpaqueToken.isOpaque) else { return Credential(range: range) }
      return Credential(range: range, opaqueIssuer: issuer)
    case .rawToken(let range) where issuers.acceptsBareToken && !proven: return Credential(range: range)
    // Another scheme is no bearer credential: the challenge names what is wanted.
    case .rawToken, .otherScheme, .absent: throw .refuse(.noToken)
    case .malformed: throw .refuse(.token(.partCount(1)))
    case .multiple: throw .refuse(.multipleCredentials(detail: "Authorization carries more than one credential"))
    }
  }
}

extension Credential {
  /// What the load balancer says that sent us the request, if one did. From anybody else the field is no credential.
  private static func fromLoadBalancer(in head: RequestHead, for issuers: IssuerTable, from peer: Peer) throws(Stop) -> Credential? {
    guard !issuers.loadBalancers.isEmpty, let address = peer.network,
      let issuer = issuers.loadBalancers.first(where: { $0.loadBalancer?.networks.contains { $0.contains(address) } ?? false })
    else { return nil }
    let wanted = LoadBalancerSettings.field.utf8
    let lines = head.fields.lines.filter { line in head.fields.withBytes(line.name) { ASCII.equalsIgnoringCase($0, wanted) } }
    guard let line = lines.first else { return nil }
    guard lines.count == 1, !head.fields.has(.authorization) else {
      throw .refuse(.multipleCredentials(detail: "\(LoadBalancerSettings.field) is not the only credential"))
    }
    return Credential(range: line.value, loadBalancer: issuer)
  }
}

extension UnverifiedToken {
  /// Takes the credential apart.
  static func read(_ credential: Credential, in head: RequestHead) throws(Stop) -> UnverifiedToken {
    let result: Result<UnverifiedToken, TokenError> = head.fields.withBytes(credential.range) { bytes in
      do throws(TokenError) { return .success(try UnverifiedToken.parse(bytes)) } catch { return .failure(error) }
    }
    switch result {
    case .success(let token): return token
    case .failure(let error): throw .refuse(.token(error))
    }
  }
}
