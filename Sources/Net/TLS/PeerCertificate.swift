internal import COpenSSL
public import HTTP

/// What the other side's certificate says about it. If there is one, it was verified.
public struct PeerCertificate: Hashable, Sendable {
  /// A name of the certificate's holder (RFC 5280 §4.2.1.6).
  public enum AlternativeName: Hashable, Sendable {
    /// A host name.
    case dns(String)
    /// An address.
    case ip(IPAddress)
    /// A URI, a SPIFFE ID among them.
    case uri(String)
    /// An e-mail address.
    case email(String)
  }

  /// The subject as text (RFC 2253).
  public let subject: String
  /// The issuer as text (RFC 2253).
  public let issuer: String
  /// The serial number, big-endian.
  public let serial: [UInt8]
  /// The alternative names; of other kinds than these none is listed.
  public let names: [AlternativeName]
  /// The SHA-256 digest of the certificate's DER form: what `cnf.x5t#S256` names (RFC 8705 §3.1).
  public let thumbprint: [UInt8]
  /// The certificate's DER form.
  public let der: [UInt8]
  /// Its first and its last moment in seconds since 1970; nil if they cannot be read. Nobody says that they are in order.
  public let validity: Validity?

  /// When a certificate is good.
  public struct Validity: Hashable, Sendable {
    /// From when on.
    public let first: Int64
    /// Until when.
    public let last: Int64
  }

  /// The first certificate of a PEM text; nil if there is none.
  public init?(pem: [UInt8]) {
    guard let certificate = pem.withUnsafeBytes({ copenssl_certificate_read($0.baseAddress, $0.count) }) else { return nil }
    defer { copenssl_certificate_free(certificate) }
    self.init(certificate)
  }

  init(_ certificate: OpaquePointer) {
    func bytes(_ read: (UnsafeMutableRawPointer?, Int) -> Int) -> [UInt8] {
      let size = read(nil, 0)
      guard size > 0 else { return [] }
      return [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
        count = read(buffer.baseAddress, size) == size ? size : 0
      }
    }
    func text(_ read: (UnsafeMutableRawPointer?, Int) -> Int) -> String { String(decoding: bytes(read), as: UTF8.self) }
    subject = text { copenssl_certificate_subject(certificate, $0, $1) }
    issuer = text { copenssl_certificate_issuer(certificate, $0, $1) }
    serial = bytes { copenssl_certificate_serial(certificate, $0, $1) }
    thumbprint = bytes { copenssl_certificate_thumbprint(certificate, $0, $1) }
    der = bytes { copenssl_certificate_der(certificate, $0, $1) }
    var (first, last): (Int64, Int64) = (0, 0)
    validity = copenssl_certificate_times(certificate, &first, &last) == 1 ? Validity(first: first, last: last) : nil
    var found: [AlternativeName] = []
    for index in 0..<Self.mostNames {
      var kind: Int32 = 0
      let value = bytes { copenssl_certificate_name(certificate, index, &kind, $0, $1) }
      if kind < 0 { break }
      if let name = Self.name(kind, value) { found.append(name) }
    }
    names = found
  }

  private static func name(_ kind: Int32, _ value: [UInt8]) -> AlternativeName? {
    // A NUL in a name is how one name is passed off as another.
    guard !value.isEmpty, kind == 2 || !value.contains(0) else { return nil }
    switch kind {
    case 1: return .dns(String(decoding: value, as: UTF8.self))
    case 2:
      func word(_ part: ArraySlice<UInt8>) -> UInt64 { part.reduce(0) { $0 << 8 | UInt64($1) } }
      if value.count == 4 { return .ip(IPAddress(v4: UInt32(truncatingIfNeeded: word(value[...])))) }
      return value.count == 16 ? .ip(IPAddress(v6: word(value[..<8]), word(value[8...]))) : nil
    case 3: return .uri(String(decoding: value, as: UTF8.self))
    case 4: return .email(String(decoding: value, as: UTF8.self))
    default: return nil
    }
  }

  private static let mostNames: Int32 = 64
}
