internal import Foundation

/// Whether tests run under a sanitizer, as `.ci/deep` says by `SLOWNESS`: then code is slower, and its frames are larger.
public enum Sanitizer {
  /// How many times as slow as usual the code may be; 1 without a sanitizer.
  public static let slowness = ProcessInfo.processInfo.environment["SLOWNESS"].flatMap { Int($0) } ?? 1
}
