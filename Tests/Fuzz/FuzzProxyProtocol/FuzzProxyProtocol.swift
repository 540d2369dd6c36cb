import HTTP

// A header is whole at one length and incomplete at every shorter one.

/// One input, as libFuzzer hands it over.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>?, _ size: Int) -> Int32 {
  guard let data else { return 0 }
  let bytes = UnsafeRawBufferPointer(start: data, count: size)
  let outcome = ProxyHeader.parse(bytes)
  var cuts = stride(from: 0, to: bytes.count, by: 1).makeIterator()
  while let count = cuts.next(), count < 160 {
    let part = ProxyHeader.parse(UnsafeRawBufferPointer(rebasing: bytes[..<count]))
    switch outcome {
    case .complete(_, let consumed): precondition(count < consumed ? part == .incomplete : part == outcome)
    case .incomplete: precondition(part == .incomplete)
    case .refused:
      // Refused for good as soon as it is refused; never whole before that.
      if case .complete = part { preconditionFailure("a refused header was whole") }
    }
  }
  if case .complete(let header, let consumed) = outcome {
    precondition(consumed <= bytes.count && (header.source == nil) == (header.destination == nil))
    if let source = header.source { precondition(IPAddress(source.address.description) == source.address) }
  }
  return 0
}
