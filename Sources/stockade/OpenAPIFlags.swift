internal import Bytes
internal import FoundationEssentials
internal import Pipeline
internal import PolicyTools

/// What `init` and `check` have in common where they read an OpenAPI document.
enum OpenAPIFlags {
  static let naming = [
    Flag(
      "mapping", "avp|simple-rest",
      "with --openapi: name actions as Verified Permissions' set-up for API Gateway does, or as Cedar's for web frameworks"),
    Flag("base-path", "PATH", "with --openapi: what every path begins with; default: what the document's servers say"),
  ]

  /// Why the flags make no sense together; nil if they do.
  static func misuse(_ arguments: Arguments, with more: [String] = []) -> String? {
    guard arguments["openapi"] == nil else {
      guard let text = arguments["mapping"], APIMapping(rawValue: text) == nil else { return nil }
      return "--mapping \(text): write avp or simple-rest"
    }
    guard let flag = (["mapping", "base-path"] + more).first(where: arguments.has) else { return nil }
    return "--\(flag) says how an OpenAPI document is read, and --openapi names none"
  }

  /// How operations are named, if a flag says so.
  static func mapping(_ arguments: Arguments) -> APIMapping? { arguments["mapping"].flatMap(APIMapping.init) }

  /// The document that a flag names; what of it cannot be used is in its report.
  static func document(_ path: String, _ arguments: Arguments) throws(ConfigurationError) -> APIDocument {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw ConfigurationError(["\(path) cannot be read; --openapi names an OpenAPI document"])
    }
    let document = APIDocument(SourceText(name: path, bytes: data), basePath: arguments["base-path"])
    guard document.isUsable else { throw ConfigurationError(document.errors) }
    return document
  }
}
