internal import JOSE

extension Configuration {
  /// What can be reached without a token, as text: for the person who must vouch for it.
  public var openAccess: String {
    var lines: [String] = []
    if mode == .observe { lines.append("everything: mode is 'observe', which forwards what would be refused") }
    if let path = protectedResource?.path { lines.append("metadata    GET \(path)   (answered here: who issues tokens)") }
    for route in routes?.routes ?? [] {
      switch route.access {
      case .public: lines.append("public      \(route.text)")
      case .preflight: lines.append("preflight   \(route.text)   (CORS preflights only)")
      case .policy, .authenticated:
        if mode == .enforce, route.mode == .observe { lines.append("observed    \(route.text)   (forwards what would be refused)") }
      }
    }
    guard !lines.isEmpty else { return "nothing is reachable without a token\n" }
    return "reachable without a token:\n" + lines.map { "  \($0)\n" }.joined()
  }
}
