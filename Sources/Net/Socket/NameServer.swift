internal import CSystem
internal import HTTP

extension Resolver {
  /// Asks a name server where one is named, else the system.
  public static func lookup(at server: SocketAddress?) -> Lookup { server.map(nameServer) ?? system }

  /// How long addresses that the system has given hold: what the name servers say of the name, if it is they who know it.
  static func lifeMillis(of host: String, _ addresses: [IPAddress]) -> UInt64? {
    guard let first = addresses.first, csystem_hosts_file_names(host) == 0 else { return nil }
    let type = first.isV4 ? DNSAnswer.addressV4 : DNSAnswer.addressV6
    var bytes = [UInt8](repeating: 0, count: 4096)
    let size = bytes.withUnsafeMutableBytes { csystem_dns_query(nil, host, type, $0.baseAddress, Int32($0.count)) }
    guard size > 0, let answer = DNSAnswer(bytes[..<Int(size)], type: type), answer.addresses.contains(first) else { return nil }
    return UInt64(answer.ttlSeconds) * 1000
  }

  /// Asks one name server (an IPv4 address and port) instead of the system; the hosts file and search list play no part.
  /// Answers hold as long as their records say.
  public static func nameServer(_ server: SocketAddress) -> Lookup {
    { host in
      var found: [IPAddress] = []
      var life = UInt32.max
      for type in [DNSAnswer.addressV4, DNSAnswer.addressV6] {
        var system = server.system
        var bytes = [UInt8](repeating: 0, count: 4096)
        let size = bytes.withUnsafeMutableBytes { csystem_dns_query(&system, host, type, $0.baseAddress, Int32($0.count)) }
        if size < 0, size != -1 {
          // One family's silence must not hide the other's answer.
          if !found.isEmpty { break }
          return .failure(.unresolved(host: host, reason: size == -2 ? "the name does not exist" : "the name server does not answer"))
        }
        guard size > 0 else { continue }
        guard let answer = DNSAnswer(bytes[..<Int(size)], type: type) else {
          return .failure(.unresolved(host: host, reason: "the name server's answer is malformed"))
        }
        guard !answer.addresses.isEmpty else { continue }
        found += answer.addresses
        life = min(life, answer.ttlSeconds)
      }
      guard !found.isEmpty else { return .failure(.unresolved(host: host, reason: "it has no address")) }
      return .success(Found(found, lifeMillis: UInt64(life) * 1000))
    }
  }
}

/// The addresses in a DNS message's answer section, RFC 1035 §4.1.
struct DNSAnswer {
  /// Type A.
  static let addressV4: UInt16 = 1
  /// Type AAAA, RFC 3596.
  static let addressV6: UInt16 = 28

  private(set) var addresses: [IPAddress] = []
  /// The least time to live in the section, aliases on the way included.
  private(set) var ttlSeconds = UInt32.max

  /// Reads the addresses of one type; nil if the message is cut off or not as it should be.
  init?(_ message: ArraySlice<UInt8>, type wanted: UInt16) {
    var reader = Reader(bytes: message)
    guard reader.skip(4), let questions = reader.uint16(), let answers = reader.uint16(), reader.skip(4) else { return nil }
    for _ in 0..<questions { guard reader.skipName(), reader.skip(4) else { return nil } }
    for _ in 0..<answers {
      guard reader.skipName(), let type = reader.uint16(), let dnsClass = reader.uint16(), let ttl = reader.uint32(),
        let length = reader.uint16(), let data = reader.take(Int(length))
      else { return nil }
      guard dnsClass == 1 else { continue }
      // The high bit set means zero, RFC 2181 §8.
      ttlSeconds = min(ttlSeconds, ttl >> 31 == 0 ? ttl : 0)
      guard type == wanted, addresses.count < Self.mostAddresses else { continue }
      func word(_ part: ArraySlice<UInt8>) -> UInt64 { part.reduce(0) { $0 << 8 | UInt64($1) } }
      if type == Self.addressV4, data.count == 4 { addresses.append(IPAddress(v4: UInt32(truncatingIfNeeded: word(data)))) }
      if type == Self.addressV6, data.count == 16 { addresses.append(IPAddress(v6: word(data.prefix(8)), word(data.suffix(8))).unmapped) }
    }
  }

  private static let mostAddresses = 32

  private struct Reader {
    var bytes: ArraySlice<UInt8>

    mutating func skip(_ count: Int) -> Bool { take(count) != nil }

    mutating func take(_ count: Int) -> ArraySlice<UInt8>? {
      guard bytes.count >= count else { return nil }
      let part = bytes.prefix(count)
      bytes = bytes.dropFirst(count)
      return part
    }

    mutating func uint16() -> UInt16? { take(2).map { $0.reduce(0) { $0 << 8 | UInt16($1) } } }
    mutating func uint32() -> UInt32? { take(4).map { $0.reduce(0) { $0 << 8 | UInt32($1) } } }

    // Names are passed over, never followed: whose records these are the query has said.
    mutating func skipName() -> Bool {
      while let length = bytes.first {
        if length == 0 { return skip(1) }
        if length & 0xc0 == 0xc0 { return skip(2) }
        guard length & 0xc0 == 0, skip(1 + Int(length)) else { return false }
      }
      return false
    }
  }
}
