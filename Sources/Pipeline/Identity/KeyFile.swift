internal import Bytes
public import JOSE
internal import JSON

/// An issuer's keys from a file: read with the configuration, in force with it, and replaced with it.
public struct KeyFile: Sendable, Equatable {
  /// The file.
  public let path: String
  /// Its keys.
  public let set: JWKSet

  /// Equal if the same file has the same keys.
  public static func == (a: KeyFile, b: KeyFile) -> Bool { exactlyEquals(a.path, b.path) && a.set.fingerprint == b.set.fingerprint }

  /// Reads a key set's text, or says everything that is wrong with it. Stricter than with what an issuer serves: nobody but the
  /// operator can have written it, so what cannot be used is a mistake and not left out.
  static func read(_ source: SourceText, acceptsDevelopment: Bool) -> Result<KeyFile, KeyFileMistakes> {
    let json: JSONValue
    let set: JWKSet
    do throws(JSONError) {
      json = try JSONParser.parse(source.bytes, limits: .init(depth: 16, bytes: JWKSet.byteLimit, duplicateNames: .keepAll))
    } catch {
      return .failure(KeyFileMistakes([notJSON(error, source)], in: source, nil))
    }
    do throws(JWKSetError) { set = try JWKSet.parse(source.bytes) } catch {
      return .failure(KeyFileMistakes([Diagnostic(.error, "no key set: \(error)", at: json.span, help: wrapping(json))], in: source, json))
    }
    let keys = json["keys"]
    var mistakes = (keys?.array ?? []).compactMap(privateHalf)
    for problem in set.problems where !problem.error.isExpected {
      guard let key = keys?.array?.dropFirst(problem.index).first, privateHalf(of: key) == nil else { continue }
      let name = problem.kid.map { "key \($0)" } ?? "this key"
      mistakes.append(Diagnostic(.error, "\(name) cannot be used: \(problem.error)", at: key.span, help: "mend it, or take it out"))
    }
    if mistakes.isEmpty, set.keys.isEmpty {
      mistakes.append(
        Diagnostic(
          .error, "no key here checks signatures", at: keys?.span ?? json.span,
          help: "put in the issuer's keys, as its jwks_uri serves them"))
    }
    if set.isDevelopment, !acceptsDevelopment {
      let place = json.object?.first { exactlyEquals($0.name, JWKSet.developmentMember) }?.nameSpan
      mistakes.append(
        Diagnostic(
          .error, "these are a development issuer's keys, with which anyone can sign in", at: place,
          help: "use them only with --dev (development: true), never in production"))
    }
    guard mistakes.isEmpty else { return .failure(KeyFileMistakes(mistakes, in: source, json)) }
    return .success(KeyFile(path: source.name, set: set))
  }

  private static func notJSON(_ error: JSONError, _ source: SourceText) -> Diagnostic {
    let isPEM = source.bytes.starts(with: "-----BEGIN".utf8)
    return Diagnostic(
      .error, isPEM ? "this is PEM, and a key set is JSON" : "not JSON: \(error)",
      at: isPEM ? 0..<"-----BEGIN".utf8.count : error.offset..<error.offset + max(error.length, 1),
      help: "a key set is as the issuer's jwks_uri serves it: { \"keys\": [ … ] }")
  }

  private static func wrapping(_ json: JSONValue) -> String {
    json["kty"] != nil
      ? "this is a single key; put it in a set: { \"keys\": [ … ] }" : "a key set is an object with a list: { \"keys\": [ … ] }"
  }

  // RFC 7518 §6: what only the holder of a key may know.
  fileprivate static func isSecret(_ member: JSONValue.Member) -> Bool {
    ["d", "p", "q", "dp", "dq", "qi", "oth", "k"].contains { exactlyEquals($0, member.name) }
  }

  private static func privateHalf(of key: JSONValue) -> Diagnostic? {
    guard let member = key.object?.first(where: isSecret) else { return nil }
    return Diagnostic(
      .error, "this key shows its private half (\(member.name)): whoever can read this file can sign tokens with it", at: member.nameSpan,
      help: "name a file with public keys; and if others could read this one, give the issuer another key")
  }
}

/// What is wrong with a key file.
struct KeyFileMistakes: Error {
  let diagnostics: [Diagnostic]
  /// The file as it may be shown: whoever put a private key here must not find it in a log as well.
  let source: SourceText

  init(_ diagnostics: [Diagnostic], in source: SourceText, _ json: JSONValue?) {
    self.diagnostics = diagnostics
    var bytes = source.bytes
    func hide(_ range: Range<Int>) { for index in range where bytes[index] > ASCII.space { bytes[index] = UInt8(ascii: "*") } }
    // What cannot be read as JSON may have keys in it all the same: long words of base64.
    var start = 0
    for index in 0...bytes.count where index == bytes.count || !Self.isBase64(bytes[index]) {
      if index - start >= Self.longest { hide(start..<index) }
      start = index + 1
    }
    for key in [json].compactMap({ $0 }) + (json?["keys"]?.array ?? []) {
      for member in key.object ?? [] where KeyFile.isSecret(member) { hide(member.value.span) }
    }
    self.source = SourceText(name: source.name, bytes: bytes)
  }

  private static let longest = 24
  private static func isBase64(_ byte: UInt8) -> Bool { ASCII.isAlpha(byte) || ASCII.isDigit(byte) || "+/-_".utf8.contains(byte) }
}
