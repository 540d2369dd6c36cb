internal import Bytes
internal import HTTP
internal import Pipeline
internal import PolicyTools
internal import Telemetry

/// What callers with a debug ticket are told.
enum Explanations {
  /// All that led to an exchange's decision, as `stockade explain` tells it; nil for whoever has no ticket.
  static func text(for exchange: borrowing Exchange) -> String? {
    guard let bundle = exchange.snapshot.explainable, exchange.hasDebugTicket else { return nil }
    guard exchange.trail.response != nil, let asked = exchange.asked else {
      return exchange.trail.rejection.map { "No policy was asked: \($0.detail ?? $0.reason.rawValue)" } ?? "No policy of ours was asked."
    }
    return Explain.run(bundle, asked.request, overlay: asked.entities).output
  }

  /// The same for the head of a response, cut at a line's end where it is long.
  static func field(for exchange: borrowing Exchange) -> String? {
    guard let text = text(for: exchange) else { return nil }
    var bytes = Array(text.utf8)
    if bytes.count > longestBytes {
      bytes.removeSubrange((bytes[..<longestBytes].lastIndex(of: ASCII.lf).map { $0 + 1 } ?? longestBytes)...)
      bytes += Array("...\n".utf8)
    }
    return Base64URL.encode(bytes)
  }

  // With the rest of a head, within what common clients read of one.
  private static let longestBytes = 4096
}
