import HTTP

// A head with the input as its trace fields: what is read of a traceparent is written back the same, and of a tracestate nothing
// is valid that has a byte which could end or split a field.

/// One input, as libFuzzer hands it over: traceparent and tracestate, with a line feed between.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>?, _ size: Int) -> Int32 {
  guard let data else { return 0 }
  let input = Array(UnsafeBufferPointer(start: data, count: size))
  let parts = input.split(separator: 10, maxSplits: 1, omittingEmptySubsequences: false)
  let parent = Array(parts[0])
  let alone = parent.withUnsafeBytes { TraceParent($0) }
  if let alone {
    let text = Array(alone.description.utf8)
    precondition(text.withUnsafeBytes { TraceParent($0) } == alone)
    precondition(text[..<53] == parent[..<53] || parent[..<2] != text[..<2])
    precondition(alone.trace.high | alone.trace.low != 0 && alone.span != 0)
  }
  var head = RequestHead()
  var text = Array("GET / HTTP/1.1\r\nHost: x\r\ntraceparent: ".utf8) + parent
  if parts.count == 2 { text += Array("\r\ntracestate: ".utf8) + parts[1] }
  text += Array("\r\n\r\n".utf8)
  guard case .complete = text.withUnsafeBytes({ RequestHeadParser.parse($0, limits: HeadLimits(), into: &head) }) else { return 0 }
  _ = TraceParent(of: head.fields)
  if TraceState.isValid(in: head.fields), let state = TraceState.text(in: head.fields) {
    precondition(state.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7f || $0 == 9 })
  }
  return 0
}
