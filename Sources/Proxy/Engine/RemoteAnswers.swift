internal import Pipeline

/// Answers of engines elsewhere that still serve, the newest so many.
struct RemoteAnswers {
  private struct Entry {
    let answer: RemoteAnswer
    let until: UInt64
  }

  private var entries: [RemoteQuestion: Entry] = [:]
  private var order: [RemoteQuestion] = []
  private var oldest = 0

  /// The answer to an equal question, if it serves at a time.
  func answer(to question: RemoteQuestion, at now: UInt64) -> RemoteAnswer? {
    guard question.cacheMillis > 0, let entry = entries[question], now < entry.until else { return nil }
    return entry.answer
  }

  /// Keeps an answer, as long as its question allows and its token lives. What is no answer is not kept.
  mutating func keep(_ answer: RemoteAnswer, to question: RemoteQuestion, at now: UInt64, wallMillis: Int64) {
    guard question.cacheMillis > 0, case .answered = answer else { return }
    let (end, overflow) = question.expiresAt.multipliedReportingOverflow(by: 1000)
    let left = overflow ? Int64.max : max(end - wallMillis, 0)
    let until = now + min(question.cacheMillis, UInt64(left))
    guard until > now else { return }
    if entries.updateValue(Entry(answer: answer, until: until), forKey: question) == nil { order.append(question) }
    while entries.count > Defaults.remoteAnswers, oldest < order.count {
      entries[order[oldest]] = nil
      oldest += 1
    }
    if oldest > order.count / 2 {
      order.removeFirst(oldest)
      oldest = 0
    }
  }
}
