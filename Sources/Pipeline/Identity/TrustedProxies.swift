internal import HTTP

/// Whose word is taken for where a request came from: the proxies that an operator names, and nobody else.
public struct TrustedProxies: Sendable {
  /// Nobody's: every connection's peer is the client.
  public static let none = TrustedProxies(networks: [], includesUnix: false)

  private let networks: [IPNetwork]
  private let includesUnix: Bool
  private let source: ForwardedClient.Source

  /// Proxies by their networks; with `includesUnix` also whoever connects through a unix socket.
  init(networks: [IPNetwork], includesUnix: Bool, source: ForwardedClient.Source = .xForwardedFor) {
    self.networks = networks
    self.includesUnix = includesUnix
    self.source = source
  }

  /// Whether nobody is trusted.
  public var isEmpty: Bool { networks.isEmpty && !includesUnix }

  /// Whether a connection comes from one of them.
  public func include(_ peer: Peer) -> Bool {
    guard let address = peer.network else { return includesUnix }
    return networks.contains { $0.contains(address) }
  }

  /// The client of a request, and the way it came.
  ///
  /// Refuses a request whose trusted proxy sent something unreadable: whose request it is would be anybody's guess.
  func client(of peer: Peer, _ head: borrowing RequestHead) throws(Stop) -> Client {
    guard include(peer) else { return Client(peer: peer) }
    guard let chain = ForwardedClient.chain(fields: head.fields, source: source, trusted: networks) else {
      throw .refuse(.untraceable(detail: "\(source.rawValue) of the trusted proxy \(peer.address ?? "on the unix socket") cannot be read"))
    }
    var client = Client(peer: peer)
    if let first = chain.first {
      client.peer = Peer(first)
      client.isForwarded = true
      client.path = (chain.map(\.description) + (peer.address.map { [$0] } ?? [])).joined(separator: ", ")
    }
    // What stands in front of us may have ended TLS; the service behind wants to know what the client spoke.
    client.scheme = head.fields.value(of: .xForwardedProto).flatMap(Client.Scheme.init) ?? client.scheme
    return client
  }
}

/// Who sent a request, as far as the connection and trusted proxies tell.
public struct Client: Sendable {
  /// Where the request comes from: the connection's other end, or what a trusted proxy says.
  public internal(set) var peer: Peer
  /// Whether a trusted proxy says so.
  public internal(set) var isForwarded = false
  /// The addresses from the client to the connection's peer, for X-Forwarded-For; nil if the peer is the client.
  var path: String?
  /// What the client spoke, with us or as a trusted proxy says; nil if that is not known.
  public internal(set) var scheme: Scheme?

  /// What a client may speak.
  public enum Scheme: String, Sendable {
    /// Without TLS.
    case http
    /// Within TLS.
    case https
  }

  init(peer: Peer) {
    self.peer = peer
    scheme = peer.isSecure ? .https : nil
  }
}
