import Bytes
import HTTP

/// Reads a byte string as a connection would: head, body, head, body, until the bytes end or are refused.
struct Conversation: Equatable {
  struct Message: Equatable {
    var startLine: String
    var fields: [String]
    var body: [UInt8]
    var framing: BodyFraming
    var keepAlive: Bool
  }

  enum Ending: Equatable, CustomStringConvertible {
    case whole
    case incomplete
    case refused(HTTPRefusal)
    case upgraded

    var description: String {
      switch self {
      case .whole: "whole"
      case .incomplete: "incomplete"
      case .refused(let refusal): "refused \(refusal.status.code) \(refusal.detail)"
      case .upgraded: "upgraded"
      }
    }
  }

  var messages: [Message] = []
  var ending = Ending.whole
  /// Bytes behind the last whole message.
  var rest = 0

  /// Reads requests; `step` bytes arrive at a time (nil: all at once).
  static func ofRequests(_ bytes: [UInt8], step: Int? = nil, limits: HeadLimits = HeadLimits()) -> Conversation {
    var head = RequestHead()
    return read(
      bytes, step: step, parse: { RequestHeadParser.parse($0, limits: limits, into: &head) },
      message: {
        let message = Message(
          startLine: "\(head.methodText) \(head.fields.text(head.targetRange)) 1.\(head.minorVersion)", fields: lines(head.fields),
          body: [], framing: head.framing, keepAlive: head.keepAlive)
        return (message, head.upgradeRange != nil)
      })
  }

  /// Reads responses to requests with a method.
  static func ofResponses(_ bytes: [UInt8], to method: Method = .get, upgradeOffered: Bool = false, step: Int? = nil) -> Conversation {
    var head = ResponseHead()
    return read(
      bytes, step: step,
      parse: {
        ResponseHeadParser.parse($0, limits: HeadLimits(), answering: method, upgradeOffered: upgradeOffered, into: &head)
      },
      message: {
        let message = Message(
          startLine: "\(head.status.code) \(head.fields.text(head.reasonRange)) 1.\(head.minorVersion)", fields: lines(head.fields),
          body: [], framing: head.framing, keepAlive: head.keepAlive)
        return (message, head.switchesProtocols)
      })
  }

  /// Reads messages; `message` is the one whose head was parsed last, and whether another protocol follows it.
  private static func read(
    _ bytes: [UInt8], step: Int?, parse: (UnsafeRawBufferPointer) -> HeadOutcome, message: () -> (Message, switches: Bool)
  ) -> Conversation {
    var reader = Reader(bytes, step: step)
    var out = Conversation()
    while reader.hasBytes {
      var outcome = reader.feed(parse)
      while outcome == .incomplete, reader.more() { outcome = reader.feed(parse) }
      switch outcome {
      case .incomplete:
        out.ending = .incomplete
        return out
      case .refused(let refusal):
        out.ending = .refused(refusal)
        return out
      case .complete(let consumed):
        reader.take(consumed)
        var (message, switches) = message()
        if let ending = reader.body(message.framing, into: &message.body) {
          out.ending = ending
          return out
        }
        out.messages.append(message)
        out.rest = reader.left
        if switches {
          out.ending = .upgraded
          return out
        }
        if !message.keepAlive { return out }
      }
    }
    return out
  }

  private static func lines(_ fields: FieldSection) -> [String] {
    fields.lines.map { "\(fields.text($0.name)): \(fields.text($0.value))" }
  }
}

/// Bytes that arrive in pieces.
private struct Reader {
  let bytes: [UInt8]
  let step: Int?
  var taken = 0
  var arrived: Int

  init(_ bytes: [UInt8], step: Int?) {
    self.bytes = bytes
    self.step = step
    arrived = step.map { min($0, bytes.count) } ?? bytes.count
  }

  var hasBytes: Bool { taken < bytes.count }
  var left: Int { bytes.count - taken }

  func feed<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
    bytes.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[taken..<max(taken, arrived)])) }
  }

  mutating func more() -> Bool {
    guard let step, arrived < bytes.count else { return false }
    arrived = min(arrived + step, bytes.count)
    return true
  }

  mutating func take(_ count: Int) {
    taken += count
    arrived = max(arrived, taken)
    if let step, arrived == taken { arrived = min(arrived + step, bytes.count) }
  }

  /// Reads a body; nil if it is whole.
  mutating func body(_ framing: BodyFraming, into out: inout [UInt8]) -> Conversation.Ending? {
    switch framing {
    case .none: return nil
    case .untilClose:
      out += bytes[taken...]
      take(left)
      return nil
    case .length(let length):
      guard UInt64(left) >= length else { return .incomplete }
      out += bytes[taken..<taken + Int(length)]
      take(Int(length))
      return nil
    case .chunked:
      var decoder = ChunkedDecoder()
      while true {
        let window = arrived - taken
        switch feed({ decoder.next($0) }) {
        case .needMore:
          taken += window
          if !more() { return .incomplete }
        case .data(let range):
          out += feed { Array($0[range]) }
          taken += range.upperBound
        case .end(let consumed):
          taken += consumed
          if let step, arrived == taken { arrived = min(arrived + step, bytes.count) }
          return nil
        case .refused(let refusal): return .refused(refusal)
        }
      }
    }
  }
}
