import HTTP

// What is accepted under the strict rules means the same to every server that we can think of.

private func decoded(_ bytes: some Sequence<UInt8>) -> [UInt8] {
  var out: [UInt8] = []
  var held: [UInt8] = []
  for byte in bytes {
    held.append(byte)
    if held[0] != UInt8(ascii: "%") {
      out.append(held.removeFirst())
    } else if held.count == 3 {
      let digits = held.dropFirst().compactMap { Character(Unicode.Scalar($0)).hexDigitValue }
      precondition(digits.count == 2, "a path with a bad escape was accepted")
      out.append(UInt8(digits[0] * 16 + digits[1]))
      held = []
    }
  }
  precondition(held.isEmpty, "a path with half an escape was accepted")
  return out
}

private func segments(_ path: [UInt8]) -> [[UInt8]] {
  path == [0x2f] ? [] : path.dropFirst().split(separator: 0x2f, omittingEmptySubsequences: false).map(Array.init)
}

/// One input, as libFuzzer hands it over.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>?, _ size: Int) -> Int32 {
  guard let data else { return 0 }
  let bytes = UnsafeRawBufferPointer(start: data, count: size)
  var path = DecodedPath()
  for rules in [PathRules.strict, .semicolonIsData, .encodedSlashIsData, [.semicolonIsData, .encodedSlashIsData]] {
    do throws(HTTPRefusal) {
      let parts = try RequestTarget.read(bytes, rules: rules, into: &path)
      precondition(path.refusal(under: rules) == nil)
      let all = path.segments
      precondition(all.allSatisfy { !$0.isEmpty && $0 != "." && $0 != ".." && !$0.utf8.contains { $0 < 0x20 || $0 == 0x7f || $0 == 0x5c } })
      precondition(rules.contains(.encodedSlashIsData) || all.allSatisfy { !$0.utf8.contains(0x2f) })
      precondition(rules.contains(.semicolonIsData) || all.allSatisfy { !$0.utf8.contains(0x3b) })
      guard rules == .strict, !parts.path.isEmpty else { continue }
      let raw = Array(bytes[parts.path])
      let ours = (0..<path.count).map { path.withSegment($0) { Array($0) } } + (path.hasTrailingSlash && path.count > 0 ? [[]] : [])
      precondition(segments(decoded(raw)) == ours, "decodes, then splits")
      precondition(segments(raw).map { decoded($0) } == ours, "splits, then decodes")
      precondition(segments(decoded(raw)).map { Array($0.prefix { $0 != 0x3b }) } == ours, "cuts at ;")
      precondition(String(validating: decoded(raw), as: UTF8.self) != nil, "is not UTF-8")
    } catch {
      _ = error.detail
    }
  }
  _ = Query.values(named: "a", in: bytes)
  let lines = bytes.split(separator: 10).map(Array.init)
  _ = Forwarded(lines: lines)
  if let addresses = XForwardedFor.addresses(lines) {
    precondition(addresses.allSatisfy { IPAddress($0.description) == $0 })
  }
  return 0
}
