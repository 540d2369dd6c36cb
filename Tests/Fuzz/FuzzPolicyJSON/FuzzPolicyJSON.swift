import Bytes
import Cedar
import JSON

// What is read must be written so that it reads the same again; places of mistakes must lie in the text.

private func json(_ set: PolicySet) -> [UInt8]? {
  var writer = JSONWriter()
  do throws(OutputTooLarge) {
    try PolicyJSON.write(set, to: &writer)
    return writer.bytes
  } catch {
    return nil
  }
}

/// One input of libFuzzer.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  do throws(ParseErrors) {
    let set = try PolicyJSON.policySetOrPolicy(from: bytes)
    guard let once = json(set) else { return 0 }
    do throws(ParseErrors) {
      let again = try PolicyJSON.policySet(from: once)
      precondition(json(again) == once, "reading what was written changed it")
    } catch {
      // Written out, a path of `has` is deeper than it was.
      precondition(
        error.errors.contains { $0.message.contains("deeper") || $0.message.contains("more than") }, "what was written is refused: \(error)"
      )
    }
    _ = try? PolicyPrinter.text(of: set)
  } catch {
    let source = SourceText(name: "f", bytes: bytes)
    for mistake in error.errors {
      precondition(mistake.span.end <= bytes.count + 1, "a place outside the text")
      precondition(!mistake.message.isEmpty)
    }
    for diagnostic in error.diagnostics.prefix(20) { _ = diagnostic.rendered(in: source) }
  }
  return 0
}
