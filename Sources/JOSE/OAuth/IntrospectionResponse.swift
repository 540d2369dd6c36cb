public import JSON

/// What an authorization server says about a token, RFC 7662 §2.2.
public struct IntrospectionResponse: Sendable {
  /// Why an answer says nothing.
  public enum ParseError: Error, Sendable, Equatable, CustomStringConvertible {
    case notJSON(JSONError)
    case silent

    /// One line for the log.
    public var description: String {
      switch self {
      case .notJSON(let error): "the answer is not JSON: \(error)"
      case .silent: "the answer does not say whether it is active"
      }
    }
  }

  /// Most bytes of an answer.
  public static let byteLimit = 256 * 1024

  /// Whether the token is active: neither expired nor revoked, and one that we may be shown.
  public let isActive: Bool
  /// What it says of an active token.
  public let claims: IntrospectedClaims?

  /// Reads an answer, strictly: one that says something twice says nothing.
  public static func parse(_ body: some Collection<UInt8>) throws(ParseError) -> IntrospectionResponse {
    let document: JSONValue
    do throws(JSONError) {
      document = try JSONParser.parse(body, limits: .init(depth: UnverifiedToken.depthLimit, bytes: byteLimit))
    } catch {
      throw .notJSON(error)
    }
    guard let isActive = document["active"]?.bool else { throw .silent }
    return IntrospectionResponse(isActive: isActive, claims: isActive ? IntrospectedClaims(value: document) : nil)
  }
}

/// What an issuer has said of an active token. Only an answer's reader makes one; `TokenVerifier` judges it.
public struct IntrospectedClaims: Sendable {
  let value: JSONValue

  /// `exp` in seconds since 1970, where it is said: nothing may be believed for longer.
  public var expiresAt: Int64? { value["exp"].flatMap(NumericDate.seconds) }
}

extension IntrospectedClaims: CustomStringConvertible, CustomReflectable {
  /// That they are some; no claim of anybody.
  public var description: String { "introspected claims" }
  /// Nothing: a dump into a log shows the description alone.
  public var customMirror: Mirror { Mirror(self, children: [:]) }
}

/// A bearer token that is no JWS: it means something to its issuer alone.
public enum OpaqueToken {
  /// Most bytes of one; it is a name and not a document.
  public static let byteLimit = 4096

  /// Whether a bearer token is opaque: a signed token has three parts, whatever is in them (RFC 7515 §7.1).
  public static func isOpaque(_ token: UnsafeRawBufferPointer) -> Bool {
    token.reduce(into: 0) { $0 += $1 == UInt8(ascii: ".") ? 1 : 0 } != 2
  }
}
