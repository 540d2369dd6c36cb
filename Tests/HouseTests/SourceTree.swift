import Foundation
import TestSupport

/// The checkout as text: what the house rules are held against.
enum SourceTree {
  /// One Swift file.
  struct File {
    /// Path below the checkout.
    let path: String
    let text: String
    /// The module: the folder below Sources.
    var module: String { String(path.split(separator: "/")[1]) }
    /// The lines as they are.
    var lines: [Substring] { text.split(separator: "\n", omittingEmptySubsequences: false) }
    /// The text with comments and string literals blanked, so that only code is left.
    let code: String

    init(path: String, text: String) {
      self.path = path
      self.text = text
      code = path.hasSuffix(".swift") ? SourceTree.codeOnly(text) : text
    }
  }

  /// Every Swift file of the product.
  static let sources: [File] = files(below: "Sources", suffix: ".swift")

  /// Files below a folder, in order of their paths.
  static func files(below folder: String, suffix: String) -> [File] {
    let root = TestData.checkout.appendingPathComponent(folder)
    guard let walk = FileManager.default.enumerator(atPath: root.path) else { return [] }
    return walk.compactMap { $0 as? String }.filter { $0.hasSuffix(suffix) && !$0.contains(".build") }.sorted().compactMap { path in
      FileManager.default.contents(atPath: root.appendingPathComponent(path).path).map {
        File(path: folder + "/" + path, text: String(decoding: $0, as: UTF8.self))
      }
    }
  }

  /// A text file of the checkout.
  static func text(_ path: String) -> String {
    String(decoding: FileManager.default.contents(atPath: TestData.checkout.appendingPathComponent(path).path) ?? Data(), as: UTF8.self)
  }

  /// Blanks comments and the contents of string literals; interpolations inside literals are blanked too.
  static func codeOnly(_ text: String) -> String {
    var stripper = LiteralStripper(bytes: Array(text.utf8))
    return stripper.strip()
  }
}

/// Takes comments and literals out of Swift text. Line ends stay, so that line numbers do.
struct LiteralStripper {
  let bytes: [UInt8]
  private var index = 0
  private var out: [UInt8] = []

  init(bytes: [UInt8]) { self.bytes = bytes }

  mutating func strip() -> String {
    code(until: nil)
    return String(decoding: out, as: UTF8.self)
  }

  private func at(_ word: StaticString) -> Bool {
    let wanted = UnsafeBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount)
    return index + wanted.count <= bytes.count && bytes[index..<(index + wanted.count)].elementsEqual(wanted)
  }

  /// Copies code, up to the parenthesis that closes an interpolation if one is open.
  private mutating func code(until close: UInt8?) {
    var depth = 0
    while index < bytes.count {
      if at("//") {
        while index < bytes.count && bytes[index] != 0x0a { index += 1 }
      } else if at("/*") {
        while index < bytes.count && !at("*/") { skipByte() }
        index += 2
      } else if at("\"\"\"") {
        index += 3
        literal(end: "\"\"\"", hashes: 0)
      } else if at("\"") {
        index += 1
        literal(end: "\"", hashes: 0)
      } else if at("#\"\"\"") {
        index += 4
        literal(end: "\"\"\"#", hashes: 1)
      } else if at("#\"") {
        index += 2
        literal(end: "\"#", hashes: 1)
      } else {
        let byte = bytes[index]
        if close != nil, byte == UInt8(ascii: "(") { depth += 1 }
        if let close, byte == close {
          if depth == 0 { return }
          depth -= 1
        }
        out.append(byte)
        index += 1
      }
    }
  }

  private mutating func literal(end: StaticString, hashes: Int) {
    out.append(UInt8(ascii: "_"))
    while index < bytes.count && !at(end) {
      if hashes == 0, at("\\(") || hashes == 1 && at("\\#(") {
        index += 2 + hashes
        let kept = out.count
        code(until: UInt8(ascii: ")"))
        out.removeSubrange(kept...)
        index += 1
      } else if hashes == 0, bytes[index] == UInt8(ascii: "\\") {
        index += 2
      } else {
        skipByte()
      }
    }
    index += end.utf8CodeUnitCount
  }

  private mutating func skipByte() {
    if bytes[index] == 0x0a { out.append(0x0a) }
    index += 1
  }
}

/// The modules in floor order, as Package.swift lists them.
enum Floors {
  /// One target of the product.
  struct Target {
    let name: String
    let dependencies: [String]
  }

  static let targets: [Target] = {
    let text = SourceTree.text("Package.swift")
    // Each target is one call with its name first; the dependencies are the other literals up to the settings.
    guard let package = text.components(separatedBy: "let package = Package(").last?.components(separatedBy: "  targets: [").last,
      let body = package.components(separatedBy: "// Tests, one target a room.").first
    else { return [] }
    var calls = [body.replacingOccurrences(of: "\n", with: " ")]
    for opening in [".target(", ".executableTarget(", "room("] { calls = calls.flatMap { $0.components(separatedBy: opening) } }
    return calls.compactMap { call in
      let relevant = call.components(separatedBy: "ettings:").first ?? call
      let literals = relevant.components(separatedBy: "\"").enumerated().filter { $0.offset % 2 == 1 }.map(\.element)
      guard let name = literals.first else { return nil }
      return Target(name: name, dependencies: Array(literals.dropFirst()))
    }
  }()
}
