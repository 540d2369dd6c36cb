internal import Bytes
public import JSON

/// What a client learns about the protected service, RFC 9728: who issues its tokens and which scopes it knows.
public struct ProtectedResourceMetadata: Sendable, Equatable {
  /// The well-known path, RFC 9728 §3.
  public static let wellKnown = "/.well-known/oauth-protected-resource"

  /// `resource`: the service's https address, without fragment.
  public let resource: String
  /// `authorization_servers`: the issuers whose tokens are accepted.
  public let authorizationServers: [String]
  /// `scopes_supported`; left out if empty.
  public let scopes: [String]
  /// `resource_name`, for people.
  public let name: String?

  /// nil if the resource is not an http(s) address without query and fragment in the characters that a challenge may carry, or no
  /// issuer is named. Plain http is for loopback only (§1.2 demands https).
  public init?(resource: String, authorizationServers: [String], scopes: [String] = [], name: String? = nil) {
    guard let parts = Self.parts(of: resource), !authorizationServers.isEmpty else { return nil }
    let isLoopback = ["127.0.0.1", "localhost", "[::1]"].contains { host in
      parts.authority.utf8.elementsEqual(host.utf8) || parts.authority.utf8.starts(with: (host + ":").utf8)
    }
    guard parts.isSecure || isLoopback else { return nil }
    self.resource = resource
    self.authorizationServers = authorizationServers
    self.scopes = scopes
    self.name = name
  }

  /// Where the document is: the well-known path stands between host and path (§3.1).
  public var path: String {
    let path = Self.parts(of: resource)?.path ?? ""
    return Self.wellKnown + (path == "/" ? "" : path)
  }

  /// The document's whole address, the value of `resource_metadata` in a challenge (§5.1).
  public var url: String {
    guard let parts = Self.parts(of: resource) else { return resource }
    return "\(parts.isSecure ? "https" : "http")://\(parts.authority)\(path)"
  }

  /// The document, RFC 9728 §2. Tokens are taken from the Authorization header alone.
  public var document: JSONValue {
    var members: [JSONValue.Member] = [
      .init(name: "resource", value: .string(resource)),
      .init(name: "authorization_servers", value: .array(authorizationServers.map(JSONValue.string))),
    ]
    if !scopes.isEmpty { members.append(.init(name: "scopes_supported", value: .array(scopes.map(JSONValue.string)))) }
    members.append(.init(name: "bearer_methods_supported", value: .array([.string("header")])))
    if let name { members.append(.init(name: "resource_name", value: .string(name))) }
    return JSONValue(.object(members))
  }

  private static func parts(of text: String) -> (isSecure: Bool, authority: String, path: String)? {
    let bytes = Array(text.utf8)
    let forbidden = Array("\"\\?#@".utf8)
    guard bytes.allSatisfy({ $0 > 0x20 && $0 < 0x7f && !forbidden.contains($0) }) else { return nil }
    let isSecure = bytes.starts(with: "https://".utf8)
    guard isSecure || bytes.starts(with: "http://".utf8) else { return nil }
    let rest = bytes.dropFirst(isSecure ? 8 : 7)
    let slash = rest.firstIndex(of: UInt8(ascii: "/")) ?? rest.endIndex
    guard slash > rest.startIndex else { return nil }
    return (isSecure, String(decoding: rest[..<slash], as: UTF8.self), String(decoding: rest[slash...], as: UTF8.self))
  }
}
