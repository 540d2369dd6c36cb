import Foundation
import Net
import Testing

@Suite struct SystemdTests {
  @Test func socketsHandedOverAreFoundOnlyByTheProcessTheyAreMeantFor() {
    func found(_ pid: String?, _ count: String?, _ names: String? = nil) -> [String] {
      Systemd.inheritedSockets(listenPID: pid, listenFDs: count, names: names, processID: 42).map { "\($0.fd) \($0.name)" }
    }
    #expect(found("42", "2", "http:ops") == ["3 http", "4 ops"])
    #expect(found("42", "1") == ["3 "])
    // Names that do not match the sockets are nobody's.
    #expect(found("42", "2", "http") == ["3 ", "4 "])
    for (pid, count) in [
      ("41", "1"), (nil, "1"), ("42", nil), ("42", "0"), ("42", "-1"), ("42", "65"), ("42", "99999999999"), ("42 ", "1"), ("", "1"),
      ("42", "x"),
    ] as [(String?, String?)] {
      #expect(found(pid, count) == [])
    }
  }

  @Test func systemdHearsWhatItIsTold() throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("notify-\(UUID().uuidString.prefix(8))").path
    let socket = Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
    defer {
      close(socket)
      unlink(path)
    }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
    let bound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(socket, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
    }
    #expect(bound == 0)
    try Systemd.notify("READY=1\nSTATUS=well", socket: path)
    var buffer = [UInt8](repeating: 0, count: 100)
    let count = recv(socket, &buffer, buffer.count, Int32(MSG_DONTWAIT))
    #expect(String(decoding: buffer.prefix(max(count, 0)), as: UTF8.self) == "READY=1\nSTATUS=well")
    #expect(throws: NetError.self) { try Systemd.notify("READY=1", socket: path + "-absent") }
    #expect(throws: NetError.self) { try Systemd.notify("READY=1", socket: String(repeating: "x", count: 200)) }
    #expect(throws: NetError.self) { try Systemd.notify("READY=1", socket: "") }
  }
}
