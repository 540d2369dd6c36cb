/// Every number that has a default, with its unit and reason.
public enum Defaults {
  /// Loopback: reachable from outside only when somebody says so.
  public static let listen = "127.0.0.1:8080"
  /// Loopback; may be bound wider, it carries no data.
  public static let opsListen = "127.0.0.1:9902"
  /// What challenges call the protected space.
  public static let realm = "stockade"
  /// No delay: right for one instance on a host; a load balancer that polls `/readyz` wants some seconds.
  public static let drainDelayMillis: UInt64 = 0
  /// Long enough for nearly every request, shorter than the usual 30 s before SIGKILL.
  public static let drainTimeoutMillis: UInt64 = 25_000
  /// What a request may wait for an engine elsewhere, all tries together; a decision in the same region takes some 10 ms.
  public static let remoteTimeoutMillis: UInt64 = 1000
  /// One try: two of them fit.
  public static let remoteAttemptMillis: UInt64 = 400
  /// A part of it: a host in the region answers within a few milliseconds.
  public static let remoteConnectMillis: UInt64 = 300
  /// As AWS's own clients.
  public static let remoteAttempts = 3
  /// A store takes 200 questions a second; more at a time than this only wait there.
  public static let remoteConcurrency = 64
  /// Those that wait longer than their timeout are refused anyway.
  public static let remoteQueue = 1024
  /// How much longer than the engine's own time a request waits, so that the engine says what became of it.
  public static let remoteGraceMillis: UInt64 = 1000
  /// Answers that a worker remembers; the oldest go first.
  public static let remoteAnswers = 10_000
  /// A head that takes longer is an attack or a broken client.
  public static let headTimeoutMillis: UInt64 = 10_000
  /// How long an idle client connection is kept.
  public static let idleTimeoutMillis: UInt64 = 75_000
  /// How long connecting to the upstream may take.
  public static let connectTimeoutMillis: UInt64 = 2_000
  /// How long the upstream may take to begin its response.
  public static let responseTimeoutMillis: UInt64 = 60_000
  /// How long a tunnel of another protocol may be silent on both sides.
  public static let tunnelIdleMillis: UInt64 = 600_000
  /// How long a body may pause, either way.
  public static let bodyIdleTimeoutMillis: UInt64 = 60_000
  /// How long an idle upstream connection is kept: shorter than common servers' own limits (nginx 75 s, node 5 s).
  public static let upstreamIdleMillis: UInt64 = 4_000
  /// How many connections to an address of the upstream a worker opens at most.
  public static let upstreamConnections = 1024
  /// How many requests of a worker may wait for one of those connections, and how long: a short burst passes, and nobody waits for
  /// an answer that comes when the client has given up.
  public static let upstreamWaiting = 1024
  /// See `upstreamWaiting`.
  public static let upstreamWaitingMillis: UInt64 = 1_000
  /// How many failures in a row leave an address out, for how long the first time, and how many of a hundred at most.
  public static let ejectionFailures = 5
  /// See `ejectionFailures`.
  public static let ejectionMillis: UInt64 = 10_000
  /// See `ejectionFailures`.
  public static let ejectionPercent = 50
  /// How many requests in a row that got no answer are no accident.
  public static let breakerFailures = 10
  /// Short: whoever is well again is found so at once, and asking once a second is no load.
  public static let breakerOpenMillis: UInt64 = 1_000
  /// How often each address is asked whether it is well, how long that may take, and how many answers change the mind.
  public static let healthIntervalMillis: UInt64 = 5_000
  /// See `healthIntervalMillis`.
  public static let healthTimeoutMillis: UInt64 = 2_000
  /// See `healthIntervalMillis`.
  public static let healthFailures = 3
  /// See `healthIntervalMillis`.
  public static let healthSuccesses = 2
  /// How many addresses one service may have.
  public static let upstreamAddresses = 64
  /// How many client connections are served at most.
  public static let clientConnections = 10_000
  /// TLS handshakes of clients under way at one time.
  public static let handshakes = 1_000
  /// TLS handshakes of clients begun in a second: what two cores can do beside their other work.
  public static let handshakesPerSecond = 1_000
  /// How long a TLS handshake of a client may take.
  public static let handshakeTimeoutMillis: UInt64 = 10_000
  /// How many requests a connection carries: often enough for any client, and a worker that got too many of them loses them again.
  public static let requestsPerConnection = 10_000
  /// How many requests are decided or forwarded at one time: none waits for another where each connection has one.
  public static let requestsInFlight = 10_000
  /// Bytes of a head (decisions: a token of 32 KiB must pass).
  public static let headBytes = 64 * 1024
  /// Field lines of a head.
  public static let fieldLines = 128
  /// Bytes of a request target.
  public static let targetBytes = 8 * 1024
  /// The slowest a body may be, in bytes a second: slower than any modem, faster than whoever only wants to hold a connection.
  public static let bodyRate: UInt64 = 240
  /// How long it may be slower, in milliseconds.
  public static let bodyRateGraceMillis: UInt64 = 20_000
  /// Bytes of clients and services that are held in memory, in all.
  public static let bufferedBytes = 256 << 20
  /// How long an address of the hosts file is used.
  public static let dnsRefreshMillis: UInt64 = 10_000
  /// How long a request may wait for keys: for its turn, and then for the fetch.
  public static let keysWaitMillis: UInt64 = 10_000
  /// How many requests of a worker may wait for one issuer's keys.
  public static let waitingRequests = clientConnections / 4
  /// How old a proof of possession may be, in seconds.
  public static let proofAgeSeconds: Int64 = 60
  /// The largest body that is read before the decision, in bytes: a form, not a file.
  public static let bodyFieldsBytes: UInt64 = 64 << 10
  /// How long such a body may take to arrive.
  public static let bodyFieldsMillis: UInt64 = 30_000
  /// How long a request waits for entities.
  public static let entitiesTimeoutMillis: UInt64 = 500
  /// How long an answer of a source of entities serves.
  public static let entitiesCacheMillis: UInt64 = 10_000
  /// How long "there is none", and a failure, serve at most: what is made or mended is seen soon.
  public static let entitiesAbsentMillis: UInt64 = 1_000
  /// The largest answer in bytes.
  public static let entitiesBytes: Int64 = 64 << 10
  /// How many lookups are on their way at once, and how many more may wait for their turn.
  public static let entityCalls = 64
  /// See `entityCalls`.
  public static let entityCallsWaiting = 1024
  /// How many answers are kept, by the process and by each worker, and how many bytes of them.
  public static let entityAnswers = 4096
  /// See `entityAnswers`.
  public static let entityAnswerBytes = 16 << 20
  /// How long an idle connection is kept while the process leaves: a request that is on its way still gets its answer.
  public static let drainIdleMillis: UInt64 = 500
  /// How much a client may still send after a refusal, in bytes, before its connection is cut; and for how long.
  public static let discardBytes = 1 << 20
  /// See `discardBytes`.
  public static let discardMillis: UInt64 = 2_000
  /// Allowance for clocks that differ, in seconds.
  public static let clockSkewSeconds: Int64 = 60
  /// The longest lifetime of a token, in seconds: no Cognito token lives longer than a day.
  public static let maximumLifetimeSeconds: Int64 = 86_400
  /// How often keys are fetched anew, in seconds.
  public static let keysRefreshSeconds: Int64 = 3_600
  /// The shortest life of keys that is believed, in seconds: whatever an issuer says, it is not asked all the time.
  public static let keysShortestLifeSeconds: Int64 = 60
  /// Not more often than this an unknown `kid` causes a fetch, in milliseconds.
  public static let keysMinimumIntervalMillis: UInt64 = 5_000
  /// How long the last good keys serve while fetching fails, in seconds, counted from when they were due.
  public static let keysMaximumStaleSeconds: Int64 = 86_400
  /// The largest body whose hash is signed where a route says no other bound, and the largest bound that it may say.
  public static let signedBodyBytes: UInt64 = 1 << 20
  /// See `signedBodyBytes`.
  public static let largestSignedBodyBytes: UInt64 = 16 << 20
  /// How many callers' sessions are kept, by the process and by each worker.
  public static let callerSessions = 4096
  /// How many sessions are asked for at once, and how many more may wait for their turn.
  public static let sessionCalls = 64
  /// See `sessionCalls`.
  public static let sessionCallsWaiting = 2048
  /// How long before it ends a session is replaced, in seconds: a signature serves for five minutes, and what it is made with as long.
  public static let sessionEndsEarlySeconds: Int64 = 60
  /// How long a failure to get credentials is believed, in seconds; and how long an identity pool's refusal.
  public static let credentialsFailedSeconds: Int64 = 1
  /// See `credentialsFailedSeconds`.
  public static let credentialsRefusedSeconds: Int64 = 10
}
