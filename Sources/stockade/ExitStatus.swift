/// How a command ends. Scripts may rely on the numbers.
enum ExitStatus: Int32 {
  /// Done, or allowed.
  case success = 0
  /// Something failed while running: a file, a socket, a peer.
  case failure = 1
  /// `authorize` and `explain`: the answer is deny.
  case denied = 2
  /// The configuration, a policy, a schema or an input is invalid. Nothing was started.
  case invalid = 3
  /// Tests failed, or a replay found changes.
  case testsFailed = 4
  /// The command line itself is wrong.
  case usage = 64
}
