internal import HTTP
internal import Net
public import Pipeline

extension Gateway {
  /// What is wrong with an address of a configuration, and what to do; nil if nothing is.
  @Sendable public static func problem(of text: String, for use: Surroundings.AddressUse) -> (message: String, help: String?)? {
    do throws(NetError) {
      switch use {
      case .service:
        let url = try HTTPURL.parse(text)
        guard url.target != "/" else { return nil }
        return (
          "\(text) has a path, which is not possible here: requests keep their own", "write \(url.scheme)://\(url.authority)"
        )
      case .nameServer:
        guard case .ip(let address, _, _) = try SocketAddress.parse(text), address.isV4 else {
          return ("\(text) is not the address of a name server", "write an IPv4 address and a port, such as 127.0.0.1:53")
        }
        return nil
      case .keys(let mayBePlain):
        let url = try HTTPURL.parse(text)
        guard !url.isSecure, !mayBePlain, !KeyURL.isLoopback(url) else { return nil }
        return (
          "\(text) is plain HTTP, so whoever is on the way could replace the keys",
          "use https, or allow_insecure_jwks: true (--allow-insecure-jwks) if the network is yours"
        )
      }
    } catch {
      return ("\(error)", help(for: text, use))
    }
  }

  private static func help(for text: String, _ use: Surroundings.AddressUse) -> String? {
    let scheme: String
    switch use {
    case .service: scheme = "http"
    case .nameServer: return "write an IPv4 address and a port, such as 127.0.0.1:53"
    case .keys: scheme = "https"
    }
    // What a person writes who thinks of a host and a port.
    guard !text.utf8.contains(UInt8(ascii: "/")) || use.takesPath else { return nil }
    do throws(NetError) {
      let url = try HTTPURL.parse("\(scheme)://\(text)")
      return "write \(scheme)://\(url.authority)\(use.takesPath ? url.target : "")"
    } catch {
      return nil
    }
  }
}

extension Surroundings.AddressUse {
  fileprivate var takesPath: Bool { if case .keys = self { true } else { false } }
}
