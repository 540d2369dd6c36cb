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
      for dependency in target.dependencies {
        #expect(seen.contains(dependency), "\(target.name) depends on \(dependency), which comes later")
      }
      seen.insert(target.name)
    }
  }

  @Test func everyImportIsOfAFloorBelow() {
    let dependencies = Dictionary(uniqueKeysWithValues: Floors.targets.map { ($0.name, Set($0.dependencies)) })
    #expect(SourceTree.sources.count > 20)
    for file in SourceTree.sources {
      for name in imports(of: file) where dependencies[name] != nil {
        let isBelow = dependencies[file.module]?.contains(name) == true
        #expect(isBelow, "\(file.path) imports \(name)")
      }
    }
  }

  /// Below the double line nothing reads a clock, opens a descriptor, starts a thread or logs; there is nothing to do it with.
  @Test func belowTheDoubleLineOnlyOurOwnModulesAreImported() {
    let pure: Set<String> = ["Bytes", "JSON", "Crypto", "HTTP", "JOSE", "Cedar", "CedarSchema", "AWS"]
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
  @Test(arguments: [#"\btry!"#, #"\bas!"#, #"\btry\?"#, #"\bfatalError\("#])
  func codeThatGivesUpIsNotWritten(_ word: String) throws {
    let pattern = try Regex(word)
    let found = SourceTree.sources.filter { $0.code.firstMatch(of: pattern) != nil }.map(\.path)
    #expect(found == [])
  }

  @Test(arguments: ["TODO", "FIXME", "XXX", " for now", "eplaced soon"])
  func nothingIsLeftForLater(_ word: String) {
    let found = SourceTree.sources.filter { $0.text.contains(word) }.map(\.path)
    #expect(found == [])
  }

  @Test func noValueIsUnwrappedByForce() throws {
    // A name, bracket or parenthesis followed by `!`, which is neither `!=` nor an operator between spaces.
    let pattern = try Regex(#"[A-Za-z0-9_\)\]\}]!(?!=)"#)
    for file in SourceTree.sources {
      for (index, line) in file.code.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
        let isForced = line.firstMatch(of: pattern) != nil
        #expect(!isForced, "\(file.path):\(index + 1): \(line)")
      }
    }
  }

  /// A `Secret` cannot be compared, only what is taken out of it; and that in constant time.
  @Test func secretsAreComparedInConstantTime() throws {
    let taken = try Regex(
      #"(==|!=|exactlyEquals|elementsEqual|equalsIgnoringCase|contains\().*\bexposed\b|\bexposed\b.*(==|!=|elementsEqual)"#)
    let constant = try Regex(#"(constantTimeEquals|isEqual)\([^()]*\)"#)
    let sealed = try Regex(#"extension Secret\b.*(Equatable|Hashable)|struct Secret<.*(Equatable|Hashable)"#)
    for file in SourceTree.sources {
      for (index, line) in file.code.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
        let line = line.replacing(constant, with: "")
        let isCompared = line.firstMatch(of: taken) != nil || line.firstMatch(of: sealed) != nil
        #expect(!isCompared, "\(file.path):\(index + 1): \(line)")
      }
    }
  }

  /// The compiler is told to trust us in these files and in no other: one lock, and tables that are written once before
  /// anybody else can see them.
  @Test func conformancesAreUncheckedInTheKnownFilesOnly() {
    let known = [
      "Sources/Cedar/Entities/EntityStore.swift", "Sources/Cedar/Evaluation/Authorizer.swift", "Sources/Cedar/Evaluation/Evaluation.swift",
      "Sources/Cedar/Evaluation/PolicyIndex.swift",
      "Sources/Cedar/Evaluation/Program.swift", "Sources/Net/Loop/Locked.swift",
    ]
    for file in SourceTree.sources where file.code.contains("@unchecked") { #expect(known.contains(file.path), "\(file.path)") }
  }

  /// Handles of OpenSSL are constants that its own reference counts keep alive; nothing else is exempt.
  @Test func isolationIsWaivedForHandlesOfLibrariesOnly() throws {
    let handle = try Regex(#"^nonisolated\(unsafe\) let [a-z]+: OpaquePointer$"#)
    for file in SourceTree.sources where file.module != "cedar-conformance" {
      for line in file.code.split(separator: "\n") where line.contains("nonisolated(unsafe)") {
        let isHandle = line.drop { $0 == " " }.wholeMatch(of: handle) != nil
        #expect(isHandle, "\(file.path): \(line)")
      }
    }
  }

  @Test func namesSayWhatAThingIs() throws {
    let banned = try Regex(#"\b(struct|class|enum|protocol|actor) [A-Za-z]*(Manager|Helper|Utils|Handler|Impl)\b"#)
    let found = SourceTree.sources.filter { $0.code.firstMatch(of: banned) != nil }.map(\.path)
    #expect(found == [])
  }

  @Test func whatIsPublicIsDocumented() {
    for file in SourceTree.sources {
      let lines = file.lines
      for (index, line) in lines.enumerated() where declaresPublic(line) {
        var above = index - 1
        while above >= 0, isAttributeOrRemark(lines[above].drop { $0 == " " }) { above -= 1 }
        let isDocumented = above >= 0 && lines[above].drop { $0 == " " }.hasPrefix("///")
        #expect(isDocumented, "\(file.path):\(index + 1) has no docstring: \(line)")
      }
    }
  }

  @Test func noFileNamesAMachine() throws {
    let names = try Regex(#"/work/|/root/|/home/[a-z]|artifactory|\.internal/"#)
    for folder in ["Sources", "Tests", ".ci", "policies", "deploy"] {
      for file in SourceTree.files(below: folder, suffix: "")
      where !file.path.hasPrefix("Tests/HouseTests") && !file.path.contains("__pycache__") {
        let isNamed = file.text.firstMatch(of: names) != nil
        #expect(!isNamed, "\(file.path)")
      }
    }
  }

  private func isAttributeOrRemark(_ line: Substring) -> Bool { line.hasPrefix("@") || line.hasPrefix("//") && !line.hasPrefix("///") }

  private func declaresPublic(_ line: Substring) -> Bool {
    var text = line.drop { $0 == " " }
    for attribute in ["@inlinable ", "@inline(__always) ", "@discardableResult ", "@frozen ", "@usableFromInline "]
    where text.hasPrefix(attribute) {
      text = text.dropFirst(attribute.count)
    }
    return text.hasPrefix("public ") && !text.hasPrefix("public import") && !text.hasPrefix("public extension")
  }
}

@Suite struct OrderTests {
  @Test func everyModuleHasTests() {
    for target in Floors.targets
    where target.name.first?.isUppercase == true && !target.name.hasPrefix("C") || ["Crypto", "Cedar", "CedarSchema"].contains(target.name)
    {
      #expect(!SourceTree.files(below: "Tests/\(target.name)Tests", suffix: ".swift").isEmpty, "\(target.name)")
    }
  }

  @Test func readmeAndLicenseAreThere() {
    #expect(SourceTree.text("LICENSE").contains("Apache License"))
    for (document, words) in [("README.md", [".ci/demo", ".ci/test"]), ("CONTRIBUTING.md", ["ARCHITECTURE.md"])] {
      let missing = words.filter { !SourceTree.text(document).contains($0) }
      #expect(missing == [], "\(document)")
    }
  }

  @Test func everyFolderOfAModuleIsInTheCodeMap() {
    let page = SourceTree.text("ARCHITECTURE.md")
    var folders: Set<String> = []
    for file in SourceTree.sources {
      let parts = file.path.split(separator: "/")
      if parts.count > 3 { folders.insert("\(parts[1])/\(parts[2])") }
    }
    let missing = folders.sorted().filter { !page.contains($0) }
    #expect(missing == [], "ARCHITECTURE.md's code map does not name them")
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
