/// How the body of a message is delimited, RFC 9112 §6.3.
public enum BodyFraming: Equatable, Sendable {
  /// There is no body.
  case none
  /// As many octets as `Content-Length` says.
  case length(UInt64)
  /// Chunks, the last of size zero.
  case chunked
  /// All until the connection closes: responses only.
  case untilClose
}
