internal import HTTP
internal import Net
internal import Pipeline

/// What a worker does where clients use more than they may.
extension Worker {
  /// Takes note that a limit was reached.
  func reached(_ limit: Limit) {
    metrics.reached(limit)
    switch limit {
    case .connections, .connectionsPerPeer, .buffered, .requestsInFlight, .upstreamWaiting:
      note("\(limit.row.setting) is reached; \(limit.row.effect)", event: .limitReached)
    case .handshakes, .handshakeRate, .handshakeTimeout, .requestsPerConnection, .header, .headerCount, .target, .body, .headerTimeout,
      .idleTimeout, .bodyTimeout, .bodyRate,
      .totalTimeout,
      .connectTimeout, .responseTimeout, .upstreamConnections, .upstreamWaitingTimeout, .upstreamBreaker:
      break
    }
  }

  /// Why no further request can be taken on; nil if one can.
  var overload: Rejection? {
    if inFlight > service.limits.requestsInFlight {
      return .overloaded(.requestsInFlight, detail: "limits.requests_in_flight is reached: \(service.limits.requestsInFlight) in a worker")
    }
    return isFull ? full : nil
  }

  /// Whether more bytes are held than may be.
  var isFull: Bool { meter.bytes > service.limits.bufferedBytes }

  /// What is said then.
  var full: Rejection { .overloaded(.buffered, detail: "limits.buffered is reached: \(service.limits.bufferedBytes) bytes in a worker") }

  // MARK: - Connections

  /// Counts a connection of a peer; where it has too many, answers and closes it.
  func admit(_ peer: Peer, _ stream: ByteStream) -> Bool {
    let place = peer.place
    if let limit = service.limits.connectionsPerPeer, !place.isEmpty, peers[place, default: 0] >= limit,
      !service.snapshot.trustedProxies.include(peer)
    {
      reached(.connectionsPerPeer)
      _ = Self.tooMany.withUnsafeBytes { stream.write($0) }
      stream.closeDiscarding(limitBytes: 16 * 1024, millis: 500)
      return false
    }
    peers[place, default: 0] += 1
    return true
  }

  /// A peer has a connection less.
  func leave(_ peer: Peer) {
    let place = peer.place
    guard let count = peers[place] else { return }
    peers[place] = count > 1 ? count - 1 : nil
  }

  private static let tooMany: [UInt8] = Array(
    "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".utf8)

  /// Keeps a place for whoever comes next: at the limit, what has been idle for longest is closed, some at a time so that looking for
  /// them costs little. Where nothing is idle, or not long enough to have had its chance, nobody is accepted until something is.
  func makeRoom() {
    let limit = service.limits.connections
    if connections >= limit, !isDraining {
      if !isCrowded { reached(.connections) }
      let idle = clients.values.filter { $0.isIdle && loop.now >= $0.idleSince + Self.chanceMillis }.sorted { $0.idleSince < $1.idleSince }
      for client in idle.prefix(max(connections - limit + 1, limit / 32)) { client.makeRoom() }
    }
    let wasCrowded = isCrowded
    isCrowded = connections >= limit && !isDraining
    guard isCrowded || wasCrowded else { return }
    updateAccepting()
    if isCrowded, roomTimer == nil {
      roomTimer = loop.after(Self.roomMillis) { [unowned self] in
        roomTimer = nil
        makeRoom()
      }
    }
  }

  private static let chanceMillis: UInt64 = 1_000
  private static let roomMillis: UInt64 = 200

  /// Accepts nobody while more bytes are held than may be, and again when a quarter of them is gone.
  func restOrAccept() {
    let limit = service.limits.bufferedBytes
    guard isResting ? meter.bytes <= limit - limit / 4 : meter.bytes > limit else { return }
    isResting.toggle()
    if isResting { reached(.buffered) }
    updateAccepting()
  }

  func updateAccepting() { if isCrowded || isResting || door.isShut { listener?.pause() } else { listener?.resume() } }
}
