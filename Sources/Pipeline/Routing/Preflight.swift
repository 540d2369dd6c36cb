internal import HTTP

extension RequestHead {
  /// Whether the request is a CORS preflight (Fetch, "CORS-preflight request") and nothing more: OPTIONS with one `Origin` and one
  /// `Access-Control-Request-Method`, no credentials, no body.
  var isPreflight: Bool {
    method == .options && framing == .none && isOne(.origin) && isOne(.accessControlRequestMethod) && !fields.has(.authorization)
      && !fields.has(.cookie)
  }

  private func isOne(_ field: KnownField) -> Bool { fields.value(of: field).map { !$0.isEmpty } ?? false }
}
