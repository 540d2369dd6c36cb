internal import Bytes
internal import CSystem

/// Where to listen: at an address that is bound, or on a socket that somebody bound before and handed over.
public enum ListenPlace: Hashable, Sendable {
  /// An address to bind.
  case address(SocketAddress)
  /// A socket that listens already.
  case socket(Systemd.InheritedSocket)

  /// Why a text is no place to listen, with the remedy.
  public struct Problem: Error, Hashable, Sendable {
    /// What is wrong.
    public let message: String
    /// What to do.
    public let help: String?
  }

  /// Whether several listeners can have the place: each with a loop of its own.
  public var isShareable: Bool {
    switch self {
    // Port 0 gives every listener a port of its own.
    case .address(.ip(_, let port, _)): return port != 0
    case .address(.unix): return false
    case .socket: return true
    }
  }

  /// Reads `fd:NAME`, the name of a socket that was handed over, or an address as `SocketAddress` reads it.
  public static func parse(_ text: String, among sockets: [Systemd.InheritedSocket]) throws(Problem) -> ListenPlace {
    if let problem = problem(of: text, among: sockets) { throw problem }
    guard let name = socketName(text) else {
      do throws(NetError) { return .address(try SocketAddress.parse(text)) } catch {
        throw Problem(message: error.description, help: nil)
      }
    }
    guard let socket = sockets.first(where: { exactlyEquals($0.name, name) }), csystem_is_listening(socket.fd) == 1 else {
      throw Problem(
        message: "the socket named \"\(name)\" does not listen",
        help: "a socket unit needs ListenStream=, and Accept=no, which is the default")
    }
    return .socket(socket)
  }

  /// What is wrong with a text that should be a place to listen; nil if nothing is. Without a list of sockets every name is taken:
  /// what is handed over is known only where the proxy is started.
  public static func problem(of text: String, among sockets: [Systemd.InheritedSocket]?) -> Problem? {
    guard let name = socketName(text) else {
      do throws(NetError) { _ = try SocketAddress.parse(text) } catch {
        return Problem(message: error.description, help: nil)
      }
      return nil
    }
    guard !name.isEmpty else {
      return Problem(message: "a socket's name must follow `fd:`", help: "write fd:NAME as in FileDescriptorName=NAME of the socket unit")
    }
    guard let sockets else { return nil }
    guard !sockets.isEmpty else {
      return Problem(
        message: "no socket was handed over, so there is none named \"\(name)\"",
        help: "let systemd start it, by a socket unit with FileDescriptorName=\(name), or write an address such as 127.0.0.1:8080")
    }
    switch sockets.filter({ exactlyEquals($0.name, name) }).count {
    case 1: return nil
    case 0:
      let names = sockets.map { $0.name.isEmpty ? "one without a name" : "fd:\($0.name)" }
      return Problem(message: "no socket named \"\(name)\" was handed over", help: "there are: \(names.joined(separator: ", "))")
    case let count:
      return Problem(
        message: "\(count) sockets named \"\(name)\" were handed over",
        help: "a place is one socket: give each ListenStream= a socket unit with a FileDescriptorName= of its own")
    }
  }

  private static func socketName(_ text: String) -> String? {
    guard text.utf8.starts(with: "fd:".utf8) else { return nil }
    return String(decoding: text.utf8.dropFirst(3), as: UTF8.self)
  }
}
