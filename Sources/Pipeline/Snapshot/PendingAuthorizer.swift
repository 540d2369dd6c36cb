internal import Cedar

// Stands here until the Cedar module has its authorizer; it refuses everything.
struct OverlayError: Error { let description: String }
struct Authorizer: Sendable {
  func isAuthorized(_ request: Request, overlay: [[Entity]]) throws(OverlayError) -> Response {
    Response(decision: .deny, determining: [], errors: [])
  }
  func isForbid(_ policy: PolicyID) -> Bool { true }
}
