internal import Bytes

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
  ///   - first: our lines: forwarding lines of the connection, identity lines of the request. (Three blocks and no list of them:
  ///     a list is memory.)
  ///   - out: what is sent; the head is appended.
  public static func appendRequest(
    _ head: borrowing RequestHead, _ rewrite: borrowing RequestRewrite, adding first: FieldBlock = FieldBlock(),
    _ second: FieldBlock = FieldBlock(), _ third: FieldBlock = FieldBlock(), to out: inout [UInt8]
  ) {
    let fields = head.fields
    let clientHost = fields.range(of: .host)
    // The head, our own words, and what may be said twice: Host.
    let estimate =
      fields.bytes.count + 256 + 2 * (clientHost?.count ?? 0) + (rewrite.host?.utf8.count ?? 0) + first.bytes.count + second.bytes.count
      + third.bytes.count
    out.append(estimate: estimate) { out in
      appendRequest(head, fields, rewrite, clientHost: clientHost, to: &out)
      out.put(first.bytes)
      out.put(second.bytes)
      out.put(third.bytes)
      out.put(ascii: "\r\n")
    }
  }

  private static func appendRequest(
    _ head: borrowing RequestHead, _ fields: FieldSection, _ rewrite: borrowing RequestRewrite, clientHost: Range<Int>?,
    to out: inout ByteCursor
  ) {
    let upgrades = rewrite.offersUpgrade && head.upgradeRange != nil
    let framing = rewrite.framing ?? head.framing
    fields.bytes.withUnsafeBytes { bytes in
      out.put(bytes.part(head.methodRange))
      out.put(ASCII.space)
      if head.authorityRange == nil {
        out.put(bytes.part(head.targetRange))
      } else {
        if head.pathRange.isEmpty { out.put(UInt8(ascii: "/")) }
        out.put(bytes.part(head.pathRange))
        if let query = head.queryRange {
          out.put(UInt8(ascii: "?"))
          out.put(bytes.part(query))
        }
      }
      out.put(ascii: " HTTP/1.1\r\n")
      if let host = rewrite.host {
        out.put(ascii: "Host: ")
        out.put(host)
        out.put(ascii: "\r\n")
      } else if let clientHost {
        out.put(ascii: "Host: ")
        out.put(bytes.part(clientHost))
        out.put(ascii: "\r\n")
      }

      var removed = KnownField.hopByHop | KnownField.forwarding | KnownField.host.bit | KnownField.contentLength.bit
      if !rewrite.keepsAuthorization { removed |= KnownField.authorization.bit }
      if !rewrite.keepsExpect || !head.expectsContinue { removed |= KnownField.expect.bit }
      if rewrite.replacesTraceParent { removed |= KnownField.traceparent.bit }
      if rewrite.dropsTraceState { removed |= KnownField.tracestate.bit }
      copyLines(of: fields, bytes, removing: removed, owned: rewrite.owned, to: &out)

      if let clientHost {
        out.put(ascii: "X-Forwarded-Host: ")
        out.put(bytes.part(clientHost))
        out.put(ascii: "\r\n")
      }
      let wantsTrailers = rewrite.forwardsTrailers && head.minorVersion == 1 && TrailerSection.areWanted(by: fields, bytes)
      if upgrades, let offer = head.upgradeRange {
        out.put(ascii: wantsTrailers ? "Connection: upgrade, TE\r\nUpgrade: " : "Connection: upgrade\r\nUpgrade: ")
        out.put(bytes.part(offer))
        out.put(ascii: "\r\n")
      } else if wantsTrailers {
        out.put(ascii: "Connection: TE\r\n")
      }
      if wantsTrailers { out.put(ascii: "TE: trailers\r\n") }
      if rewrite.forwardsTrailers, framing == .chunked {
        TrailerSection.putAnnouncement(of: fields, bytes, owned: rewrite.owned, to: &out)
      }
    }
    appendFraming(framing, to: &out)
  }

  /// Appends the head of a response as the client gets it: a status line of our own, one framing, one `Connection`.
  ///
  /// With framing `none` a `Content-Length` of the upstream stays where it describes a body that is not sent (answers to
  /// HEAD, and 304). Interim responses (1xx) carry neither framing nor, but for 101, `Connection`.
  public static func appendResponse(
    _ head: borrowing ResponseHead, _ rewrite: borrowing ResponseRewrite, adding added: FieldBlock = FieldBlock(), to out: inout [UInt8]
  ) {
    let fields = head.fields
    let estimate = fields.bytes.count + 256 + added.bytes.count
    out.append(estimate: estimate) { out in appendResponse(head, fields, rewrite, adding: added, to: &out) }
  }

  private static func appendResponse(
    _ head: borrowing ResponseHead, _ fields: FieldSection, _ rewrite: borrowing ResponseRewrite, adding added: FieldBlock,
    to out: inout ByteCursor
  ) {
    let status = head.status
    fields.bytes.withUnsafeBytes { bytes in
      out.put(ascii: "HTTP/1.1 ")
      out.put(decimal: UInt64(status.rawValue))
      out.put(ASCII.space)
      out.put(bytes.part(head.reasonRange))
      out.put(ascii: "\r\n")
      var removed = KnownField.hopByHop
      if rewrite.framing != .none || status == .noContent { removed |= KnownField.contentLength.bit }
      copyLines(of: fields, bytes, removing: removed, owned: rewrite.owned, to: &out)
      if head.switchesProtocols, let range = fields.range(of: .upgrade) {
        out.put(ascii: "Connection: upgrade\r\nUpgrade: ")
        out.put(bytes.part(range))
        out.put(ascii: "\r\n")
      }
    }
    if !status.isInformational {
      if rewrite.framing == .chunked, head.framing == .chunked {
        fields.bytes.withUnsafeBytes { TrailerSection.putAnnouncement(of: fields, $0, owned: rewrite.owned, to: &out) }
      }
      appendFraming(rewrite.framing, to: &out)
      appendConnection(keepAlive: rewrite.keepAlive, minorVersion: rewrite.clientMinorVersion, to: &out)
    }
    out.put(added.bytes)
    out.put(ascii: "\r\n")
  }

  /// Appends the lines that go on, each run of neighbours as one copy.
  private static func copyLines(
    of fields: borrowing FieldSection, _ bytes: UnsafeRawBufferPointer, removing removed: UInt64, owned: OwnedFields?,
    to out: inout ByteCursor
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
        if runStart >= 0 { out.put(bytes.part(runStart..<max(runStart, start))) }
        runStart = -1
      } else if runStart < 0 {
        runStart = start
      }
    }
    if runStart >= 0 { out.put(bytes.part(runStart..<max(runStart, end))) }
  }

  static func appendFraming(_ framing: BodyFraming, to out: inout ByteCursor) {
    switch framing {
    case .none, .untilClose: break
    case .length(let count):
      out.put(ascii: "Content-Length: ")
      out.put(decimal: count)
      out.put(ascii: "\r\n")
    case .chunked: out.put(ascii: "Transfer-Encoding: chunked\r\n")
    }
  }

  static func appendConnection(keepAlive: Bool, minorVersion: UInt8, to out: inout ByteCursor) {
    if !keepAlive {
      out.put(ascii: "Connection: close\r\n")
    } else if minorVersion == 0 {
      out.put(ascii: "Connection: keep-alive\r\n")
    }
  }
}
