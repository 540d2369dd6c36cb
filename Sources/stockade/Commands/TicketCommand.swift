internal import Bytes
internal import FoundationEssentials
internal import Net
internal import Pipeline

/// `stockade ticket`: a signed header with which one subject on one route is told why it is decided as it is.
let ticketCommand = Command(
  name: "ticket",
  summary: "make a debug ticket: with it, one subject on one route is told all that led to its decisions",
  operand: nil,
  flags: [
    Flag("sub", "SUB", "whose requests: the token's sub, or the principal's whole id, such as 'main|alice'"),
    Flag("route", "ROUTE", "which route, as the log names it, such as '/orders/{id}'; without routes, the path"),
    Flag("ttl", "TIME", "how long it serves; default 10m"),
    Flag("key", "FILE", "the file with the key; default: the first of debug_tickets.keys in the configuration"),
    Flag("config", "FILE", "the configuration"),
  ],
  examples: ["stockade ticket --sub alice --route '/orders/{id}' --ttl 10m --key ticket-key"]
) { arguments in
  guard let subject = arguments["sub"], let route = arguments["route"], !subject.isEmpty, !route.isEmpty else {
    Terminal.error("stockade: whose, and where? stockade ticket --sub SUB --route ROUTE\n")
    return .usage
  }
  let ttl = arguments["ttl"] ?? "10m"
  guard let millis = Units.millis(ttl), millis >= 1000 else {
    Terminal.error("stockade: --ttl \(ttl): write a time from 1s on, such as 10m\n")
    return .usage
  }
  return ConfigurationFile.reporting("No ticket was made.") { () throws(ConfigurationError) in
    let tickets = try keys(arguments)
    let seconds = millis / 1000
    if arguments["key"] == nil, seconds > tickets.longestSeconds {
      throw ConfigurationError([
        "--ttl \(ttl): debug_tickets.max_ttl is \(Units.duration(tickets.longestSeconds * 1000)), and longer ones are not accepted"
      ])
    }
    guard let key = tickets.keys.first else { throw ConfigurationError(["there is no key"]) }
    let now = LoopClock.system.wallMillis() / 1000
    let ticket = DebugTicket(subject: subject, route: route, issuedAt: now, expiresAt: now &+ seconds)
    Terminal.out("\(DebugTicket.field): \(ticket.signed(with: key))\n")
    return .success
  }
}

private func keys(_ arguments: Arguments) throws(ConfigurationError) -> DebugTickets {
  if let path = arguments["key"] {
    guard let data = FileManager.default.contents(atPath: path) else { throw ConfigurationError(["--key \(path): it cannot be read"]) }
    var bytes = Array(data)
    // As ${file:…} reads a secret: without the line's end.
    if bytes.last == ASCII.lf { bytes.removeLast() }
    guard bytes.count >= 16 else { throw ConfigurationError(["--key \(path): a key has at least 16 bytes"]) }
    return DebugTickets(keys: [Secret(bytes)])
  }
  guard let tickets = try ConfigurationFile.read(arguments).configuration.debugTickets else {
    throw ConfigurationError([
      "the configuration has no debug_tickets; write debug_tickets: ['${file:ticket-key}'], or name the key: --key FILE"
    ])
  }
  return tickets
}
