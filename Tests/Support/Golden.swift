import Foundation

/// A golden file: what we print, reviewed like code. `UPDATE_GOLDEN=1` rewrites it.
public enum Golden {
  /// Compares text with the file beside the calling test; returns nil if they agree, else a description of the first difference.
  public static func difference(_ actual: String, from name: String, filePath: String = #filePath) -> String? {
    let file = URL(fileURLWithPath: filePath).deletingLastPathComponent().appendingPathComponent("Golden").appendingPathComponent(name)
    if ProcessInfo.processInfo.environment["UPDATE_GOLDEN"] != nil {
      do {
        try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try actual.write(to: file, atomically: true, encoding: .utf8)
      } catch {
        return "cannot write \(file.path): \(error)"
      }
      return nil
    }
    guard let data = FileManager.default.contents(atPath: file.path) else { return "no golden file \(name); run with UPDATE_GOLDEN=1" }
    let expected = String(decoding: data, as: UTF8.self)
    guard expected != actual else { return nil }
    let wanted = expected.split(separator: "\n", omittingEmptySubsequences: false)
    let got = actual.split(separator: "\n", omittingEmptySubsequences: false)
    for index in 0..<max(wanted.count, got.count) {
      let a = index < wanted.count ? String(wanted[index]) : "(end)"
      let b = index < got.count ? String(got[index]) : "(end)"
      if a != b { return "\(name):\(index + 1): expected\n  \(a)\ngot\n  \(b)" }
    }
    return "\(name) differs"
  }
}
