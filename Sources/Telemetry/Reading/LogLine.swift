internal import Bytes
internal import Glibc
public import JSON

/// One line of a decision log, scanned without being parsed: where the values of its fields stand.
///
/// It refers to memory of whoever reads the log, and means something only while that memory stays.
public struct LogLine {
  /// The line without its end.
  public private(set) var bytes = UnsafeRawBufferPointer(start: nil, count: 0)
  // Where each field's value stands; an end of 0 for what the line lacks.
  private var starts: [Int]
  private var ends: [Int]
  private var found: UInt64 = 0

  /// A scanner; its memory is reused from line to line.
  public init() {
    starts = Array(repeating: 0, count: LogField.names.count)
    ends = starts
  }

  /// Scans a line for fields, and stops when all that are wanted are found.
  /// - Parameter wantedType: the type that the line must have, in quotes.
  /// - Returns: Whether it has; what is no JSON object has not.
  mutating func scan(_ line: UnsafeRawBufferPointer, for wanted: LogFieldSet, type wantedType: StaticString) -> Bool {
    bytes = line
    found = 0
    let needed = wanted.bits & Self.everything | 1 << UInt64(LogField.type.number)
    var scanner = LogScanner(line)
    guard scanner.take(UInt8(ascii: "{")) else { return false }
    let isWhole = scan(&scanner, in: Self.line, needed, depth: 0)
    guard isWhole || found & needed == needed, let type = raw(.type) else { return false }
    return Self.equals(wantedType, type)
  }

  // The members of an object whose brace was taken; false at a mistake, and when there is enough.
  private mutating func scan(_ scanner: inout LogScanner, in group: Group, _ needed: UInt64, depth: Int) -> Bool {
    if scanner.take(UInt8(ascii: "}")) { return true }
    // Our own lines have their fields in the order of the table, so the next one is usually the next of the table.
    var hint = 0
    while true {
      guard let key = scanner.string(), scanner.take(UInt8(ascii: ":")) else { return false }
      if depth == 0, let inner = Self.objects.first(where: { Self.equals($0.name, key) }), scanner.take(UInt8(ascii: "{")) {
        guard scan(&scanner, in: inner, needed, depth: 1) else { return false }
      } else {
        guard let value = scanner.value() else { return false }
        if let number = Self.field(key, in: group, &hint) {
          starts[number] = value.lowerBound
          ends[number] = value.upperBound
          found |= 1 << UInt64(number)
          if found & needed == needed { return false }
        }
      }
      if scanner.take(UInt8(ascii: ",")) { continue }
      return scanner.take(UInt8(ascii: "}"))
    }
  }

  private static func field(_ key: UnsafeRawBufferPointer, in group: Group, _ hint: inout Int) -> Int? {
    for _ in group.fields.indices {
      let candidate = group.fields[hint]
      hint = hint + 1 == group.fields.count ? 0 : hint + 1
      if equals(candidate.key, key) { return candidate.number }
    }
    return nil
  }

  private static func equals(_ name: StaticString, _ key: UnsafeRawBufferPointer) -> Bool {
    guard name.utf8CodeUnitCount == key.count, let base = key.baseAddress else { return false }
    return memcmp(name.utf8Start, base, key.count) == 0
  }

  // MARK: - Values

  /// The bytes of a field's value as written, quotes included; nil for what the line lacks and for null.
  func raw(_ field: LogField) -> UnsafeRawBufferPointer? {
    guard found & 1 << UInt64(field.number) != 0 else { return nil }
    let value = UnsafeRawBufferPointer(rebasing: bytes[starts[field.number]..<ends[field.number]])
    return value.elementsEqual("null".utf8) ? nil : value
  }

  /// The bytes between the quotes of a field that is a string, escapes as written.
  func escaped(_ field: LogField) -> UnsafeRawBufferPointer? {
    guard let value = raw(field), value.count >= 2, value[0] == ASCII.quote else { return nil }
    return UnsafeRawBufferPointer(rebasing: value[1..<(value.count - 1)])
  }

  /// A field's value as a person reads it: a string without quotes, a list joined by commas, anything else as written; nil for null.
  public func text(_ field: LogField) -> String? {
    guard let value = raw(field) else { return nil }
    if let plain = escaped(field), !plain.contains(ASCII.backslash) { return String(decoding: plain, as: UTF8.self) }
    guard value[0] == ASCII.quote || value[0] == UInt8(ascii: "[") else { return String(decoding: value, as: UTF8.self) }
    do throws(JSONError) {
      let json = try JSONParser.parse(value)
      if let elements = json.array { return elements.map { $0.string ?? $0.text }.joined(separator: ",") }
      return json.string ?? json.text
    } catch {
      return String(decoding: value, as: UTF8.self)
    }
  }

  /// A field's value, read; nil for what the line lacks, and for what is no JSON.
  public func json(_ field: LogField) -> JSONValue? {
    guard let value = raw(field) else { return nil }
    do throws(JSONError) { return try JSONParser.parse(value) } catch { return nil }
  }

  /// A field's value, not read yet; nil for what the line lacks.
  public func unread(_ field: LogField) -> RawJSON? { raw(field).map { RawJSON(bytes: $0) } }

  /// Appends the bytes of a field's value as written; false if there is none.
  public func appendRaw(_ field: LogField, to bytes: inout [UInt8]) -> Bool {
    guard let value = raw(field) else { return false }
    bytes.append(contentsOf: value)
    return true
  }

  /// A field that is a whole number.
  public func integer(_ field: LogField) -> Int? { raw(field).flatMap { Int(String(decoding: $0, as: UTF8.self)) } }

  // MARK: - Names

  // The fields of one object.
  private struct Group {
    let name: StaticString
    let fields: [(key: StaticString, number: Int)]

    init(_ name: StaticString) {
      self.name = name
      fields = DecisionField.leaves.enumerated().filter { $1.outer.description == name.description }.map { ($1.key, $0) }
    }
  }

  private static let everything = UInt64.max >> UInt64(64 - LogField.names.count)
  private static let line = Group("")
  private static let objects = DecisionField.all.filter { field in if case .object = field.kind { true } else { false } }.map {
    Group($0.key)
  }
}
