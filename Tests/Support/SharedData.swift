public import Foundation

/// Finds data that tests read: the project's own files beside the tests, and the shared cases where they exist.
public enum TestData {
  /// The top folder of the checkout.
  public static let checkout = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  /// The folder of shared cases: `STOCKADE_TEST_DATA`, else `../shared` beside the checkout; nil where there is none.
  public static let shared: URL? = {
    let named = ProcessInfo.processInfo.environment["STOCKADE_TEST_DATA"].map { URL(fileURLWithPath: $0) }
    let folder = named ?? checkout.deletingLastPathComponent().appendingPathComponent("shared")
    return FileManager.default.fileExists(atPath: folder.path) ? folder : nil
  }()

  /// A shared file, or nil; says plainly when a set is not there to be run.
  public static func sharedFile(_ path: String) -> URL? {
    guard let file = shared?.appendingPathComponent(path), FileManager.default.fileExists(atPath: file.path) else {
      print("shared cases: \(path) is not here; its cases were NOT run")
      return nil
    }
    return file
  }

  /// Says how many cases of a shared set ran, for the test command's closing summary.
  public static func report(_ set: String, ran count: Int) {
    print("shared cases: \(set): \(count) ran")
  }

  /// The lines of a file, unpacked if its name ends in `.gz`.
  public static func lines(of file: URL) throws -> [String] {
    String(decoding: try contents(of: file), as: UTF8.self).split(separator: "\n").map(String.init)
  }

  /// The bytes of a file, unpacked if its name ends in `.gz`.
  public static func contents(of file: URL) throws -> [UInt8] {
    guard file.pathExtension == "gz" else { return Array(try Data(contentsOf: file)) }
    let gzip = Process()
    gzip.executableURL = URL(fileURLWithPath: "/bin/gzip")
    gzip.arguments = ["-dc", file.path]
    let pipe = Pipe()
    gzip.standardOutput = pipe
    try gzip.run()
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    gzip.waitUntilExit()
    return Array(data)
  }
}
