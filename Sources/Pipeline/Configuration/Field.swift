/// One setting: the one place its name, type, unit, default and help are written. The table of them is `Fields`.
public struct Field: Sendable {
  /// Where it stands in the file: names joined by dots; `*` stands for a name of the operator's, or for a place in a list.
  public let path: [String]
  /// What may stand there.
  public let kind: Kind
  /// What holds if nothing is said, as it would be written on a command line; nil for nothing.
  public let fallback: String?
  /// One line for a person.
  public let help: String
  /// The flag of `run` that sets it, without dashes; its variable is `STOCKADE_` and the flag in capitals.
  public let flag: String?
  /// Of an object: the member that a bare value stands for.
  public let shorthand: String?
  /// Whether the value is never shown.
  public let isSecret: Bool
  /// Variables that others have given the same meaning, such as OpenTelemetry's: the first that is set counts where neither the file
  /// nor a variable or flag of ours says anything.
  public let environment: [String]

  /// What may stand at a place.
  public enum Kind: Sendable, Equatable {
    /// A string; the word is what help calls it.
    case text(String)
    /// One of some words.
    case choice([String])
    /// `true` or `false`.
    case flag
    /// A whole number within bounds.
    case integer(ClosedRange<Int64>)
    /// A time with its unit, in milliseconds within bounds.
    case duration(ClosedRange<Int64>)
    /// A number of bytes with its unit, within bounds.
    case size(ClosedRange<Int64>)
    /// A list of strings.
    case texts(String)
    /// An object with the members that the table lists below it.
    case object
    /// An object whose members the operator names.
    case names
    /// A list.
    case list
    /// Anything; not ours.
    case anything
  }

  init(
    _ path: String, _ kind: Kind, _ help: String, default fallback: String? = nil, flag: String? = nil, shorthand: String? = nil,
    secret: Bool = false, environment: [String] = []
  ) {
    self.path = path.split(separator: ".").map(String.init)
    self.kind = kind
    self.help = help
    self.fallback = fallback
    self.flag = flag
    self.shorthand = shorthand
    isSecret = secret
    self.environment = environment
  }

  /// The name in the file, without what it stands in.
  public var name: String { path.last ?? "" }

  /// What the value is called in help; nil for a switch.
  public var valueName: String? {
    switch kind {
    case .text(let name), .texts(let name): name
    case .choice(let words): words.joined(separator: "|")
    case .integer: "N"
    case .duration: "DURATION"
    case .size: "SIZE"
    case .flag, .object, .names, .list, .anything: nil
    }
  }

  /// Whether a flag of it may be given more than once.
  public var repeats: Bool { if case .texts = kind { true } else { false } }

  /// The variable of the environment that sets it.
  public var variable: String? {
    flag.map {
      "STOCKADE_" + String(decoding: $0.utf8.map { $0 == 0x2d ? 0x5f : (0x61...0x7a).contains($0) ? $0 - 0x20 : $0 }, as: UTF8.self)
    }
  }

  /// Where its flag puts a value: the one issuer that flags speak of is called `main`.
  var flagPath: [String] { path.map { $0 == "*" ? "main" : $0 } }
}

/// The table as the tree that it describes.
struct Shape: Sendable {
  let field: Field
  /// The members, in the table's order.
  var members: [(name: String, shape: Shape)] = []

  /// What stands under every name of the operator's, or in every place of a list.
  var element: Shape? { members.first?.name == "*" ? members.first?.shape : nil }

  /// The member of that name.
  func member(_ name: String) -> Shape? { members.first { $0.name.utf8.elementsEqual(name.utf8) }?.shape }

  /// The tree of the whole table.
  static let root: Shape = {
    func shape(_ field: Field) -> Shape {
      let below = Fields.all.filter { $0.path.count == field.path.count + 1 && $0.path.starts(with: field.path) }
      return Shape(field: field, members: below.map { ($0.name, shape($0)) })
    }
    return shape(Field("", .object, "The configuration of Stockade."))
  }()
}
