import CedarSchema
import JSON

/// A schema in the JSON format: reading, resolving and translating end with a result or errors.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let text = String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
  var limits = SchemaLimits()
  limits.declarations = 500
  do {
    let fragment = try SchemaFragment(jsonText: text, limits: limits)
    let json = fragment.json
    let again = try SchemaFragment(json: json, limits: limits).json
    precondition(again == json)
    _ = try Schema([fragment], limits: limits)
    // What can be printed can be read.
    _ = try SchemaFragment(fragment.cedarText(), limits: limits)
  } catch {}
  return 0
}
