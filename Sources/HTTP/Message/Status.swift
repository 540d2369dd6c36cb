/// A response status code, RFC 9110 §15: three digits, 100 to 599.
public struct Status: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
  /// The code.
  public let rawValue: UInt16

  /// A status of a code; codes outside 100…599 are nil.
  public init?(rawValue: UInt16) {
    guard (100...599).contains(rawValue) else { return nil }
    self.rawValue = rawValue
  }

  private init(known code: UInt16) { rawValue = code }

  /// The code as an integer.
  public var code: Int { Int(rawValue) }
  /// 1xx, RFC 9110 §15.2: an interim response; another follows.
  public var isInformational: Bool { rawValue < 200 }
  /// The code and its phrase, e.g. `403 Forbidden`.
  public var description: String { reason.isEmpty ? String(rawValue) : "\(rawValue) \(reason)" }

  /// 100.
  public static let `continue` = Status(known: 100)
  /// 101.
  public static let switchingProtocols = Status(known: 101)
  /// 103, RFC 8297.
  public static let earlyHints = Status(known: 103)
  /// 200.
  public static let ok = Status(known: 200)
  /// 201.
  public static let created = Status(known: 201)
  /// 204.
  public static let noContent = Status(known: 204)
  /// 301.
  public static let movedPermanently = Status(known: 301)
  /// 302.
  public static let found = Status(known: 302)
  /// 303.
  public static let seeOther = Status(known: 303)
  /// 304.
  public static let notModified = Status(known: 304)
  /// 400.
  public static let badRequest = Status(known: 400)
  /// 401.
  public static let unauthorized = Status(known: 401)
  /// 403.
  public static let forbidden = Status(known: 403)
  /// 404.
  public static let notFound = Status(known: 404)
  /// 405.
  public static let methodNotAllowed = Status(known: 405)
  /// 408.
  public static let requestTimeout = Status(known: 408)
  /// 409.
  public static let conflict = Status(known: 409)
  /// 413.
  public static let contentTooLarge = Status(known: 413)
  /// 414.
  public static let uriTooLong = Status(known: 414)
  /// 415.
  public static let unsupportedMediaType = Status(known: 415)
  /// 417.
  public static let expectationFailed = Status(known: 417)
  /// 421.
  public static let misdirectedRequest = Status(known: 421)
  /// 429, RFC 6585.
  public static let tooManyRequests = Status(known: 429)
  /// 431, RFC 6585.
  public static let requestHeaderFieldsTooLarge = Status(known: 431)
  /// 500.
  public static let internalServerError = Status(known: 500)
  /// 501.
  public static let notImplemented = Status(known: 501)
  /// 502.
  public static let badGateway = Status(known: 502)
  /// 503.
  public static let serviceUnavailable = Status(known: 503)
  /// 504.
  public static let gatewayTimeout = Status(known: 504)
  /// 505.
  public static let httpVersionNotSupported = Status(known: 505)

  /// The reason phrase of RFC 9110 or the registry, empty for a code that this house does not send.
  public var reason: String {
    switch rawValue {
    case 100: "Continue"
    case 101: "Switching Protocols"
    case 103: "Early Hints"
    case 200: "OK"
    case 201: "Created"
    case 204: "No Content"
    case 301: "Moved Permanently"
    case 302: "Found"
    case 303: "See Other"
    case 304: "Not Modified"
    case 400: "Bad Request"
    case 401: "Unauthorized"
    case 403: "Forbidden"
    case 404: "Not Found"
    case 405: "Method Not Allowed"
    case 408: "Request Timeout"
    case 409: "Conflict"
    case 413: "Content Too Large"
    case 414: "URI Too Long"
    case 415: "Unsupported Media Type"
    case 417: "Expectation Failed"
    case 421: "Misdirected Request"
    case 429: "Too Many Requests"
    case 431: "Request Header Fields Too Large"
    case 500: "Internal Server Error"
    case 501: "Not Implemented"
    case 502: "Bad Gateway"
    case 503: "Service Unavailable"
    case 504: "Gateway Timeout"
    case 505: "HTTP Version Not Supported"
    default: ""
    }
  }
}
