import Foundation
import TestSupport
import Testing

/// The proofs that ARCHITECTURE.md names: each offence is compiled against the built modules, with access to everything
/// that is not private to a file, and the compiler must refuse it for the right reason.
@Suite struct ProofTests {
  @Test func whatIsAllowedCompiles() throws {
    let errors = try compile("control")
    #expect(errors == "")
  }

  @Test(arguments: ["unverified-identity", "unverified-mapped", "forward-without-permit", "permit-twice"])
  func anOffenceIsRefusedByTheCompiler(_ name: String) throws {
    let expected = try #require(
      source(name).split(separator: "\n").first { $0.hasPrefix("// expect: ") }.map { String($0.dropFirst("// expect: ".count)) })
    let errors = try compile(name)
    let lines = errors.split(separator: "\n").filter { $0.hasPrefix("/") && $0.contains("error:") }
    // The expected error, and no other: another one might hide that the offence itself would compile.
    #expect(lines.count == 1 && errors.contains("error: " + expected), "\(errors)")
  }

  private func source(_ name: String) -> String { SourceTree.text("Tests/HouseTests/Offences/\(name).swift.txt") }

  private func compile(_ name: String) throws -> String {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("offence-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { do { try FileManager.default.removeItem(at: folder) } catch { print("left behind: \(folder.path): \(error)") } }
    let file = folder.appendingPathComponent("Offence.swift")
    try source(name).write(to: file, atomically: true, encoding: .utf8)

    // The tests' own program lies beside the modules it was built from.
    let build = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
    let swiftc = Process()
    swiftc.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    swiftc.arguments =
      ["swiftc", "-emit-sil", "-o", "/dev/null", "-swift-version", "6", "-module-name", "Offence"]
      + ["-I", build.appendingPathComponent("Modules").path]
      + ["CSystem", "COpenSSL"].flatMap { ["-Xcc", "-fmodule-map-file=\(build.path)/\($0).build/module.modulemap"] } + [file.path]
    let output = Pipe()
    swiftc.standardError = output
    swiftc.standardOutput = output
    try swiftc.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    swiftc.waitUntilExit()
    #expect((swiftc.terminationStatus == 0) == text.isEmpty, "\(text)")
    return text
  }
}
