internal import Pipeline

/// What tells a development issuer from one to trust.
enum DemoIssuer {
  /// The pool that `stockade demo` plays.
  static let poolID = "us-east-1_Demo00000"

  /// Whether an issuer can only be a development issuer: the demo's pool, or one that speaks plain HTTP, which OpenID Connect
  /// forbids (Discovery 1.0 §3: the scheme is https).
  static func isOne(_ kind: IssuerConfiguration.Kind) -> Bool {
    switch kind {
    case .cognito(let id, let issuer): id == poolID || issuer?.hasPrefix("http://") == true
    case .oidc(let issuer): issuer.hasPrefix("http://")
    }
  }
}
