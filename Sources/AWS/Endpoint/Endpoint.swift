internal import Bytes

/// A service of AWS that we call.
public enum AWSService: String, Sendable, CaseIterable {
  /// Amazon Verified Permissions.
  case verifiedPermissions = "verifiedpermissions"
  /// The Security Token Service, which gives sessions of roles.
  case sts
  /// Cognito identity pools.
  case cognitoIdentity = "cognito-identity"

  /// The variable and profile key by which an endpoint of the service alone is set.
  public var settingName: String {
    switch self {
    case .verifiedPermissions: "VERIFIEDPERMISSIONS"
    case .sts: "STS"
    case .cognitoIdentity: "COGNITO_IDENTITY"
    }
  }
}

/// Where a service is found, by the rules of botocore's `partitions.json` and the services' rule sets.
public struct Endpoint: Sendable, Equatable {
  /// The region, which is also the one that requests are signed for.
  public let region: String
  /// The URL without a target.
  public let url: String

  /// An endpoint that was given outright.
  public init(url: String, region: String) {
    self.url = url
    self.region = region
  }

  /// Whether a text has the form of a region's name.
  public static func isRegion(_ text: String) -> Bool { Partition(of: text) != nil }

  /// The endpoint of a service in a region; nil if the text is no region's name.
  public init?(_ service: AWSService, region: String, fips: Bool = false, dualStack: Bool = false) {
    guard let partition = Partition(of: region) else { return nil }
    self.region = region
    var name = service.rawValue + (fips ? "-fips" : "")
    var suffix = dualStack ? partition.dualStackSuffix : partition.suffix
    switch service {
    case .verifiedPermissions: break
    case .sts:
      // GovCloud's usual hosts are the validated ones.
      if partition == .usGov, fips, !dualStack { name = service.rawValue }
    case .cognitoIdentity:
      let hasOneName = fips ? ["us-east-1", "us-east-2", "us-west-1", "us-west-2"].contains(region) : partition == .aws
      if dualStack, hasOneName { suffix = partition.suffix }
    }
    url = "https://\(name).\(region).\(suffix)"
  }
}

/// A part of AWS with names of its own.
enum Partition: Sendable, CaseIterable {
  case aws, china, europe, iso, isoB, isoE, isoF, usGov

  /// The partition of a region, by the form of its name; a region that no rule knows is one of the first partition.
  init?(of region: String) {
    let parts = region.utf8.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
    let isWord: (Substring.UTF8View) -> Bool = { !$0.isEmpty && $0.allSatisfy { (0x61...0x7a).contains($0) || ASCII.isDigit($0) } }
    guard parts.count >= 3, region.utf8.count <= 40, parts.allSatisfy({ isWord($0) }), let number = parts.last,
      number.allSatisfy({ ASCII.isDigit($0) })
    else { return nil }
    self = Self.allCases.first { partition in partition.prefix.map { region.utf8.starts(with: $0.utf8) } ?? false } ?? .aws
  }

  private var prefix: String? {
    switch self {
    case .aws: nil
    case .china: "cn-"
    case .europe: "eusc-de-"
    case .iso: "us-iso-"
    case .isoB: "us-isob-"
    case .isoE: "eu-isoe-"
    case .isoF: "us-isof-"
    case .usGov: "us-gov-"
    }
  }

  var suffix: String {
    switch self {
    case .aws, .usGov: "amazonaws.com"
    case .china: "amazonaws.com.cn"
    case .europe: "amazonaws.eu"
    case .iso: "c2s.ic.gov"
    case .isoB: "sc2s.sgov.gov"
    case .isoE: "cloud.adc-e.uk"
    case .isoF: "csp.hci.ic.gov"
    }
  }

  var dualStackSuffix: String {
    switch self {
    case .aws, .usGov: "api.aws"
    case .china: "api.amazonwebservices.com.cn"
    case .europe: "api.amazonwebservices.eu"
    case .iso: "api.aws.ic.gov"
    case .isoB: "api.aws.scloud"
    case .isoE: "api.cloud-aws.adc-e.uk"
    case .isoF: "api.aws.hci.ic.gov"
    }
  }
}
