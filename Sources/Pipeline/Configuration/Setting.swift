internal import Bytes

/// One value of a configuration, with where it came from.
public struct Setting: Sendable {
  /// The table's row.
  public let field: Field
  /// The name of the place, as a person would write it: `issuers.main.client_ids`, `routes[2].match`.
  public let path: String
  /// Where the value came from.
  public var origin: Origin
  /// The value.
  public var value: Value
  /// Whether a part of it was read from another file: it is not shown.
  public var isMasked = false

  /// What is shown in its place.
  static let masked = "‹masked›"

  /// Where a value came from; the later wins.
  public enum Origin: Sendable, Equatable {
    /// Nobody said anything.
    case byDefault
    /// The configuration file, at these byte offsets.
    case file(Range<Int>)
    /// A variable of the environment.
    case variable(String)
    /// A flag of the command line.
    case flag(String)
  }

  /// A value.
  public enum Value: Sendable {
    case text(String)
    case flag(Bool)
    /// A number; milliseconds of a duration, bytes of a size.
    case integer(Int64)
    case texts([String])
    /// Members by name, or elements of a list by place.
    case members([(name: String, setting: Setting)])
  }

  /// The member of that name.
  public subscript(name: String) -> Setting? { members.first { exactlyEquals($0.name, name) }?.setting }

  /// The members; none if it has none.
  public var members: [(name: String, setting: Setting)] { if case .members(let members) = value { members } else { [] } }
  /// The text, if it is one.
  public var text: String? { if case .text(let text) = value { text } else { nil } }
  /// The number, if it is one.
  public var integer: Int64? { if case .integer(let number) = value { number } else { nil } }
  /// The number that is not negative; what is below zero is zero.
  public var count: UInt64? {
    // (Not `integer.map` where it is used: the 6.3.1 optimizer fails on that, in its pass CopyPropagation.)
    guard case .integer(let number) = value else { return nil }
    return UInt64(clamping: number)
  }
  /// The truth value, if it is one.
  public var bool: Bool? { if case .flag(let flag) = value { flag } else { nil } }
  /// The list of strings, if it is one.
  public var texts: [String] { if case .texts(let texts) = value { texts } else { [] } }
  /// The member's text.
  func text(_ name: String) -> String? { self[name]?.text }

  /// The path of a member.
  static func path(_ outer: String, _ field: Field, _ name: String, isElement: Bool) -> String {
    if isElement { return "\(outer)[\(name)]" }
    return outer.isEmpty ? name : "\(outer).\(name)"
  }

  /// Puts a value at a path below, making what it stands in.
  mutating func set(_ names: ArraySlice<String>, of shape: Shape, to value: Value, from origin: Origin) {
    guard let name = names.first else {
      self.value = value
      self.origin = origin
      isMasked = false
      return
    }
    guard let inner = shape.member(name) ?? shape.element else { return }
    var members = self.members
    let index: Int
    if let found = members.firstIndex(where: { exactlyEquals($0.name, name) }) {
      index = found
    } else {
      index = members.count
      let path = Self.path(path, field, name, isElement: false)
      members.append((name, Setting(field: inner.field, path: path, origin: origin, value: .members([]))))
    }
    members[index].setting.set(names.dropFirst(), of: inner, to: value, from: origin)
    self.value = .members(members)
  }

  /// Whether something was said at a path.
  func has(_ names: ArraySlice<String>) -> Bool {
    guard let name = names.first else { return true }
    return self[name]?.has(names.dropFirst()) ?? false
  }

  /// Shows what stands at a path no longer, if the table says that it is secret.
  mutating func mask(_ names: ArraySlice<String>) {
    guard let name = names.first else {
      isMasked = field.isSecret
      return
    }
    guard case .members(var members) = value, let index = members.firstIndex(where: { exactlyEquals($0.name, name) }) else { return }
    members[index].setting.mask(names.dropFirst())
    value = .members(members)
  }

  /// Adds what holds by default, in the table's order.
  mutating func fillDefaults(of shape: Shape) {
    guard case .members(var members) = value else { return }
    if let element = shape.element {
      for index in members.indices { members[index].setting.fillDefaults(of: element) }
    } else {
      var ordered: [(name: String, setting: Setting)] = []
      for (name, inner) in shape.members {
        if let found = members.first(where: { exactlyEquals($0.name, name) }) {
          var setting = found.setting
          setting.fillDefaults(of: inner)
          ordered.append((name, setting))
          continue
        }
        let path = Self.path(path, field, name, isElement: false)
        if let fallback = inner.field.fallback, let value = Scalar.read(fallback, as: inner.field.kind) {
          ordered.append((name, Setting(field: inner.field, path: path, origin: .byDefault, value: value)))
        } else if inner.field.kind == .object {
          var setting = Setting(field: inner.field, path: path, origin: .byDefault, value: .members([]))
          setting.fillDefaults(of: inner)
          if !setting.members.isEmpty { ordered.append((name, setting)) }
        }
      }
      members = ordered
    }
    value = .members(members)
  }
}

/// A scalar read from text: a flag's, a variable's, or one that `${…}` made.
enum Scalar {
  static func read(_ text: String, as kind: Field.Kind) -> Setting.Value? {
    switch kind {
    case .text: return .text(text)
    case .choice(let words): return words.contains { exactlyEquals($0, text) } ? .text(text) : nil
    case .flag: return exactlyEquals(text, "true") ? .flag(true) : exactlyEquals(text, "false") ? .flag(false) : nil
    case .integer(let bounds): return number(Int64(text), bounds)
    case .duration(let bounds): return number(Units.millis(text), bounds)
    case .size(let bounds): return number(Units.bytes(text), bounds)
    case .texts: return .texts([text])
    case .object, .names, .list, .anything: return nil
    }
  }

  /// What is expected, for a message.
  static func expected(_ kind: Field.Kind) -> String {
    switch kind {
    case .text, .texts: "text"
    case .choice(let words): words.count == 1 ? words[0] : words.dropLast().joined(separator: ", ") + " or " + (words.last ?? "")
    case .flag: "true or false"
    case .integer(let bounds):
      bounds.lowerBound == bounds.upperBound
        ? "\(bounds.lowerBound), the only one there is" : "a number from \(bounds.lowerBound) to \(bounds.upperBound)"
    case .duration(let bounds):
      "a time from \(Units.duration(bounds.lowerBound)) to \(Units.duration(bounds.upperBound)), with its unit, such as 250ms, 30s or 5m"
    case .size(let bounds): "a size of at most \(Units.size(bounds.upperBound)), with its unit, such as 64KiB or 1MiB"
    case .object, .names: "an object"
    case .list: "a list"
    case .anything: "anything"
    }
  }

  private static func number(_ number: Int64?, _ bounds: ClosedRange<Int64>) -> Setting.Value? {
    guard let number, bounds.contains(number) else { return nil }
    return .integer(number)
  }
}
