internal import Bytes

/// What a configuration may take from elsewhere: variables and small files, both given by the caller.
public struct Surroundings: Sendable {
  /// The environment's variables.
  public var variables: [String: String]
  /// Reads a file named by `${file:PATH}`: its contents, or nil and why.
  public var readFile: @Sendable (_ path: String) -> (contents: String?, problem: String)
  /// What is wrong with a text that says where to listen, and what to do; nil if nothing is.
  public var problemOfPlace: @Sendable (_ text: String) -> (message: String, help: String?)?

  /// What is wrong with certificates, keys and ciphers for clients. Who speaks TLS knows.
  public var problemsOfTLS: @Sendable (_ settings: TLSSettings) -> [TLSProblem] = { _ in [] }
  /// The same for those that a service behind is shown and judged by.
  public var problemsOfUpstreamTLS: @Sendable (_ settings: UpstreamTLSSettings) -> [TLSProblem] = { _ in [] }

  /// What is wrong with an address, and what to do; nil if nothing is. Who opens connections knows what an address is.
  public var problemOfAddress: @Sendable (_ text: String, _ use: AddressUse) -> (message: String, help: String?)?

  /// What an address is for.
  public enum AddressUse: Sendable {
    /// The service behind, or that of a route.
    case service
    /// The name server.
    case nameServer
    /// An issuer's keys; whether it was said that they may be fetched over plain HTTP.
    case keys(mayBePlain: Bool)
  }

  /// Surroundings.
  public init(
    variables: [String: String] = [:],
    readFile: @escaping @Sendable (_ path: String) -> (contents: String?, problem: String) = { _ in (nil, "no files here") },
    problemOfPlace: @escaping @Sendable (_ text: String) -> (message: String, help: String?)? = { _ in nil },
    problemOfAddress: @escaping @Sendable (_ text: String, _ use: AddressUse) -> (message: String, help: String?)? = { _, _ in nil }
  ) {
    self.variables = variables
    self.readFile = readFile
    self.problemOfPlace = problemOfPlace
    self.problemOfAddress = problemOfAddress
  }

  /// The same, where paths begin at a file's folder.
  func beside(_ file: SourceText?) -> Surroundings {
    guard let file else { return self }
    var beside = self
    beside.readFile = { [readFile] path in readFile(file.beside(path)) }
    return beside
  }
}

extension SourceText {
  /// A path that stands in this text: it begins at the text's folder, unless it is absolute.
  func beside(_ path: String) -> String {
    guard path.utf8.first != UInt8(ascii: "/"), let slash = name.utf8.lastIndex(of: UInt8(ascii: "/")) else { return path }
    return String(decoding: name.utf8[...slash], as: UTF8.self) + path
  }
}

/// `${VAR}`, `${VAR:-default}`, `${VAR:?message}`, `${file:PATH}` and `$$` inside a parsed string: what comes in is never read as
/// syntax, neither of the file nor of another expansion.
struct Expansion {
  /// The text with everything put in.
  var text = ""
  /// Whether something came from a file, which is where secrets are.
  var isSecret = false
  /// Whether anything was put in.
  var isChanged = false
  /// What could not be put in: the reference as written, what is wrong, and what to do.
  var problems: [(reference: String, message: String, help: String?)] = []

  init(_ source: String, _ surroundings: Surroundings) {
    guard source.utf8.contains(UInt8(ascii: "$")) else {
      text = source
      return
    }
    text = String(decoding: filled(source[...].utf8, surroundings, depth: 0), as: UTF8.self)
  }

  // A text with its references filled in. A path and a default may hold references in turn, so that `${file:${DIRECTORY}/name}` is
  // what it looks like; they are filled when they are needed.
  private mutating func filled(_ source: Substring.UTF8View, _ surroundings: Surroundings, depth: Int) -> [UInt8] {
    var rest = source
    var out: [UInt8] = []
    while let byte = rest.first {
      guard byte == UInt8(ascii: "$") else {
        out.append(byte)
        rest = rest.dropFirst()
        continue
      }
      isChanged = true
      let next = rest.dropFirst().first
      if next == UInt8(ascii: "$") {
        out.append(byte)
        rest = rest.dropFirst(2)
      } else if next == UInt8(ascii: "{") {
        guard let end = Self.end(of: rest) else {
          problems.append(("${", "`${` has no `}` in this string", "write $$ for a dollar sign that means itself"))
          return out
        }
        guard depth < Self.deepest else {
          problems.append(("${", "references stand in one another more than \(Self.deepest) deep", nil))
          return out
        }
        out += value(of: rest[rest.index(rest.startIndex, offsetBy: 2)..<end], surroundings, depth: depth)
        rest = rest[rest.index(after: end)...]
      } else {
        problems.append(("$", "a `$` that begins nothing", "write $$ for a dollar sign that means itself, or ${NAME} for a variable"))
        return out
      }
    }
    return out
  }

  private static let deepest = 4

  // The `}` of the reference that a text begins with.
  private static func end(of text: Substring.UTF8View) -> Substring.UTF8View.Index? {
    var open = 0
    var rest = text
    while let byte = rest.first {
      let next = rest.dropFirst().first
      if byte == UInt8(ascii: "$"), next == byte || next == UInt8(ascii: "{") {
        if next != byte { open += 1 }
        rest = rest.dropFirst(2)
        continue
      }
      if byte == UInt8(ascii: "}") {
        open -= 1
        if open == 0 { return rest.startIndex }
      }
      rest = rest.dropFirst()
    }
    return nil
  }

  private mutating func value(of reference: Substring.UTF8View, _ surroundings: Surroundings, depth: Int) -> [UInt8] {
    let inner = String(decoding: reference, as: UTF8.self)
    let reference = "${\(inner)}"
    if inner.utf8.starts(with: "file:".utf8) {
      isSecret = true
      let before = problems.count
      let path = String(decoding: filled(inner.utf8.dropFirst(5), surroundings, depth: depth + 1), as: UTF8.self)
      guard problems.count == before else { return [] }
      let (contents, problem) = surroundings.readFile(path)
      guard let contents else {
        problems.append(
          (reference, "\(reference): \(problem)", "name a file that may be read; a relative path begins at the configuration's folder"))
        return []
      }
      // Editors end a file with a newline; no secret does.
      var bytes = Array(contents.utf8)
      if bytes.last == ASCII.lf { bytes.removeLast() }
      if bytes.last == ASCII.cr { bytes.removeLast() }
      return bytes
    }
    let name = inner.utf8.prefix { ASCII.isAlpha($0) || ASCII.isDigit($0) || $0 == UInt8(ascii: "_") }
    let rest = String(decoding: inner.utf8.dropFirst(name.count), as: UTF8.self)
    let variable = String(decoding: name, as: UTF8.self)
    guard let first = name.first, !ASCII.isDigit(first),
      rest.isEmpty || rest.utf8.starts(with: ":-".utf8) || rest.utf8.starts(with: ":?".utf8)
    else {
      problems.append((reference, "\(reference) is not a reference", "write ${NAME}, ${NAME:-default}, ${NAME:?message} or ${file:PATH}"))
      return []
    }
    // As a shell's `:-` and `:?`: an empty variable is as good as none.
    if let value = surroundings.variables[variable], !value.isEmpty || rest.isEmpty { return Array(value.utf8) }
    if rest.utf8.starts(with: ":-".utf8) { return filled(rest.utf8.dropFirst(2), surroundings, depth: depth + 1) }
    if rest.utf8.starts(with: ":?".utf8) {
      problems.append((reference, "\(variable) is not set: \(String(decoding: rest.utf8.dropFirst(2), as: UTF8.self))", nil))
    } else {
      problems.append(
        (reference, "\(reference) is not set in the environment", "set it, or write ${\(variable):-default} to give a default"))
    }
    return []
  }
}
