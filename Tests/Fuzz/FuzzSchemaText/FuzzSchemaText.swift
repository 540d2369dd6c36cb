import Cedar
import CedarSchema

/// A schema in Cedar syntax: reading, resolving and translating end with a result or errors, and what is translated reads back.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let text = String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
  var limits = SchemaLimits()
  limits.declarations = 500
  do {
    let fragment = try SchemaFragment(text, limits: limits)
    let json = fragment.json
    // Everything that the Cedar syntax says the JSON format says, too.
    let again = try SchemaFragment(json: json, limits: limits)
    precondition(again.json == json)
    if let printed = Result(catching: { () throws(SchemaErrors) in try again.cedarText() }).success {
      _ = try SchemaFragment(printed, limits: limits)
    }
    let schema = try Schema([fragment], limits: limits)
    for policy in policies { _ = Validator(schema, mode: .permissive, level: 1).validate(policy) }
  } catch {
    for one in error.errors { precondition(one.span.end <= text.utf8.count || text.isEmpty) }
  }
  return 0
}

private let policies: [Policy] = {
  let text = "permit(principal, action, resource) when { principal has a.b && principal.a.b in resource || context.x == action };"
  do { return try PolicyParser.parse(text) } catch { return [] }
}()

extension Result {
  fileprivate var success: Success? { if case .success(let value) = self { value } else { nil } }
}
