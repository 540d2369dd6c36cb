internal import HTTP

/// What is still to come of a message's body on one connection: where its data lies in the bytes that arrive, and where it ends.
struct BodyReader {
  private enum Left {
    case nothing
    case octets(UInt64)
    case chunks(ChunkedDecoder)
    case everything
  }

  private var left: Left
  /// The lines behind the chunks, once they are over.
  private(set) var trailers: [UInt8] = []

  init(_ framing: BodyFraming, limits: ChunkedDecoder.Limits) {
    switch framing {
    case .none: left = .nothing
    case .length(let count): left = count == 0 ? .nothing : .octets(count)
    case .chunked: left = .chunks(ChunkedDecoder(limits: limits, keepsTrailers: true))
    case .untilClose: left = .everything
    }
  }

  /// Whether the body is over.
  var isEnded: Bool { if case .nothing = left { true } else { false } }
  /// Whether the body is over when the connection is.
  var endsWithConnection: Bool { if case .everything = left { true } else { false } }

  /// Reads on in bytes that were not read before; as `ChunkedDecoder.next`, for every framing.
  mutating func next(_ bytes: UnsafeRawBufferPointer) -> ChunkedDecoder.Step {
    switch left {
    case .nothing: return .end(consumed: 0)
    case .everything: return bytes.isEmpty ? .needMore : .data(0..<bytes.count)
    case .octets(let count):
      guard !bytes.isEmpty else { return .needMore }
      let taken = Int(min(count, UInt64(bytes.count)))
      left = count == UInt64(taken) ? .nothing : .octets(count - UInt64(taken))
      return .data(0..<taken)
    case .chunks(var decoder):
      // The decoder moves out and back in, so that it is never copied with its buffer shared.
      left = .nothing
      let step = decoder.next(bytes)
      if case .end = step {
        trailers = decoder.trailers
        return step
      }
      left = .chunks(decoder)
      return step
    }
  }
}

/// Moves a body from the bytes of one connection to another, from one framing to another.
struct BodyRelay {
  /// What became of some bytes.
  enum Outcome {
    /// All were used; the body goes on.
    case more
    /// The body ended within them; so many were used.
    case ended(consumed: Int)
    /// They are not a body; so many were used before that.
    case refused(HTTPRefusal)
    /// They are more than may come.
    case tooLarge
  }

  var reader: BodyReader
  var asChunks: Bool
  /// How many octets may still come; nil for no bound.
  var left: UInt64?

  /// Whether the body is over.
  var isEnded: Bool { reader.isEnded }

  init(from framing: BodyFraming, asChunks: Bool, limits: ChunkedDecoder.Limits = ChunkedDecoder.Limits()) {
    reader = BodyReader(framing, limits: limits)
    self.asChunks = asChunks
  }

  /// Relays bytes. What is sent is first collected behind what `out` holds already, or lent to `send` directly where a copy can be
  /// spared; `out` is empty afterwards, unless nothing was sent.
  ///
  /// - Parameter trailers: appends those of the lines behind the chunks that go on.
  mutating func relay(
    _ bytes: UnsafeRawBufferPointer, collecting out: inout [UInt8], trailers: ([UInt8], inout [UInt8]) -> Void,
    send: (UnsafeRawBufferPointer) -> Void
  ) -> Outcome {
    var rest = bytes
    defer {
      if !out.isEmpty {
        out.withUnsafeBytes(send)
        out.removeAll(keepingCapacity: true)
      }
    }
    while true {
      switch reader.next(rest) {
      case .needMore: return .more
      case .refused(let refusal): return .refused(refusal)
      case .end(let consumed):
        if asChunks { appendEnd(to: &out, trailers) }
        return .ended(consumed: bytes.count - rest.count + consumed)
      case .data(let range):
        let data = UnsafeRawBufferPointer(rebasing: rest[range])
        rest = UnsafeRawBufferPointer(rebasing: rest[range.upperBound...])
        if let left {
          guard UInt64(data.count) <= left else { return .tooLarge }
          self.left = left - UInt64(data.count)
        }
        if asChunks {
          ChunkedEncoder.appendChunk(data, to: &out)
        } else if out.isEmpty {
          send(data)
        } else {
          out.append(contentsOf: data)
        }
      }
    }
  }

  private func appendEnd(to out: inout [UInt8], _ trailers: ([UInt8], inout [UInt8]) -> Void) {
    guard !reader.trailers.isEmpty else { return out.append(contentsOf: ChunkedEncoder.end) }
    out.append(contentsOf: ChunkedEncoder.lastChunk)
    trailers(reader.trailers, &out)
    out.append(contentsOf: ChunkedEncoder.lineEnd)
  }
}
