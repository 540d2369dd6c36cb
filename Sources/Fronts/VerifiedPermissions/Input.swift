internal import AWS
internal import Bytes
internal import Cedar
internal import JSON

/// The members of a request, read by the model's constraints.
struct Input {
  let json: JSONValue
  let path: String

  init(_ json: JSONValue, at path: String = "") {
    self.json = json
    self.path = path
  }

  func place(_ name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }

  /// A member, if it is there; null is not.
  func member(_ name: String) -> JSONValue? { json[name].flatMap { $0.isNull ? nil : $0 } }

  /// A structure that may be missing.
  func structure(_ name: String) throws(Fault) -> Input? {
    guard let value = member(name) else { return nil }
    guard value.object != nil else { throw .validation("Expected a structure.", at: place(name)) }
    return Input(value, at: place(name))
  }

  /// A structure that must be there.
  func required(_ name: String) throws(Fault) -> Input {
    guard let value = try structure(name) else { throw .validation("This member is required.", at: place(name)) }
    return value
  }

  /// Of a union, the one member that is set.
  func union(_ names: [String]) throws(Fault) -> (name: String, value: Input) {
    let set = (json.object ?? []).filter { !$0.value.isNull }
    guard set.count == 1, let one = set.first, names.contains(where: { exactlyEquals($0, one.name) }) else {
      throw .validation("Exactly one member must be set, of: \(names.joined(separator: ", ")).", at: path)
    }
    return (one.name, Input(one.value, at: place(one.name)))
  }

  /// A string that may be missing, of bounded length and of the model's characters.
  func text(_ name: String, _ length: ClosedRange<Int>, _ characters: ((UInt8) -> Bool)? = nil) throws(Fault) -> String? {
    guard let value = member(name) else { return nil }
    guard let text = value.string else { throw .validation("Expected a string.", at: place(name)) }
    guard length.contains(text.unicodeScalars.count) else {
      throw .validation("The length must be from \(length.lowerBound) to \(length.upperBound).", at: place(name))
    }
    if let characters, !text.utf8.allSatisfy(characters) {
      throw .validation("It has characters that may not stand there.", at: place(name))
    }
    return text
  }

  func requiredText(_ name: String, _ length: ClosedRange<Int>, _ characters: ((UInt8) -> Bool)? = nil) throws(Fault) -> String {
    guard let text = try text(name, length, characters) else { throw .validation("This member is required.", at: place(name)) }
    return text
  }

  /// One of some words.
  func word(_ name: String, of words: [String]) throws(Fault) -> String? {
    guard let text = try text(name, 0...100) else { return nil }
    guard words.contains(where: { exactlyEquals($0, text) }) else {
      throw .validation("It must be one of: \(words.joined(separator: ", ")).", at: place(name))
    }
    return text
  }

  /// A list of strings.
  func texts(_ name: String, count: ClosedRange<Int>) throws(Fault) -> [String]? {
    guard let value = member(name) else { return nil }
    guard let elements = value.array, count.contains(elements.count) else {
      throw .validation("Expected a list of \(count.lowerBound) to \(count.upperBound).", at: place(name))
    }
    var texts: [String] = []
    for (index, element) in elements.enumerated() {
      guard let text = element.string, (1...255).contains(text.unicodeScalars.count) else {
        throw .validation("Expected a string of 1 to 255 characters.", at: "\(place(name))[\(index)]")
      }
      texts.append(text)
    }
    return texts
  }

  /// An entity's name.
  func uid(_ name: String) throws(Fault) -> EntityUID? {
    guard let value = member(name) else { return nil }
    do throws(FieldError) { return try AttributeValue.uid(value, at: place(name)) } catch { throw .validation(error) }
  }

  /// The name of an entity type.
  func entityType(_ name: String) throws(Fault) -> EntityType? {
    guard let text = try text(name, 1...200) else { return nil }
    do throws(FieldError) { return try AttributeValue.entityType(text, at: place(name)) } catch { throw .validation(error) }
  }

  /// The id of a store, or of something in it.
  func id(_ name: String) throws(Fault) -> String {
    try requiredText(name, 1...200) { ASCII.isAlpha($0) || ASCII.isDigit($0) || "-/_".utf8.contains($0) }
  }

  /// A policy's or template's name: nil if none is given, empty if it is to be removed.
  func name() throws(Fault) -> String? {
    guard let text = try text("name", 0...150, { ASCII.isAlpha($0) || ASCII.isDigit($0) || "-/_".utf8.contains($0) }) else { return nil }
    guard text.isEmpty || (text.hasPrefix("name/") && text.utf8.count > 5) else {
      throw .validation("A name begins with name/.", at: place("name"))
    }
    return text
  }

  /// Where a page begins, and how long it is.
  func page(most: Int = 50, usual: Int = 10) throws(Fault) -> Page {
    var page = Page(after: -1, count: usual)
    if let value = member("maxResults") {
      guard let count = value.integer, count >= 1, count <= Int64(most) else {
        throw .validation("maxResults must be from 1 to \(most).", at: place("maxResults"))
      }
      page.count = Int(count)
    }
    if let token = try text("nextToken", 1...8000) {
      guard let bytes = Base64URL.decode(token.utf8), let number = Int64(String(decoding: bytes, as: UTF8.self)), number >= 0 else {
        throw .validation("This is no token of a list.", at: place("nextToken"))
      }
      page.after = number
    }
    return page
  }
}

/// A part of a list: what was made after a place, up to a number.
struct Page {
  var after: Int64
  var count: Int

  /// Cuts a list; the second part is the token of the next page.
  func cut(_ items: [Document]) -> (items: [Document], next: String?) {
    let rest = items.filter { $0.number > after }
    let cut = Array(rest.prefix(count))
    guard rest.count > cut.count, let last = cut.last else { return (cut, nil) }
    return (cut, Base64URL.encode(Array(String(last.number).utf8)))
  }
}
