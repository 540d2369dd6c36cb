/// A stream's TLS handshake on its way.
final class TLSHandshake: StreamOwner {
  let stream: ByteStream
  private let ended: (Result<ByteStream, NetError>) -> Void

  init(_ stream: ByteStream, ended: @escaping (Result<ByteStream, NetError>) -> Void) {
    self.stream = stream
    self.ended = ended
    stream.owner = self
  }

  /// Sends the first bytes. Not from `init`: the outcome may come at once.
  func begin() { stream.beginHandshake() }

  func streamReady(_ stream: ByteStream, _ readiness: Readiness) {
    stream.owner = nil
    if let error = stream.handshakeFailure {
      stream.close()
      ended(.failure(error))
    } else {
      ended(.success(stream))
    }
  }
}
