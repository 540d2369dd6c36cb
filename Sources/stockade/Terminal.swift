internal import FoundationEssentials
internal import Glibc
internal import Telemetry

/// Writing to the person who typed the command.
enum Terminal {
  /// Writes to standard output, whole.
  static func out(_ text: String) { write(text, to: STDOUT_FILENO) }
  /// Writes to standard error, whole.
  static func error(_ text: String) { write(text, to: STDERR_FILENO) }

  /// Whether standard output is a terminal.
  static var isInteractive: Bool { isatty(STDOUT_FILENO) == 1 }

  /// How decisions are shown here: by the terminal, its width and the environment.
  static var textStyle: TextStyle {
    let variables = ProcessInfo.processInfo.environment
    let style = DecisionText(isTerminal: isInteractive) { variables[$0] }
    if let columns = variables["COLUMNS"].flatMap({ Int($0) }), columns >= 40 { return TextStyle(style, width: columns) }
    var size = winsize()
    guard isInteractive, ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0 else {
      return TextStyle(style, width: isInteractive ? 80 : nil)
    }
    return TextStyle(style, width: size.ws_col >= 40 ? Int(size.ws_col) : 80)
  }

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
