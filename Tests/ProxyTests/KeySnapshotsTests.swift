import Foundation
import Testing

@testable import Pipeline
@testable import Proxy

@Suite struct KeySnapshotsTests {
  private static let source = KeySource.jwks(url: "https://keys.example/jwks.json")
  private static let stored = KeySnapshots.Stored(body: Array("{\"keys\": [\n]}\n".utf8), fetchedAt: 1_800_000_000)

  @Test func whatIsWrittenIsRead() throws {
    try KeyBench.withFolder { folder in
      let snapshots = KeySnapshots(folder: folder)
      let nothing = snapshots.read(Self.source)
      #expect(nothing.stored == nil && nothing.problem == nil)
      #expect(snapshots.write(Self.stored, of: Self.source) == nil)
      let read = snapshots.read(Self.source)
      #expect(read.stored?.body == Self.stored.body && read.stored?.fetchedAt == Self.stored.fetchedAt && read.problem == nil)
      #expect(snapshots.read(.discovery(issuer: "https://keys.example/jwks.json")).stored == nil, "another source")
      let files = try FileManager.default.contentsOfDirectory(atPath: folder)
      #expect(files.count == 1, "nothing is left beside it")
    }
  }

  @Test func aFileThatAnythingHappenedToIsNone() throws {
    try KeyBench.withFolder { folder in
      let snapshots = KeySnapshots(folder: folder)
      _ = snapshots.write(Self.stored, of: Self.source)
      let path = folder + "/" + (try FileManager.default.contentsOfDirectory(atPath: folder).first ?? "")
      let good = try Data(contentsOf: URL(fileURLWithPath: path))
      for index in good.indices {
        var bad = good
        bad[index] ^= 1
        try bad.write(to: URL(fileURLWithPath: path))
        chmod(path, 0o600)
        let read = snapshots.read(Self.source)
        #expect(read.stored == nil && read.problem != nil, "byte \(index)")
      }
      for count in 0..<good.count {
        try good.prefix(count).write(to: URL(fileURLWithPath: path))
        chmod(path, 0o600)
        #expect(snapshots.read(Self.source).stored == nil, "\(count) bytes")
      }
      try good.write(to: URL(fileURLWithPath: path))
      for mode: mode_t in [0o640, 0o604, 0o620, 0o602] {
        chmod(path, mode)
        #expect(snapshots.read(Self.source).problem != nil, "others can read or write it: \(String(mode, radix: 8))")
      }
      chmod(path, 0o600)
      #expect(snapshots.read(Self.source).stored != nil)
      // A link is not followed, wherever it leads.
      try FileManager.default.moveItem(atPath: path, toPath: folder + "/elsewhere")
      try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: folder + "/elsewhere")
      #expect(snapshots.read(Self.source).stored == nil)
    }
  }

  @Test func aFolderThatCannotBeWrittenIsAProblemAndNoMore() {
    #expect(KeySnapshots(folder: "/nonexistent").write(Self.stored, of: Self.source) != nil)
    #expect(KeySnapshots(folder: "/nonexistent").read(Self.source).stored == nil)
  }
}
