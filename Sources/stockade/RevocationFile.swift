internal import Bytes
internal import Crypto
internal import FoundationEssentials
internal import JOSE
internal import Pipeline

/// The list of revoked tokens, read from disk.
struct RevocationFile {
  let path: String
  let list: RevocationList
  /// Equal for two files with the same contents.
  let hash: String

  /// No file, and nothing revoked.
  static let none = RevocationFile(path: "", list: .empty, hash: "")

  /// The folder that it is in; empty for none.
  var folder: String {
    guard !path.isEmpty else { return "" }
    return path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
  }

  /// Reads the file that a configuration names. One that is missing or cannot be read as a whole is an error: nobody can say
  /// whom it would have kept out.
  static func read(_ path: String) throws(ConfigurationError) -> RevocationFile {
    guard !path.isEmpty else { return none }
    guard let data = FileManager.default.contents(atPath: path) else {
      throw ConfigurationError(["the list of revoked tokens \(path) cannot be read; an empty list is written []"])
    }
    let source = SourceText(name: path, bytes: data)
    do throws(RevocationList.ParseError) {
      return RevocationFile(path: path, list: try RevocationList(source.bytes), hash: Hex.encode(Digest.sha256(source.bytes)))
    } catch {
      let diagnostic = Diagnostic(
        .error, error.message, at: error.offset..<error.offset,
        help: #"a list of { "jti": "…" }, { "origin_jti": "…" } or { "sub": "…", "issued_before": 1795424374 }"#)
      throw ConfigurationError([diagnostic.rendered(in: source)])
    }
  }
}
