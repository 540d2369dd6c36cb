/// Requests that wait for one fact, each holding its connection and nothing else.
///
/// A stranger can make requests wait: any name of a key that an issuer does not have will do. So the room is bounded, and it is
/// shared by where requests come from: when it is full, whoever comes from the place that holds the most makes room for one from
/// a place that holds less. One place with many connections takes room from itself; requests of others still get theirs. What
/// is turned away is told to come again and not that its token is bad, for that was not found out.
///
/// Where everything comes from one place (a load balancer), the room is first come, first served; it holds a quarter of the
/// connections that a worker takes, so that requests which need not wait are served as ever.
struct WaitingRoom<Client: AnyObject> {
  private let limit: Int
  // Most facts have one request that waits for them: it needs no table.
  private var lone: (client: Client, origin: [UInt8])?
  private var places: [[UInt8]: [ObjectIdentifier: Client]] = [:]
  private var origins: [ObjectIdentifier: [UInt8]] = [:]

  /// A room for so many.
  init(limit: Int) { self.limit = max(limit, 1) }

  /// Whether nobody waits.
  var isEmpty: Bool { lone == nil && origins.isEmpty }

  /// How many wait.
  var count: Int { lone == nil ? origins.count : 1 }

  /// All who wait.
  var all: [Client] {
    if let lone { return [lone.client] }
    return places.values.flatMap { $0.values }
  }

  /// Takes one in, and says who has to leave for it: nobody, another, or the newcomer itself.
  mutating func admit(_ client: Client, from origin: [UInt8]) -> Client? {
    if isEmpty {
      lone = (client, origin)
      return nil
    }
    if let lone {
      self.lone = nil
      seat(lone.client, from: lone.origin)
    }
    var leaving: Client?
    if origins.count >= limit {
      let mine = places[origin]?.count ?? 0
      guard let fullest = places.max(by: { $0.value.count < $1.value.count }), fullest.value.count > mine + 1,
        let one = fullest.value.first?.value
      else { return client }
      remove(one)
      leaving = one
    }
    seat(client, from: origin)
    return leaving
  }

  private mutating func seat(_ client: Client, from origin: [UInt8]) {
    places[origin, default: [:]][ObjectIdentifier(client)] = client
    origins[ObjectIdentifier(client)] = origin
  }

  /// Lets one go.
  mutating func remove(_ client: Client) {
    if lone?.client === client { lone = nil }
    guard let origin = origins.removeValue(forKey: ObjectIdentifier(client)) else { return }
    places[origin]?[ObjectIdentifier(client)] = nil
    if places[origin]?.isEmpty ?? false { places[origin] = nil }
  }
}
