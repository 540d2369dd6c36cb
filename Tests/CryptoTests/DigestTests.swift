import Bytes
import Crypto
import Testing

struct DigestTests {
  @Test("SHA-2 of \"abc\" and of nothing is what FIPS 180-4 prints")
  func knownAnswers() {
    #expect(Hex.encode(Digest.sha256("abc".utf8)) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    #expect(Hex.encode(Digest.sha256([])) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    #expect(
      Hex.encode(Digest.sha384("abc".utf8))
        == "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7")
    #expect(
      Hex.encode(Digest.sha512("abc".utf8))
        == "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
    )
  }

  @Test("HMAC is that of RFC 4231, case 2, and takes an empty key and an empty message")
  func hmac() {
    #expect(
      Hex.encode(HMAC.code(.sha256, key: Array("Jefe".utf8), message: Array("what do ya want for nothing?".utf8)))
        == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    #expect(
      Hex.encode(HMAC.code(.sha256, key: [], message: [])) == "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad")
    // Case 6: a key that is longer than a block.
    let key = [UInt8](repeating: 0xaa, count: 131)
    let message = Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8)
    #expect(
      Hex.encode(HMAC.code(.sha256, key: key, message: message)) == "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54")
    #expect(
      Hex.encode(HMAC.code(.sha512, key: key, message: message))
        == "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f3526b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598"
    )
  }

  @Test("random bytes have the asked length and do not repeat; a UUID has version 4 and variant 10")
  func random() {
    #expect(RandomBytes.make(0).isEmpty)
    #expect(RandomBytes.make(33).count == 33)
    #expect(RandomBytes.make(32) != RandomBytes.make(32))
    let uuid = Array(RandomBytes.makeUUID())
    #expect(uuid.count == 36)
    #expect(uuid[14] == "4")
    #expect("89ab".contains(uuid[19]))
    #expect(RandomBytes.makeUUID() != RandomBytes.makeUUID())
  }
}
