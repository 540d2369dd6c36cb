public import Cedar
public import JSON

/// Values as the Verified Permissions API writes them: an object with exactly one member that says the kind.
public enum AttributeValue {
  /// Writes a value. Fails only for a moment that has no text: outside the years 0000 to 9999.
  public static func write(_ value: Value, to out: inout JSONWriter) throws(WireError) {
    out.beginObject()
    switch value {
    case .bool(let flag):
      out.name("boolean")
      out.bool(flag)
    case .long(let number):
      out.name("long")
      out.integer(number)
    case .string(let text):
      out.name("string")
      out.string(text)
    case .entity(let uid):
      out.name("entityIdentifier")
      write(uid, to: &out)
    case .set(let set):
      out.name("set")
      out.beginArray()
      for element in set.elements { try write(element, to: &out) }
      out.endArray()
    case .record(let record):
      out.name("record")
      try write(record, to: &out)
    case .ip(let address):
      out.name("ipaddr")
      out.string(address.spelling ?? address.canonical)
    case .decimal(let number):
      out.name("decimal")
      out.string(number.spelling ?? number.canonical)
    case .datetime(let moment):
      out.name("datetime")
      out.string(try text(moment))
    case .duration(let span):
      out.name("duration")
      out.string(span.spelling ?? "\(span.milliseconds)ms")
    case .unknown: throw WireError("an unknown has no value that could be sent")
    }
    out.endObject()
  }

  /// Writes a record as a map of names to values.
  public static func write(_ record: Record, to out: inout JSONWriter) throws(WireError) {
    out.beginObject()
    for field in record.fields {
      out.name(field.key)
      try write(field.value, to: &out)
    }
    out.endObject()
  }

  /// Writes an entity's name.
  public static func write(_ uid: EntityUID, to out: inout JSONWriter) {
    out.beginObject()
    out.name("entityType")
    out.string(uid.type.text)
    out.name("entityId")
    out.string(uid.id)
    out.endObject()
  }

  private static func text(_ moment: Datetime) throws(WireError) -> String {
    if let spelling = moment.spelling { return spelling }
    // From year 0000 on; the spelling has no sign.
    guard (-62_167_219_200_000...253_402_300_799_999).contains(moment.milliseconds) else {
      throw WireError("a datetime outside the years 0000 to 9999 cannot be sent")
    }
    let (days, millis) = floorDivided(moment.milliseconds, by: 86_400_000)
    // 0000-03-01 begins the first era.
    let (era, dayOfEra) = floorDivided(days + 719_468, by: 146_097)
    let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let marchMonth = (5 * dayOfYear + 2) / 153
    let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    let date = "\(padded(year, 4))-\(padded(month, 2))-\(padded(dayOfYear - (153 * marchMonth + 2) / 5 + 1, 2))"
    let time = "\(padded(millis / 3_600_000, 2)):\(padded(millis / 60_000 % 60, 2)):\(padded(millis / 1000 % 60, 2))"
    return "\(date)T\(time).\(padded(millis % 1000, 3))Z"
  }

  private static func floorDivided(_ number: Int64, by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
    let (quotient, remainder) = number.quotientAndRemainder(dividingBy: divisor)
    return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
  }

  private static func padded(_ number: Int64, _ digits: Int) -> String {
    let text = String(number)
    return String(repeating: "0", count: max(digits - text.utf8.count, 0)) + text
  }
}

/// Why something cannot be said in the API's words, or what it said makes no sense.
public struct WireError: Error, Sendable, Equatable, CustomStringConvertible {
  /// One sentence; never a token or a secret.
  public let description: String

  /// An error with its sentence.
  public init(_ description: String) { self.description = description }
}
