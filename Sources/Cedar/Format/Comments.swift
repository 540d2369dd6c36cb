internal import Bytes

/// The comments of a text, each with the token it belongs to.
///
/// Between two tokens, what stands before the first line feed trails the token before; every comment after it leads the
/// token behind. What follows the last token's line belongs to no token: it closes the file.
struct Comments {
  private let source: [UInt8]
  private let tokens: [Token]

  /// `tokens` ends with the `.end` token.
  init(source: [UInt8], tokens: [Token]) {
    self.source = source
    self.tokens = tokens
  }

  /// The comments that lead a token; for the `.end` token, those that close the file.
  func leading(_ token: Int) -> [Range<Int>] {
    let gap = gap(before: token)
    guard token > 0 else { return comments(in: gap) }
    guard let feed = gap.first(where: { source[$0] == ASCII.lf }) else { return [] }
    return comments(in: feed + 1..<gap.upperBound)
  }

  /// The comment that trails a token; empty if there is none.
  func trailing(_ token: Int) -> Range<Int> {
    let gap = gap(before: token + 1)
    let end = gap.first { source[$0] == ASCII.lf } ?? gap.upperBound
    return trimmed(gap.lowerBound..<end)
  }

  private func gap(before token: Int) -> Range<Int> {
    guard token < tokens.count else { return source.count..<source.count }
    return (token > 0 ? tokens[token - 1].span.end : 0)..<tokens[token].span.start
  }

  private func comments(in range: Range<Int>) -> [Range<Int>] {
    var found: [Range<Int>] = []
    var at = range.lowerBound
    while at + 1 < range.upperBound {
      guard source[at] == UInt8(ascii: "/"), source[at + 1] == UInt8(ascii: "/") else {
        at += 1
        continue
      }
      var end = at
      while end < range.upperBound, source[end] != ASCII.lf, source[end] != ASCII.cr { end += 1 }
      found.append(trimmed(at..<end))
      at = end
    }
    return found
  }

  private func trimmed(_ range: Range<Int>) -> Range<Int> {
    var start = range.lowerBound
    var end = range.upperBound
    while start < end, let length = spaceLength(at: start, before: end) { start += length }
    trailing: while start < end {
      for length in 1...3 where end - length >= start && spaceLength(at: end - length, before: end) == length {
        end -= length
        continue trailing
      }
      break
    }
    return start..<end
  }

  /// The length of the white-space character at an offset, Unicode's `White_Space`; nil if there is none.
  private func spaceLength(at offset: Int, before end: Int) -> Int? {
    let byte = source[offset]
    if byte < 0x80 { return byte == ASCII.space || (0x09...0x0d).contains(byte) ? 1 : nil }
    let second = offset + 1 < end ? source[offset + 1] : 0
    let third = offset + 2 < end ? source[offset + 2] : 0
    switch (byte, second, third) {
    case (0xc2, 0x85, _), (0xc2, 0xa0, _): return 2
    case (0xe1, 0x9a, 0x80), (0xe2, 0x80, 0x80...0x8a), (0xe2, 0x80, 0xa8...0xa9), (0xe2, 0x80, 0xaf), (0xe2, 0x81, 0x9f),
      (0xe3, 0x80, 0x80):
      return 3
    default: return nil
    }
  }
}
