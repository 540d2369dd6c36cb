public import AWS
internal import Bytes
internal import FoundationEssentials
internal import HTTP
public import Net

/// Asks sources for credentials, on one loop. Nothing is kept from one fetch to the next but the id that an identity pool gave.
public final class CredentialFetch {
  /// Where services are found, and by which files and environment.
  public struct Setting: Sendable {
    /// The region whose Security Token Service is asked.
    public var region: String
    /// Whether validated hosts are wanted.
    public var fips: Bool
    /// Whether hosts with IPv6 addresses are wanted.
    public var dualStack: Bool
    /// Endpoints that were given outright.
    public var endpointURLs: [AWSService: String]

    /// A setting.
    public init(region: String, fips: Bool = false, dualStack: Bool = false, endpointURLs: [AWSService: String] = [:]) {
      self.region = region
      self.fips = fips
      self.dualStack = dualStack
      self.endpointURLs = endpointURLs
    }

    /// Where a service is in a region; nil where that region has none, or what was given is no URL.
    public func place(of service: AWSService, in region: String) -> HTTPURL? {
      let text = endpointURLs[service] ?? Endpoint(service, region: region, fips: fips, dualStack: dualStack)?.url
      guard let text else { return nil }
      do throws(NetError) { return try HTTPURL.parse(text) } catch { return nil }
    }
  }

  typealias Completion = (Result<Credentials, CredentialError>) -> Void

  private let loop: EventLoop
  private let setting: Setting
  /// Speaks to services of AWS.
  private let services: HTTPClient
  /// Speaks to metadata endpoints, whose addresses every other client refuses.
  private let metadata: HTTPClient
  private var identityIDs: [ExactString: String] = [:]

  /// A fetch on a loop; `tls` says whom https is believed, and so many connections to a place are kept for the next call.
  public init(
    _ loop: EventLoop, resolver: Resolver, tls: TLSContext, setting: Setting, proxies: HTTPProxies = HTTPProxies(), connections: Int = 2
  ) {
    self.loop = loop
    self.setting = setting
    services = HTTPClient(loop, resolver: resolver, tls: tls, rule: .noLinkLocal, proxies: proxies)
    services.limits.connectMillis = 3_000
    services.limits.totalMillis = 10_000
    services.limits.idlePerPlace = connections
    services.limits.idle = max(connections, services.limits.idle)
    metadata = HTTPClient(loop, resolver: resolver, tls: tls, rule: .any)
    metadata.limits.connectMillis = 1_000
    metadata.limits.totalMillis = 2_000
    metadata.limits.idle = 0
    metadata.limits.idlePerPlace = 0
  }

  /// Asks a source once, trying again where the source says to. The completion is called on the loop, once.
  public func fetch(_ source: CredentialSource, _ completion: @escaping (Result<Credentials, CredentialError>) -> Void) {
    switch source {
    case .keys(let keys, _): loop.later { completion(.success(keys)) }
    case .role(let role, with: let base):
      fetch(base) { [self] result in
        switch result {
        case .failure(let error): completion(.failure(error))
        case .success(let credentials): assume(role, of: source, with: credentials, completion)
        }
      }
    case .webIdentity(let identity): assume(identity, of: source, completion)
    case .process(let command, _): run(command, of: source, completion)
    case .container(let endpoint): ask(endpoint, of: source, completion)
    case .instance(let instance): ask(instance, of: source, completion)
    case .identityPool(let pool):
      let logins: [String: String]
      do throws(CredentialError) {
        logins = try pool.loginFiles.reduceLogins { path throws(CredentialError) in try text(of: path, for: source) }
      } catch {
        return loop.later { completion(.failure(error)) }
      }
      // A guest's identity is kept: every GetId would make another one.
      ask(pool, logins: logins, owner: logins.isEmpty ? "" : nil, of: source, completion)
    }
  }

  /// Asks an identity pool for the session of whoever has these tokens: providers and tokens. The identity that it gives is kept for
  /// the same `owner`, whose name nobody else has.
  public func fetch(
    _ pool: CredentialSource.IdentityPool, logins: [String: String], of owner: String,
    _ completion: @escaping (Result<Credentials, CredentialError>) -> Void
  ) {
    ask(pool, logins: logins, owner: owner, of: .identityPool(pool), completion)
  }

  // MARK: - The Security Token Service

  private func assume(
    _ role: CredentialSource.Role, of source: CredentialSource, with credentials: Credentials, _ completion: @escaping Completion
  ) {
    var form = [("Action", "AssumeRole"), ("Version", "2011-06-15"), ("RoleArn", role.arn), ("RoleSessionName", sessionName(role))]
    if let id = role.externalID { form.append(("ExternalId", id)) }
    if let seconds = role.durationSeconds { form.append(("DurationSeconds", "\(seconds)")) }
    askSTS(form, by: credentials, of: source, completion)
  }

  private func assume(_ identity: CredentialSource.WebIdentity, of source: CredentialSource, _ completion: @escaping Completion) {
    let token: String
    do throws(CredentialError) { token = try text(of: identity.tokenFile, for: source) } catch {
      return loop.later { completion(.failure(error)) }
    }
    var form = [
      ("Action", "AssumeRoleWithWebIdentity"), ("Version", "2011-06-15"), ("RoleArn", identity.role.arn),
      ("RoleSessionName", sessionName(identity.role)), ("WebIdentityToken", token),
    ]
    if let seconds = identity.role.durationSeconds { form.append(("DurationSeconds", "\(seconds)")) }
    askSTS(form, by: nil, of: source, completion)
  }

  private func sessionName(_ role: CredentialSource.Role) -> String { role.sessionName ?? "stockade-\(loop.wallSeconds)" }

  private func askSTS(
    _ form: [(String, String)], by credentials: Credentials?, of source: CredentialSource, _ completion: @escaping Completion
  ) {
    guard let (url, region) = place(of: .sts, in: setting.region) else {
      return loop.later { completion(.failure(CredentialError(source, "there is no endpoint of sts in region \(self.setting.region)"))) }
    }
    let body = Array(form.map { "\(PercentEncoding.encode($0.0.utf8))=\(PercentEncoding.encode($0.1.utf8))" }.joined(separator: "&").utf8)
    let type = "application/x-www-form-urlencoded; charset=utf-8"
    attempt(Attempt(source: source, client: services), completion) { [loop] in
      var fields = FieldBlock()
      if let credentials {
        var signer = RequestSigner(service: "sts", region: region)
        fields = signer.fields(to: url, contentType: type, target: nil, body: body, by: credentials, at: loop.wallSeconds)
      } else {
        fields.append("Content-Type", type)
      }
      return HTTPClient.Request(.post, url, fields: fields, body: body)
    } read: { response throws(WireError) in
      guard response.status == .ok else { throw WireError("") }
      return try CredentialAnswers.sts(response.body)
    } error: {
      CredentialAnswers.stsError(status: $0.status.code, $0.body)
    }
  }

  // MARK: - Cognito identity pools

  private func ask(
    _ pool: CredentialSource.IdentityPool, logins: [String: String], owner: String?, of source: CredentialSource,
    _ completion: @escaping Completion
  ) {
    guard let region = pool.region, let (url, _) = place(of: .cognitoIdentity, in: region) else {
      return loop.later { completion(.failure(CredentialError(source, "\(pool.id) is no identity pool's id, such as us-east-1:…"))) }
    }
    let key = owner.map { ExactString("\(pool.id) \($0)") }
    if let key, let id = identityIDs[key] {
      return credentials(of: id, in: pool, at: url, logins, source) { [self] result in
        // An identity that was deleted, or is another's by now: the pool is asked for the one of today.
        guard case .failure = result, identityIDs[key] == nil else { return completion(result) }
        ask(pool, logins: logins, owner: owner, of: source, completion)
      } forget: { [self] in
        identityIDs[key] = nil
      }
    }
    let body = IdentityPoolCall.getID(pool, logins: logins)
    let call = Attempt(source: source, client: services)
    attempt(
      call,
      { (result: Result<String, CredentialError>) in
        switch result {
        case .failure(let error): completion(.failure(error))
        case .success(let id):
          if let key { self.keep(id, for: key) }
          self.credentials(of: id, in: pool, at: url, logins, source, completion) {}
        }
      }
    ) {
      Self.cognito("GetId", url, body)
    } read: { response throws(WireError) in
      guard response.status == .ok else { throw WireError("") }
      return try CredentialAnswers.identityID(response.body)
    } error: {
      ServiceError.read(status: $0.status.code, header: $0.field("x-amzn-ErrorType"), body: $0.body)
    }
  }

  private func credentials(
    of id: String, in pool: CredentialSource.IdentityPool, at url: HTTPURL, _ logins: [String: String], _ source: CredentialSource,
    _ completion: @escaping Completion, forget: @escaping () -> Void
  ) {
    let body = IdentityPoolCall.getCredentials(of: id, pool, logins: logins)
    attempt(Attempt(source: source, client: services), completion) {
      Self.cognito("GetCredentialsForIdentity", url, body)
    } read: { response throws(WireError) in
      guard response.status == .ok else { throw WireError("") }
      return try CredentialAnswers.identityPool(response.body)
    } error: { response in
      let error = ServiceError.read(status: response.status.code, header: response.field("x-amzn-ErrorType"), body: response.body)
      if error.code == "ResourceNotFoundException" || error.code == Self.refusal { forget() }
      return error
    }
  }

  private func keep(_ id: String, for key: ExactString) {
    // Whoever is forgotten is asked about again.
    if identityIDs.count >= Self.mostIdentities { identityIDs.removeAll() }
    identityIDs[key] = id
  }

  private static let refusal = "NotAuthorizedException"
  private static let mostIdentities = 16_384

  private static func cognito(_ operation: String, _ url: HTTPURL, _ body: [UInt8]) -> HTTPClient.Request {
    var fields = FieldBlock()
    fields.append("Content-Type", "application/x-amz-json-1.1")
    fields.append("X-Amz-Target", "AWSCognitoIdentityService.\(operation)")
    return HTTPClient.Request(.post, url, fields: fields, body: body)
  }

  // MARK: - Beside us: programs, containers, machines

  private func run(_ command: [String], of source: CredentialSource, _ completion: @escaping Completion) {
    do throws(NetError) {
      try ProgramOutput.collect(command, on: loop, timeoutMillis: 60_000) { outcome in
        switch outcome {
        case .printed(let output):
          do throws(WireError) { completion(.success(try CredentialAnswers.process(output))) } catch {
            completion(.failure(CredentialError(source, error.description)))
          }
        case .failed(let status): completion(.failure(CredentialError(source, "the program ended with status \(status)")))
        case .notStarted(let error): completion(.failure(CredentialError(source, "the program could not be started (errno \(error))")))
        case .stopped: completion(.failure(CredentialError(source, "the program took too long or printed too much")))
        }
      }
    } catch {
      loop.later { completion(.failure(CredentialError(source, error.description))) }
    }
  }

  private func ask(_ endpoint: CredentialSource.ContainerEndpoint, of source: CredentialSource, _ completion: @escaping Completion) {
    let url: HTTPURL
    var fields = FieldBlock()
    fields.append("Accept", "application/json")
    do throws(CredentialError) {
      url = try Self.url(endpoint.url, source)
      guard ContainerHosts.allows(url) else {
        throw CredentialError(source, "plain HTTP is for this machine and for the addresses of ECS and EKS alone")
      }
      var authorization = endpoint.authorization?.exposed
      // Read again each time: EKS renews it.
      if let file = endpoint.authorizationFile { authorization = try text(of: file, for: source) }
      if let authorization, !fields.append("Authorization", authorization) {
        throw CredentialError(source, "the authorization token cannot stand in a field line")
      }
    } catch {
      return loop.later { completion(.failure(error)) }
    }
    let request = HTTPClient.Request(.get, url, fields: fields)
    var call = Attempt(source: source, client: metadata)
    call.pauseMillis = 1_000
    call.triesAgainOnAnyFailure = true
    attempt(call, completion) {
      request
    } read: { response throws(WireError) in
      guard response.status == .ok else { throw WireError("") }
      return try CredentialAnswers.metadata(response.body)
    } error: {
      ServiceError.read(status: $0.status.code, header: nil, body: $0.body)
    }
  }

  private func ask(_ instance: CredentialSource.InstanceMetadata, of source: CredentialSource, _ completion: @escaping Completion) {
    func get(_ path: String, token: String?, _ then: @escaping (Result<HTTPClient.Response, CredentialError>) -> Void) {
      let url: HTTPURL
      do throws(CredentialError) { url = try Self.url(instance.baseURL + path, source) } catch {
        return loop.later { then(.failure(error)) }
      }
      var fields = FieldBlock()
      if let token { fields.append("x-aws-ec2-metadata-token", token) }
      metadata.send(HTTPClient.Request(.get, url, fields: fields)) { result in
        switch result {
        case .failure(let error): then(.failure(CredentialError(source, error.description)))
        case .success(let response) where response.status == .ok: then(.success(response))
        case .success(let response): then(.failure(CredentialError(source, "\(path) answered \(response.status)")))
        }
      }
    }
    func role(token: String?) {
      let path = "/latest/meta-data/iam/security-credentials/"
      get(path, token: token) { result in
        let name: String
        switch result {
        case .failure(let error): return completion(.failure(error))
        case .success(let response): name = String(decoding: response.body.prefix { $0 > 0x20 && $0 < 0x7f }, as: UTF8.self)
        }
        guard !name.isEmpty, !name.contains("/") else { return completion(.failure(CredentialError(source, "the machine has no role"))) }
        get(path + name, token: token) { result in
          do throws(WireError) {
            switch result {
            case .failure(let error): completion(.failure(error))
            case .success(let response): completion(.success(try CredentialAnswers.metadata(response.body)))
            }
          } catch { completion(.failure(CredentialError(source, error.description))) }
        }
      }
    }
    let url: HTTPURL
    do throws(CredentialError) { url = try Self.url(instance.baseURL + "/latest/api/token", source) } catch {
      return loop.later { completion(.failure(error)) }
    }
    var fields = FieldBlock()
    fields.append("x-aws-ec2-metadata-token-ttl-seconds", "21600")
    metadata.send(HTTPClient.Request(.put, url, fields: fields)) { result in
      switch result {
      case .success(let response) where response.status == .ok:
        guard let token = String(validating: response.body, as: UTF8.self), !token.isEmpty else {
          return completion(.failure(CredentialError(source, "the session token is empty")))
        }
        role(token: token)
      case .success(let response) where [403, 404, 405].contains(response.status.code) && instance.allowsVersion1: role(token: nil)
      case .success(let response):
        completion(.failure(CredentialError(source, "it gives no session token of version 2, but answers \(response.status)")))
      case .failure(let error):
        if instance.allowsVersion1, case .timedOut = error { return role(token: nil) }
        completion(.failure(CredentialError(source, error.description)))
      }
    }
  }

  // MARK: - Trying

  /// How one call is tried.
  private struct Attempt {
    var source: CredentialSource
    var client: HTTPClient
    var number = 0
    /// A fixed pause between tries; nil for growing ones.
    var pauseMillis: Int?
    var triesAgainOnAnyFailure = false

    init(source: CredentialSource, client: HTTPClient) {
      self.source = source
      self.client = client
    }
  }

  private func attempt<Value>(
    _ call: Attempt, _ completion: @escaping (Result<Value, CredentialError>) -> Void, request: @escaping () -> HTTPClient.Request,
    read: @escaping (HTTPClient.Response) throws(WireError) -> Value, error: @escaping (HTTPClient.Response) -> ServiceError
  ) {
    func again(_ retryable: Retryable?, _ reason: String, isRefusal: Bool = false) {
      let kind = retryable ?? (call.triesAgainOnAnyFailure ? .transient : nil)
      guard let kind, call.number + 1 < Self.mostAttempts else {
        return completion(.failure(CredentialError(call.source, reason, isRefusal: isRefusal)))
      }
      var next = call
      next.number += 1
      let pause = call.pauseMillis ?? RetryDelay.millis(retry: call.number, kind, chance: Double.random(in: 0...1))
      loop.after(UInt64(max(pause, 1))) { [self] in attempt(next, completion, request: request, read: read, error: error) }
    }
    call.client.send(request()) { result in
      switch result {
      case .failure(let failure): again(.transient, failure.description)
      case .success(let response) where response.status != .ok:
        let error = error(response)
        again(Retryable(status: error.status, code: error.code), error.description, isRefusal: error.code == Self.refusal)
      case .success(let response):
        do throws(WireError) { completion(.success(try read(response))) } catch { again(nil, error.description) }
      }
    }
  }

  private static let mostAttempts = 3

  // MARK: - Places and files

  private func place(of service: AWSService, in region: String) -> (HTTPURL, region: String)? {
    setting.place(of: service, in: region).map { ($0, region) }
  }

  private static func url(_ text: String, _ source: CredentialSource) throws(CredentialError) -> HTTPURL {
    do throws(NetError) { return try HTTPURL.parse(text) } catch { throw CredentialError(source, error.description) }
  }

  /// The text of a token file, without the white space around it.
  private func text(of path: String, for source: CredentialSource) throws(CredentialError) -> String {
    let data: Data
    do { data = try Data(contentsOf: URL(filePath: path)) } catch { throw CredentialError(source, "\(path) cannot be read") }
    let isSpace: (UInt8) -> Bool = { $0 == ASCII.space || (0x09...0x0d).contains($0) }
    let trimmed = data.drop(while: isSpace)
    let end = trimmed.lastIndex { !isSpace($0) }.map { $0 + 1 } ?? trimmed.startIndex
    guard end > trimmed.startIndex, end - trimmed.startIndex <= Self.longestToken else {
      throw CredentialError(source, "\(path) holds no token")
    }
    return String(decoding: trimmed[trimmed.startIndex..<end], as: UTF8.self)
  }

  private static let longestToken = 131_072
}

extension [String: String] {
  /// Providers and the tokens that lie in their files.
  fileprivate func reduceLogins(_ read: (String) throws(CredentialError) -> String) throws(CredentialError) -> [String: String] {
    var logins: [String: String] = [:]
    for (provider, path) in self { logins[provider] = try read(path) }
    return logins
  }
}

/// From which hosts a container's credentials are believed over plain HTTP.
enum ContainerHosts {
  static func allows(_ url: HTTPURL) -> Bool {
    if url.isSecure || exactlyEquals(url.host, "localhost") { return true }
    guard let address = IPAddress(url.host) else { return false }
    return address.isLoopback || ["169.254.170.2", "169.254.170.23", "fd00:ec2::23"].contains { IPAddress($0) == address }
  }
}
