public import AWS
internal import Bytes
public import Net

/// Keeps credentials fresh: one fetch at a time, in the background, before what is held ends. What is held stays in use while
/// fetching fails and it still holds.
public final class CredentialKeeper {
  /// What is known.
  public enum State: Sendable {
    /// Nothing was fetched yet.
    case unfetched
    /// Nothing usable is held, and why.
    case unavailable(String)
    /// These; until they end.
    case known(Credentials)
  }

  private let loop: EventLoop
  private let source: CredentialSource
  private let fetch: CredentialFetch
  private let changed: (State) -> Void
  private var held: Credentials?
  private var isFetching = false
  private var failures = 0
  /// Why the last fetch failed; nil if it did not.
  public private(set) var failure: String?
  private var timer: TimerID?
  private var waiting: [(Result<Credentials, CredentialError>) -> Void] = []
  private var isClosed = false

  /// A keeper; `changed` hears of every change, on the loop.
  public init(_ loop: EventLoop, source: CredentialSource, fetch: CredentialFetch, changed: @escaping (State) -> Void) {
    self.loop = loop
    self.source = source
    self.fetch = fetch
    self.changed = changed
  }

  /// Begins to fetch.
  public func start() { refresh() }

  /// Fetches nothing any more.
  public func close() {
    isClosed = true
    if let timer { loop.cancel(timer) }
    timer = nil
  }

  /// What is known now.
  public var state: State {
    if let held, !hasEnded(held) { return .known(held) }
    return failure.map { .unavailable($0) } ?? .unfetched
  }

  /// What stands between us and signing, for readiness; nil if nothing does.
  public var problem: String? {
    switch state {
    case .known: nil
    case .unfetched: "credentials are being fetched"
    case .unavailable(let why): why
    }
  }

  /// Calls back with credentials that hold: at once if there are some, else after the fetch that is under way.
  public func credentials(_ completion: @escaping (Result<Credentials, CredentialError>) -> Void) {
    if let held, !hasEnded(held) { return loop.later { completion(.success(held)) } }
    waiting.append(completion)
    refresh()
  }

  private func hasEnded(_ credentials: Credentials) -> Bool { credentials.expiresAt.map { $0 <= loop.wallSeconds } ?? false }

  private func refresh() {
    guard !isFetching, !isClosed else { return }
    isFetching = true
    if let timer { loop.cancel(timer) }
    timer = nil
    fetch.fetch(source) { [self] result in
      isFetching = false
      guard !isClosed else { return }
      switch result {
      case .success(let credentials): received(credentials)
      case .failure(let error): failed(error)
      }
      let waiting = waiting
      self.waiting = []
      for completion in waiting { completion(result) }
    }
  }

  private func received(_ fetched: Credentials) {
    failures = 0
    failure = nil
    var credentials = fetched
    let now = loop.wallSeconds
    if case .instance = source, let ends = fetched.expiresAt, ends < now + Self.refreshBeforeSeconds {
      // A machine whose metadata service has trouble gives out old credentials, and AWS then takes them for longer: what it gave is
      // used on, and asked for again in 2 to 10 minutes.
      let extended = now + Self.refreshBeforeSeconds + Int64.random(in: 120...600)
      credentials =
        Credentials(
          accessKeyID: fetched.accessKeyID, secretAccessKey: fetched.secretAccessKey.exposed, sessionToken: fetched.sessionToken?.exposed,
          expiresAt: extended) ?? fetched
    }
    guard !hasEnded(credentials) else { return failed(CredentialError(source, "the credentials that it gives have ended")) }
    held = credentials
    changed(.known(credentials))
    if let ends = credentials.expiresAt {
      // Many that started together do not ask together for ever.
      let left = max(ends - now, 1)
      let early = min(Self.refreshBeforeSeconds, left / 2) + Int64.random(in: 0...max(left / 20, 1))
      schedule(afterMillis: UInt64(max(left - early, 1)) * 1000)
    }
  }

  private func failed(_ error: CredentialError) {
    failures += 1
    failure = error.description
    changed(state)
    let pause = min(UInt64(1000) << UInt64(min(failures - 1, 5)), 30_000)
    schedule(afterMillis: pause - pause / 10 + UInt64.random(in: 0...pause / 5))
    // Whoever goes by the state must hear when what is held ends.
    if let ends = held?.expiresAt, ends > loop.wallSeconds {
      loop.after(UInt64(ends - loop.wallSeconds) * 1000) { [weak self] in
        guard let self, !isClosed, case .unavailable = state else { return }
        changed(state)
      }
    }
  }

  private func schedule(afterMillis millis: UInt64) {
    timer = loop.after(millis) { [weak self] in
      guard let self else { return }
      timer = nil
      refresh()
    }
  }

  // As botocore: from 15 minutes before the end on.
  private static let refreshBeforeSeconds: Int64 = 900
}
