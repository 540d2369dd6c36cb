internal import Bytes
internal import CSystem

/// What systemd and the services it starts say to each other: sockets handed over at start, and "I am ready".
public enum Systemd {
  /// A listening socket that was handed over.
  public struct InheritedSocket: Hashable, Sendable {
    /// The descriptor; whoever takes it owns it.
    public let fd: Int32
    /// Its name (`FileDescriptorName=`), empty if it has none.
    public let name: String
  }

  /// The sockets that `LISTEN_PID`, `LISTEN_FDS` and `LISTEN_FDNAMES` announce (sd_listen_fds(3)): none if they are meant for
  /// another process or are not as they should be.
  public static func inheritedSockets(
    listenPID: String?, listenFDs: String?, names: String? = nil, processID: Int32? = nil
  ) -> [InheritedSocket] {
    guard let listenPID, let listenFDs, let pid = number(listenPID), let count = number(listenFDs),
      pid == processID ?? csystem_process_id(), count > 0, count <= mostSockets
    else { return [] }
    let named = (names ?? "").split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    return (0..<count).map { index in
      InheritedSocket(fd: firstDescriptor + index, name: named.count == Int(count) ? named[Int(index)] : "")
    }
  }

  /// Sends a state (`READY=1`, `RELOADING=1`, `STOPPING=1`, `STATUS=…`; sd_notify(3)) to the socket that `NOTIFY_SOCKET` names.
  public static func notify(_ state: String, socket: String) throws(NetError) {
    let result = state.utf8.withContiguousStorageIfAvailable { bytes in
      socket.utf8.withContiguousStorageIfAvailable { path in
        path.withMemoryRebound(to: CChar.self) { csystem_send_datagram($0.baseAddress, $0.count, bytes.baseAddress, bytes.count) }
      }
    }
    guard let result = result ?? nil else { throw .invalidAddress(socket, reason: "its text is not contiguous") }
    guard result >= 0 else { throw .system(call: "notifying \(socket)", errno: -result) }
  }

  private static func number(_ text: String) -> Int32? {
    guard !text.isEmpty, text.utf8.count <= 9, text.utf8.allSatisfy({ ASCII.isDigit($0) }) else { return nil }
    return Int32(text)
  }

  // SD_LISTEN_FDS_START.
  private static let firstDescriptor: Int32 = 3
  private static let mostSockets: Int32 = 64
}
