internal import Bytes
internal import Crypto

/// Refresh tokens that were given out: opaque to everyone but the issuer, bounded in number, the oldest forgotten first.
struct RefreshTokens {
  static let limit = 10_000

  private var sessions: [ExactString: Session] = [:]
  private var order: [ExactString] = []
  private var first = 0

  mutating func issue(for session: Session) -> String {
    let token = Base64URL.encode(RandomBytes.make(48))
    let key = ExactString(token)
    sessions[key] = session
    order.append(key)
    while order.count - first > Self.limit {
      sessions[order[first]] = nil
      first += 1
    }
    if first > Self.limit {
      order.removeFirst(first)
      first = 0
    }
    return token
  }

  func session(of token: String) -> Session? { sessions[ExactString(token)] }

  mutating func revoke(_ token: String) { sessions[ExactString(token)] = nil }

  mutating func revokeAll(of user: String) { sessions = sessions.filter { !exactlyEquals($0.value.user.name, user) } }

  var count: Int { sessions.count }
}
