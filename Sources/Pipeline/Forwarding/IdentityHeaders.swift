internal import HTTP

/// The header fields that tell the upstream who is asking. They are ours: whatever a client sends under these names, or
/// under a spelling that some server takes for them, is removed from every request.
public enum IdentityHeaders {
  /// The principal's id, `<prefix>|<sub>`.
  public static let principal = "X-Stockade-Principal"
  /// The token's `sub`.
  public static let subject = "X-Stockade-Subject"
  /// The group names, separated by commas; empty without groups.
  public static let groups = "X-Stockade-Groups"
  /// The decision's id, also in answers to the client.
  public static let decisionID = "X-Stockade-Decision-Id"

  /// Every name of ours, whether set or not.
  public static let names = [principal, subject, groups, decisionID]

  /// The lines for one identity.
  static func block(principal: String, subject: String, groups: [String]) -> FieldBlock {
    var block = FieldBlock()
    block.append(Self.principal, escaped(principal))
    block.append(Self.subject, escaped(subject))
    block.append(Self.groups, groups.map(escaped).joined(separator: ","))
    return block
  }

  /// Nobody: every header is there and empty, so that the upstream never reads an older or foreign value.
  static let nobody = block(principal: "", subject: "", groups: [])

  /// A value as it can stand in a header and be taken apart again: visible ASCII as it is, everything else, and `%` and
  /// `,`, percent-encoded (RFC 3986 §2.1) over UTF-8.
  static func escaped(_ value: String) -> String {
    var out: [UInt8] = []
    for byte in value.utf8 {
      if byte > 0x20, byte < 0x7f, byte != UInt8(ascii: "%"), byte != UInt8(ascii: ",") {
        out.append(byte)
      } else {
        out.append(UInt8(ascii: "%"))
        for digit in [byte >> 4, byte & 0xf] { out.append(digit < 10 ? 0x30 + digit : 0x37 + digit) }
      }
    }
    return String(decoding: out, as: UTF8.self)
  }
}
