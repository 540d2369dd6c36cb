import Bytes
import HTTP
import JSON
import Pipeline

/// One input of the fuzzer: a configuration file, and behind a NUL byte a request.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeRawBufferPointer(start: start, count: count))
  let parts = bytes.split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false)
  let text = Array(parts.first ?? [])

  // What strict JSON is, JSON5 is, and it means the same.
  if let strict = value(text, .json) {
    guard let loose = value(text, .json5) else { preconditionFailure("JSON that is no JSON5") }
    precondition(strict == loose)
  }

  let surroundings = Surroundings(variables: ["A": "1", "STOCKADE_REALM": "x"]) { _ in (nil, "no files here") }
  do throws(ConfigurationError) {
    let configuration = try Configuration.read(file: SourceText(name: "f", bytes: text), flags: [:], surroundings: surroundings)
    // What is listed is a file that means the same.
    do throws(ConfigurationError) {
      let again = try Configuration.read(
        file: SourceText(name: "f", configuration.listing(sources: true)), flags: [:], surroundings: Surroundings())
      precondition(again.json == configuration.json)
    } catch { preconditionFailure(error.report) }
    _ = configuration.openAccess
    if parts.count == 2, let routes = configuration.routes {
      var head = RequestHead()
      if case .complete = parts[1].withUnsafeBytes({ RequestHeadParser.parse($0, limits: HeadLimits(), into: &head) }) {
        _ = routes.match(head)
      }
    }
  } catch {
    precondition(!error.problems.isEmpty)
    // Nothing of the file acts on the terminal of who reads about it.
    precondition(!error.report.utf8.contains { $0 < 0x20 && $0 != 0x0a })
  }
  return 0
}

private func value(_ text: [UInt8], _ syntax: JSONParser.Syntax) -> JSONValue? {
  do throws(JSONError) { return try JSONParser.parse(text, limits: .init(syntax: syntax)) } catch { return nil }
}
