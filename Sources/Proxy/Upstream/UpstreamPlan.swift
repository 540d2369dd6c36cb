internal import Net
internal import Pipeline

/// One service behind, as its settings say, with its addresses read.
struct UpstreamPlan: Sendable, Equatable {
  var settings: UpstreamSettings
  /// One for each address.
  var urls: [HTTPURL]

  /// Its host; of several addresses the first one's.
  var host: String { urls.first?.host ?? "" }
  /// What stands in Host where a client sent none (HTTP/1.0).
  var authority: String { urls.first?.authority ?? "" }
}
