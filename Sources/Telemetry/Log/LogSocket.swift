internal import Glibc

/// A unix stream socket that lines are sent to: connected when there is something to send, and again when the peer has gone.
///
/// What the peer had read of a connection that broke is not known. A line that was cut is sent again from its start; lines that the
/// kernel had taken and the peer had not read are lost, as with any stream.
struct LogSocket {
  private let path: String
  private var descriptor: Int32 = -1

  init(_ path: String) { self.path = path }

  mutating func close() {
    if descriptor >= 0 { Glibc.close(descriptor) }
    descriptor = -1
  }

  mutating func write(_ lines: [UInt8], from offset: Int, to end: Int) -> LogDescriptor.Failure? {
    if descriptor < 0 {
      do throws(SystemCallError) { descriptor = try connect() } catch { return (error, offset) }
    }
    var written = offset
    while written < end {
      let count = lines.withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress?.advanced(by: written), end - written, Int32(MSG_NOSIGNAL))
      }
      if count > 0 {
        written += count
        continue
      }
      let code = errno
      if count < 0, code == EINTR || code == EAGAIN { continue }
      close()
      // The next connection begins with a whole line.
      while written > offset, lines[written - 1] != 0x0a { written -= 1 }
      return (SystemCallError(call: "write unix:\(path)", code: count == 0 ? EIO : code), written)
    }
    return nil
  }

  private func connect() throws(SystemCallError) -> Int32 {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.utf8)
    guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
      throw SystemCallError(call: "connect unix:\(path)", code: ENAMETOOLONG)
    }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    let socket = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard socket >= 0 else { throw SystemCallError(call: "socket", code: errno) }
    // A listener whose queue is full would hold us for ever.
    var patience = timeval(tv_sec: Self.patienceSeconds, tv_usec: 0)
    setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    let result = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Glibc.connect(socket, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard result == 0 else {
      let code = errno
      Glibc.close(socket)
      throw SystemCallError(call: "connect unix:\(path)", code: code)
    }
    return socket
  }

  private static let patienceSeconds = 5
}
