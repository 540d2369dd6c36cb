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
    var code: String { SourceTree.codeOnly(text) }
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
    var out: [UInt8] = []
    let bytes = Array(text.utf8)
    var index = 0
    func at(_ word: String) -> Bool {
      let wanted = Array(word.utf8)
      return index + wanted.count <= bytes.count && bytes[index..<(index + wanted.count)].elementsEqual(wanted)
    }
    func skip(until end: String, escapes: Bool) {
      let wanted = Array(end.utf8)
      while index < bytes.count {
        if escapes, bytes[index] == UInt8(ascii: "\\") {
          index += 2
          continue
        }
        if at(end) {
          index += wanted.count
          return
        }
        if bytes[index] == 0x0a { out.append(0x0a) }
        index += 1
      }
    }
    while index < bytes.count {
      if at("//") {
        while index < bytes.count && bytes[index] != 0x0a { index += 1 }
      } else if at("/*") {
        index += 2
        skip(until: "*/", escapes: false)
      } else if at("#\"") {
        index += 2
        skip(until: "\"#", escapes: false)
        out.append(UInt8(ascii: "_"))
      } else if at("\"\"\"") {
        index += 3
        skip(until: "\"\"\"", escapes: true)
        out.append(UInt8(ascii: "_"))
      } else if at("\"") {
        index += 1
        skip(until: "\"", escapes: true)
        out.append(UInt8(ascii: "_"))
      } else {
        out.append(bytes[index])
        index += 1
      }
    }
    return String(decoding: out, as: UTF8.self)
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
    guard let start = text.range(of: "targets: [", range: text.range(of: "let package")!.lowerBound..<text.endIndex),
      let end = text.range(of: "// Tests, one target a room.")
    else { return [] }
    // Each target is one call; whatever its spelling, its name is the first literal and its dependencies the rest up to
    // the settings.
    let body = text[start.upperBound..<end.lowerBound].replacingOccurrences(of: "\n", with: " ")
    return body.components(separatedBy: ".target(").flatMap { $0.components(separatedBy: ".executableTarget(") }
      .flatMap { $0.components(separatedBy: "room(") }.compactMap { call in
        let relevant = call.components(separatedBy: "swiftSettings").first?.components(separatedBy: "Settings:").first ?? call
        let literals = relevant.components(separatedBy: "\"").enumerated().filter { $0.offset % 2 == 1 }.map(\.element)
        guard let name = literals.first, call.contains("\"") else { return nil }
        return Target(name: name, dependencies: Array(literals.dropFirst()).filter { $0.first?.isUppercase == true || $0 == "stockade" })
      }
  }()
}
