public import Bytes
internal import JSON

/// An API as its OpenAPI document describes it (3.0 and 3.1, in JSON): what can be asked, and where the document says so.
///
/// Pure, and total on any input. What the document says of requests and responses is not read: which operations there are, what they
/// are called, and which of them ask for no credentials, is all that authorization needs.
public struct APIDocument: Sendable {
  /// One operation.
  struct Operation: Sendable {
    /// What the document says of who may ask.
    enum Access: Sendable, Equatable {
      /// Credentials are asked for, or nothing is said, which is taken for the same.
      case policy
      /// The operation itself says `security: []`.
      case open
      /// OPTIONS: what browsers ask before a request of another origin, without credentials.
      case preflight
    }

    /// The method, in capitals.
    let method: String
    /// The path as the document writes it, without the base path.
    let template: String
    /// The path of requests.
    let path: APIPath
    /// `operationId`.
    let id: String?
    let access: Access
    /// The first tag.
    let tag: String?
    /// `x-cedar.appliesToResourceTypes`, the extension of Cedar's integrations.
    let resourceTypes: [String]
    /// Where the method stands in the document.
    let span: Range<Int>
  }

  /// The text.
  public let source: SourceText
  /// `info.title`.
  private(set) var title = ""
  /// In the order of the document.
  private(set) var operations: [Operation] = []
  /// What is wrong with the document (errors), and what of it cannot be used (warnings).
  private(set) var problems: [Diagnostic] = []

  /// Whether nothing is an error.
  public var isUsable: Bool { !problems.contains { $0.severity == .error } }

  /// Every error, drawn.
  public var errors: [String] { drawn(.error) }
  /// Every warning, drawn.
  public var warnings: [String] { drawn(.warning) }

  // A file with thousands of mistakes has one cause; its first reports say it.
  private func drawn(_ severity: Diagnostic.Severity) -> [String] {
    problems.filter { $0.severity == severity }.prefix(Self.shown).map { $0.rendered(in: source) }
  }

  /// Reads a document; see `errors` and `warnings` for what is wrong with it.
  ///
  /// - Parameter basePath: what stands before every path; nil for what the document's `servers` say.
  public init(_ source: SourceText, basePath: String? = nil) {
    self.source = source
    let root: JSONValue
    do throws(JSONError) {
      root = try JSONParser.parse(source.bytes, limits: .init(depth: 128, bytes: Self.mostBytes))
    } catch {
      problems = [Self.problem(error, in: source)]
      return
    }
    var reader = APIDocumentReader(root, basePath: basePath)
    reader.read()
    title = reader.title
    operations = reader.operations
    problems = reader.problems
  }

  private static func problem(_ error: JSONError, in source: SourceText) -> Diagnostic {
    guard isYAML(source) else {
      return Diagnostic(.error, "\(error)", at: error.offset..<error.offset + max(error.length, 1))
    }
    return Diagnostic(
      .error, "this is YAML, and OpenAPI documents are read as JSON", at: error.offset..<error.offset + 1,
      help: "convert it, for example with: yq -o=json . api.yaml > api.json")
  }

  // No JSON document begins with a letter, `#` or `-` and goes on with a name and a colon.
  private static func isYAML(_ source: SourceText) -> Bool {
    let words = ["openapi:", "swagger:", "info:", "paths:", "---", "%YAML"].map { Array($0.utf8) }
    for line in 1...min(source.lineCount, 200) {
      let text = source.bytes[source.range(ofLine: line)]
      if words.contains(where: { text.starts(with: $0) }) { return true }
    }
    return false
  }

  static let mostBytes = 16 << 20
  private static let shown = 100
}
