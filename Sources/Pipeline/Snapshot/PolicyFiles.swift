public import Bytes

/// The contents of a policy folder, as read: policies (`*.cedar`, `*.cedar.json`), a schema and entities.
public struct PolicyFiles: Sendable {
  /// Policy texts.
  public var policies: [SourceText]
  /// The schema, if there is one.
  public var schema: SourceText?
  /// The entities, if there are any.
  public var entities: SourceText?
  /// The name of the set: `sha256:` and the first hexadecimal digits of the hash of all files.
  public var hash: String

  /// Contents.
  public init(policies: [SourceText], schema: SourceText?, entities: SourceText?, hash: String) {
    self.policies = policies
    self.schema = schema
    self.entities = entities
    self.hash = hash
  }

  func authorization(onPolicyError: Authorization.OnPolicyError) throws(ConfigurationError) -> Authorization {
    guard !policies.isEmpty else { throw ConfigurationError(["there is no policy file (*.cedar), so every request would be refused"]) }
    return Authorization(policySet: hash, policyCount: policies.count, onPolicyError: onPolicyError, authorizer: Authorizer())
  }
}
