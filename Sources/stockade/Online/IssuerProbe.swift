internal import Bytes
internal import HTTP
internal import JOSE
internal import JSON
internal import Net
internal import Pipeline
internal import Proxy

/// Tries to fetch an issuer's keys the way `run` does, and says what it found.
final class IssuerProbe: Probe {
  private let issuer: Issuer
  private let allowsInsecure: Bool
  private let trustsDevelopmentKeys: Bool

  init(_ issuer: Issuer, allowsInsecure: Bool, trustsDevelopmentKeys: Bool, _ net: ProbeNet, finished: @escaping () -> Void) {
    self.issuer = issuer
    self.allowsInsecure = allowsInsecure
    self.trustsDevelopmentKeys = trustsDevelopmentKeys
    super.init("issuer \(issuer.name)", net, finished: finished)
  }

  override func begin() {
    start("DNS", issuer.name)
    switch issuer.keys {
    case .jwks(let url): fetch("keys", url, near: nil) { [self] in readKeys($0, from: $1) }
    case .file(let file):
      // Read with the configuration: there is nobody to ask.
      start("keys", file.path)
      succeed("\(file.set.keys.count) in \(file.path)")
      finish()
    // The names of a load balancer's keys, and opaque tokens, come with requests: that the place can be reached where they will be
    // asked for is all that can be seen before.
    case .noSet:
      let url: HTTPURL
      do throws(NetError) { url = try HTTPURL.parse(issuer.loadBalancer?.keysURL ?? issuer.introspection?.url ?? "") } catch {
        return fail(ProbeText.problem(ofURL: error), as: "keys")
      }
      approach(url, rule: .noLinkLocal) { [self] in finish() }
    case .discovery(let name):
      let base = name.hasSuffix("/") ? String(name.dropLast()) : name
      fetch("discovery", base + "/.well-known/openid-configuration", near: nil) { [self] in readDiscovery($0, from: $1, issuer: name) }
    }
  }

  // A server that was just approached for something else is not approached again.
  private func fetch(_ what: String, _ text: String, near: HTTPURL?, _ completion: @escaping (HTTPClient.Response, HTTPURL) -> Void) {
    let url: HTTPURL
    do throws(NetError) { url = try HTTPURL.parse(text) } catch { return fail(ProbeText.problem(ofURL: error), as: what) }
    guard url.isSecure || allowsInsecure || KeyURL.isLoopback(url) else {
      return fail(
        "\(ProbeText.shown(url)) is plain HTTP: whoever is on the way could replace the keys",
        help: "use https, or --allow-insecure-jwks if the network is yours", as: what)
    }
    guard let near, exactlyEquals(near.scheme, url.scheme), exactlyEquals(near.authority, url.authority) else {
      return approach(url, rule: .noLinkLocal) { [self] in get(what, url, completion) }
    }
    get(what, url, completion)
  }

  private func get(_ what: String, _ url: HTTPURL, _ completion: @escaping (HTTPClient.Response, HTTPURL) -> Void) {
    start(what, ProbeText.shown(url))
    var fields = FieldBlock()
    fields.append("Accept", "application/json")
    net.client.send(HTTPClient.Request(.get, url, fields: fields)) { [self] result in
      guard !isDone else { return }
      switch result {
      case .failure(let error): fail(error)
      case .success(let response):
        guard response.status == .ok else {
          let code = response.status.code
          let help =
            (300..<400).contains(code) ? "redirects are not followed; configure the address it leads to" : "is it the right address?"
          return fail("\(ProbeText.shown(url)) answered \(response.status)", help: help)
        }
        completion(response, url)
      }
    }
  }

  private func readDiscovery(_ response: HTTPClient.Response, from url: HTTPURL, issuer name: String) {
    let document: JSONValue
    do throws(JSONError) {
      document = try JSONParser.parse(response.body, limits: .init(depth: 32, bytes: 1 << 20))
    } catch {
      return fail("\(ProbeText.shown(url)) is not JSON: \(error)", help: Self.help(forBodyOf: response))
    }
    guard let named = document["issuer"]?.string, exactlyEquals(named, name) else {
      let found = document["issuer"]?.string.map { "\"\(ProbeText.short($0))\"" } ?? "nobody"
      return fail(
        "the document at \(ProbeText.shown(url)) is about \(found), and tokens must say \"\(name)\"",
        help: "write the issuer exactly as its document does, every slash included")
    }
    guard let keys = document["jwks_uri"]?.string else { return fail("\(ProbeText.shown(url)) names no jwks_uri") }
    succeed("\(ProbeText.shown(url)) is about this issuer")
    fetch("keys", keys, near: url) { [self] in readKeys($0, from: $1) }
  }

  private func readKeys(_ response: HTTPClient.Response, from url: HTTPURL) {
    let set: JWKSet
    do throws(JWKSetError) { set = try JWKSet.parse(response.body) } catch {
      return fail("\(ProbeText.shown(url)) is no key set: \(error)", help: Self.help(forBodyOf: response))
    }
    guard trustsDevelopmentKeys || !set.isDevelopment else {
      return fail(
        "\(ProbeText.shown(url)) has a development issuer's keys, with which anyone can sign in",
        help: "--dev accepts them; never in production")
    }
    let accepted = JWSAlgorithm.allCases.filter { issuer.rules.algorithms.contains($0) }
    let usable = set.keys.filter { key in accepted.contains { key.accepts($0) } }
    let left = set.problems.map { "\($0.kid ?? "key \($0.index + 1)") is left out: \($0.error)" }
    guard !usable.isEmpty else {
      let reasons = left + (set.keys.isEmpty ? [] : ["none of \(set.keys.count) fits \(accepted.map(\.rawValue).joined(separator: ", "))"])
      return fail(
        "\(ProbeText.shown(url)) has no key that could be used: \((reasons.isEmpty ? ["it is empty"] : reasons).prefix(5).joined(separator: "; "))",
        help: "is it this issuer's key set, and are `algorithms` those that it signs with?")
    }
    let shown = usable.prefix(5).map { key in
      let fitting = key.alg.map { [$0] } ?? accepted.filter { key.accepts($0) }
      return "\(key.kid.map { ProbeText.short($0) } ?? "without kid") \(fitting.map(\.rawValue).joined(separator: "/"))"
    }
    var parts = [
      "\(usable.count) usable \(usable.count == 1 ? "key" : "keys") (\(shown.joined(separator: ", "))\(usable.count > 5 ? ", …" : ""))"
    ]
    parts.append(response.field("Cache-Control").map { "Cache-Control: \(ProbeText.short($0))" } ?? "no Cache-Control")
    succeed("\(ProbeText.shown(url)) has \((parts + left.prefix(5)).joined(separator: "; "))")
    finish()
  }

  private static func help(forBodyOf response: HTTPClient.Response) -> String {
    let isPage = response.body.first { $0 != ASCII.space && $0 != ASCII.lf && $0 != ASCII.cr && $0 != ASCII.tab } == UInt8(ascii: "<")
    return isPage ? "a web page is there: is it the right address, and does it need no sign-in?" : "is it the right address?"
  }
}
