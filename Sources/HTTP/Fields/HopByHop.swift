internal import Bytes

/// Fields that end at the next hop because `Connection` names them, RFC 9110 §7.6.1.
enum HopByHop {
  /// Most names in `Connection` besides its standard options: each costs a look at every line.
  static let mostNominated = 32

  /// Marks the lines that `Connection` nominates.
  ///
  /// A client must not use this to take from the upstream what the decision rests on: fields that end-to-end semantics or
  /// this house need are never removed at its word. What it may remove is not evaluated either (`FieldSection.values`).
  static func markNominated(in fields: inout FieldSection) {
    let lines = fields.lines
    let marked: [Int] = fields.bytes.withUnsafeBytes { bytes in
      var nominated: [UnsafeRawBufferPointer] = []
      for line in lines where line.known == .connection {
        let value = bytes.part(line.value)
        var tokens = TokenList(value)
        while let range = tokens.next() {
          let token = value.part(range)
          if KnownField(name: token) == .other || KnownField(name: token).bit & KnownField.removable != 0 { nominated.append(token) }
        }
      }
      return lines.indices.filter { index in
        let line = lines[index]
        guard !line.traits.contains(.hopByHop) else { return false }
        let name = bytes.part(line.name)
        return nominated.contains { ASCII.equalsIgnoringCase($0, name) }
      }
    }
    for index in marked { fields.lines[index].traits.insert(.hopByHop) }
  }
}

extension KnownField {
  /// Known fields that `Connection` may remove besides the standard ones; no other known field is given up to it.
  static var removable: UInt64 {
    KnownField.expect.bit | KnownField.userAgent.bit | KnownField.accept.bit | KnownField.via.bit | KnownField.age.bit
  }
}
