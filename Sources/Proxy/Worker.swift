internal import AWSClient
internal import Bytes
internal import HTTP
internal import JOSE
internal import Net
internal import Pipeline
internal import Telemetry

/// One thread of the data plane: one loop, one listener, its connections. Nothing in here is shared, and a connection never
/// moves to another worker.
///
/// Together with `Pipeline.swift` this is where to read what happens to a request: `accepted` → `ClientConnection` (parse)
/// → the page → `write` (log) → forward or refuse.
final class Worker {
  let index: Int
  let loop: EventLoop
  let log: DecisionLogPort
  private(set) var service: Service
  var headLimits: HeadLimits { service.headLimits }
  let facts: Facts
  /// What its connections hold in memory.
  let meter = Meter()
  /// What assertions are signed with; nil if there are none.
  private(set) var assertionKeys: AssertionKeys?
  private(set) var isDraining = false

  let control: Mailbox<ControlMessage>
  let metrics: WorkerMetrics
  private let spans: SpanPort?
  private let instance: String
  private(set) var listener: Listener?
  private var ids = DecisionIDGenerator()
  private(set) var clients: [ObjectIdentifier: ClientConnection] = [:]
  private var answers = EntityAnswers()
  private var decisions = RemoteAnswers()
  private let resolver: Resolver
  var peers: [[UInt8]: Int] = [:]
  private(set) var inFlight = 0
  // Whether all connections are taken and none of them is idle; whether more bytes are held than may be.
  var isCrowded = false
  var isResting = false
  var roomTimer: TimerID?
  private(set) lazy var door = TLSDoor(self)
  private var greetings: [ObjectIdentifier: ProxyGreeting] = [:]
  private var parked: [Dependency: WaitingRoom<Waiter>] = [:]
  // Strangers can make any number of tokens to be asked about: whoever waits for a word on one shares one room.
  private var asking = WaitingRoom<Waiter>(limit: Defaults.waitingRequests)
  private var doubtedAt: [Int: UInt64] = [:]
  private var woken: [Waiter] = []
  private var isWaking = false
  private var buffers: [[UInt8]] = []
  private var failureNotedAt: UInt64 = 0
  var otherProtocolNotedAt: [HTTPRefusal: UInt64] = [:]
  private var differencesSince: UInt64 = 0
  private var differences = 0
  private var remoteHits = 0

  /// How often one connection may read before others get their turn.
  static let roundsPerTurn = 16
  // How many requests that waited are decided in one turn: others have not waited, and should not begin to.
  private static let wakingsPerTurn = 32
  // The ring fetches once an interval, whatever it is told; this only keeps its mailbox short.
  private static let doubtMillis: UInt64 = 500
  // 16 KiB a read was the fastest measured for relaying bodies, and keeps a turn short.
  private static let readBytes = 16 * 1024

  init(_ setup: WorkerSetup, loop: EventLoop) throws(NetError) {
    index = setup.index
    self.loop = loop
    loop.wallOffsetMillis = setup.clockOffsetMillis
    log = setup.log.port()
    control = setup.control
    metrics = WorkerMetrics(setup.metrics.shard())
    spans = setup.tracing?.port()
    instance = setup.instance
    assertionKeys = setup.assertionKeys
    let used = setup.usedProofs
    facts = Facts(
      issuers: setup.plan.snapshot.issuers.issuers.count, cacheKey: setup.cacheKey,
      proofs: ProofMemory(nonces: setup.nonces) { proof, now, window in
        do throws(DPoPError) {
          try used.withLock { (used: inout DPoPReplayGuard) throws(DPoPError) in try used.admit(proof, now: now, window: window) }
          return nil
        } catch {
          return error
        }
      })
    facts.stopwatch = LoopClock.monotonicNanos
    facts.learn(setup.plan.revocations)
    resolver = try Resolver(loop, limits: setup.resolverLimits, lookup: setup.lookup)
    service = try Service(setup.plan, after: nil, resolver: resolver, loop: loop)
    listener = try Listener(loop, at: setup.listen, options: Self.listenerOptions(setup)) { [unowned self] fd, peer in
      accepted(fd, from: peer)
    }
    listener?.acceptFailed = { [unowned self] error in note(error.description, event: .acceptFailed) }
    try setup.mailbox.attach(to: loop) { [unowned self] message in received(message) }
    loop.onTurnEnd = { [unowned self] in endTurn() }
  }

  // Of an address each worker has a socket of its own, over which the kernel spreads connections. A socket that was handed over has
  // one queue, which wakes every worker that waits: whoever is first takes one connection and leaves the next to the others.
  // (EPOLLEXCLUSIVE would wake only one, and always the same while it is idle: connections that live long would all be with it.)
  private static func listenerOptions(_ setup: WorkerSetup) -> Listener.Options {
    var options = Listener.Options()
    guard setup.sharesPlace || setup.sharesPort else { return options }
    switch setup.listen {
    case .address: options.reusePort = true
    case .socket: options.acceptsPerTurn = 1
    }
    return options
  }

  /// Where it listens, the real port included.
  var address: SocketAddress? { listener?.address }

  // MARK: - Accept

  private func accepted(_ fd: Int32, from peer: SocketAddress) {
    do throws(NetError) {
      let tls = service.plan.expectsProxyHeader ? nil : service.plan.tls?.context
      let stream = try ByteStream(loop, fd: fd, peer: peer, tls: tls)
      if service.plan.expectsProxyHeader {
        let greeting = ProxyGreeting(stream, peer: Peer(peer), worker: self)
        greetings[ObjectIdentifier(greeting)] = greeting
        greeting.begin()
      } else {
        let peer = Peer(peer)
        guard admit(peer, stream) else { return }
        if tls == nil {
          let client = ClientConnection(stream, peer: peer, worker: self)
          clients[ObjectIdentifier(client)] = client
        } else {
          metrics.connections(1)
          door.begin(stream, from: peer)
          return makeRoom()
        }
      }
      metrics.connections(1)
      makeRoom()
    } catch {
      note(error.description, event: .acceptFailed)
    }
  }

  /// A proxy has said whom a connection is from, and what came after that is the client's.
  func greeted(_ greeting: ProxyGreeting, _ stream: ByteStream, from peer: Peer, with bytes: ByteQueue) {
    guard greetings.removeValue(forKey: ObjectIdentifier(greeting)) != nil else { return }
    guard admit(peer, stream) else { return connectionEnded() }
    guard let tls = service.plan.tls?.context else { return serve(stream, from: peer, received: bytes) }
    let failure: NetError? = bytes.withBytes { bytes in
      do throws(NetError) { try stream.startTLS(accepting: tls, received: bytes) } catch { return error }
      return nil
    }
    guard let failure else { return door.begin(stream, from: peer) }
    note(failure.description, event: .handshakeFailed)
    stream.close()
    left(peer)
  }

  /// A client has done its handshake.
  func greeted(_ stream: ByteStream, from peer: Peer) { serve(stream, from: peer, received: ByteQueue()) }

  private func serve(_ stream: ByteStream, from peer: Peer, received bytes: ByteQueue) {
    let client = ClientConnection(stream, peer: peer, worker: self, received: bytes)
    clients[ObjectIdentifier(client)] = client
    if isDraining { client.drain() }
    client.proceed()
  }

  /// A connection that counted has ended before it was a client's.
  func left(_ peer: Peer) {
    leave(peer)
    connectionEnded()
  }

  /// A connection whose proxy said nothing that can be read is no more.
  func forget(_ greeting: ProxyGreeting, because why: String?) {
    guard greetings.removeValue(forKey: ObjectIdentifier(greeting)) != nil else { return }
    if let why {
      metrics.proxyHeaderRefused()
      note(why, event: .proxyHeaderRefused)
    }
    connectionEnded()
  }

  /// A client's connection is no more.
  func forget(_ client: ClientConnection) {
    guard clients.removeValue(forKey: ObjectIdentifier(client)) != nil else { return }
    leave(client.exchange.peer)
    unpark(client)
    connectionEnded()
  }

  var connections: Int { clients.count + greetings.count + door.count }

  private func connectionEnded() {
    metrics.connections(-1)
    if isCrowded { makeRoom() }
    if isDraining, connections == 0 { control.post(.drained(worker: index)) }
  }

  // MARK: - What the page needs

  /// The next decision's name.
  func nextID() -> DecisionID { ids.next(milliseconds: UInt64(max(loop.wallMillis, 0))) }

  /// Keeps an exchange until a fact arrives, and asks for the fact.
  func park(_ client: Waiter, until dependency: Dependency) {
    let isFirst = parked[dependency]?.isEmpty ?? true
    if case .introspection = dependency, let leaving = asking.admit(client, from: client.origin) {
      unpark(leaving)
      leaving.turnedAway()
      guard leaving !== client else { return }
    }
    let turnedAway = parked[dependency, default: WaitingRoom(limit: Defaults.waitingRequests)].admit(client, from: client.origin)
    if isFirst {
      switch dependency {
      case .keys(let issuer): control.post(.wantKeys(issuer: issuer))
      case .loadBalancerKey(let question): control.post(.wantLoadBalancerKey(question))
      case .introspection(let question): control.post(.wantIntrospection(question))
      case .entities(let lookup): control.post(.wantEntities(lookup, worker: index))
      case .decision(let question): ask(question)
      case .credentials(let question): control.post(.wantCredentials(question, worker: index))
      case .body: break
      }
    }
    turnedAway?.turnedAway()
  }

  /// Lets requests go on that waited, some in this turn and the others in the next ones.
  private func wake(_ clients: [Waiter]) {
    woken += clients
    guard !isWaking, !woken.isEmpty else { return }
    isWaking = true
    wakeSome()
  }

  private func wakeSome() {
    let batch = woken.prefix(Self.wakingsPerTurn)
    woken.removeFirst(batch.count)
    for client in batch { client.goOn() }
    guard !woken.isEmpty else {
      isWaking = false
      return
    }
    loop.later { [unowned self] in wakeSome() }
  }

  // One question for all that wait for its answer.
  private func ask(_ question: RemoteQuestion) {
    guard service.engines.indices.contains(question.engine) else { return }
    let beganAt = LoopClock.monotonicNanos()
    service.engines[question.engine].ask(question.call, body: question.body) { [weak self] outcome in
      guard let self else { return }
      let answer: RemoteAnswer
      switch outcome {
      case .answered(let given): answer = .answered(given)
      case .failed(let why):
        answer = .failed(why)
        note(why, event: .engineFailed)
      case .timedOut(let why):
        answer = .timedOut(why)
        note(why, event: .engineFailed)
      }
      metrics.remote(answer, micros: Int(clamping: (LoopClock.monotonicNanos() - beganAt) / 1000))
      if question.generation == service.snapshot.generation {
        decisions.keep(answer, to: question, at: loop.now, wallMillis: loop.wallMillis)
      }
      let waiting = parked.removeValue(forKey: .decision(question))?.all ?? []
      for client in waiting where client.isWaiting { client.received(answer) }
    }
  }

  /// Asks another engine about a decision that was made: in the background, within that engine's own bounds of time and number.
  func compare(_ comparison: Comparison, of exchange: Exchange) {
    switch comparison.other {
    case .local(let verdict): compared(comparison, verdict, exchange)
    case .remote(let question):
      guard service.engines.indices.contains(question.engine) else { return }
      service.engines[question.engine].ask(question.call, body: question.body) { [weak self] outcome in
        guard case .answered(let answer) = outcome else {
          self?.metrics.compared(nil)
          return
        }
        self?.compared(comparison, comparison.verdict(answer), exchange)
      }
    }
  }

  private func compared(_ comparison: Comparison, _ verdict: Comparison.Verdict, _ exchange: Exchange) {
    let difference = comparison.difference(verdict)
    metrics.compared(difference)
    guard difference != .same else { return }
    if var record = exchange.record(of: comparison, verdict, wallMillis: UInt64(max(loop.wallMillis, 0))) {
      record.instance = instance
      log.write(record, in: log.reserve())
    }
    if loop.now >= differencesSince + 1000 { (differencesSince, differences) = (loop.now, 0) }
    differences += 1
    // All are counted; so many a second are told.
    guard differences <= 100 else { return }
    control.post(.differs(decision: exchange.id.description, decider: comparison.decider, own: comparison.own, other: verdict, difference))
  }

  /// What another engine answered to an equal question, if that still serves.
  func answer(to question: RemoteQuestion) -> RemoteAnswer? {
    guard let answer = decisions.answer(to: question, at: loop.now) else { return nil }
    remoteHits += 1
    return answer
  }

  /// A signature was not that of the key it names. That key may be another one by now, under its old name: a fresh copy of the set is
  /// asked for. The token was refused all the same: forgeries are common, and the names of keys are rarely used again.
  func doubtKeys(of issuer: Int) {
    guard loop.now >= (doubtedAt[issuer] ?? 0) else { return }
    doubtedAt[issuer] = loop.now &+ Self.doubtMillis
    control.post(.wantKeys(issuer: issuer))
  }

  /// A parked exchange waits no longer.
  func unpark(_ client: Waiter) {
    guard let dependency = client.waitsFor else { return }
    asking.remove(client)
    parked[dependency]?.remove(client)
    if parked[dependency]?.isEmpty ?? false { parked[dependency] = nil }
  }

  /// What is remembered of a lookup.
  func answer(to lookup: EntityLookup) -> EntityAnswer? {
    guard let answer = answers.answer(to: lookup, at: loop.now) else { return nil }
    metrics.entityHit()
    return answer.answer
  }

  /// Takes note of bytes of bodies that are held until they are decided on, or no longer; false if they are too many.
  func hold(_ bytes: Int) -> Bool {
    meter.bytes += bytes
    metrics.heldBodies(bytes)
    return !isFull
  }

  private func received(_ message: WorkerMessage) {
    switch message {
    case .keys(let keys, let issuer):
      let before = facts.generation(of: issuer)
      facts.learn(keys, of: issuer)
      wake(parked.removeValue(forKey: .keys(issuer: issuer))?.all ?? [])
      if facts.generation(of: issuer) != before { reviewStreams() }
    case .loadBalancerKey(let question, let answer):
      facts.learn(answer, to: question)
      wake(parked.removeValue(forKey: .loadBalancerKey(question))?.all ?? [])
    case .introspected(let question, let answer):
      facts.learn(answer, to: question, at: loop.wallSeconds)
      let waiting = parked.removeValue(forKey: .introspection(question))?.all ?? []
      for client in waiting { asking.remove(client) }
      wake(waiting)
    case .revoke(let list):
      facts.learn(list)
      reviewStreams()
    case .sign(let keys): assertionKeys = keys
    case .entities(let lookup, let answer, let until):
      if lookup.generation == service.snapshot.generation { answers.keep(answer, to: lookup, until: until, at: loop.now) }
      let waiting = parked.removeValue(forKey: .entities(lookup))?.all ?? []
      for client in waiting where client.isWaiting { client.received(answer) }
    case .credentials(let state, let engine, let generation):
      guard generation == service.snapshot.generation, service.engines.indices.contains(engine) else { break }
      service.engines[engine].credentials = state
    case .signing(let question, let answer):
      facts.learn(answer, to: question)
      wake(parked.removeValue(forKey: .credentials(question))?.all ?? [])
    case .adopt(let plan, let keys, let credentials): adopt(plan, keys, credentials)
    case .health(let upstream, let address, let isDown, let generation):
      guard generation == service.snapshot.generation, service.upstreams.indices.contains(upstream) else { break }
      let pools = service.upstreams[upstream].pools
      if pools.indices.contains(address) { pools[address].standing.isDown = isDown }
    case .answer: control.post(.answered(worker: index))
    case .drain: drain()
    case .cutOff:
      for greeting in Array(greetings.values) { greeting.close(because: nil) }
      door.closeAll()
      for client in Array(clients.values) { client.cutOff() }
    case .stop:
      log.flush()
      spans?.flush()
      metrics.publish()
      loop.stop()
    }
  }

  // MARK: - Reloading

  /// Serves by another load from the next request on. Exchanges that are forwarded finish by the one they began with; those
  /// that wait for a fact have not been decided, and begin anew.
  private func adopt(_ plan: ServicePlan, _ keys: [IssuerKeys], _ credentials: [CredentialKeeper.State]) {
    do throws(NetError) {
      let successor = try Service(plan, after: service, resolver: resolver, loop: loop)
      service.retire(for: successor)
      service = successor
      for (engine, state) in zip(successor.engines, credentials) {
        // What still holds serves until the new load has fetched its own.
        if case .unfetched = state { continue }
        engine.credentials = state
      }
    } catch {
      control.post(.adoptionFailed(worker: index, error.description))
      return
    }
    facts.adopt(keys)
    facts.learn(plan.revocations)
    answers = EntityAnswers()
    decisions = RemoteAnswers()
    parked = [:]
    asking = WaitingRoom(limit: Defaults.waitingRequests)
    doubtedAt = [:]
    for client in Array(clients.values) where client.phase == .parked || client.phase == .collecting { client.beginAnew() }
    reviewStreams()
    control.post(.adopted(worker: index, generation: plan.snapshot.generation))
  }

  // What was allowed under other policies, tokens or keys is asked about again.
  private func reviewStreams() { wake(clients.values.compactMap(\.review)) }

  // MARK: - What connections share

  /// A buffer to read into, for one call: whoever reads uses the bytes before anyone reads again.
  var readBuffer: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(rebasing: loop.scratch[..<Self.readBytes]) }

  /// A buffer to write into; to be given back.
  func takeBuffer() -> [UInt8] { buffers.popLast() ?? [] }

  /// Takes a buffer back.
  func giveBack(_ buffer: consuming [UInt8]) {
    guard buffers.count < 4, buffer.capacity <= 128 * 1024 else { return }
    if !buffer.isEmpty { buffer.removeAll(keepingCapacity: true) }
    buffers.append(buffer)
  }

  /// Field lines of ours in a relayed response.
  func responseFields(for exchange: borrowing Exchange) -> FieldBlock {
    var fields = FieldBlock(capacity: 64)
    fields.append(IdentityHeaders.decisionID, exchange.id)
    if let explanation = Explanations.field(for: exchange) { fields.append(DebugTicket.explanationField, explanation) }
    if let nonce = exchange.nonce(facts) { fields.append("DPoP-Nonce", nonce) }
    return fields
  }

  // MARK: - Log and count

  /// Counts a decision: once an exchange, whether its record is written or not.
  func count(_ counted: borrowing CountedDecision) { metrics.count(counted) }

  /// Writes a decision's record: called once an exchange, from one place.
  func write(_ record: inout DecisionRecord, _ trace: RequestTrace?, _ facts: SpanFacts, in slot: DecisionLogPort.Slot?) {
    record.instance = instance
    if let spans, let trace { spans.write(record, trace, facts) }
    log.write(record, in: slot)
  }

  /// Writes the record of a decision about a stream that had begun: the part of its trace that is ours was told then.
  func write(ofStream record: inout DecisionRecord) {
    record.instance = instance
    log.write(record, in: log.reserve())
  }

  /// Begins a request's part of a trace; nil where traces are off.
  func beginTrace(_ head: borrowing RequestHead) -> RequestTrace? { spans?.begin(head.fields) }

  func requestsInFlight(_ change: Int) { inFlight += change }
  func upstreamConnections(_ change: Int) { metrics.upstreamConnections(change) }
  func countUpstreamFault(_ fault: UpstreamFault) { metrics.count(fault) }

  /// No connection to the upstream could be made.
  func upstreamFailed(_ error: NetError, at url: HTTPURL) {
    if case .timedOut = error { metrics.reached(.connectTimeout) }
    // What is wrong with a certificate does not say whose it is.
    var why = error.description
    if case .tls = error { why = "\(url): \(why)" }
    note(why, event: error.isExhaustion ? .descriptorsFew : .upstreamUnreachable)
  }

  /// An address of a service is left out for a while.
  func ejected(_ address: String, of upstream: String) {
    metrics.ejected(of: upstream)
    control.post(.failed(.upstreamEjected, "\(address) of \(upstream) is left out for a while: too many requests in a row got no answer"))
  }

  /// A service is not asked for a while.
  func circuitOpened(_ upstream: String) {
    control.post(.failed(.circuitOpened, "\(upstream) is not asked for a while: too many requests in a row got no answer"))
  }

  func note(_ why: String, event: ControlMessage.Event) {
    // Once a second at most: what fails for one request fails for all of them.
    guard failureNotedAt == 0 || loop.now >= failureNotedAt + 1000 else { return }
    failureNotedAt = loop.now
    control.post(.failed(event, why))
  }

  private func endTurn() {
    log.flush()
    spans?.flush()
    metrics.tokenCache(hits: facts.cacheHits, misses: facts.cacheMisses)
    metrics.remoteHits(facts.decisionHits + remoteHits)
    metrics.requestsInFlight(inFlight)
    metrics.buffered(meter.bytes)
    metrics.publish()
    restOrAccept()
  }

  // MARK: - Leaving

  private func drain() {
    guard !isDraining else { return }
    isDraining = true
    listener?.closeGracefully()
    listener = nil
    for upstream in service.upstreams { upstream.closeIdle() }
    for client in Array(clients.values) { client.drain() }
    if connections == 0 { control.post(.drained(worker: index)) }
  }
}

extension Peer {
  /// Whom a connection comes from.
  init(_ address: SocketAddress) {
    guard let ip = address.ip else {
      self.init(address: nil, octets: [])
      return
    }
    self.init(address: ip.description, octets: ip.octets)
  }
}
