internal import Bytes
internal import JSON

/// Reads what the sources of credentials answer.
public enum CredentialAnswers {
  /// The JSON of container endpoints and of instance metadata: `{AccessKeyId, SecretAccessKey, Token, Expiration}`.
  public static func metadata(_ body: [UInt8]) throws(WireError) -> Credentials {
    let json = try object(body)
    if let code = json["Code"]?.string, code != "Success" { throw WireError("the answer says \(code.prefix(80))") }
    return try credentials(json, secret: "SecretAccessKey", token: "Token", expires: { $0.string.flatMap { Instant.seconds(iso8601: $0) } })
  }

  /// What a `credential_process` prints: version 1, a session's end optional.
  public static func process(_ output: [UInt8]) throws(WireError) -> Credentials {
    let json = try object(output)
    guard json["Version"]?.integer == 1 else { throw WireError("the program printed no credentials of Version 1") }
    return try credentials(
      json, secret: "SecretAccessKey", token: "SessionToken", expires: { $0.string.flatMap { Instant.seconds(iso8601: $0) } })
  }

  /// The answer of `GetCredentialsForIdentity`; its times are numbers.
  public static func identityPool(_ body: [UInt8]) throws(WireError) -> Credentials {
    guard let json = try object(body)["Credentials"] else { throw WireError("the answer has no Credentials") }
    return try credentials(json, secret: "SecretKey", token: "SessionToken", expires: seconds)
  }

  /// The answer of `GetId`.
  public static func identityID(_ body: [UInt8]) throws(WireError) -> String {
    guard let id = try object(body)["IdentityId"]?.string, (1...55).contains(id.utf8.count) else {
      throw WireError("the answer has no IdentityId")
    }
    return id
  }

  /// The XML answer of `AssumeRole` and `AssumeRoleWithWebIdentity`: its one `Credentials` element.
  public static func sts(_ body: [UInt8]) throws(WireError) -> Credentials {
    guard let element = XMLText.element("Credentials", in: body[...]), let id = XMLText.text("AccessKeyId", in: element),
      let secret = XMLText.text("SecretAccessKey", in: element), let token = XMLText.text("SessionToken", in: element),
      let expiration = XMLText.text("Expiration", in: element), let expiresAt = Instant.seconds(iso8601: expiration)
    else { throw WireError("the answer has no credentials") }
    return try made(id, secret, token, expiresAt)
  }

  /// The code and message of an STS error.
  public static func stsError(status: Int, _ body: [UInt8]) -> ServiceError {
    let error = XMLText.element("Error", in: body[...]) ?? body[...]
    let code = XMLText.text("Code", in: error).map { String($0.prefix(100)) }
    return ServiceError(status: status, code: code, message: XMLText.text("Message", in: error).map { String($0.prefix(200)) } ?? "")
  }

  private static func object(_ body: [UInt8]) throws(WireError) -> JSONValue {
    do throws(JSONError) { return try JSONParser.parse(body, limits: .init(depth: 16, bytes: 1 << 20)) } catch {
      throw WireError("the answer is no JSON: \(error)")
    }
  }

  private static func credentials(
    _ json: JSONValue, secret: String, token: String, expires: (JSONValue) -> Int64?
  ) throws(WireError) -> Credentials {
    guard let id = json["AccessKeyId"]?.string, let key = json[secret]?.string else { throw WireError("the answer has no credentials") }
    var expiresAt: Int64?
    if let expiration = json["Expiration"], !expiration.isNull {
      guard let seconds = expires(expiration) else { throw WireError("the answer's Expiration is no time") }
      expiresAt = seconds
    }
    return try made(id, key, json[token]?.string, expiresAt)
  }

  private static func made(_ id: String, _ secret: String, _ token: String?, _ expiresAt: Int64?) throws(WireError) -> Credentials {
    guard let made = Credentials(accessKeyID: id, secretAccessKey: secret, sessionToken: token, expiresAt: expiresAt) else {
      throw WireError("the answer's keys have characters that keys do not have")
    }
    return made
  }

  // Epoch seconds, with a fraction or an exponent as some writers put it.
  private static func seconds(_ json: JSONValue) -> Int64? {
    switch json.kind {
    case .integer(let seconds): seconds
    case .number(let text): Double(text).flatMap { $0 >= 0 && $0 < 1e15 ? Int64($0) : nil }
    default: nil
    }
  }
}

/// Finds elements in the flat XML that STS answers. No reader of XML: no attributes, comments, CDATA or nesting of equal names,
/// none of which STS writes; what is not found is not there.
enum XMLText {
  /// The bytes between the first `<name>` or `<name …>` and the next `</name>`.
  static func element(_ name: String, in xml: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
    guard let start = position(of: Array("<\(name)>".utf8), in: xml) else { return nil }
    let content = xml[(start + name.utf8.count + 2)...]
    guard let end = position(of: Array("</\(name)>".utf8), in: content) else { return nil }
    return content[..<end]
  }

  /// The text of an element, the five entities resolved; nil if there is none, or markup within.
  static func text(_ name: String, in xml: ArraySlice<UInt8>) -> String? {
    guard let bytes = element(name, in: xml), !bytes.contains(UInt8(ascii: "<")) else { return nil }
    var out: [UInt8] = []
    var index = bytes.startIndex
    while index < bytes.endIndex {
      guard bytes[index] == UInt8(ascii: "&") else {
        out.append(bytes[index])
        index += 1
        continue
      }
      guard let entity = entities.first(where: { bytes[index...].starts(with: $0.text.utf8) }) else { return nil }
      out.append(entity.byte)
      index += entity.text.utf8.count
    }
    return String(validating: out, as: UTF8.self)
  }

  private static let entities: [(text: String, byte: UInt8)] = [
    ("&amp;", UInt8(ascii: "&")), ("&lt;", UInt8(ascii: "<")), ("&gt;", UInt8(ascii: ">")), ("&quot;", ASCII.quote),
    ("&apos;", UInt8(ascii: "'")), ("&#39;", UInt8(ascii: "'")), ("&#xA;", ASCII.lf), ("&#xD;", ASCII.cr),
  ]

  private static func position(of needle: [UInt8], in bytes: ArraySlice<UInt8>) -> Int? {
    guard let first = needle.first else { return nil }
    var from = bytes.startIndex
    while let start = bytes[from...].firstIndex(of: first) {
      if bytes[start...].starts(with: needle) { return start }
      from = start + 1
    }
    return nil
  }
}
