internal import Bytes
internal import HTTP

/// A connection to a proxy on its way to being a connection to the host behind it: CONNECT, RFC 9110 §9.3.6.
final class ProxyTunnel: StreamOwner {
  private let stream: ByteStream
  private let proxy: HTTPProxies.Proxy
  private let loop: EventLoop
  private let limits: HeadLimits
  private let ended: (NetError?) -> Void
  private var output = ByteQueue()
  private var input = ByteQueue()
  private var head = ResponseHead()
  private var interimCount = 0

  /// Asks for the host; `ended` is called once, with nil when the stream leads there. The stream's owner is then nobody.
  init(
    over stream: ByteStream, of proxy: HTTPProxies.Proxy, to url: HTTPURL, _ loop: EventLoop, limits: HeadLimits,
    ended: @escaping (NetError?) -> Void
  ) {
    self.stream = stream
    self.proxy = proxy
    self.loop = loop
    self.limits = limits
    self.ended = ended
    // The authority form always has a port.
    let name = url.host.utf8.contains(UInt8(ascii: ":")) ? "[\(url.host)]" : url.host
    var fields = FieldBlock()
    if let authorization = proxy.authorization { fields.append("Proxy-Authorization", authorization.exposed) }
    output.append("CONNECT \(name):\(url.port) HTTP/1.1\r\nHost: \(name):\(url.port)\r\n".utf8)
    output.append(fields.bytes)
    output.append("\r\n".utf8)
    stream.owner = self
  }

  /// Sends the request. Not from `init`: the outcome may come at once.
  func begin() { proceed() }

  func streamReady(_ stream: ByteStream, _ readiness: Readiness) { proceed() }

  private func proceed() {
    while !output.isEmpty {
      switch output.withBytes({ stream.write($0) }) {
      case .wrote(0): return
      case .wrote(let count): output.consume(count)
      case .failed(let error): return finish(error)
      }
    }
    while true {
      let scratch = loop.scratch
      switch stream.read(into: scratch) {
      case .bytes(let count, let drained):
        input.append(UnsafeRawBufferPointer(rebasing: scratch[..<count]))
        guard readHead(), !drained else { return }
      case .wouldBlock: return
      case .end: return finish(.closedEarly("by the proxy without an answer"))
      case .failed(let error): return finish(error)
      }
    }
  }

  /// True while there is more to be read.
  private func readHead() -> Bool {
    while true {
      switch input.withBytes({ ResponseHeadParser.parse($0, limits: limits, answering: .connect, into: &head) }) {
      case .incomplete: return true
      case .refused(let refusal): finish(.malformedResponse("the proxy's: \(refusal.sentence)"))
      case .complete(let consumed):
        input.consume(consumed)
        interimCount += 1
        if head.status.isInformational, interimCount <= Self.mostInterim { continue }
        if !(200..<300).contains(head.status.code) {
          finish(.proxyRefused(proxy: proxy.url.authority, status: head.status.code))
        } else if !input.isEmpty {
          // The host behind speaks TLS, and there the client speaks first: these bytes are the proxy's own.
          finish(.malformedResponse("the proxy's answer goes on after its head"))
        } else {
          finish(nil)
        }
      }
      return false
    }
  }

  private func finish(_ error: NetError?) {
    stream.owner = nil
    ended(error)
  }

  private static let mostInterim = 16
}
