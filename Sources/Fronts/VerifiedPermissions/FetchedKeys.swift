internal import Bytes
internal import Crypto
internal import HTTP
internal import JOSE
internal import JSON
internal import Net

/// A name for one answer.
enum RequestID {
  static func make() -> String { RandomBytes.makeUUID() }
}

/// The keys of issuers, as last fetched.
final class FetchedKeys: IssuerKeyStore {
  private struct Entry {
    var result: Result<JWKSet, KeysUnavailable>
    var fetchedAt: Int64
  }

  private static let keptSeconds: Int64 = 900
  private static let missingKeySeconds: Int64 = 10
  private static let failureSeconds: Int64 = 1

  private let loop: EventLoop
  private let client: HTTPClient
  private let keyURLs: [String: String]
  private var entries: [String: Entry] = [:]
  private var waiting: [String: [() -> Void]] = [:]

  init(_ loop: EventLoop, client: HTTPClient, keyURLs: [String: String]) {
    self.loop = loop
    self.client = client
    self.keyURLs = keyURLs
  }

  func keys(of place: IssuerPlace, kid: String?) -> Result<JWKSet, KeysUnavailable>? {
    guard let entry = entries[place.keysURL] else { return nil }
    let age = loop.wallSeconds - entry.fetchedAt
    switch entry.result {
    case .success(let set):
      // A key that is not there may be new; asked for at most once in a while, whatever names come.
      let isStale = age >= Self.keptSeconds || (!set.hasKey(kid: kid) && age >= Self.missingKeySeconds)
      return isStale ? nil : entry.result
    case .failure: return age >= Self.failureSeconds ? nil : entry.result
    }
  }

  /// Fetches an issuer's keys, once for all who wait.
  func fetch(_ place: IssuerPlace, _ completion: @escaping () -> Void) {
    waiting[place.keysURL, default: []].append(completion)
    guard waiting[place.keysURL]?.count == 1 else { return }
    if let url = place.names.lazy.compactMap({ self.keyURLs[$0] }).first { return getKeys(url, of: place) }
    guard place.isDiscovered else { return getKeys(place.keysURL, of: place) }
    get(place.keysURL, of: place) { [unowned self] body in
      let document: JSONValue
      do throws(JSONError) { document = try JSONParser.parse(body, limits: .init(depth: 32, bytes: 1 << 20)) } catch {
        return finish(place, .failure(KeysUnavailable(reason: "the discovery document is no JSON")))
      }
      guard let issuer = document["issuer"]?.string, place.names.contains(where: { exactlyEquals($0, issuer) }),
        let url = document["jwks_uri"]?.string
      else {
        return finish(place, .failure(KeysUnavailable(reason: "the discovery document is about another issuer, or names no keys")))
      }
      getKeys(url, of: place)
    }
  }

  private func getKeys(_ url: String, of place: IssuerPlace) {
    get(url, of: place) { [unowned self] body in
      do throws(JWKSetError) { finish(place, .success(try JWKSet.parse(body))) } catch {
        finish(place, .failure(KeysUnavailable(reason: "\(error)")))
      }
    }
  }

  private func get(_ text: String, of place: IssuerPlace, _ then: @escaping ([UInt8]) -> Void) {
    do throws(NetError) {
      client.send(HTTPClient.Request(.get, try HTTPURL.parse(text))) { [unowned self] result in
        switch result {
        case .success(let response) where response.status == .ok: then(response.body)
        case .success(let response): finish(place, .failure(KeysUnavailable(reason: "\(text) answered \(response.status)")))
        case .failure(let error): finish(place, .failure(KeysUnavailable(reason: error.description)))
        }
      }
    } catch {
      let reason = error.description
      loop.later { [unowned self] in finish(place, .failure(KeysUnavailable(reason: reason))) }
    }
  }

  private func finish(_ place: IssuerPlace, _ result: Result<JWKSet, KeysUnavailable>) {
    entries[place.keysURL] = Entry(result: result, fetchedAt: loop.wallSeconds)
    for completion in waiting.removeValue(forKey: place.keysURL) ?? [] { completion() }
  }
}
