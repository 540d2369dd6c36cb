import Foundation
import JSON
import Testing

@testable import Fronts

@Suite struct JournalTests {
  private func folder() -> String { FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path }
  private func file(_ folder: String) -> URL { URL(fileURLWithPath: folder + "/verified-permissions.journal") }

  private func effects(_ name: String) -> [Documents.Effect] {
    [
      .put(.policy, store: "s", id: name, .object(["statement": .string("permit(principal, action, resource);\n\u{e9}")])),
      .delete(.policy, store: "s", id: "gone"),
    ]
  }

  /// The ids that a journal holds.
  private func ids(_ folder: String) throws -> [String] {
    var documents = Documents()
    let journal = try Journal(in: folder) { documents.apply($0) }
    withExtendedLifetime(journal) {}
    return documents.all(.policy, in: "s").map(\.id)
  }

  private func write(_ names: [String], in folder: String) throws {
    let journal = try Journal(in: folder) { _ in }
    for name in names { try journal.append(effects(name)) }
  }

  @Test func whatWasAppendedIsThereAgain() throws {
    let folder = folder()
    try write(["a", "b"], in: folder)
    try write(["c"], in: folder)
    #expect(try ids(folder) == ["a", "b", "c"])
  }

  /// A crash may leave any part of the last record: without the whole of it, it was never confirmed, and what comes after is written
  /// as if it had not been.
  @Test func aLastRecordCutAtAnyByteIsNotThere() throws {
    let folder = folder()
    try write(["a", "b"], in: folder)
    let before = try Data(contentsOf: file(folder)).count
    try write(["c"], in: folder)
    let whole = try Data(contentsOf: file(folder))
    for length in before..<whole.count {
      try whole.prefix(length).write(to: file(folder))
      #expect(try ids(folder) == ["a", "b"], "\(length)")
      try write(["d"], in: folder)
      #expect(try ids(folder) == ["a", "b", "d"], "\(length)")
    }
  }

  @Test func aRecordThatWasChangedIsDamageAndNotAnEnd() throws {
    let folder = folder()
    try write(["a", "b"], in: folder)
    let before = try Data(contentsOf: file(folder)).count
    try write(["c"], in: folder)
    let whole = try Data(contentsOf: file(folder))
    for position in stride(from: 0, to: before, by: 7) {
      var damaged = whole
      damaged[position] ^= 1
      try damaged.write(to: file(folder))
      #expect(throws: JournalError.self, "\(position)") { try ids(folder) }
    }
    // A record that was taken out is missed.
    let lines = String(decoding: whole, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
    try Data((lines[0] + "\n" + lines[2] + "\n" + lines[2] + "\n").utf8).write(to: file(folder))
    #expect(throws: JournalError.self) { try ids(folder) }
  }

  @Test func aJournalThatIsClosedIsFreeThoughAChildThatIsBeingStartedHasACopyOfIt() throws {
    let folder = folder()
    var journal: Journal? = try Journal(in: folder) { _ in }
    let copy = dup(try #require(descriptor(of: file(folder))))
    defer { close(copy) }
    #expect(copy >= 0 && journal != nil)
    journal = nil
    _ = try ids(folder)
  }

  private func descriptor(of file: URL) -> Int32? {
    let manager = FileManager.default
    let all = (try? manager.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
    return all.first { (try? manager.destinationOfSymbolicLink(atPath: "/proc/self/fd/\($0)")) == file.path }.flatMap { Int32($0) }
  }

  @Test func aFolderIsOneProcesssAlone() throws {
    let folder = folder()
    let first = try Journal(in: folder) { _ in }
    #expect(throws: JournalError.self) { try Journal(in: folder) { _ in } }
    withExtendedLifetime(first) {}
  }
}
