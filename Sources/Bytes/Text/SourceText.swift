/// A text with a name that messages point into: a policy file, a schema, the configuration.
public struct SourceText: Sendable {
  /// What the text is called in messages, usually a path as the person wrote it.
  public let name: String
  /// The text, UTF-8 as far as it is valid.
  public let bytes: [UInt8]
  // Offset of the first byte of each line; never empty.
  private let lineStarts: [Int]

  /// A named text. Lines end at LF; a CR before it belongs to the line end.
  public init(name: String, bytes: some Sequence<UInt8>) {
    self.name = name
    self.bytes = Array(bytes)
    var starts = [0]
    for (offset, byte) in self.bytes.enumerated() where byte == ASCII.lf { starts.append(offset + 1) }
    self.lineStarts = starts
  }

  /// A named text.
  public init(name: String, _ text: String) { self.init(name: name, bytes: text.utf8) }

  /// How many lines the text has, at least 1; a final LF starts one more, empty line.
  public var lineCount: Int { lineStarts.count }

  /// A place as people count it.
  public struct Position: Sendable, Equatable, CustomStringConvertible {
    /// The line, from 1.
    public var line: Int
    /// The column in Unicode scalars, from 1.
    public var column: Int

    /// A place; both numbers from 1.
    public init(line: Int, column: Int) {
      self.line = line
      self.column = column
    }

    /// `line:column`.
    public var description: String { "\(line):\(column)" }
  }

  /// The place of a byte offset; offsets outside the text are moved to its nearer end.
  public func position(of offset: Int) -> Position {
    let offset = clamp(offset)
    let line = lineIndex(of: offset)
    let scalars = bytes[lineStarts[line]..<offset].reduce(0) { $1 & 0xc0 == 0x80 ? $0 : $0 + 1 }
    return Position(line: line + 1, column: scalars + 1)
  }

  /// The bytes of a line counted from 1, without its line end; empty for a line that does not exist.
  public func range(ofLine line: Int) -> Range<Int> {
    guard line >= 1, line <= lineStarts.count else { return bytes.count..<bytes.count }
    let start = lineStarts[line - 1]
    var end = line < lineStarts.count ? lineStarts[line] - 1 : bytes.count
    if end > start, bytes[end - 1] == ASCII.cr { end -= 1 }
    return start..<end
  }

  /// An offset moved into the text and to the start of the scalar it points into.
  func clamp(_ offset: Int) -> Int {
    var offset = min(max(offset, 0), bytes.count)
    while offset > 0, offset < bytes.count, bytes[offset] & 0xc0 == 0x80 { offset -= 1 }
    return offset
  }

  private func lineIndex(of offset: Int) -> Int {
    var low = 0
    var high = lineStarts.count - 1
    while low < high {
      let middle = (low + high + 1) / 2
      if lineStarts[middle] <= offset { low = middle } else { high = middle - 1 }
    }
    return low
  }
}
