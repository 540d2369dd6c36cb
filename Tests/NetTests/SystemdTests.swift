import CSystem
import Foundation
import Testing

@testable import Net

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

  @Test func aSupervisorsWordsAreTakenOnlyByTheProcessTheyAreMeantFor() {
    func watchdog(_ variables: [String: String]) -> UInt64? { Supervisor(variables, processID: 42).watchdogMillis }
    #expect(watchdog(["WATCHDOG_USEC": "30000000"]) == 30_000)
    #expect(watchdog(["WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "42"]) == 30_000)
    #expect(watchdog(["WATCHDOG_USEC": "1"]) == 2, "half of it is still a time")
    for (micros, pid) in [("30000000", "41"), ("0", "42"), ("-1", "42"), ("x", "42"), ("18446744073709551615", "42"), ("", "42")] {
      #expect(watchdog(["WATCHDOG_USEC": micros, "WATCHDOG_PID": pid]) == nil)
    }
    #expect(Supervisor(["LISTEN_PID": "41", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "http"], processID: 42).sockets.isEmpty)
    #expect(!Supervisor(["NOTIFY_SOCKET": ""], processID: 42).isListening)
  }

  /// In a process of its own: other threads may be reading the environment of this one.
  @Test func whatASupervisorSaysIsTakenOutOfTheEnvironment() async {
    await #expect(processExitsWith: .success) {
      setenv("LISTEN_FDNAMES", "http", 1)
      setenv("WATCHDOG_USEC", "5000000", 1)
      let first = Supervisor.fromEnvironment().watchdogMillis
      let isTaken = getenv("LISTEN_FDNAMES") == nil && getenv("WATCHDOG_USEC") == nil
      let second = Supervisor.fromEnvironment().watchdogMillis
      exit(first == 5000 && isTaken && second == nil ? 0 : 1)
    }
  }

  @Test func listenersOnOneSocketTakeFromOneQueueAndCloseOnlyTheirOwn() throws {
    try withLoop { loop in
      let fd = csystem_socket(4)
      var system = SocketAddress.ip(.loopbackV4, port: 0).system
      #expect(csystem_bind(fd, &system) == 0 && csystem_listen(fd, 16) == 0 && csystem_local_address(fd, &system) == 0)
      let place = ListenPlace.socket(Systemd.InheritedSocket(fd: fd, name: "http"))
      #expect(place.isShareable)
      var taken: [String] = []
      func listener(_ name: String) throws -> Listener {
        try Listener(loop, at: place) { fd, _ in
          taken.append(name)
          _ = csystem_close(fd)
        }
      }
      func connect() {
        let client = csystem_socket(4)
        let result = csystem_connect(client, &system)
        #expect(result == 0 || result == -csystem_einprogress)
        _ = csystem_close(client)
      }
      let first = try listener("first")
      let second = try listener("second")
      #expect(first.address == SocketAddress(system))
      connect()
      #expect(try loop.turn(until: { taken.count == 1 }))
      first.close()
      connect()
      #expect(try loop.turn(until: { taken.count == 2 }))
      #expect(taken[1] == "second")
      second.close()
      // The socket still listens: a successor finds what came meanwhile.
      connect()
      let successor = try listener("successor")
      #expect(try loop.turn(until: { taken.count == 3 }))
      #expect(taken[2] == "successor")
      successor.close()
      _ = csystem_close(fd)
    }
  }

  @Test func aDescriptorThatDoesNotListenIsNoPlace() throws {
    let socket = Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
    defer { close(socket) }
    let given = [Systemd.InheritedSocket(fd: socket, name: "http")]
    do {
      _ = try ListenPlace.parse("fd:http", among: given)
      Issue.record("a datagram socket is taken")
    } catch {
      #expect(error.message == "the socket named \"http\" does not listen" && error.help?.contains("ListenStream=") == true)
    }
    #expect(try ListenPlace.parse("127.0.0.1:1", among: given) == .address(.ip(.loopbackV4, port: 1)))
  }
}
