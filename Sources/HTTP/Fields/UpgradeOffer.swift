internal import Bytes

/// What an `Upgrade` field offers, RFC 9110 §7.8.
enum UpgradeOffer {
  /// Protocols other than HTTP/2.
  case otherProtocols
  /// Nothing, or `h2c` among others: an offer that is ignored as a whole.
  case ignored

  /// Reads `1#( token [ "/" token ] )`; nil if it is not one.
  static func read(_ value: UnsafeRawBufferPointer) -> UpgradeOffer? {
    var offer = UpgradeOffer.ignored
    var ignored = false
    for element in value.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
      let name = element.trimmed
      let parts = name.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
      guard parts.count <= 2, parts.allSatisfy({ !$0.isEmpty && $0.allSatisfy(TokenTable.isToken) }) else { return nil }
      if ASCII.equalsIgnoringCase(name, "h2c".utf8) || ASCII.equalsIgnoringCase(name, "h2".utf8) { ignored = true }
      offer = .otherProtocols
    }
    return ignored ? .ignored : offer
  }
}
