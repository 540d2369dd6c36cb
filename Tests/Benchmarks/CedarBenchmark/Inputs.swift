import Cedar

/// One thing to measure: policies, entities and requests, all a pure function of a seed.
struct Input {
  var name: String
  var policies: String
  var links: [TemplateLink] = []
  var entities: [Entity] = []
  /// What a token brings; laid over the entities.
  var token: [Entity] = []
  var requests: [Request] = []
  /// What each request brings of its own, if it does.
  var resources: [[Entity]] = []
  /// What requests say again and again, and what a token says that is laid down with its entities.
  var words: [String] = []
  var tokenValue: Value?
  /// Builds a request from the bytes that came, and asks so many times.
  var draft: ((Authorizer) -> (Int, Draft, PreparedEntities, Int) -> Response)?
  /// The same as values.
  var values: ((Int) -> (Request, [Entity]))?
}

/// SplitMix64: the same numbers everywhere.
struct Seeded: RandomNumberGenerator {
  private var state: UInt64

  init(_ seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &self) }
  mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
}

func uid(_ type: String, _ id: String) -> EntityUID { EntityUID(type: EntityType(unchecked: type), id: id) }

func record(_ fields: KeyValuePairs<String, Value>) -> Record { Record(lastWins: fields.map { Record.Field($0.key, $0.value) }) }
