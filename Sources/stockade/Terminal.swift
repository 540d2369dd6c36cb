internal import Glibc

/// Writing to the person who typed the command.
enum Terminal {
  /// Writes to standard output, whole.
  static func out(_ text: String) { write(text, to: STDOUT_FILENO) }
  /// Writes to standard error, whole.
  static func error(_ text: String) { write(text, to: STDERR_FILENO) }

  /// Whether standard output is a terminal.
  static var isInteractive: Bool { isatty(STDOUT_FILENO) == 1 }

  private static func write(_ text: String, to descriptor: Int32) {
    var text = text
    text.withUTF8 { bytes in
      var rest = UnsafeRawBufferPointer(bytes)
      while !rest.isEmpty {
        let count = Glibc.write(descriptor, rest.baseAddress, rest.count)
        if count < 0 && errno == EINTR { continue }
        guard count > 0 else { return }
        rest = UnsafeRawBufferPointer(rebasing: rest[count...])
      }
    }
  }
}
