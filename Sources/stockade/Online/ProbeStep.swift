internal import Bytes
internal import JSON
internal import Net

/// One thing that `check --online` tried, and how it went.
struct ProbeStep {
  /// Of what: `issuer main`, `upstream`.
  let subject: String
  /// What was tried: `DNS`, `TCP`, `TLS`, `discovery`, `keys`.
  let what: String
  let isGood: Bool
  /// What was found, or what went wrong.
  let detail: String
  /// What to do about it.
  var help: String?
  let millis: UInt64

  /// The line, and below it the help, of a table whose columns are as wide as given.
  func text(subjectWidth: Int) -> String {
    func padded(_ text: String, _ width: Int) -> String { text + String(repeating: " ", count: max(1, width - text.unicodeScalars.count)) }
    let subject = padded(Diagnostic.printable(subject), subjectWidth)
    let line = "\(isGood ? "ok      " : "failed  ")\(subject)\(padded(what, 11))\(Diagnostic.printable(detail))  (\(millis) ms)\n"
    return line + (help.map { "        help: \(Diagnostic.printable($0))\n" } ?? "")
  }

  var json: JSONValue {
    var members: [JSONValue.Member] = [
      .init(name: "subject", value: .string(subject)), .init(name: "step", value: .string(what)),
      .init(name: "status", value: .string(isGood ? "ok" : "failed")), .init(name: "millis", value: .integer(Int64(clamping: millis))),
      .init(name: "detail", value: .string(detail)),
    ]
    if let help { members.append(.init(name: "help", value: .string(help))) }
    return JSONValue(.object(members))
  }
}

/// What to do about a fault of the network, for the person who wrote the configuration.
enum NetAdvice {
  static func help(for error: NetError) -> String? {
    switch error {
    case .unresolved: "is the name right, and does this machine's resolver know it? getent hosts NAME asks the same"
    case .connectFailed: "is it running there, and is the port right?"
    case .unreachable(_, let last): help(for: last)
    case .timedOut: "does a firewall drop what is sent there?"
    case .addressRefused: "name the server by an address that is its own"
    case .tls(let failure): help(for: failure.kind)
    case .closedEarly, .connectionLost: "does it speak this protocol on this port?"
    case .malformedResponse: "does it speak HTTP on this port?"
    case .system, .invalidAddress, .invalidURL, .invalidRequest, .listenFailed, .responseTooLarge, .proxyRefused, .closed: nil
    }
  }

  /// Whether a fault's sentence says where it was.
  static func namesPlace(_ error: NetError) -> Bool {
    switch error {
    case .unresolved, .connectFailed, .unreachable, .addressRefused, .proxyRefused: true
    case .timedOut, .tls, .closedEarly, .connectionLost, .malformedResponse, .responseTooLarge, .system, .invalidAddress, .invalidURL,
      .invalidRequest, .listenFailed, .closed:
      false
    }
  }

  private static func help(for kind: TLSFailure.Kind) -> String? {
    switch kind {
    case .certificateExpired: "the certificate must be renewed there; is this machine's clock right?"
    case .certificateNotYetValid: "is this machine's clock right?"
    case .wrongName: "name the server as its certificate does"
    case .untrusted:
      "this machine's roots do not know who issued the certificate: install ca-certificates, or name a file with SSL_CERT_FILE"
    case .badCertificate: "the certificate must be replaced there"
    case .handshake, .session, .plainHTTP, .nothing: "does it speak TLS 1.2 or 1.3 on this port?"
    case .configuration: nil
    }
  }
}
