internal import Bytes

/// The header that a load balancer sends before the first byte of a connection: PROXY protocol, versions 1 and 2.
///
/// Only a listener that expects it reads it, and only from peers that the configuration names: whoever may send it says
/// who the client is.
public struct ProxyHeader: Equatable, Sendable {
  /// An address with its port.
  public struct Endpoint: Equatable, Sendable {
    /// The address.
    public var address: IPAddress
    /// The port.
    public var port: UInt16

    /// An endpoint.
    public init(address: IPAddress, port: UInt16) {
      self.address = address
      self.port = port
    }
  }

  /// The client as the load balancer saw it; nil where the header leaves it to the connection (`UNKNOWN`, `LOCAL`, `AF_UNSPEC`).
  public var source: Endpoint?
  /// Where the client connected to; nil as `source`.
  public var destination: Endpoint?

  /// What was made of the bytes so far.
  public enum Outcome: Equatable, Sendable {
    /// The header is not whole: call again with more bytes.
    case incomplete
    /// The header is whole and takes up this many bytes.
    case complete(ProxyHeader, consumed: Int)
    /// There is no valid header: the connection is closed without an answer.
    case refused(Refusal)
  }

  /// Why a header is refused.
  public enum Refusal: String, Error, Sendable, CaseIterable {
    /// The first bytes are those of no version.
    case signatureMissing = "proxy_signature_missing"
    /// The line of version 1 is not as the specification has it.
    case lineMalformed = "proxy_line_malformed"
    /// Longer than is read here.
    case tooLong = "proxy_header_too_long"
    /// A version 2 header with another version or an unknown command.
    case versionUnsupported = "proxy_version_unsupported"
    /// A family or transport that is not TCP over IP.
    case familyUnsupported = "proxy_family_unsupported"
    /// The addresses do not fit the length.
    case addressTruncated = "proxy_address_truncated"
    /// A TLV that does not fit, or one with a wrong length.
    case tlvMalformed = "proxy_tlv_malformed"
    /// The CRC-32C does not match.
    case checksumWrong = "proxy_checksum_wrong"
  }

  /// Longest line of version 1, CRLF included.
  static let longestLine = 107
  /// Longest header of version 2: real ones carry a few hundred bytes of TLVs.
  static let longestHeader = 4096

  /// Reads the header at the first byte.
  public static func parse(_ bytes: UnsafeRawBufferPointer) -> Outcome {
    guard let first = bytes.first else { return .incomplete }
    do throws(Refusal) {
      return first == signature[0] ? try version2(bytes) : try version1(bytes)
    } catch {
      return .refused(error)
    }
  }

  // MARK: Version 1

  private static func version1(_ bytes: UnsafeRawBufferPointer) throws(Refusal) -> Outcome {
    let word: StaticString = "PROXY "
    for index in 0..<min(bytes.count, 6) where bytes[index] != word.utf8Start[index] { throw .signatureMissing }
    var end = 0
    while true {
      guard end < longestLine else { throw .lineMalformed }
      guard end < bytes.count else { return .incomplete }
      let byte = bytes[end]
      if byte == ASCII.lf || byte == 0 { throw .lineMalformed }
      if byte == ASCII.cr {
        guard end + 1 < longestLine else { throw .lineMalformed }
        guard end + 1 < bytes.count else { return .incomplete }
        guard bytes[end + 1] == ASCII.lf else { throw .lineMalformed }
        break
      }
      end += 1
    }
    guard end >= 6 else { throw .lineMalformed }
    let parts = bytes.part(6..<end).split(separator: ASCII.space, omittingEmptySubsequences: false)
    guard let family = parts.first else { throw .lineMalformed }
    if family.elementsEqual("UNKNOWN".utf8) { return .complete(ProxyHeader(), consumed: end + 2) }
    let isV6 = family.elementsEqual("TCP6".utf8)
    guard isV6 || family.elementsEqual("TCP4".utf8), parts.count == 5 else { throw .lineMalformed }
    let source = try endpoint(parts[1], parts[3], isV6: isV6)
    let destination = try endpoint(parts[2], parts[4], isV6: isV6)
    return .complete(ProxyHeader(source: source, destination: destination), consumed: end + 2)
  }

  private static func endpoint(
    _ address: Slice<UnsafeRawBufferPointer>, _ port: Slice<UnsafeRawBufferPointer>, isV6: Bool
  ) throws(Refusal) -> Endpoint {
    let text = UnsafeRawBufferPointer(rebasing: address)
    guard let address = isV6 ? IPAddress(v6: text) : IPAddress(v4: text) else { throw .lineMalformed }
    guard let first = port.first, port.count <= 5, port.allSatisfy(ASCII.isDigit), port.count == 1 || first != 0x30 else {
      throw .lineMalformed
    }
    guard let number = UInt16(exactly: port.reduce(UInt32(0)) { $0 * 10 + UInt32($1 &- 0x30) }) else { throw .lineMalformed }
    return Endpoint(address: address, port: number)
  }

  // MARK: Version 2

  private static let signature: [UInt8] = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]

  private static func version2(_ bytes: UnsafeRawBufferPointer) throws(Refusal) -> Outcome {
    for index in 0..<min(bytes.count, signature.count) where bytes[index] != signature[index] { throw .signatureMissing }
    guard bytes.count >= 16 else { return .incomplete }
    let command = bytes[12] & 0xf
    guard bytes[12] >> 4 == 2, command <= 1 else { throw .versionUnsupported }
    let length = Int(big16(bytes, 14))
    let end = 16 + length
    guard end <= longestHeader else { throw .tooLong }
    guard bytes.count >= end else { return .incomplete }
    let header = bytes.part(0..<end)
    // LOCAL: the balancer speaks for itself; whatever follows is skipped.
    guard command == 1 else { return .complete(ProxyHeader(), consumed: end) }
    switch bytes[13] {
    case 0x00:  // AF_UNSPEC
      return .complete(ProxyHeader(), consumed: end)
    case 0x11:  // TCP over IPv4
      guard length >= 12 else { throw .addressTruncated }
      try checkTLVs(header, from: 28)
      return .complete(
        ProxyHeader(
          source: Endpoint(address: IPAddress(v4: big32(header, 16)), port: big16(header, 24)),
          destination: Endpoint(address: IPAddress(v4: big32(header, 20)), port: big16(header, 26))), consumed: end)
    case 0x21:  // TCP over IPv6
      guard length >= 36 else { throw .addressTruncated }
      try checkTLVs(header, from: 52)
      return .complete(
        ProxyHeader(
          source: Endpoint(address: IPAddress(v6: big64(header, 16), big64(header, 24)), port: big16(header, 48)),
          destination: Endpoint(address: IPAddress(v6: big64(header, 32), big64(header, 40)), port: big16(header, 50))), consumed: end)
    default: throw .familyUnsupported
    }
  }

  /// Walks the TLVs: all must fit; a checksum must match.
  private static func checkTLVs(_ header: UnsafeRawBufferPointer, from start: Int) throws(Refusal) {
    var index = start
    while index < header.count {
      guard header.count - index >= 3 else { throw .tlvMalformed }
      let length = Int(big16(header, index + 1))
      guard header.count - index - 3 >= length else { throw .tlvMalformed }
      if header[index] == 0x03 {  // PP2_TYPE_CRC32C
        guard length == 4 else { throw .tlvMalformed }
        guard crc32c(header, zeroed: index + 3..<index + 7) == big32(header, index + 3) else { throw .checksumWrong }
      }
      index += 3 + length
    }
  }

  /// CRC-32C, RFC 4960 appendix B, over the header with its own four bytes taken as zero.
  private static func crc32c(_ bytes: UnsafeRawBufferPointer, zeroed: Range<Int>) -> UInt32 {
    var crc: UInt32 = 0xffff_ffff
    for index in 0..<bytes.count {
      crc ^= zeroed.contains(index) ? 0 : UInt32(bytes[index])
      for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0x82f6_3b78 : crc >> 1 }
    }
    return ~crc
  }

  // Loads at offsets that the callers have shown to lie within the header.
  private static func big16(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> UInt16 {
    UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt16.self))
  }

  private static func big32(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> UInt32 {
    UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self))
  }

  private static func big64(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> UInt64 {
    UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
  }
}
