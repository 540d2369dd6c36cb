public import AWS
internal import HTTP
public import JSON
public import Net

/// Why an operation of Verified Permissions came to nothing.
public enum StoreCallError: Error, Sendable, CustomStringConvertible {
  /// The service refused it.
  case service(ServiceError)
  /// Nobody answered, or nothing that can be believed.
  case failed(String)

  /// One sentence; never a secret.
  public var description: String {
    switch self {
    case .service(let error): "the service answered \(error)"
    case .failed(let why): why
    }
  }

  /// The name of the service's error.
  public var code: String? { if case .service(let error) = self { error.code } else { nil } }
}

/// Calls operations of Verified Permissions that read and change stores. Patient, where questions about requests are not: what the
/// service asks to wait for is waited for.
public final class PolicyStoreCalls {
  /// What came of a call.
  public typealias Completion = (Result<JSONValue, StoreCallError>) -> Void

  private let loop: EventLoop
  private let client: HTTPClient
  private let url: HTTPURL
  private let keeper: CredentialKeeper
  private var signer: RequestSigner
  private var skew = ClockSkew()
  private let attempts: Int

  /// Calls of a service at a URL, signed by what a keeper has.
  public init(
    _ loop: EventLoop, resolver: Resolver, tls: TLSContext, at url: HTTPURL, region: String, credentials: CredentialKeeper,
    attempts: Int = 8
  ) {
    self.loop = loop
    self.url = url
    self.attempts = attempts
    keeper = credentials
    signer = RequestSigner(service: AWSService.verifiedPermissions.rawValue, region: region)
    var limits = HTTPClient.Limits()
    limits.connectMillis = 3_000
    // A hundred policies of ten kilobytes, escaped.
    limits.bodyBytes = 16 << 20
    limits.idleMillis = 20_000
    client = HTTPClient(loop, resolver: resolver, tls: tls, rule: .noLinkLocal, limits: limits)
  }

  /// Calls an operation. The completion is called once, never from within this call.
  public func call(_ operation: String, _ input: JSONValue, _ completion: @escaping Completion) {
    attempt(operation, Array(input.text.utf8), tries: 1, completion)
  }

  /// Gives up what is kept alive.
  public func retire() { client.closeIdle() }

  private func attempt(_ operation: String, _ body: [UInt8], tries: Int, _ completion: @escaping Completion) {
    keeper.credentials { [self] result in
      switch result {
      case .failure(let error): completion(.failure(.failed("no credentials: \(error)")))
      case .success(let keys):
        var fields = signer.fields(
          to: url, contentType: Self.contentType, target: "VerifiedPermissions.\(operation)", body: body, by: keys,
          at: loop.wallSeconds + skew.offset)
        fields.append("Accept-Encoding", "identity")
        client.send(HTTPClient.Request(.post, url, fields: fields, body: body)) { [self] result in
          switch result {
          case .failure(let error): again(operation, body, tries, .transient, .failed(error.description), nil, completion)
          case .success(let response): received(response, operation, body, tries, completion)
          }
        }
      }
    }
  }

  private func received(
    _ response: HTTPClient.Response, _ operation: String, _ body: [UInt8], _ tries: Int, _ completion: @escaping Completion
  ) {
    let named = response.field("x-amzn-ErrorType")
    guard response.status == .ok, named == nil else {
      let error = ServiceError.read(status: response.status.code, header: named, body: response.body)
      if skew.learn(code: error.code, message: error.message, date: response.field("Date"), at: loop.wallSeconds), tries < attempts {
        return attempt(operation, body, tries: tries + 1, completion)
      }
      let pause = response.field("x-amz-retry-after").flatMap { Int64($0) }
      return again(operation, body, tries, Retryable(status: error.status, code: error.code), .service(error), pause, completion)
    }
    guard let type = response.field("Content-Type"), type == Self.contentType, !response.head.fields.has(.contentEncoding) else {
      return completion(.failure(.failed("the answer to \(operation) is not of the type \(Self.contentType)")))
    }
    let json: JSONValue
    do throws(JSONError) { json = try JSONParser.parse(response.body, limits: .init(depth: 32, bytes: 16 << 20)) } catch {
      return completion(.failure(.failed("the answer to \(operation) is no JSON: \(error)")))
    }
    guard json.object != nil, json["__type"] == nil else {
      return completion(.failure(.failed("the answer to \(operation) is no structure")))
    }
    completion(.success(json))
  }

  private func again(
    _ operation: String, _ body: [UInt8], _ tries: Int, _ retryable: Retryable?, _ error: StoreCallError, _ pause: Int64?,
    _ completion: @escaping Completion
  ) {
    guard let retryable, tries < attempts else { return completion(.failure(error)) }
    let millis = RetryDelay.millis(retry: tries - 1, retryable, chance: Double.random(in: 0.5...1), retryAfterMillis: pause)
    loop.after(UInt64(max(millis, 1))) { [self] in attempt(operation, body, tries: tries + 1, completion) }
  }

  private static let contentType = "application/x-amz-json-1.0"
}
