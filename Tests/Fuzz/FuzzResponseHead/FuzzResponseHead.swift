import HTTP

// The first byte says how the rest is cut and what was asked. One verdict however it is cut; what is accepted is sent on as
// a response that reads back as it was understood.

private let limits: HeadLimits = {
  var limits = HeadLimits()
  limits.headBytes = 2048
  limits.fieldLines = 20
  return limits
}()

/// One input, as libFuzzer hands it over.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>?, _ size: Int) -> Int32 {
  guard let data, size > 1 else { return 0 }
  let bytes = UnsafeRawBufferPointer(start: data + 1, count: size - 1)
  let method: Method = data[0] & 0x80 == 0 ? .get : .head
  let upgradeOffered = data[0] & 0x40 != 0
  func parse(_ bytes: UnsafeRawBufferPointer, _ head: inout ResponseHead) -> HeadOutcome {
    ResponseHeadParser.parse(bytes, limits: limits, answering: method, upgradeOffered: upgradeOffered, into: &head)
  }

  var head = ResponseHead()
  let outcome = parse(bytes, &head)
  let step = Int(data[0] % 16) + 1
  var pieces = ResponseHead()
  var count = 0
  var last = HeadOutcome.incomplete
  while count < bytes.count, last == .incomplete {
    count = min(count + step, bytes.count)
    last = parse(UnsafeRawBufferPointer(rebasing: bytes[..<count]), &pieces)
  }
  precondition(last == outcome, "cut in pieces the head has another verdict")

  guard case .complete(let consumed) = outcome else { return 0 }
  precondition(consumed <= bytes.count && head.fields.bytes.count == consumed)
  precondition(pieces.fields.bytes == head.fields.bytes && pieces.status == head.status && pieces.framing == head.framing)
  precondition(!head.switchesProtocols || upgradeOffered)
  precondition(!head.status.isInformational && head.status != .noContent && head.status != .notModified || head.framing == .none)
  precondition(!head.keepAlive || head.framing != .untilClose)

  var out: [UInt8] = []
  HeadWriter.appendResponse(head, ResponseRewrite(framing: head.framing, keepAlive: head.keepAlive, clientMinorVersion: 1), to: &out)
  var again = ResponseHead()
  var wider = limits
  wider.headBytes += 256
  wider.fieldLines += 4
  let reread = out.withUnsafeBytes {
    ResponseHeadParser.parse($0, limits: wider, answering: method, upgradeOffered: upgradeOffered, into: &again)
  }
  precondition(reread == .complete(consumed: out.count), "a response sent on is not read back")
  precondition(again.status == head.status && again.framing == head.framing)
  precondition(again.keepAlive == head.keepAlive || head.status.isInformational)
  return 0
}
