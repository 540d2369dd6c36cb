public import Bytes

/// What the id of an Amazon Cognito user pool says: its region, its two forms of `iss`, and where its keys are.
///
/// Both forms are made from the id, never taken from a discovery document: a document of the first host may name either.
public struct CognitoUserPool: Sendable, Equatable {
  /// The pool's id, `us-east-1_AbCdEf123`.
  public let id: String
  /// The region before the underscore.
  public let region: String

  /// Reads a pool id: `[\w-]+_[0-9a-zA-Z]+` of at most 55 characters, ASCII.
  public init?(id: String) {
    let bytes = Array(id.utf8)
    guard bytes.count <= 55, let underscore = bytes.lastIndex(of: UInt8(ascii: "_")) else { return nil }
    let region = bytes[..<underscore]
    let name = bytes[(underscore + 1)...]
    // A region becomes part of a host name, so it has a host name's characters only.
    let isRegion = region.allSatisfy { ASCII.isDigit($0) || ASCII.isAlpha($0) || $0 == UInt8(ascii: "-") }
    guard !region.isEmpty, isRegion, !name.isEmpty, name.allSatisfy({ ASCII.isDigit($0) || ASCII.isAlpha($0) }) else { return nil }
    self.id = id
    self.region = String(decoding: region, as: UTF8.self)
  }

  /// `iss` of a pool with the original issuer type, the default.
  public var originalIssuer: String { "https://cognito-idp.\(region).\(suffix)/\(id)" }

  /// `iss` of a pool with the updated issuer type.
  public var updatedIssuer: String { "https://issuer-cognito-idp.\(region).\(suffix)/\(id)" }

  /// Both, the original first.
  public var issuers: [String] { [originalIssuer, updatedIssuer] }

  /// Where the pool's key set is; both hosts serve the same.
  public var jwksURL: String { originalIssuer + "/.well-known/jwks.json" }

  /// The domain of the region's partition.
  private var suffix: String {
    let partitions: [(prefix: String, suffix: String)] = [("cn-", "amazonaws.com.cn"), ("eusc-", "amazonaws.eu")]
    return partitions.first { region.utf8.starts(with: $0.prefix.utf8) }?.suffix ?? "amazonaws.com"
  }
}

extension ClaimRules {
  /// Rules for a Cognito user pool; Cognito signs by RS256 alone.
  public static func cognito(
    _ pool: CognitoUserPool, clientIDs: Set<ExactString>?, tokenUses: Set<TokenUse> = [.id, .access], audiences: Set<ExactString> = []
  ) -> ClaimRules {
    ClaimRules(
      issuers: pool.issuers, profile: .cognito, clientIDs: clientIDs, audiences: audiences, tokenUses: tokenUses, algorithms: [.rs256])
  }
}
