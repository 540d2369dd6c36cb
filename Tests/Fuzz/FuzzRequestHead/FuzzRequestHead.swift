import HTTP

// The first byte says how the rest is cut. However it is cut, it has one verdict; and what is accepted is forwarded as a
// request that reads back as it was decided.

private let limits: HeadLimits = {
  var limits = HeadLimits()
  limits.headBytes = 2048
  limits.fieldLines = 20
  limits.targetBytes = 256
  return limits
}()
private let owned = OwnedFields(["X-User"])

/// What the most careless reader makes of a forwarded head: lines end at LF, names end at the colon, white space is cut
/// off, `_` and `.` are `-`. Even it finds one Host and one framing, and they are those that were decided on.
private func readCarelessly(_ out: [UInt8], _ framing: BodyFraming) {
  var lengths: [[UInt8]] = []
  var codings: [[UInt8]] = []
  var hosts = 0
  func trimmed(_ text: some BidirectionalCollection<UInt8>) -> [UInt8] {
    var text = Array(text)
    while let last = text.last, last <= 0x20 { text.removeLast() }
    return Array(text.drop { $0 <= 0x20 })
  }
  for line in out.split(separator: 10) {
    guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { continue }
    let name = trimmed(line[..<colon]).map { $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: ".") ? UInt8(ascii: "-") : $0 }
    let value = trimmed(line[(colon + 1)...])
    switch String(decoding: name, as: UTF8.self).lowercased() {
    case "content-length": lengths.append(value)
    case "transfer-encoding": codings.append(value)
    case "host": hosts += 1
    default: break
    }
  }
  precondition(hosts == 1)
  switch framing {
  case .none: precondition(lengths.isEmpty && codings.isEmpty)
  case .length(let count): precondition(codings.isEmpty && lengths == [Array(String(count).utf8)])
  case .chunked: precondition(lengths.isEmpty && codings == [Array("chunked".utf8)])
  case .untilClose: preconditionFailure("a request has an end")
  }
}

private func forwarded(_ head: RequestHead) {
  var rewrite = RequestRewrite(owned: owned)
  if head.host == nil { rewrite.host = "fallback" }
  rewrite.offersUpgrade = true
  var out: [UInt8] = []
  HeadWriter.appendRequest(head, rewrite, to: &out)
  readCarelessly(out, head.framing)
  var again = RequestHead()
  var wider = limits
  wider.headBytes += 256
  wider.fieldLines += 4
  wider.targetBytes += 1
  let outcome = out.withUnsafeBytes { RequestHeadParser.parse($0, limits: wider, into: &again) }
  precondition(outcome == .complete(consumed: out.count), "a forwarded head is not read back")
  precondition(again.methodText.utf8.elementsEqual(head.methodText.utf8) && again.framing == head.framing)
  precondition(again.rawPath.utf8.elementsEqual(head.rawPath.utf8))
  precondition((again.query ?? "-").utf8.elementsEqual((head.query ?? "-").utf8))
  precondition(again.path.count == head.path.count && again.path.hasTrailingSlash == head.path.hasTrailingSlash)
  precondition(again.minorVersion == 1 && (head.host == nil || again.host == head.host))
  precondition((again.upgradeRange == nil) == (head.upgradeRange == nil))
  for line in again.fields.lines {
    precondition(!line.isHopByHop || line.known == .transferEncoding || line.known == .connection || line.known == .upgrade)
    precondition(line.known == .xForwardedHost || !again.fields.withBytes(line.name, { owned.owns($0) }))
  }
}

/// One input, as libFuzzer hands it over.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>?, _ size: Int) -> Int32 {
  guard let data, size > 1 else { return 0 }
  let bytes = UnsafeRawBufferPointer(start: data + 1, count: size - 1)
  var head = RequestHead()
  let outcome = RequestHeadParser.parse(bytes, limits: limits, into: &head)
  if case .complete(let consumed) = outcome {
    precondition(consumed <= bytes.count && head.fields.bytes.count == consumed)
    for line in head.fields.lines {
      precondition(line.name.upperBound < line.value.lowerBound + 1 && line.value.upperBound <= consumed - 2)
      precondition(KnownField(head.fields.text(line.name)) == line.known)
    }
    precondition(head.method != .connect && head.method != .trace && head.framing != .untilClose)
    precondition(head.path.segments.allSatisfy { !$0.isEmpty && $0 != "." && $0 != ".." })
    _ = BearerCredential.find(in: head.fields)
    _ = Cookie.values(named: "a", in: head.fields)
    forwarded(head)
  }

  let step = Int(data[0] % 16) + 1
  var pieces = RequestHead()
  var count = 0
  var last = HeadOutcome.incomplete
  while count < bytes.count, last == .incomplete {
    count = min(count + step, bytes.count)
    last = RequestHeadParser.parse(UnsafeRawBufferPointer(rebasing: bytes[..<count]), limits: limits, into: &pieces)
  }
  precondition(last == outcome, "cut in pieces the head has another verdict")
  if case .complete = outcome {
    precondition(pieces.fields.bytes == head.fields.bytes && pieces.fields.lines.count == head.fields.lines.count)
    precondition(pieces.targetRange == head.targetRange && pieces.framing == head.framing && pieces.keepAlive == head.keepAlive)
  }
  return 0
}
