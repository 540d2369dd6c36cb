internal import Bytes

/// A request method, RFC 9110 §9, as an exact token: `get` is not `GET`.
///
/// The registered methods that this house speaks of have a case; any other token is `other`, and its spelling stays in
/// the request head.
public enum Method: UInt8, Sendable, CaseIterable {
  /// `GET`.
  case get
  /// `HEAD`.
  case head
  /// `POST`.
  case post
  /// `PUT`.
  case put
  /// `DELETE`.
  case delete
  /// `PATCH`, RFC 5789.
  case patch
  /// `OPTIONS`.
  case options
  /// `CONNECT`.
  case connect
  /// `TRACE`.
  case trace
  /// Another token.
  case other

  /// The token, upper case; empty for `other`.
  public var name: String {
    switch self {
    case .get: "GET"
    case .head: "HEAD"
    case .post: "POST"
    case .put: "PUT"
    case .delete: "DELETE"
    case .patch: "PATCH"
    case .options: "OPTIONS"
    case .connect: "CONNECT"
    case .trace: "TRACE"
    case .other: ""
    }
  }

  /// Whether repeating the request has the effect of making it once, RFC 9110 §9.2.2; false for `other`.
  public var isIdempotent: Bool {
    switch self {
    case .get, .head, .put, .delete, .options, .trace: true
    case .post, .patch, .connect, .other: false
    }
  }

  /// The method a token spells, exactly.
  public init(token: some Collection<UInt8>) {
    self = Self.allCases.first { $0 != .other && $0.name.utf8.elementsEqual(token) } ?? .other
  }

  /// The method of a token in a buffer: the hot path's form of `init(token:)`.
  init(_ token: UnsafeRawBufferPointer) {
    switch token.count {
    case 3:
      if token.spells("GET") { self = .get } else if token.spells("PUT") { self = .put } else { self = .other }
    case 4:
      if token.spells("POST") { self = .post } else if token.spells("HEAD") { self = .head } else { self = .other }
    case 5:
      if token.spells("PATCH") { self = .patch } else if token.spells("TRACE") { self = .trace } else { self = .other }
    case 6:
      self = token.spells("DELETE") ? .delete : .other
    case 7:
      if token.spells("OPTIONS") { self = .options } else if token.spells("CONNECT") { self = .connect } else { self = .other }
    default: self = .other
    }
  }

  /// Whether a token is a registered method in the wrong case, which some servers read as the method itself.
  static func isMiscased(_ token: UnsafeRawBufferPointer) -> Bool {
    allCases.contains { method in
      let name = method.name.utf8
      return name.count == token.count && ASCII.equalsIgnoringCase(name, token) && !name.elementsEqual(token)
    }
  }
}
