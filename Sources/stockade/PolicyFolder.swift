internal import Bytes
internal import Crypto
internal import FoundationEssentials
internal import Pipeline
internal import PolicyTools

/// Reads a policy folder from disk: `*.cedar`, `*.cedar.json`, `schema.cedarschema` or `schema.json`, `entities.json`. Tests and other files stay.
enum PolicyFolder {
  /// The files of policy tests in `tests/` of a policy folder, by name; none if there is no such folder.
  static func tests(_ folder: String) throws(ConfigurationError) -> [SourceText] {
    let place = (folder.hasSuffix("/") ? folder : folder + "/") + "tests"
    let names: [String]
    do { names = try FileManager.default.contentsOfDirectory(atPath: place).sorted() } catch { return [] }
    var files: [SourceText] = []
    for name in names where !name.hasPrefix(".") && (name.hasSuffix(".json") || name.hasSuffix(".json5")) {
      guard let data = FileManager.default.contents(atPath: "\(place)/\(name)") else {
        throw ConfigurationError(["\(place)/\(name) cannot be read"])
      }
      files.append(SourceText(name: "\(place)/\(name)", bytes: data))
    }
    return files
  }

  /// A file of policy tests, with what it names beside it.
  static func testFile(_ source: SourceText) -> PolicyTestFile {
    PolicyTestFile(source) { name in
      let folder = source.name.utf8.lastIndex(of: UInt8(ascii: "/")).map { String(decoding: source.name.utf8[...$0], as: UTF8.self) } ?? ""
      return FileManager.default.contents(atPath: folder + name).map { SourceText(name: folder + name, bytes: $0) }
    }
  }

  /// The policies of a configuration; none where it names no folder and everything is decided elsewhere.
  static func read(for configuration: Configuration) throws(ConfigurationError) -> PolicyFiles {
    // Only a running proxy follows a store; whoever asks for files wants to be told how to get them.
    if let source = configuration.policySource {
      throw ConfigurationError([ConfigurationFile.policiesElsewhere(source)])
    }
    guard configuration.policies.isEmpty else { return try read(configuration.policies) }
    guard !configuration.needsPolicies else { throw ConfigurationError([ConfigurationFile.noPolicies]) }
    return .none
  }

  static func read(_ folder: String) throws(ConfigurationError) -> PolicyFiles {
    let names: [String]
    do { names = try FileManager.default.contentsOfDirectory(atPath: folder).sorted() } catch {
      throw ConfigurationError(["the policy folder \(folder) cannot be read; --policies names a folder with *.cedar files"])
    }
    var problems: [String] = []
    var policies: [SourceText] = []
    var schema: SourceText?
    var entities: SourceText?
    var hashed: [UInt8] = []
    for name in names where !name.hasPrefix(".") {
      let isPolicy = name.hasSuffix(".cedar") || name.hasSuffix(".cedar.json")
      let isSchema = name == "schema.cedarschema" || name == "schema.json"
      if !isSchema, name.hasSuffix(".cedarschema") || name.hasSuffix(".cedarschema.json") {
        problems.append("\(folder)/\(name) is not read: the schema is called schema.cedarschema, or schema.json in JSON")
      }
      guard isPolicy || isSchema || name == "entities.json" else { continue }
      let path = folder.hasSuffix("/") ? folder + name : folder + "/" + name
      guard let data = FileManager.default.contents(atPath: path) else {
        problems.append("\(path) cannot be read")
        continue
      }
      let source = SourceText(name: path, bytes: data)
      // The name, a length and the bytes: no two folders hash alike because a file ends where another begins.
      hashed += Array("\(name)\n\(data.count)\n".utf8) + Array(data)
      if isPolicy {
        policies.append(source)
      } else if isSchema {
        if let other = schema { problems.append("there are two schemas, \(other.name) and \(path); keep one") }
        schema = source
      } else {
        entities = source
      }
    }
    guard problems.isEmpty else { throw ConfigurationError(problems) }
    return PolicyFiles(
      policies: policies, schema: schema, entities: entities, hash: "sha256:" + Hex.encode(Digest.sha256(hashed)).prefix(12))
  }
}
