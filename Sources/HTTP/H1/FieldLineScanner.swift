internal import Bytes

/// Reads the field lines of a head, RFC 9112 §5, from where the last call stopped to the empty line.
///
/// Bounds: every load below is at an index shown to be less than `bytes.count`, which is at most the limit of a head.
enum FieldLineScanner {
  /// Longest field name.
  static let longestName = 256

  enum Outcome {
    /// All bytes are used and the empty line is not among them.
    case incomplete
    /// The empty line ends here.
    case end(Int)
  }

  /// Appends the lines that are whole to `fields`.
  static func scan(
    _ bytes: UnsafeRawBufferPointer, limits: HeadLimits, progress: inout HeadProgress, into fields: inout FieldSection
  ) throws(HTTPRefusal) -> Outcome {
    try TokenTable.classes.withUnsafeBufferPointer { classes throws(HTTPRefusal) in
      try KnownField.table.withUnsafeBufferPointer { table throws(HTTPRefusal) in
        try scan(bytes, limits: limits, progress: &progress, into: &fields, classes: classes, table: table)
      }
    }
  }

  private static func scan(
    _ bytes: UnsafeRawBufferPointer, limits: HeadLimits, progress: inout HeadProgress, into fields: inout FieldSection,
    classes: UnsafeBufferPointer<UInt8>, table: UnsafeBufferPointer<KnownField.Entry>
  ) throws(HTTPRefusal) -> Outcome {
    let count = bytes.count
    var line = progress.line
    while true {
      var nameEnd: Int
      var from: Int
      var aliasing: Bool
      if progress.scanned > line {
        // The name of this line was read by an earlier call.
        nameEnd = progress.nameEnd
        from = progress.scanned
        aliasing = progress.aliasing
      } else {
        progress.line = line
        guard line < count else { return .incomplete }
        var index = line
        var seen: UInt8 = 0
        while index < count {
          let kind = classes[Int(bytes[index])]
          if kind == 0 { break }
          seen |= kind
          index += 1
        }
        guard index - line <= longestName else { throw .fieldNameTooLong }
        guard index < count else { return .incomplete }
        if bytes[index] != UInt8(ascii: ":") || index == line {
          guard index == line, bytes[index] == ASCII.cr else {
            throw nameRefusal(bytes, line: line, at: index)
          }
          guard index + 1 < count else { return .incomplete }
          guard bytes[index + 1] == ASCII.lf else { throw .bareCR }
          return .end(index + 2)
        }
        nameEnd = index
        from = index + 1
        aliasing = seen & TokenTable.aliasing != 0
      }

      let stop = ByteScan.endOfFieldValue(bytes, from: from)
      guard stop + 1 < count else {
        if stop < count, bytes[stop] != ASCII.cr { throw controlRefusal(bytes[stop]) }
        progress.scanned = stop
        progress.nameEnd = nameEnd
        progress.aliasing = aliasing
        return .incomplete
      }
      guard bytes[stop] == ASCII.cr else { throw controlRefusal(bytes[stop]) }
      guard bytes[stop + 1] == ASCII.lf else { throw .bareCR }

      guard fields.lines.count < limits.fieldLines else { throw .tooManyFields }
      var start = nameEnd + 1
      while start < stop, bytes[start] == ASCII.space || bytes[start] == ASCII.tab { start += 1 }
      var end = stop
      while end > start, bytes[end - 1] == ASCII.space || bytes[end - 1] == ASCII.tab { end -= 1 }
      let known = KnownField.classify(UnsafeRawBufferPointer(rebasing: bytes[line..<nameEnd]), in: table)
      let endsHere = known.bit & KnownField.hopByHop != 0 || (aliasing && isAlias(bytes, line..<nameEnd, in: table))
      fields.note(known)
      fields.lines.append(
        FieldLine(
          nameOffset: UInt32(truncatingIfNeeded: line), valueOffset: UInt32(truncatingIfNeeded: start),
          valueLength: UInt32(truncatingIfNeeded: end - start), nameLength: UInt16(truncatingIfNeeded: nameEnd - line), known: known,
          traits: endsHere ? .hopByHop : []))
      line = stop + 2
      progress.line = line
      progress.scanned = 0
    }
  }

  /// Whether a name that is no known one would be after `_` and `.` are read as `-`: what some upstreams would read as a
  /// second Content-Length or X-Forwarded-For never gets there.
  private static func isAlias(_ bytes: UnsafeRawBufferPointer, _ name: Range<Int>, in table: UnsafeBufferPointer<KnownField.Entry>) -> Bool
  {
    guard name.count <= KnownField.longest else { return false }
    let folded = bytes.part(name).map { $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: ".") ? UInt8(ascii: "-") : $0 }
    return folded.withUnsafeBytes { KnownField.classify($0, in: table) != .other }
  }

  /// Why a line does not begin with a token and a colon.
  private static func nameRefusal(_ bytes: UnsafeRawBufferPointer, line: Int, at index: Int) -> HTTPRefusal {
    switch bytes[index] {
    case ASCII.space, ASCII.tab: index == line ? .obsFold : .whitespaceBeforeColon
    case ASCII.lf: .bareLF
    case 0: .nulByte
    default: .fieldNameInvalid
    }
  }

  /// Which control byte stands in a value.
  static func controlRefusal(_ byte: UInt8) -> HTTPRefusal {
    switch byte {
    case ASCII.cr: .bareCR
    case ASCII.lf: .bareLF
    case 0: .nulByte
    default: .controlByte
    }
  }
}
