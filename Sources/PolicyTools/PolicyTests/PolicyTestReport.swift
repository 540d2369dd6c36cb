internal import Bytes
internal import JSON
public import Telemetry

extension PolicyTests {
  /// The tests, file by file; what failed with what was otherwise.
  public func report(_ style: TextStyle = TextStyle()) -> String {
    var out = ""
    var file = ""
    for result in results {
      if !exactlyEquals(result.file, file) {
        file = result.file
        out += style.fitted(file, nil) + "\n"
      }
      let mark = result.complaint == nil ? style.toned(style.mark(.yes), .good) : style.toned(style.mark(.no), .bad)
      out += "  \(mark) " + style.wrapped(result.name, used: 4, indent: 4) + "\n"
      for line in result.complaint?.split(separator: "\n") ?? [] {
        out += "      " + style.wrapped(String(line), used: 6, indent: 8) + "\n"
      }
      if result.complaint != nil { out += "      " + style.toned("\(style.fitted(file, nil)):\(result.line)", .faint) + "\n" }
    }
    return out
  }

  /// The last line.
  public var summary: String { "\(passed) passed, \(failed) failed\n" }

  /// Everything for programs, as one JSON object and a line end.
  public var json: String {
    let tests = results.map { result -> JSONValue in
      var members: [JSONValue.Member] = [
        .init(name: "file", value: .string(result.file)), .init(name: "line", value: .integer(Int64(result.line))),
        .init(name: "name", value: .string(result.name)), .init(name: "passed", value: .bool(result.complaint == nil)),
        .init(name: "micros", value: .integer(Int64(clamping: result.nanos / 1000))),
      ]
      if let complaint = result.complaint { members.append(.init(name: "complaint", value: .string(complaint))) }
      return JSONValue(.object(members))
    }
    return JSONValue.object([
      "passed": .integer(Int64(passed)), "failed": .integer(Int64(failed)), "tests": .array(tests), "coverage": coverage.json,
    ]).text + "\n"
  }

  /// The results as JUnit's XML, which build servers read.
  public var junit: String {
    var files: [String] = []
    for result in results where !files.contains(where: { exactlyEquals($0, result.file) }) { files.append(result.file) }
    var out =
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"stockade\" tests=\"\(results.count)\" failures=\"\(failed)\">\n"
    for file in files {
      let suite = results.filter { exactlyEquals($0.file, file) }
      let failures = suite.count { $0.complaint != nil }
      out += "  <testsuite name=\(Self.quoted(file)) tests=\"\(suite.count)\" failures=\"\(failures)\" errors=\"0\">\n"
      for result in suite {
        let time = "\(result.nanos / 1_000_000_000).\(String(String(1_000_000_000 + result.nanos % 1_000_000_000).dropFirst()))"
        out +=
          "    <testcase classname=\(Self.quoted(file)) name=\(Self.quoted(result.name)) file=\(Self.quoted(file)) line=\"\(result.line)\" time=\"\(time)\""
        guard let complaint = result.complaint else {
          out += "/>\n"
          continue
        }
        out += ">\n      <failure message=\(Self.quoted(complaint))/>\n    </testcase>\n"
      }
      out += "  </testsuite>\n"
    }
    return out + "</testsuites>\n"
  }

  private static func quoted(_ text: String) -> String {
    var out = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": out += "&amp;"
      case "<": out += "&lt;"
      case ">": out += "&gt;"
      case "\"": out += "&quot;"
      case "\n": out += "&#10;"
      // XML 1.0 has no way at all to write most control characters.
      case _ where scalar.value < 0x20 || scalar.value == 0xfffe || scalar.value == 0xffff: out += "\u{fffd}"
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out + "\""
  }
}
