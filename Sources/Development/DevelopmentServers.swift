internal import Bytes
public import Crypto
internal import HTTP
public import Net

/// The demo's two servers on one loop, on loopback addresses only: the development issuer and the service behind the proxy.
public final class DevelopmentServers {
  /// Why they did not start.
  public enum StartError: Error, CustomStringConvertible {
    case net(NetError)
    case keys(KeyError)

    /// One line for a person.
    public var description: String {
      switch self {
      case .net(let error): error.description
      case .keys(let error): "cannot make signing keys: \(error)"
      }
    }
  }

  /// The issuer, whose URL has the real port.
  public let issuer: DevelopmentIssuer
  /// The service.
  public let service: DemoService
  /// Where the service is.
  public var serviceURL: String { Self.url(serviceServer) }

  private let issuerServer: HTTPServer
  private let serviceServer: HTTPServer

  /// Starts both; port 0 takes a free one. `issuer` is the `iss` of tokens if it is not to be the issuer's own URL.
  public init(
    _ loop: EventLoop, issuerPort: UInt16 = 0, servicePort: UInt16 = 0, issuer iss: String? = nil,
    directory: UserDirectory = UserDirectory()
  ) throws(StartError) {
    let issuerBox = Box<DevelopmentIssuer>()
    let service = DemoService()
    do throws(NetError) {
      issuerServer = try HTTPServer(loop, at: Self.loopback(issuerPort)) { [unowned loop] request in
        guard let issuer = issuerBox.value else { return HTTPServer.Response(.serviceUnavailable) }
        return HTTPServer.Response(issuer.answer(LocalRequest(request), at: loop.wallSeconds))
      }
      serviceServer = try HTTPServer(loop, at: Self.loopback(servicePort)) { request in
        HTTPServer.Response(service.answer(LocalRequest(request)))
      }
    } catch {
      throw .net(error)
    }
    do throws(KeyError) {
      issuer = try DevelopmentIssuer(url: Self.url(issuerServer), issuer: iss, directory: directory)
    } catch {
      issuerServer.close()
      serviceServer.close()
      throw .keys(error)
    }
    issuerBox.value = issuer
    self.service = service
  }

  /// Closes both at once.
  public func close() {
    issuerServer.close()
    serviceServer.close()
  }

  private static func loopback(_ port: UInt16) throws(NetError) -> SocketAddress { try SocketAddress.parse("127.0.0.1:\(port)") }

  private static func url(_ server: HTTPServer) -> String { "http://\(server.address)" }

  /// The issuer is named by its port, which is known only when the server listens.
  private final class Box<Value> {
    var value: Value?
  }
}

extension LocalRequest {
  /// The request that a server read.
  init(_ request: HTTPServer.Request) {
    let fields = request.head.fields
    self.init(
      method: request.head.methodText, target: fields.text(request.head.targetRange),
      headers: fields.lines.map { (fields.text($0.name), fields.text($0.value)) }, body: request.body)
  }
}

extension HTTPServer.Response {
  /// The response for a server to send.
  init(_ response: LocalResponse) {
    var fields = FieldBlock()
    for (name, value) in response.headers { fields.append(name, encoding: value) }
    self.init(Status(rawValue: UInt16(clamping: response.status)) ?? .internalServerError, fields: fields, body: response.body)
  }
}
