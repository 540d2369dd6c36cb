import Bytes
import Cedar
import JSON

// The first byte chooses the width and the indent; the rest is policy text. What parses must mean the same after formatting
// and after printing, keep every comment, and not change when formatted again.

private func meaning(_ text: String) -> String? {
  do {
    var writer = JSONWriter()
    try PolicyJSON.write(try PolicySet(PolicyParser.parse(text)), to: &writer)
    return writer.text
  } catch {
    return nil
  }
}

/// How many comments stand between the tokens of a text.
private func commentCount(_ text: String) -> Int {
  let source = Array(text.utf8)
  var count = 0
  var start = 0
  for token in Lexer.tokens(source).tokens {
    var at = start
    while at + 1 < token.span.start {
      guard source[at] == 0x2f, source[at + 1] == 0x2f else {
        at += 1
        continue
      }
      count += 1
      while at < token.span.start, source[at] != 0x0a, source[at] != 0x0d { at += 1 }
    }
    start = token.span.end
  }
  return count
}

private func formatted(_ text: String, _ options: PolicyFormatter.Options) -> String? {
  do throws(ParseErrors) {
    return try PolicyFormatter.format(text, options: options)
  } catch {
    precondition(!error.errors.contains { $0.message.hasPrefix("internal error") }, "the formatter would change the policies")
    for diagnostic in error.diagnostics.prefix(20) { _ = diagnostic.rendered(in: SourceText(name: "f", text)) }
    return nil
  }
}

/// One input of libFuzzer.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = UnsafeBufferPointer(start: start, count: count)
  guard let first = bytes.first, let text = String(validating: bytes.dropFirst(), as: UTF8.self) else { return 0 }
  let options = PolicyFormatter.Options(width: Int(first & 0x3f) * 2, indent: Int(first >> 6) * 2)
  guard let once = formatted(text, options) else { return 0 }
  let before = meaning(text)
  precondition(before == nil || meaning(once) == before, "formatting changed a meaning")
  let comments = commentCount(text)
  precondition(commentCount(once) == comments, "a comment was lost")
  if comments == 0 { precondition(formatted(once, options) == once, "formatting twice is not formatting once") }
  do {
    let policies = try PolicyParser.parse(text)
    let printed = try policies.map { policy throws(OutputTooLarge) in try PolicyPrinter.text(of: policy) }.joined(separator: "\n")
    precondition(before == nil || meaning(printed) == before, "printing changed a meaning")
  } catch {}
  return 0
}
