internal import AWS
internal import Bytes
internal import HTTP

/// How the requests of a route are signed for a service behind that is an API of AWS (Signature Version 4).
public struct UpstreamSigning: Sendable, Equatable {
  /// Whose credentials sign.
  public enum Signer: Sendable, Equatable {
    /// The proxy's own: those of a profile; nil for the usual chain's.
    case own(profile: String?)
    /// Those that an identity pool gives for the identity token of whoever asks.
    case caller(pool: String)
  }

  /// What of a body is signed.
  public enum Body: String, Sendable, CaseIterable {
    /// Its hash: it is read whole before it goes on.
    case hash
    /// Nothing: it goes on as it comes, and TLS alone protects it.
    case unsigned
  }

  /// The service's name in signatures, such as `s3`.
  public var service: String
  /// The region in signatures; nil for the environment's or the profile's.
  public var region: String?
  /// Whose credentials sign.
  public var signer: Signer
  /// What of a body is signed.
  public var body = Body.hash

  /// Whether whoever asks must bring an identity token.
  public var isCallers: Bool { if case .caller = signer { true } else { false } }

  /// The services known to take requests whose body is not signed.
  static let takingUnsignedBodies = ["mediastore", "s3", "s3-object-lambda", "s3-outposts", "s3express", "vpc-lattice-svcs"]
  /// The services that sign paths as they are; all others encode them once more.
  private static let signingPathsAsTheyAre = ["s3", "s3-object-lambda", "s3-outposts", "s3express"]

  /// Whether paths are signed without `.`, `..` and empty segments, and encoded once more.
  var normalizesPath: Bool { !Self.signingPathsAsTheyAre.contains { exactlyEquals($0, service) } }
}

/// The signing of one route.
public struct RouteSigning: Sendable {
  /// Its place among the configuration's signings.
  public let index: Int
  /// How.
  public let settings: UpstreamSigning
  /// The bounds of a body whose hash is signed.
  let body: BodyBounds
}

/// Bounds of a body that is read whole before it goes on.
public struct BodyBounds: Sendable {
  /// The most octets that are read.
  public let maximumBytes: UInt64
  /// How long it may take to arrive, in milliseconds.
  public let timeoutMillis: UInt64
  /// The setting that says how much is too much.
  public let setting: String

  /// Refuses, before any of it is read, a body that is too long.
  func requireFitting(_ head: RequestHead) throws(Stop) {
    guard case .length(let count) = head.framing, count > maximumBytes else { return }
    throw .refuse(.bodyTooLarge(limit: maximumBytes, setting: setting))
  }
}

/// Collects the signings of a configuration, each once.
struct SigningBuilder {
  private(set) var signings: [UpstreamSigning] = []

  /// The signing that a route names; nil if it names none.
  mutating func signing(_ route: Setting, _ access: Route.Access, _ report: inout ConfigurationReport) -> RouteSigning? {
    guard let setting = route["sign"], setting.origin != .byDefault else { return nil }
    guard let service = setting.text("service"), Self.isName(service) else {
      report.add(
        setting["service"] ?? setting, "no service is named", help: "write sign: { service: 's3' }, by the name that signatures have for it"
      )
      return nil
    }
    guard let signer = signer(setting, access, &report) else { return nil }
    if let named = setting["region"], let region = named.text, !Endpoint.isRegion(region) {
      report.add(named, "\"\(region)\" is not a region", help: "write region: 'us-east-1'")
      return nil
    }
    var signing = UpstreamSigning(service: service, region: setting.text("region"), signer: signer)
    signing.body = setting.text("body").flatMap(UpstreamSigning.Body.init) ?? .hash
    checkBody(signing, setting, route, &report)
    let body = BodyBounds(
      maximumBytes: route["body_limit"]?.count ?? Defaults.signedBodyBytes,
      timeoutMillis: route["body_timeout"]?.count ?? Defaults.bodyIdleTimeoutMillis, setting: "body_limit")
    if let known = signings.firstIndex(of: signing) { return RouteSigning(index: known, settings: signing, body: body) }
    signings.append(signing)
    return RouteSigning(index: signings.count - 1, settings: signing, body: body)
  }

  private func signer(_ setting: Setting, _ access: Route.Access, _ report: inout ConfigurationReport) -> UpstreamSigning.Signer? {
    let pool = setting["identity_pool"]
    guard setting.text("credentials") == "identity_pool" else {
      if let pool {
        report.add(
          pool, "with credentials 'own' no identity pool is asked, so this has no effect",
          help: "write credentials: 'identity_pool', or leave it out")
      }
      return .own(profile: setting.text("profile"))
    }
    guard let pool, let id = pool.text, CredentialSource.IdentityPool(id: id).region != nil else {
      report.add(
        pool ?? setting, pool.map { "\"\($0.text ?? "")\" is not the id of an identity pool" } ?? "no identity pool is named",
        help: "write identity_pool: 'us-east-1:12345678-1234-1234-1234-123456789012'")
      return nil
    }
    if let profile = setting["profile"] {
      report.add(profile, "an identity pool gives the credentials, so this has no effect", help: "leave it out")
    }
    switch access {
    case .policy, .authenticated: break
    case .public, .preflight:
      report.add(
        setting["credentials"], "with access '\(access.rawValue)' nobody has a token for the identity pool",
        help: "use access: 'authenticated' or 'policy', or sign with credentials: 'own'")
    }
    return .caller(pool: id)
  }

  private func checkBody(_ signing: UpstreamSigning, _ setting: Setting, _ route: Setting, _ report: inout ConfigurationReport) {
    switch signing.body {
    case .hash:
      guard let limit = route["body_limit"], let bytes = limit.count, bytes > Defaults.largestSignedBodyBytes else { return }
      report.add(
        limit,
        "a body whose hash is signed is held in memory, and may have at most \(Units.size(Int64(clamping: Defaults.largestSignedBodyBytes)))",
        help: "lower body_limit, or write body: 'unsigned' in sign, where the service takes that")
    case .unsigned:
      guard !UpstreamSigning.takingUnsignedBodies.contains(where: { exactlyEquals($0, signing.service) }) else { return }
      report.add(
        setting["body"], "\(signing.service) is not known to take requests whose body is not signed",
        help: "leave it out; these do: \(UpstreamSigning.takingUnsignedBodies.joined(separator: ", "))")
    }
  }

  private static func isName(_ text: String) -> Bool {
    (1...64).contains(text.utf8.count)
      && text.utf8.allSatisfy { (0x61...0x7a).contains($0) || ASCII.isDigit($0) || $0 == UInt8(ascii: "-") }
  }
}
