internal import Bytes

/// How a request is written for the upstream: what is ours in it.
public struct RequestRewrite: Sendable {
  /// Names that are removed from what the client sent, whatever their spelling.
  public var owned: OwnedFields
  /// The `Host` to send; nil sends what the client sent.
  public var host: String?
  /// Whether the client's `Authorization` goes on to the upstream.
  public var keepsAuthorization = true
  /// Whether an upgrade that the client offered is offered to the upstream, RFC 9110 §7.8.
  public var offersUpgrade = false
  /// Whether the client's `Expect: 100-continue` goes on to the upstream; if not, whoever forwards answers it.
  public var keepsExpect = false

  /// A rewrite that keeps Host and Authorization.
  public init(owned: OwnedFields) { self.owned = owned }
}

/// How a response is written for the client.
public struct ResponseRewrite: Sendable {
  /// How the body will be delimited on the client's connection.
  public var framing: BodyFraming
  /// Whether the client's connection lives on.
  public var keepAlive: Bool
  /// The version's second digit in the client's request.
  public var clientMinorVersion: UInt8
  /// Names that are removed from what the upstream sent.
  public var owned: OwnedFields?

  /// A rewrite for one response.
  public init(framing: BodyFraming, keepAlive: Bool, clientMinorVersion: UInt8, owned: OwnedFields? = nil) {
    self.framing = framing
    self.keepAlive = keepAlive
    self.clientMinorVersion = clientMinorVersion
    self.owned = owned
  }
}

/// Writes the heads that are passed on: untouched lines as the bytes they came in, everything that steers a connection anew.
public enum HeadWriter {
  /// Appends the head of a request as the upstream gets it: HTTP/1.1, target byte for byte, one framing, one Host.
  ///
  /// Removed: hop-by-hop fields, standard and nominated by `Connection` (RFC 9110 §7.6.1); forwarding fields, which are
  /// trusted from nobody; every alias of an owned name. Added: `X-Forwarded-Host`, then `added` in the order given.
  ///
  /// - Parameters:
  ///   - head: a head that was parsed completely.
  ///   - rewrite: what is ours.
  ///   - added: our lines: forwarding lines of the connection, identity lines of the request.
  ///   - out: what is sent; the head is appended.
  public static func appendRequest(
    _ head: borrowing RequestHead, _ rewrite: borrowing RequestRewrite, adding added: FieldBlock..., to out: inout [UInt8]
  ) {
    let fields = head.fields
    let upgrades = rewrite.offersUpgrade && head.upgradeRange != nil
    fields.bytes.withUnsafeBytes { bytes in
      out.reserveCapacity(out.count + bytes.count + 256)
      out.append(contentsOf: bytes.part(head.methodRange))
      out.append(ASCII.space)
      if head.authorityRange == nil {
        out.append(contentsOf: bytes.part(head.targetRange))
      } else {
        if head.pathRange.isEmpty { out.append(UInt8(ascii: "/")) }
        out.append(contentsOf: bytes.part(head.pathRange))
        if let query = head.queryRange {
          out.append(UInt8(ascii: "?"))
          out.append(contentsOf: bytes.part(query))
        }
      }
      out.append(" HTTP/1.1\r\n")
      let clientHost = fields.range(of: .host)
      if let host = rewrite.host {
        out.append("Host: ")
        out.append(contentsOf: host.utf8)
        out.append("\r\n")
      } else if let clientHost {
        out.append("Host: ")
        out.append(contentsOf: bytes.part(clientHost))
        out.append("\r\n")
      }

      var removed = KnownField.hopByHop | KnownField.forwarding | KnownField.host.bit | KnownField.contentLength.bit
      if !rewrite.keepsAuthorization { removed |= KnownField.authorization.bit }
      if !rewrite.keepsExpect || !head.expectsContinue { removed |= KnownField.expect.bit }
      copyLines(of: fields, bytes, removing: removed, owned: rewrite.owned, to: &out)

      if let clientHost {
        out.append("X-Forwarded-Host: ")
        out.append(contentsOf: bytes.part(clientHost))
        out.append("\r\n")
      }
      if upgrades, let offer = head.upgradeRange {
        out.append("Connection: upgrade\r\nUpgrade: ")
        out.append(contentsOf: bytes.part(offer))
        out.append("\r\n")
      }
    }
    appendFraming(head.framing, to: &out)
    for block in added { out.append(contentsOf: block.bytes) }
    out.append("\r\n")
  }

  /// Appends the head of a response as the client gets it: a status line of our own, one framing, one `Connection`.
  ///
  /// With framing `none` a `Content-Length` of the upstream stays where it describes a body that is not sent (answers to
  /// HEAD, and 304). Interim responses (1xx) carry neither framing nor, but for 101, `Connection`.
  public static func appendResponse(
    _ head: borrowing ResponseHead, _ rewrite: borrowing ResponseRewrite, adding added: FieldBlock..., to out: inout [UInt8]
  ) {
    let fields = head.fields
    let status = head.status
    fields.bytes.withUnsafeBytes { bytes in
      out.reserveCapacity(out.count + bytes.count + 128)
      out.append("HTTP/1.1 ")
      appendDecimal(UInt64(status.rawValue), to: &out)
      out.append(ASCII.space)
      out.append(contentsOf: bytes.part(head.reasonRange))
      out.append("\r\n")
      var removed = KnownField.hopByHop
      if rewrite.framing != .none || status == .noContent { removed |= KnownField.contentLength.bit }
      copyLines(of: fields, bytes, removing: removed, owned: rewrite.owned, to: &out)
      if head.switchesProtocols, let range = fields.range(of: .upgrade) {
        out.append("Connection: upgrade\r\nUpgrade: ")
        out.append(contentsOf: bytes.part(range))
        out.append("\r\n")
      }
    }
    if !status.isInformational {
      appendFraming(rewrite.framing, to: &out)
      appendConnection(keepAlive: rewrite.keepAlive, minorVersion: rewrite.clientMinorVersion, to: &out)
    }
    for block in added { out.append(contentsOf: block.bytes) }
    out.append("\r\n")
  }

  /// Appends the lines that go on, each run of neighbours as one copy.
  private static func copyLines(
    of fields: borrowing FieldSection, _ bytes: UnsafeRawBufferPointer, removing removed: UInt64, owned: OwnedFields?, to out: inout [UInt8]
  ) {
    let end = max(bytes.count - 2, 0)  // where the empty line begins
    let removed = removed | (owned?.known ?? 0)
    var runStart = -1
    for line in fields.lines {
      let drop: Bool
      if line.traits.contains(.hopByHop) || line.known.bit & removed != 0 {
        drop = true
      } else if line.known == .other, let owned {
        drop = owned.owns(bytes.part(line.name))
      } else {
        drop = false
      }
      let start = Int(line.nameOffset)
      if drop {
        if runStart >= 0 { out.append(contentsOf: bytes.part(runStart..<max(runStart, start))) }
        runStart = -1
      } else if runStart < 0 {
        runStart = start
      }
    }
    if runStart >= 0 { out.append(contentsOf: bytes.part(runStart..<max(runStart, end))) }
  }

  static func appendFraming(_ framing: BodyFraming, to out: inout [UInt8]) {
    switch framing {
    case .none, .untilClose: break
    case .length(let count):
      out.append("Content-Length: ")
      appendDecimal(count, to: &out)
      out.append("\r\n")
    case .chunked: out.append("Transfer-Encoding: chunked\r\n")
    }
  }

  static func appendConnection(keepAlive: Bool, minorVersion: UInt8, to out: inout [UInt8]) {
    if !keepAlive {
      out.append("Connection: close\r\n")
    } else if minorVersion == 0 {
      out.append("Connection: keep-alive\r\n")
    }
  }

  static func appendDecimal(_ number: UInt64, to out: inout [UInt8]) {
    // Digits from the last to the first, then one append: 20 are enough for any number.
    withUnsafeTemporaryAllocation(byteCount: 20, alignment: 1) { digits in
      var rest = number
      var start = 20
      repeat {
        start -= 1
        digits[start] = 0x30 &+ UInt8(truncatingIfNeeded: rest % 10)
        rest /= 10
      } while rest != 0
      out.append(contentsOf: UnsafeRawBufferPointer(rebasing: digits[start...]))
    }
  }
}

extension [UInt8] {
  @inline(__always)
  mutating func append(_ text: StaticString) {
    append(contentsOf: UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }
}
