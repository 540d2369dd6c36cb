import Foundation
import TestSupport
import Testing

@Suite struct FloorsTests {
  @Test func theOrderOfFloorsIsKnown() {
    let names = Floors.targets.map(\.name)
    #expect(names.first == "CSystem")
    for name in ["Bytes", "JSON", "Crypto", "HTTP", "JOSE", "Cedar", "CedarSchema", "Net", "Telemetry", "Pipeline", "Proxy", "stockade"] {
      #expect(names.contains(name), "\(name) is not in Package.swift")
    }
    #expect(Set(names).count == names.count)
  }

  @Test func aTargetDependsOnlyOnTargetsAboveItInThePackage() {
    var seen: Set<String> = []
    for target in Floors.targets {
      for dependency in target.dependencies { #expect(seen.contains(dependency), "\(target.name) depends on \(dependency), which comes later") }
      seen.insert(target.name)
    }
  }

  @Test func everyImportIsOfAFloorBelow() {
    let dependencies = Dictionary(uniqueKeysWithValues: Floors.targets.map { ($0.name, Set($0.dependencies)) })
    #expect(SourceTree.sources.count > 20)
    for file in SourceTree.sources {
      for name in imports(of: file) where dependencies[name] != nil {
        #expect(dependencies[file.module]?.contains(name) == true, "\(file.path) imports \(name)")
      }
    }
  }

  /// Below the double line nothing reads a clock, opens a descriptor, starts a thread or logs; there is nothing to do it with.
  @Test func belowTheDoubleLineOnlyOurOwnModulesAreImported() {
    let pure: Set<String> = ["Bytes", "JSON", "Crypto", "HTTP", "JOSE", "Cedar", "CedarSchema"]
    let allowed = Set(Floors.targets.map(\.name))
    for file in SourceTree.sources where pure.contains(file.module) {
      for name in imports(of: file) { #expect(allowed.contains(name), "\(file.path) imports \(name)") }
    }
    // Written as if it were below.
    for file in SourceTree.sources where file.module == "Pipeline" {
      for name in imports(of: file) where name != "FoundationEssentials" {
        #expect(allowed.contains(name) && name != "Net" && name != "CSystem", "\(file.path) imports \(name)")
      }
    }
  }

  @Test func whatIsForbiddenEverywhereIsImportedNowhere() {
    for file in SourceTree.sources {
      for name in imports(of: file) {
        #expect(!["FoundationNetworking", "FoundationXML", "Dispatch"].contains(name), "\(file.path) imports \(name)")
      }
    }
  }

  @Test func theArchitecturePageShowsEveryModule() {
    let page = SourceTree.text("ARCHITECTURE.md")
    for target in Floors.targets { #expect(page.contains(target.name), "ARCHITECTURE.md does not name \(target.name)") }
  }

  private func imports(of file: SourceTree.File) -> [String] {
    file.code.split(separator: "\n").compactMap { line in
      let words = line.split(separator: " ")
      guard let position = words.firstIndex(of: "import"), position + 1 < words.count,
        words[..<position].allSatisfy({ ["public", "internal", "package", "private", "fileprivate"].contains($0) || $0.hasPrefix("@") })
      else { return nil }
      let kinds: Set<Substring> = ["struct", "class", "enum", "protocol", "func", "var", "let", "typealias"]
      let name = kinds.contains(words[position + 1]) && position + 2 < words.count ? words[position + 2] : words[position + 1]
      return name.split(separator: ".").first.map(String.init)
    }
  }
}

@Suite struct ForbiddenWordsTests {
  @Test(arguments: ["try!", "as!", "try?", "fatalError("])
  func codeThatGivesUpIsNotWritten(_ word: String) {
    for file in SourceTree.sources { #expect(!contains(file.code, word), "\(file.path) has \(word)") }
  }

  @Test(arguments: ["TODO", "FIXME", "XXX", "for now", "Replaced soon"])
  func nothingIsLeftForLater(_ word: String) {
    for file in SourceTree.sources { #expect(!file.text.contains(word), "\(file.path) says \(word)") }
  }

  @Test func noValueIsUnwrappedByForce() throws {
    // A name, bracket or parenthesis followed by `!`, which is neither `!=` nor an operator between spaces.
    let pattern = try Regex(#"[A-Za-z0-9_\)\]\}]!(?!=)"#)
    for file in SourceTree.sources {
      for (index, line) in file.code.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
        #expect(line.firstMatch(of: pattern) == nil, "\(file.path):\(index + 1): \(line)")
      }
    }
  }

  @Test func exactlyOneConformanceIsUnchecked() {
    let found = SourceTree.sources.filter { contains($0.code, "@unchecked") }.map(\.path)
    #expect(found == ["Sources/Net/Loop/Locked.swift"])
  }

  @Test func nothingIsPlacedOutsideIsolationUnchecked() {
    let found = SourceTree.sources.filter { contains($0.code, "nonisolated(unsafe)") }.map(\.path)
    #expect(found == [])
  }

  @Test func namesSayWhatAThingIs() throws {
    let banned = try Regex(#"\b(struct|class|enum|protocol|actor) [A-Za-z]*(Manager|Helper|Utils|Handler|Impl)\b"#)
    for file in SourceTree.sources { #expect(file.code.firstMatch(of: banned) == nil, "\(file.path)") }
  }

  @Test func whatIsPublicIsDocumented() {
    for file in SourceTree.sources {
      let lines = file.lines
      for (index, line) in lines.enumerated() where declaresPublic(line) {
        var above = index - 1
        while above >= 0, lines[above].drop(while: { $0 == " " }).hasPrefix("@") { above -= 1 }
        let isDocumented = above >= 0 && lines[above].drop { $0 == " " }.hasPrefix("///")
        #expect(isDocumented, "\(file.path):\(index + 1) has no docstring: \(line)")
      }
    }
  }

  @Test func noFileNamesAMachine() throws {
    let names = try Regex(#"/work/|/root/|/home/[a-z]|artifactory|\.internal/"#)
    for folder in ["Sources", "Tests", ".ci", "policies", "deploy"] {
      for file in SourceTree.files(below: folder, suffix: "") where !file.path.hasPrefix("Tests/HouseTests") && !file.path.contains("__pycache__") {
        #expect(file.text.firstMatch(of: names) == nil, "\(file.path)")
      }
    }
  }

  private func declaresPublic(_ line: Substring) -> Bool {
    var text = line.drop { $0 == " " }
    for attribute in ["@inlinable ", "@inline(__always) ", "@discardableResult ", "@frozen ", "@usableFromInline "] where text.hasPrefix(attribute) {
      text = text.dropFirst(attribute.count)
    }
    return text.hasPrefix("public ") && !text.hasPrefix("public import") && !text.hasPrefix("public extension")
  }

  // `as!` must not match inside `was!`, which force-unwrapping would find anyway.
  private func contains(_ code: String, _ word: String) -> Bool { code.contains(word) }
}

@Suite struct OrderTests {
  @Test func everyModuleHasTests() {
    for target in Floors.targets where target.name.first?.isUppercase == true && !target.name.hasPrefix("C") || ["Crypto", "Cedar", "CedarSchema"].contains(target.name) {
      #expect(!SourceTree.files(below: "Tests/\(target.name)Tests", suffix: ".swift").isEmpty, "\(target.name)")
    }
  }

  @Test func readmeAndLicenseAreThere() {
    #expect(SourceTree.text("LICENSE").contains("Apache License"))
    #expect(SourceTree.text("README.md").contains(".ci/demo"))
    #expect(SourceTree.text("README.md").contains(".ci/test"))
    #expect(SourceTree.text("CONTRIBUTING.md").contains("ARCHITECTURE.md"))
  }

  @Test func everyFolderOfAModuleIsInTheCodeMap() {
    let page = SourceTree.text("ARCHITECTURE.md")
    var folders: Set<String> = []
    for file in SourceTree.sources {
      let parts = file.path.split(separator: "/")
      if parts.count > 3 { folders.insert("\(parts[1])/\(parts[2])") }
    }
    for folder in folders.sorted() { #expect(page.contains(folder), "ARCHITECTURE.md's code map does not name \(folder)") }
  }

  @Test func everyPathThatTheDocumentsNameExists() throws {
    let pattern = try Regex(#"`((Sources|Tests|policies|\.ci|deploy)/[A-Za-z0-9_./-]+)`"#)
    for document in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"] {
      for match in SourceTree.text(document).matches(of: pattern) {
        let path = String(match.output[1].substring ?? "")
        #expect(FileManager.default.fileExists(atPath: TestData.checkout.appendingPathComponent(path).path), "\(document) names \(path)")
      }
    }
  }
}
