public import AWS
public import AWSClient
public import Net
public import Pipeline

/// Where one engine elsewhere is, and with what it is asked; safe to hand to a worker.
public struct EnginePlan: Sendable {
  let engine: RemoteEngine
  /// Where it is.
  public let url: HTTPURL
  /// The region that requests are signed for.
  public let region: String
  /// Where its credentials come from.
  public let source: CredentialSource
  /// With what they are fetched.
  public let setting: CredentialFetch.Setting
  let tls: TLSContext

  /// Whether the same service is asked in the same way.
  func reaches(_ other: EnginePlan) -> Bool { engine == other.engine && url == other.url && region == other.region }

  /// The plan of an engine, by what the surroundings say; or what is wrong.
  public static func make(
    _ engine: RemoteEngine, _ surroundings: AWSSurroundings, tls: TLSContext, _ problems: inout [String]
  ) -> EnginePlan? {
    do throws(ProfileError) {
      let chain = try surroundings.chain(profile: engine.profile)
      let endpoint = engine.endpoint ?? chain.endpointURL(of: .verifiedPermissions)
      let fips = engine.fips ?? chain.usesFIPS
      let dualStack = engine.dualStack ?? chain.usesDualStack
      guard let region = engine.region ?? chain.region else {
        problems.append("engine: no region is set for policy store \(engine.policyStore); write region: 'us-east-1', or set AWS_REGION")
        return nil
      }
      guard let place = endpoint ?? Endpoint(.verifiedPermissions, region: region, fips: fips, dualStack: dualStack)?.url else {
        problems.append("engine: \"\(region)\" is not a region, such as us-east-1")
        return nil
      }
      let url: HTTPURL
      do throws(NetError) { url = try HTTPURL.parse(place) } catch {
        problems.append("engine: \(error)")
        return nil
      }
      guard url.isSecure || KeyURL.isLoopback(url) else {
        problems.append("engine: \(url) is plain HTTP, so whoever is on the way could decide; use https")
        return nil
      }
      let source: CredentialSource
      if let pool = engine.identityPool { source = .identityPool(.init(id: pool)) } else { source = try chain.source() }
      var endpoints: [AWSService: String] = [:]
      for service in [AWSService.sts, .cognitoIdentity] { endpoints[service] = chain.endpointURL(of: service) }
      return EnginePlan(
        engine: engine, url: url, region: region, source: source,
        setting: .init(region: region, fips: fips, dualStack: dualStack, endpointURLs: endpoints), tls: tls)
    } catch {
      problems.append(error.rendered)
      return nil
    }
  }
}

/// Environment and profile files, as they are when an engine is set up.
public struct AWSSurroundings: Sendable {
  private let environment: [String: String]
  private let config: ProfileFile?
  private let credentials: ProfileFile?
  private let mistake: ProfileError?

  /// No environment, no files.
  public static let none = AWSSurroundings(environment: [:], config: .absent("config"), credentials: .absent("credentials"), mistake: nil)

  /// An environment and files; a file that cannot be read is a mistake where an engine needs it, and nowhere else.
  public init(environment: [String: String], config: ProfileFile?, credentials: ProfileFile?, mistake: ProfileError?) {
    self.environment = environment
    self.config = config
    self.credentials = credentials
    self.mistake = mistake
  }

  /// The chain for a profile; nil for the usual one.
  public func chain(profile: String?) throws(ProfileError) -> CredentialChain {
    if let mistake { throw mistake }
    return CredentialChain(
      environment: environment, config: config ?? .absent("config"), credentials: credentials ?? .absent("credentials"), profile: profile)
  }
}
