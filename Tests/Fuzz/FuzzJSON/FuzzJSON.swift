import JSON

// Every text gives a value or a mistake with a place in the text; a value is written as JSON that reads as the same value; what is
// JSON is JSON5 and means the same there; places lie within the places of what holds them.

private func read(_ bytes: UnsafeRawBufferPointer, _ limits: JSONParser.Limits) -> JSONValue? {
  do throws(JSONError) {
    let value = try JSONParser.parse(bytes, limits: limits)
    check(value, within: 0..<bytes.count, depth: limits.depth)
    return value
  } catch {
    precondition(error.offset >= 0 && error.offset <= bytes.count && error.length >= 0)
    precondition(error.description.utf8.count < 1024)
    return nil
  }
}

private func check(_ value: JSONValue, within span: Range<Int>, depth: Int) {
  precondition(depth >= 0, "deeper than its limit")
  precondition(value.span.lowerBound >= span.lowerBound && value.span.upperBound <= span.upperBound && !value.span.isEmpty)
  switch value.kind {
  case .array(let elements): for element in elements { check(element, within: value.span, depth: depth - 1) }
  case .object(let members):
    for member in members {
      precondition(value.span.lowerBound <= member.nameSpan.lowerBound && member.nameSpan.upperBound <= member.value.span.lowerBound)
      check(member.value, within: value.span, depth: depth - 1)
    }
  default: break
  }
}

private func again(_ value: JSONValue, _ limits: JSONParser.Limits) -> JSONValue? {
  Array(value.text.utf8).withUnsafeBytes { read($0, limits) }
}

/// One input of libFuzzer.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = UnsafeRawBufferPointer(start: start, count: count)
  let strict = JSONParser.Limits(depth: 64)
  if let value = read(bytes, strict) {
    precondition(again(value, strict) == value, "written and read again it is something else")
    precondition(read(bytes, JSONParser.Limits(depth: 64, syntax: .json5)) == value, "JSON means something else as JSON5")
    precondition(read(bytes, JSONParser.Limits(depth: 64, bytes: max(0, count - 1))) == nil, "longer than its limit")
  }
  if let value = read(bytes, JSONParser.Limits(depth: 64, syntax: .json5)) {
    precondition(again(value, strict) == value, "JSON5 is written as something else")
  }
  // Names that occur twice are kept, and written.
  let lax = JSONParser.Limits(depth: 64, duplicateNames: .keepAll)
  if let value = read(bytes, lax) { precondition(again(value, lax)?.text == value.text) }
  return 0
}
