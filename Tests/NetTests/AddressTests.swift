import HTTP
import Net
import Testing

@Suite struct AddressTests {
  @Test(arguments: [
    ("127.0.0.1:8080", "127.0.0.1:8080"), ("[::1]:80", "[::1]:80"), (":8080", "[::]:8080"), ("localhost:0", "127.0.0.1:0"),
    ("0.0.0.0:65535", "0.0.0.0:65535"), ("unix:/run/x.sock", "unix:/run/x.sock"), ("unix:relative", "unix:relative"),
    ("[2001:db8:0:0::1]:1", "[2001:db8::1]:1"),
  ])
  func addressesAreReadAndWritten(_ text: String, _ written: String) throws {
    #expect(try SocketAddress.parse(text).description == written)
  }

  @Test(arguments: [
    "", "8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:+1", "127.0.0.1:8 ", "127.0.0.1:000080",
    "127.1:80", "0127.0.0.1:80", "::1:80", "[::1]80", "[::1", "[127.0.0.1]:80", "[]:80", "[fe80::1%eth0]:80", "example.com:80", "unix:",
    "unix:/a\u{0}b", "unix:/" + String(repeating: "x", count: 107), "[::1]:٣",
  ])
  func whatIsNoAddressIsRefusedWithAReason(_ text: String) {
    #expect { try SocketAddress.parse(text) } throws: { error in
      guard case .invalidAddress(let named, let reason)? = error as? NetError else { return false }
      return named == text && !reason.isEmpty
    }
  }

  @Test(arguments: [
    ("https://Example.COM", true, "example.com", 443, "/"), ("http://a.b:8080/x?y=z", false, "a.b", 8080, "/x?y=z"),
    ("https://[2001:DB8::1]:8443/", true, "2001:db8::1", 8443, "/"), ("http://127.0.0.1", false, "127.0.0.1", 80, "/"),
    (
      "HTTPS://cognito-idp.eu-west-1.amazonaws.com/p/.well-known/jwks.json", true, "cognito-idp.eu-west-1.amazonaws.com", 443,
      "/p/.well-known/jwks.json"
    ), ("http://h?q", false, "h", 80, "/?q"), ("http://my_host/", false, "my_host", 80, "/"),
  ])
  func urlsAreRead(_ text: String, _ secure: Bool, _ host: String, _ port: Int, _ target: String) throws {
    let url = try HTTPURL.parse(text)
    #expect(url.isSecure == secure)
    #expect(url.host == host)
    #expect(Int(url.port) == port)
    #expect(url.target == target)
    #expect(try HTTPURL.parse(url.description) == url)
  }

  @Test(arguments: [
    "", "example.com", "ftp://a/", "http://", "http:///x", "http://user@host/", "http://user:pw@host/", "http://host/#f", "http://h:0/",
    "http://h:99999/", "http://h:/", "http://h:8a/", "http://h o/", "http://h/\n", "http://h/é", "http://h\\@evil/", "http://[::1/",
    "http://[1.2.3.4]/", "http://[::1]x/", "http://127.1/", "http://0x7f.0.0.1/", "http://2130706433/", "http://0x7f000001/",
    "http://1.2.3.4.5/", "http://a:1:2/", "http://.a/", "unix:", "unix:rel", "http://h%2e/", "https://K\u{212A}/",
  ])
  func whatIsNoUsableURLIsRefusedWithAReason(_ text: String) {
    #expect { try HTTPURL.parse(text) } throws: { error in
      guard case .invalidURL(_, let reason)? = error as? NetError else { return false }
      return !reason.isEmpty
    }
  }

  @Test(arguments: [
    ("169.254.169.254", "link-local"), ("169.254.0.1", "link-local"), ("fe80::1", "link-local"), ("febf::1", "link-local"),
    ("::ffff:169.254.169.254", "link-local"), ("::169.254.169.254", "link-local"), ("64:ff9b::a9fe:a9fe", "link-local"),
    ("::ffff:0:169.254.169.254", "link-local"), ("2002:a9fe:a9fe::1", "link-local"), ("fd00:ec2::254", "metadata"),
    ("100.100.100.200", "metadata"), ("168.63.129.16", "metadata"), ("192.0.0.192", "metadata"), ("0.0.0.0", "unspecified"),
    ("0.1.2.3", "unspecified"), ("::", "unspecified"), ("::ffff:0.0.0.0", "unspecified"),
  ])
  func addressesOfMetadataServicesAreRefusedInEveryDress(_ text: String, _ kind: String) throws {
    let address = try #require(IPAddress(text))
    #expect(AddressRule.noLinkLocal.refusal(of: address) == kind)
    #expect(AddressRule.any.refusal(of: address) == nil)
  }

  @Test(arguments: [
    "127.0.0.1", "::1", "10.0.0.1", "192.168.1.1", "8.8.8.8", "169.253.1.1", "169.255.1.1", "fec0::1", "2001:db8::1", "fd00::1",
    "::ffff:10.0.0.1", "64:ff9b::808:808",
  ])
  func otherAddressesAreAllowed(_ text: String) throws {
    let address = try #require(IPAddress(text))
    #expect(AddressRule.noLinkLocal.refusal(of: address) == nil)
  }

  @Test func loopbackIsKnownInBothFamilies() throws {
    for text in ["127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1"] { #expect(try #require(IPAddress(text)).isLoopback) }
    for text in ["128.0.0.1", "::2", "10.0.0.1", "::"] { #expect(try #require(IPAddress(text)).isLoopback == false) }
  }
}
