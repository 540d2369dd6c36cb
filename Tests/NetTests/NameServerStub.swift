import Bytes
import CSystem
import Glibc
import Net
import Testing

/// A name server on loopback, on a thread of its own, that answers from a function.
final class NameServerStub: Sendable {
  struct Query: Sendable {
    var name: String
    var type: UInt16
  }

  struct Record: Sendable {
    var type: UInt16
    var ttl: UInt32
    var data: [UInt8]

    init(_ type: UInt16, _ ttl: UInt32, _ data: [UInt8]) {
      self.type = type
      self.ttl = ttl
      self.data = data
    }
  }

  enum Reply: Sendable {
    case records([Record])
    case code(UInt8)
    case garbage
  }

  let address: SocketAddress
  private let fd: Int32
  private let thread: RunningThread
  private let isStopped = Locked(false)

  init(_ answer: @escaping @Sendable (Query) -> Reply) throws {
    let fd = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
    self.fd = fd
    var bound = sockaddr_in()
    bound.sin_family = sa_family_t(AF_INET)
    bound.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    withUnsafeMutablePointer(to: &bound) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        _ = bind(fd, $0, size)
        _ = getsockname(fd, $0, &size)
      }
    }
    // Looks up from its wait ten times a second, to see whether it is stopped.
    var wait = timeval(tv_sec: 0, tv_usec: 100_000)
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, socklen_t(MemoryLayout<timeval>.size))
    address = try SocketAddress.parse("127.0.0.1:\(UInt16(bigEndian: bound.sin_port))")
    let stopped = isStopped
    thread = try startThread(name: "name-server") {
      var buffer = [UInt8](repeating: 0, count: 1500)
      while !stopped.withLock({ $0 }) {
        var peer = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let count = withUnsafeMutablePointer(to: &peer) {
          $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { recvfrom(fd, &buffer, buffer.count, 0, $0, &size) }
        }
        guard count > 12, let (query, end) = Self.read(Array(buffer.prefix(count))) else { continue }
        let reply = Self.write(answer(query), to: Array(buffer.prefix(end)))
        _ = withUnsafeMutablePointer(to: &peer) {
          $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { sendto(fd, reply, reply.count, 0, $0, size) }
        }
      }
    }
  }

  func stop() {
    isStopped.withLock { $0 = true }
    thread.join()
    close(fd)
  }

  private static func read(_ message: [UInt8]) -> (Query, Int)? {
    var labels: [String] = []
    var index = 12
    while index < message.count, message[index] != 0 {
      let length = Int(message[index])
      guard index + 1 + length <= message.count else { return nil }
      labels.append(String(decoding: message[(index + 1)..<(index + 1 + length)], as: UTF8.self))
      index += 1 + length
    }
    guard index + 5 <= message.count else { return nil }
    return (Query(name: labels.joined(separator: "."), type: UInt16(message[index + 1]) << 8 | UInt16(message[index + 2])), index + 5)
  }

  private static func write(_ reply: Reply, to question: [UInt8]) -> [UInt8] {
    var out = question
    out[2] = 0x81
    out[3] = 0x80
    for index in 6..<12 { out[index] = 0 }
    switch reply {
    case .code(let code): out[3] |= code
    case .garbage:
      // An answer is announced and does not follow.
      out[7] = 9
      out += [0xc0, 0x0c, 0]
    case .records(let records):
      out[7] = UInt8(records.count)
      for record in records {
        // The name of the question, by reference.
        out += [0xc0, 0x0c, 0, UInt8(record.type), 0, 1]
        out += [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: record.ttl >> UInt32($0)) }
        out += [0, UInt8(record.data.count)] + record.data
      }
    }
    return out
  }
}
