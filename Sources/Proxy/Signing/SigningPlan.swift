public import AWS
public import AWSClient
public import Net
public import Pipeline

/// From where the credentials of one way of signing come; safe to hand to another thread.
public struct SigningPlan: Sendable {
  /// How requests are signed.
  public let settings: UpstreamSigning
  /// The region in signatures.
  public let region: String
  /// Where the credentials come from.
  public let source: CredentialSource
  /// With what they are fetched.
  public let setting: CredentialFetch.Setting
  let tls: TLSContext

  /// Whether callers get their sessions from the same place.
  func asksSamePool(as other: SigningPlan) -> Bool {
    guard case .caller(let mine) = settings.signer, case .caller(let theirs) = other.settings.signer else { return false }
    return mine == theirs && setting.endpointURLs == other.setting.endpointURLs && setting.fips == other.setting.fips
      && setting.dualStack == other.setting.dualStack
  }

  /// The plan for a way of signing, by what the surroundings say; or what is wrong.
  public static func make(
    _ settings: UpstreamSigning, _ surroundings: AWSSurroundings, tls: TLSContext, _ problems: inout [String]
  ) -> SigningPlan? {
    let profile: String?
    let pool: CredentialSource.IdentityPool?
    switch settings.signer {
    case .own(let named): (profile, pool) = (named, nil)
    case .caller(let id): (profile, pool) = (nil, .init(id: id))
    }
    do throws(ProfileError) {
      let chain = try surroundings.chain(profile: profile)
      guard let region = settings.region ?? chain.region ?? pool?.region else {
        problems.append("sign: no region is set for \(settings.service); write region: 'us-east-1', or set AWS_REGION")
        return nil
      }
      guard Endpoint.isRegion(region) else {
        problems.append("sign: \"\(region)\" is not a region, such as us-east-1")
        return nil
      }
      var endpoints: [AWSService: String] = [:]
      for service in [AWSService.sts, .cognitoIdentity] { endpoints[service] = chain.endpointURL(of: service) }
      let source: CredentialSource
      if let pool { source = .identityPool(pool) } else { source = try chain.source() }
      return SigningPlan(
        settings: settings, region: region, source: source,
        setting: .init(region: region, fips: chain.usesFIPS, dualStack: chain.usesDualStack, endpointURLs: endpoints), tls: tls)
    } catch {
      problems.append(error.rendered)
      return nil
    }
  }
}
