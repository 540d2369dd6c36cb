internal import Bytes
internal import CSystem
public import HTTP

/// Turns host names into addresses for one loop; the blocking lookups run on threads of their own.
///
/// An answer is used as it is for its life, `refreshMillis` where none is known; then it is still used, and renewed in the
/// background; from six lives on callers wait for the new one. If renewing fails, the last good answer stands until `lostMillis`.
/// Lookups of one name at one time are one lookup.
public final class Resolver {
  /// How long answers are used.
  public struct Limits: Sendable {
    /// How long an answer without a life of its own is used as it is.
    public var refreshMillis: UInt64 = 10_000
    /// The shortest and the longest life that is believed.
    public var lifeMillis: ClosedRange<UInt64> = 1_000...300_000
    /// Younger ones are used if no new one can be had.
    public var lostMillis: UInt64 = 3_600_000
    /// How many names are remembered.
    public var names = 1024
    /// How many lookups run at one time; more wait their turn.
    public var lookups = 16
    /// How long a caller waits for a lookup.
    public var lookupMillis: UInt64 = 10_000

    /// The defaults.
    public init() {}
  }

  /// What a lookup gave.
  public struct Found: Sendable {
    /// The addresses, in order of preference; not empty.
    public var addresses: [IPAddress]
    /// How long they hold, where a name server has said it.
    public var lifeMillis: UInt64?

    /// An answer.
    public init(_ addresses: [IPAddress], lifeMillis: UInt64? = nil) {
      self.addresses = addresses
      self.lifeMillis = lifeMillis
    }
  }

  /// Looks a name up, blocking, on a thread of the resolver's.
  public typealias Lookup = @Sendable (_ host: String) -> Result<Found, NetError>

  private final class Entry {
    var addresses: [IPAddress] = []
    var resolvedAt: UInt64?
    var lifeMillis: UInt64 = 0
    var isDoubted = false
    var waiting: [(Result<[IPAddress], NetError>) -> Void] = []
    var isLookingUp = false
    var lastUsed: UInt64 = 0
  }

  private struct Answer: Sendable {
    let host: ExactString
    let result: Result<Found, NetError>
  }

  private let loop: EventLoop
  private let limits: Limits
  private let lookup: Lookup
  private let answers: Mailbox<Answer>
  private var slot: MailboxSlot?
  private var entries: [ExactString: Entry] = [:]
  private var queue: [ExactString] = []
  private var running = 0

  /// A resolver of a loop.
  public init(_ loop: EventLoop, limits: Limits = Limits(), lookup: @escaping Lookup = Resolver.system) throws(NetError) {
    self.loop = loop
    self.limits = limits
    self.lookup = lookup
    answers = try Mailbox()
    slot = try answers.attach(to: loop) { [weak self] in self?.receive($0) }
  }

  deinit { slot?.detach() }

  /// Gives the addresses of a host: at once for an address literal, `localhost` (RFC 6761 §6.3) and what is remembered,
  /// else later. Never both.
  public func resolve(_ host: String, completion: @escaping (Result<[IPAddress], NetError>) -> Void) {
    if let literal = IPAddress(host) { return completion(.success([literal.unmapped])) }
    if ASCII.equalsIgnoringCase(host.utf8, "localhost".utf8) { return completion(.success([.loopbackV4, .loopbackV6])) }
    guard Self.isName(host) else {
      return completion(.failure(.unresolved(host: host, reason: "it is neither a host name nor an address")))
    }
    let key = ExactString(host)
    let entry = entries[key] ?? Entry()
    entry.lastUsed = loop.now
    entries[key] = entry
    if let resolvedAt = entry.resolvedAt, !entry.isDoubted, loop.now - resolvedAt < entry.lifeMillis * Self.staleLives {
      if loop.now - resolvedAt >= entry.lifeMillis { start(key, entry) }
      return completion(.success(entry.addresses))
    }
    let wait = Wait(completion)
    entry.waiting.append { wait.finish($0) }
    wait.timer = loop.after(limits.lookupMillis) { [limits] in
      wait.finish(.failure(.unresolved(host: host, reason: "no answer within \(limits.lookupMillis) ms")))
    }
    wait.loop = loop
    start(key, entry)
    forgetOldest()
  }

  /// Makes the next call look the name up again: its addresses turned out to be of no use.
  public func doubt(_ host: String) {
    guard let entry = entries[ExactString(host)], let resolvedAt = entry.resolvedAt else { return }
    // Not more often than once a second, whoever doubts.
    if loop.now - resolvedAt >= 1000 { entry.isDoubted = true }
  }

  private final class Wait {
    var completion: ((Result<[IPAddress], NetError>) -> Void)?
    var timer: TimerID?
    var loop: EventLoop?

    init(_ completion: @escaping (Result<[IPAddress], NetError>) -> Void) { self.completion = completion }

    func finish(_ result: Result<[IPAddress], NetError>) {
      guard let completion else { return }
      self.completion = nil
      if let timer { loop?.cancel(timer) }
      timer = nil
      completion(result)
    }
  }

  // MARK: - Lookups

  private func start(_ host: ExactString, _ entry: Entry) {
    guard !entry.isLookingUp else { return }
    entry.isLookingUp = true
    guard running < limits.lookups else { return queue.append(host) }
    run(host)
  }

  private func run(_ host: ExactString) {
    running += 1
    let lookup = lookup
    let answers = answers
    do throws(NetError) {
      // A thread a lookup: a name server that does not answer holds up nobody else's names.
      try startThread(name: "resolver", stackBytes: 512 * 1024) {
        answers.post(Answer(host: host, result: lookup(host.string)))
      }.detach()
    } catch {
      // The answer must not come before `resolve` has returned.
      loop.later { [weak self] in self?.receive(Answer(host: host, result: .failure(error))) }
    }
  }

  private func receive(_ answer: Answer) {
    running -= 1
    if !queue.isEmpty { run(queue.removeFirst()) }
    guard let entry = entries[answer.host] else { return }
    entry.isLookingUp = false
    let result: Result<[IPAddress], NetError>
    switch answer.result {
    case .success(let found):
      entry.addresses = found.addresses
      let life = found.lifeMillis ?? limits.refreshMillis
      entry.lifeMillis = min(max(life, limits.lifeMillis.lowerBound), limits.lifeMillis.upperBound)
      entry.resolvedAt = loop.now
      entry.isDoubted = false
      result = .success(found.addresses)
    case .failure(let error):
      if let resolvedAt = entry.resolvedAt, loop.now - resolvedAt < limits.lostMillis {
        result = .success(entry.addresses)
      } else {
        result = .failure(error)
      }
    }
    let waiting = entry.waiting
    entry.waiting = []
    if entry.resolvedAt == nil { entries[answer.host] = nil }
    for completion in waiting { completion(result) }
  }

  private func forgetOldest() {
    guard entries.count > limits.names else { return }
    let idle = entries.filter { !$0.value.isLookingUp }
    if let oldest = idle.min(by: { $0.value.lastUsed < $1.value.lastUsed }) { entries[oldest.key] = nil }
  }

  private static let staleLives: UInt64 = 6

  // RFC 1123 §2.1, with the underscore that private networks use. What is not a name never reaches the system.
  private static func isName(_ host: String) -> Bool {
    let bytes = host.utf8
    guard !bytes.isEmpty, bytes.count <= 253, bytes.first != UInt8(ascii: "-"), bytes.first != UInt8(ascii: ".") else { return false }
    return bytes.allSatisfy {
      ASCII.isAlpha($0) || ASCII.isDigit($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "_")
    }
  }

  /// The system's resolver (getaddrinfo): hosts file, name servers, order of preference.
  public static let system: Lookup = { host in
    let capacity = 32
    return withUnsafeTemporaryAllocation(of: csystem_address.self, capacity: capacity) { buffer in
      guard let start = buffer.baseAddress else { return .failure(.unresolved(host: host, reason: "no memory")) }
      let count = csystem_resolve(host, start, Int32(capacity))
      if count < 0 {
        let reason = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 128) { text -> String in
          guard let at = text.baseAddress else { return "error \(count)" }
          csystem_resolve_error_text(count, at, text.count)
          return String(cString: at)
        }
        return .failure(.unresolved(host: host, reason: reason))
      }
      let addresses = (0..<Int(count)).compactMap { SocketAddress(buffer[$0]).ip }
      guard !addresses.isEmpty else { return .failure(.unresolved(host: host, reason: "it has no address")) }
      return .success(Found(addresses, lifeMillis: lifeMillis(of: host, addresses)))
    }
  }
}
