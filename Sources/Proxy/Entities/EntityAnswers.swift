internal import Pipeline

/// Answers of sources of entities that still serve, the newest so many.
///
/// Bounded in number and in bytes; the oldest goes first, whether it still served or not.
struct EntityAnswers {
  private struct Entry {
    let answer: EntityAnswer
    let until: UInt64
    let bytes: Int
    let number: Int
  }

  private var entries: [EntityLookup: Entry] = [:]
  // What was kept, in order; one that was kept again later is passed over at its first place.
  private var order: [(lookup: EntityLookup, number: Int)] = []
  private var oldest = 0
  private var number = 0
  private var bytes = 0

  /// The answer, if it serves at a time, and until when.
  func answer(to lookup: EntityLookup, at now: UInt64) -> (answer: EntityAnswer, until: UInt64)? {
    guard let entry = entries[lookup], now < entry.until else { return nil }
    return (entry.answer, entry.until)
  }

  /// Keeps an answer until a time.
  mutating func keep(_ answer: EntityAnswer, to lookup: EntityLookup, until: UInt64, at now: UInt64) {
    guard until > now else { return }
    number += 1
    let entry = Entry(answer: answer, until: until, bytes: lookup.url.utf8.count + Self.bytes(answer), number: number)
    if let before = entries.updateValue(entry, forKey: lookup) { bytes -= before.bytes }
    bytes += entry.bytes
    order.append((lookup, number))
    while oldest < order.count, entries.count > Defaults.entityAnswers || bytes > Defaults.entityAnswerBytes || isPassed(oldest) {
      if !isPassed(oldest), let gone = entries.removeValue(forKey: order[oldest].lookup) { bytes -= gone.bytes }
      oldest += 1
    }
    if oldest > order.count / 2 {
      order.removeFirst(oldest)
      oldest = 0
    }
    // One lookup kept again and again behind one that stays would let the list grow.
    if order.count > 2 * Defaults.entityAnswers {
      order = order[oldest...].filter { entries[$0.lookup]?.number == $0.number }
      oldest = 0
    }
  }

  private func isPassed(_ place: Int) -> Bool { entries[order[place].lookup]?.number != order[place].number }

  // What entities take is estimated by what they were made of: the text of a value, and the words around it.
  private static func bytes(_ answer: EntityAnswer) -> Int {
    switch answer {
    case .failed(let why): 64 + why.utf8.count
    case .entities(let entities, let size): 64 + entities.count * 256 + size * 10
    }
  }
}
