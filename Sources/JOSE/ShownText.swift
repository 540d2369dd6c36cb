/// Text from outside, made fit for a message: quoted, short, without control characters.
enum ShownText {
  /// Most scalars of a text that a message shows.
  static let limit = 80

  /// `"text"`, cut after 80 scalars, everything that is not plainly printable replaced.
  static func quoted(_ text: String) -> String {
    var out = "\""
    var count = 0
    for scalar in text.unicodeScalars {
      if count == limit {
        out += "…"
        break
      }
      count += 1
      switch scalar.properties.generalCategory {
      case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: out += "\u{fffd}"
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out + "\""
  }
}
