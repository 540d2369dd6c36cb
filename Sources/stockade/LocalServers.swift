internal import Bytes
internal import Crypto
internal import Development
internal import HTTP
internal import Net
internal import Pipeline

/// The development issuer behind a real listener, on loopback.
final class LocalIssuer {
  private let server: HTTPServer
  private let development: DevelopmentIssuer

  init(_ loop: EventLoop, at address: SocketAddress) throws(NetError) {
    // The issuer's name has its port, which the system may choose: listen first, and nothing is answered before this returns.
    var made: DevelopmentIssuer?
    server = try HTTPServer(loop, at: address) { request in
      guard let made else { return HTTPServer.Response(.serviceUnavailable) }
      return HTTPServer.Response(made.answer(LocalRequest(request), at: loop.wallSeconds))
    }
    do throws(KeyError) {
      development = try DevelopmentIssuer(url: "http://\(server.address)", poolID: IssuerConfiguration.Kind.demoPoolID)
    } catch {
      throw .invalidRequest("the development issuer has no keys: \(error)")
    }
    made = development
  }

  var address: SocketAddress { server.address }
  var issuer: String { development.issuer }
  var poolID: String { development.poolID }
  var jwksURL: String { development.jwksURL }
  var clientIDs: [String] { development.directory.clients.map(\.id) }
  var password: String { development.directory.password.exposed }
}

/// The demo service behind a real listener, on loopback.
final class LocalService {
  private let server: HTTPServer

  init(_ loop: EventLoop, at address: SocketAddress) throws(NetError) {
    let service = DemoService()
    server = try HTTPServer(loop, at: address) { HTTPServer.Response(service.answer(LocalRequest($0))) }
  }

  var address: SocketAddress { server.address }
}

extension LocalRequest {
  /// What the development services see of a request.
  init(_ request: HTTPServer.Request) {
    let fields = request.head.fields
    self.init(
      method: request.head.methodText, target: fields.text(request.head.targetRange),
      headers: fields.lines.map { (fields.text($0.name), fields.text($0.value)) }, body: request.body)
  }
}

extension HTTPServer.Response {
  /// What they answer.
  init(_ response: LocalResponse) {
    var fields = FieldBlock()
    for header in response.headers { fields.append(header.name, header.value) }
    self.init(Status(rawValue: UInt16(clamping: response.status)) ?? .internalServerError, fields: fields, body: response.body)
  }
}
