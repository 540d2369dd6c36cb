import Bytes
import Crypto
import JOSE
import JSON

// The bytes as what a load balancer says and as the file of its key; and (split at the first NUL) as the header's further members and the
// claims of a word that is signed, padded as load balancers pad. Padding that does not belong there must spoil a word.

private let now: Int64 = 1_800_000_000
private let kid = "0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f"
private let rules = LoadBalancerToken.Rules(signer: "arn:balancer", client: "app", issuer: "https://issuer.example.org")
private let key: PrivateKey? = {
  do { return try PrivateKey.generateEC(.p256) } catch { return nil }
}()

private func judge(_ bytes: UnsafeRawBufferPointer, trusting: Bool) -> Bool {
  guard let key else { preconditionFailure("no key") }
  do throws(TokenError) {
    let token = try LoadBalancerToken.parse(bytes, rules: rules)
    precondition(bytes.count <= UnverifiedToken.byteLimit)
    precondition(token.kid.utf8.count == 36, "its name becomes a part of an address")
    let verified = try TokenVerifier.verify(token, key: key.publicKey, rules: rules, now: now, verifier: SignatureVerifier())
    precondition(trusting, "a word that we did not sign was believed")
    precondition(!verified.subject.isEmpty && verified.expiresAt > now - 60 && exactlyEquals(verified.issuer, rules.issuer))
    return true
  } catch {
    precondition(error.description.utf8.count < 4096)
    return false
  }
}

private func padded(_ bytes: [UInt8]) -> String {
  let text = Base64URL.encode(bytes)
  return text + String(repeating: "=", count: (4 - text.utf8.count % 4) % 4)
}

/// One input of the fuzzer.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = UnsafeRawBufferPointer(start: start, count: count)
  _ = judge(bytes, trusting: false)
  if let read = LoadBalancerKey.read(Array(bytes)) { precondition(read.kind == .ec(.p256)) }
  let parts = bytes.split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false)
  guard parts.count == 2, let key else { return 0 }
  let extra = parts[0].isEmpty ? Array(#","exp":1800000100"#.utf8) : [UInt8(ascii: ",")] + Array(parts[0])
  let header =
    Array(#"{"alg":"ES256","kid":"\#(kid)","signer":"arn:balancer","iss":"https://issuer.example.org","client":"app""#.utf8) + extra
    + [UInt8(ascii: "}")]
  let signed = padded(header) + "." + padded(Array(parts[1]))
  do throws(KeyError) {
    let word = signed + "." + padded(try key.sign(Array(signed.utf8), by: .ecdsa(.p256)))
    let isBelieved = Array(word.utf8).withUnsafeBytes { judge($0, trusting: true) }
    // The same with more padding than there may be, and with none where the signature covers some.
    for spoilt in [word + "=", word + "==", word + "===="] {
      precondition(!Array(spoilt.utf8).withUnsafeBytes { judge($0, trusting: true) }, "padding was ignored")
    }
    if isBelieved, signed.utf8.contains(UInt8(ascii: "=")) {
      let bare = word.replacingPadding()
      precondition(!Array(bare.utf8).withUnsafeBytes { judge($0, trusting: true) }, "the signature covers the padding")
    }
  } catch {
    preconditionFailure("cannot sign")
  }
  return 0
}

extension String {
  fileprivate func replacingPadding() -> String { String(decoding: utf8.filter { $0 != UInt8(ascii: "=") }, as: UTF8.self) }
}
