import Bytes
import Crypto
import JSON
import Testing

@testable import JOSE

struct TokenVerifierTests {
  @Test("a token of every algorithm verifies with its key and with no other", arguments: JWSAlgorithm.allCases)
  func algorithms(algorithm: JWSAlgorithm) throws {
    let token = try TokenForge.token(algorithm)
    let keys = try TokenForge.set([TokenForge.jwk(TokenForge.key(algorithm), alg: algorithm.rawValue)])
    let verified = try TokenForge.verdict(token, keys: keys).get()
    #expect(verified.subject == "alice")
    #expect(verified.issuer == TokenForge.issuer)
    #expect(verified.alg == algorithm)
    #expect(verified.kid == "k1")
    #expect(verified.expiresAt == TokenForge.now + 3600)
    #expect(verified.tokenUse == .access)
    for other in JWSAlgorithm.allCases where other != algorithm {
      let wrong = try TokenForge.set([TokenForge.jwk(TokenForge.key(other), alg: other.rawValue)])
      #expect(try TokenForge.error(token, keys: wrong) == .keyAlgorithm(kid: "k1", algorithm: algorithm))
    }
  }

  @Test("a key that names no alg takes those that fit it, within the list of the rules")
  func keyWithoutAlgorithm() throws {
    let keys = try TokenForge.set([TokenForge.jwk(TokenForge.rsa)])
    for algorithm in [JWSAlgorithm.rs256, .rs512, .ps384] { #expect(try TokenForge.error(TokenForge.token(algorithm), keys: keys) == nil) }
    var rules = TokenForge.rules
    rules.algorithms = [.rs256, .es256]
    #expect(
      try TokenForge.error(TokenForge.token(.ps256), keys: keys, rules: rules) == .algorithm(found: "PS256", expected: [.rs256, .es256]))
  }

  @Test("none and HS256 have no case, in any spelling, signed or not")
  func closedList() throws {
    let payload = Base64URL.encode(Array(#"{"iss":"\#(TokenForge.issuer)"}"#.utf8))
    for name in ["none", "None", "NONE", "nOnE", "HS256", "HS512", "rs256", "RS256 ", "", "RS256\\u0000", "ES256K", "Ed25519"] {
      let header = Base64URL.encode(Array(#"{"alg":"\#(name)","kid":"k1"}"#.utf8))
      for signature in ["", Base64URL.encode([UInt8](repeating: 1, count: 256))] {
        let error = try TokenForge.error(Array("\(header).\(payload).\(signature)".utf8))
        #expect(error?.reason == .algorithm, "\(name): \(String(describing: error))")
      }
    }
  }

  @Test("a token that is signed with the public key as an HMAC secret is refused by its algorithm")
  func keyConfusion() throws {
    let secret = Array(TokenForge.jwk(TokenForge.rsa).text.utf8)
    let signed = Base64URL.encode(Array(#"{"alg":"HS256","kid":"k1"}"#.utf8)) + "." + Base64URL.encode(Array(#"{"iss":"x"}"#.utf8))
    let token = signed + "." + Base64URL.encode(HMAC.code(.sha256, key: secret, message: Array(signed.utf8)))
    #expect(try TokenForge.error(Array(token.utf8)) == .algorithm(found: "HS256", expected: JWSAlgorithm.allCases))
  }

  @Test("keys in the header are not trusted, wherever they come from")
  func embeddedKeys() throws {
    let attacker = TokenForge.otherRSA
    let key = TokenForge.jwk(attacker).text
    let payload = #"{"iss":"\#(TokenForge.issuer)","sub":"alice","aud":"https://api.example.org","exp":\#(TokenForge.now + 60)}"#
    for extra in [#""jwk":\#(key)"#, #""jku":"https://evil.example/jwks""#, #""x5u":"https://evil.example/c""#, #""x5c":["AAAA"]"#] {
      let token = try TokenForge.token(header: #"{"alg":"RS256","kid":"k1",\#(extra)}"#, payload: payload, key: attacker)
      #expect(try TokenForge.error(token) == .signature(kid: "k1", algorithm: .rs256))
    }
  }

  @Test("crit in any form and b64 other than true are refused")
  func extensions() throws {
    for extra in [#""crit":["exp"]"#, #""crit":[]"#, #""crit":null"#, #""crit":"b64""#, #""crit":["b64"],"b64":true"#] {
      let token = try TokenForge.token(header: #"{"alg":"RS256","kid":"k1",\#(extra)}"#, payload: "{}")
      #expect(try TokenForge.error(token) == .criticalExtensions)
    }
    for extra in ["false", "null", "0", #""true""#] {
      let token = try TokenForge.token(header: #"{"alg":"RS256","kid":"k1","b64":\#(extra)}"#, payload: "{}")
      #expect(try TokenForge.error(token) == .unencodedPayload)
    }
  }

  @Test("any changed character of a token changes its verdict")
  func tampering() throws {
    let token = try TokenForge.token()
    for index in stride(from: 0, to: token.count, by: 5) {
      var changed = token
      changed[index] = changed[index] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
      #expect(try TokenForge.error(changed) != nil, "character \(index)")
    }
  }

  @Test("header and payload are strict JSON objects without repeated names, of bounded depth")
  func strictJSON() throws {
    let good = #"{"alg":"RS256","kid":"k1"}"#
    let iss = #""iss":"\#(TokenForge.issuer)""#
    let headers = [
      #"{"alg":"none","alg":"RS256","kid":"k1"}"#, "[]", "{}", #"{"alg":1}"#, #"{"alg":"RS256","kid":7}"#, #"{"alg":"RS256","typ":[]}"#,
      "\u{feff}" + good, good + "x", #"{"alg":"RS256","x":[\#(String(repeating: "0,", count: 130))0]}"#,
      #"{"alg":"RS256","x":"\#(String(repeating: "x", count: 4096))"}"#,
    ]
    let payloads = [
      "[1]", #""x""#, "", "{}", "null", #"{"iss":["a"]}"#, #"{"iss":null}"#, "{\(iss),\(iss)}", "{\(iss),\"a\":1,\"a\":1}", "{\(iss),}",
      "{\(iss)} {}",
      "{\(iss)}x", "{\(iss),'a':1}", "{\(iss),\"a\":01}", "\u{feff}{\(iss)}", "{\(iss),\"x\":\"\\ud800\"}", "{\(iss)", "[{\(iss)}]",
      "{\"a\":{\(iss)}}",
      "{\(iss),\"x\":" + String(repeating: "[", count: 40) + String(repeating: "]", count: 40) + "}",
      "{\"x\":[" + String(repeating: "0,", count: 9000),
    ]
    for (header, payload) in headers.map({ ($0, "{\(iss)}") }) + payloads.map({ (good, $0) }) {
      let error = try TokenForge.error(TokenForge.token(header: header, payload: payload))
      #expect(error?.reason == .malformed, "\(header.prefix(60)) \(payload.prefix(60)): \(String(describing: error))")
    }
  }

  @Test("iss is found by whatever spelling JSON allows, at the top level only, and the full reading must agree")
  func issuerScan() throws {
    let cases: [(String, String?)] = [
      (#"{"iss":"a"}"#, "a"), (" \t\r\n{ \"x\" : 1 , \"iss\" : \"a\" }", "a"), (#"{"\u0069s\u0073":"a"}"#, "a"),
      (#"{"iss":"\u0061\n"}"#, "a\n"),
      (#"{"x":{"iss":"no"},"iss":"a"}"#, "a"), (#"{"x":["iss","no"],"iss":"a"}"#, "a"), (#"{"x":"iss","iss":"a"}"#, "a"),
      (#"{"x":"\"iss\":\"no\"","iss":"a"}"#, "a"), (#"{"x":"\\","iss":"a"}"#, "a"),
      (#"{"iss ":"no","Iss":"no","is":"no","isss":"no"}"#, nil),
      (#"{"iss":1}"#, nil), (#"{"iss":["a"]}"#, nil), (#"["iss","a"]"#, nil), (#"{"iss""#, nil), (#"{"iss":"#, nil), (#"{"iss":"a"#, nil),
      ("{", nil), ("", nil),
      (#"{"x":"\"#, nil), (#"{"iss":"\q"}"#, nil), (#"{"\u0069s\u007"#, nil), ("}", nil), (#"{}{"iss":"a"}"#, nil),
    ]
    for (text, issuer) in cases { #expect(IssuerScan.issuer(in: Array(text.utf8)) == issuer, "\(text)") }
    let long = #"{"iss":"\#(String(repeating: "a", count: IssuerScan.textLimit))"}"#
    #expect(IssuerScan.issuer(in: Array(long.utf8)) == nil)
  }

  @Test("wherever JSON is accepted and has an iss, the scan has found the same")
  func issuerScanAgrees() throws {
    // Every arrangement of some awkward members around the real one.
    let others = [#""a":"\"iss\"""#, #""b":{"iss":"x","y":["iss"]}"#, #""iss2":"iss""#, #""c":[[],{}," ]},{ "]"#, #""d":"\\""#, #""":"""#]
    var ran = 0
    for mask in 0..<(1 << others.count) {
      let chosen = others.indices.filter { mask >> $0 & 1 == 1 }.map { others[$0] }
      for place in 0...chosen.count {
        var members = chosen
        members.insert(#""iss" : "https://i""#, at: place)
        let text = "{" + members.joined(separator: " , ") + "}"
        #expect(try JSONParser.parse(text)["iss"]?.string == "https://i")
        #expect(IssuerScan.issuer(in: Array(text.utf8)) == "https://i", "\(text)")
        ran += 1
      }
    }
    #expect(ran == 256)
  }

  @Test("three parts of base64url, and nothing around or inside them")
  func form() throws {
    let token = String(decoding: try TokenForge.token(), as: UTF8.self)
    let parts = token.split(separator: ".").map(String.init)
    let cases = [
      "", ".", "..", "...", parts[0], "\(parts[0]).\(parts[1])", "\(token).", ".\(token)", "\(token).x", " \(token)", "\(token) ",
      "\(token)\n",
      "\(token)=", "\(parts[0])=.\(parts[1]).\(parts[2])", "\(parts[0]). \(parts[1]).\(parts[2])", "\(parts[0]).\(parts[1])..",
      "\(parts[0])\0.\(parts[1]).\(parts[2])", "\(parts[0]).\(parts[1]).\(parts[2]).\(parts[0]).\(parts[1])", "Bearer \(token)",
    ]
    for text in cases { #expect(try TokenForge.error(Array(text.utf8))?.reason == .malformed, "\(text)") }
  }

  @Test("a token above 32 KiB is refused for its size; one just below is read")
  func size() throws {
    let padding = String(repeating: "x", count: 23_500)
    let fits = try TokenForge.token(claims: ["p": .string(padding)])
    #expect(fits.count < UnverifiedToken.byteLimit)
    #expect(try TokenForge.error(fits) == nil)
    let large = try TokenForge.token(claims: ["p": .string(padding + padding)])
    #expect(try TokenForge.error(large)?.reason == .malformed)
    let huge = [UInt8](repeating: UInt8(ascii: "."), count: 1 << 20)
    #expect(throws: TokenError.self) { try UnverifiedToken.parse(huge) }
  }

  @Test("an unknown kid is told apart from a known one of another algorithm, and no kid needs a set of one key")
  func keyChoice() throws {
    let one = try TokenForge.set([TokenForge.jwk(TokenForge.rsa)])
    let two = try TokenForge.set([TokenForge.jwk(TokenForge.rsa), TokenForge.jwk(TokenForge.otherRSA, kid: "k2")])
    #expect(try TokenForge.error(TokenForge.token(kid: "k9"), keys: one) == .unknownKey(kid: "k9", algorithm: .rs256))
    #expect(try TokenForge.error(TokenForge.token(kid: nil), keys: one) == nil)
    #expect(try TokenForge.error(TokenForge.token(kid: nil), keys: two) == .unknownKey(kid: nil, algorithm: .rs256))
    #expect(try TokenForge.error(TokenForge.token(kid: "k2"), keys: two) == .signature(kid: "k2", algorithm: .rs256))
    #expect(try TokenForge.error(TokenForge.token(), keys: .empty) == .unknownKey(kid: "k1", algorithm: .rs256))
    // U+212A is K to Swift's ==, not to us.
    let kelvin = try TokenForge.set([TokenForge.jwk(TokenForge.rsa, kid: "K")])
    #expect(try TokenForge.error(TokenForge.token(kid: "\u{212a}"), keys: kelvin)?.reason == .unknownKey)
  }

  @Test("typ is a media type without case; a token typed as another kind is refused before its signature is looked at")
  func types() throws {
    for typ in ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "Application/JWT"] {
      #expect(try TokenForge.error(TokenForge.token(typ: typ)) == nil, "\(typ)")
    }
    for typ in ["dpop+jwt", "logout+jwt", "secevent+jwt", "JOSE", "JWE", "", "application/x/jwt", "text/jwt", "at+jwt "] {
      #expect(try TokenForge.error(TokenForge.token(typ: typ))?.reason == .use, "\(typ)")
    }
  }

  @Test("the issuer is compared byte by byte before anything is computed")
  func issuer() throws {
    for other in [
      "https://issuer.example.org/", "https://ISSUER.example.org", "http://issuer.example.org", "", "https://issuer.example.or\u{212a}",
    ] {
      #expect(try TokenForge.error(TokenForge.token(claims: ["iss": .string(other)]))?.reason == .issuer, "\(other)")
    }
  }

  @Test("claims are judged only behind a good signature")
  func signatureFirst() throws {
    let expired = try TokenForge.token(key: TokenForge.otherRSA, claims: ["exp": .integer(1)])
    #expect(try TokenForge.error(expired)?.reason == .signature)
    #expect(try TokenForge.error(TokenForge.token(claims: ["exp": .integer(1)]))?.reason == .expired)
  }

  @Test("messages hold neither the token nor control characters, and are short")
  func messages() throws {
    let nasty = "\u{1b}[31m\n\u{202e}\u{2028}" + String(repeating: "é", count: 5000)
    let error = try #require(try TokenForge.error(TokenForge.token(claims: ["iss": .string(nasty)])))
    #expect(error.description.utf8.count < 600)
    let forbidden: Set<UInt32> = [0x0a, 0x1b, 0x202e, 0x2028]
    #expect(!error.description.unicodeScalars.contains { forbidden.contains($0.value) })
    for reason in TokenError.Reason.allCases { #expect(reason.rawValue.utf8.allSatisfy { $0 == 0x5f || ASCII.isAlpha($0) }) }
    #expect(error.errorDescription.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7f && $0 != 0x22 && $0 != 0x5c })
  }

  @Test("neither kind of token shows its bytes or its subject when it is printed or dumped")
  func printing() throws {
    let bytes = try TokenForge.token(claims: ["sub": .string("somebody-private")])
    let verified = try TokenForge.verdict(bytes).get()
    var texts = ["\(verified)", String(reflecting: verified)]
    texts += ["\(try UnverifiedToken.parse(bytes))", String(reflecting: try UnverifiedToken.parse(bytes))]
    var dumped = ""
    dump(verified, to: &dumped)
    dump(try UnverifiedToken.parse(bytes), to: &dumped)
    for text in texts + [dumped] {
      #expect(!text.contains("somebody-private") && !text.contains(String(decoding: bytes.suffix(20), as: UTF8.self)))
      #expect(text.contains("issuer.example.org"))
    }
  }

  @Test("how and when somebody signed in is typed; other forms of those claims are as good as absent")
  func authentication() throws {
    let good = try TokenForge.verdict(
      TokenForge.token(claims: [
        "acr": .string("urn:cognito:loa:3"), "amr": .array([.string("pwd"), .string("otp")]), "auth_time": .integer(5),
        "origin_jti": .string("o"),
      ])
    ).get()
    #expect(good.acr == "urn:cognito:loa:3" && good.amr == ["pwd", "otp"] && good.authenticatedAt == 5 && good.originJTI == "o")
    let odd = try TokenForge.verdict(
      TokenForge.token(claims: [
        "acr": .integer(3), "amr": .array([.string("mfa"), .integer(1)]), "auth_time": .string("5"), "origin_jti": JSONValue(.null),
      ])
    ).get()
    #expect(odd.acr == nil && odd.amr.isEmpty && odd.authenticatedAt == nil && odd.originJTI == nil)
  }
}
