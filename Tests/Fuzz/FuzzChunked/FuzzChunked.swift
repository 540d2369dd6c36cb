import HTTP

// The first byte says how the rest is cut. The data is the same however it is cut, and the same that a simple decoder
// finds which reads everything leniently from one buffer. The lines behind it are the same however they are cut, those that go on are
// field lines of any head as they came, none of them is ours or steers anything, and read again they are the same.

private func decode(_ bytes: UnsafeRawBufferPointer, by size: Int) -> (ChunkedDecoder.Step, [UInt8], [UInt8]) {
  var decoder = ChunkedDecoder(keepsTrailers: true)
  var data: [UInt8] = []
  var start = 0
  while start < bytes.count {
    let end = min(start + size, bytes.count)
    var taken = start
    piece: while true {
      let step = decoder.next(UnsafeRawBufferPointer(rebasing: bytes[taken..<end]))
      switch step {
      case .needMore: break piece
      case .data(let range):
        precondition(!range.isEmpty && range.upperBound <= end - taken)
        data += bytes[taken + range.lowerBound..<taken + range.upperBound]
        taken += range.upperBound
      case .end(let consumed):
        precondition(decoder.isEnded)
        return (.end(consumed: taken + consumed), data, decoder.trailers)
      case .refused: return (step, data, [])
      }
    }
    start = end
  }
  return (.needMore, data, [])
}

/// Takes hexadecimal digits, skips to CRLF, takes as many bytes, skips two; then lines until an empty one.
private func lenient(_ bytes: UnsafeRawBufferPointer) -> (consumed: Int, data: [UInt8])? {
  var index = 0
  var data: [UInt8] = []
  func endOfLine(_ from: Int) -> Int? {
    var at = from
    while at + 1 < bytes.count {
      if bytes[at] == 13, bytes[at + 1] == 10 { return at }
      at += 1
    }
    return nil
  }
  while true {
    var size = 0
    while index < bytes.count, let digit = Character(Unicode.Scalar(bytes[index])).hexDigitValue, size < 1 << 40 {
      size = size * 16 + digit
      index += 1
    }
    guard let end = endOfLine(index) else { return nil }
    index = end + 2
    if size == 0 { break }
    guard index + size + 2 <= bytes.count else { return nil }
    data += bytes[index..<index + size]
    index += size + 2
  }
  while let end = endOfLine(index) {
    let isEmpty = end == index
    index = end + 2
    if isEmpty { return (index, data) }
  }
  return nil
}

private let owned = OwnedFields(["X-User"], evaluated: ["X-Tenant"])
private let message: FieldSection = {
  var head = RequestHead()
  let text = "POST / HTTP/1.1\r\nHost: a\r\nConnection: x-gone\r\nTransfer-Encoding: chunked\r\n\r\n"
  _ = Array(text.utf8).withUnsafeBytes { RequestHeadParser.parse($0, limits: HeadLimits(), into: &head) }
  return head.fields
}()

private func forwarded(_ lines: [UInt8]) -> [UInt8] {
  var out: [UInt8] = []
  TrailerSection.append(lines, of: message, owned: owned, to: &out)
  return out
}

private func checkTrailers(_ lines: [UInt8]) {
  let sent = forwarded(lines)
  precondition(forwarded(sent) == sent, "what went on once is left out the next time")
  let wire = Array("0\r\n".utf8) + sent + Array("\r\n".utf8)
  let again = wire.withUnsafeBytes { decode($0, by: wire.count) }
  precondition(again.0 == .end(consumed: wire.count) && again.2 == sent, "what goes on is read as something else")
  let start = Array("GET / HTTP/1.1\r\nHost: a\r\n".utf8)
  let bytes = start + sent + Array("\r\n".utf8)
  var head = RequestHead()
  let outcome = bytes.withUnsafeBytes { RequestHeadParser.parse($0, limits: HeadLimits(), into: &head) }
  guard sent.count(where: { $0 == 10 }) < 128 else { return }
  precondition(outcome == .complete(consumed: bytes.count), "what goes on is not what a head may have")
  precondition(head.framing == .none && head.keepAlive && head.upgradeRange == nil && !head.expectsContinue)
  for line in head.fields.lines.dropFirst() {
    precondition(line.isEvaluated, "what ends at this hop goes on")
    let name = head.fields.text(line.name)
    precondition(!owned.owns(name) && name.lowercased() != "x-tenant" && name.lowercased() != "x-gone", "what is ours goes on")
    precondition(![.authorization, .cookie, .contentType, .host].contains(line.known), "what decides goes on")
  }
}

/// One input, as libFuzzer hands it over.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>?, _ size: Int) -> Int32 {
  guard let data, size > 1 else { return 0 }
  let bytes = UnsafeRawBufferPointer(start: data + 1, count: size - 1)
  let whole = decode(bytes, by: bytes.count)
  let pieces = decode(bytes, by: Int(data[0] % 32) + 1)
  precondition(whole.0 == pieces.0 && whole.1 == pieces.1 && whole.2 == pieces.2, "cut in pieces the body is another")
  if case .end(let consumed) = whole.0 {
    guard let other = lenient(bytes) else { preconditionFailure("a lenient decoder does not find the end") }
    precondition(other.consumed == consumed && other.data == whole.1, "a lenient decoder reads another body")
    checkTrailers(whole.2)
  }
  return 0
}
