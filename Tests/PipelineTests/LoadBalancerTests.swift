import Bytes
import Crypto
import Development
import HTTP
import JOSE
import JSON
import Testing

@testable import Pipeline

/// What a load balancer says of users that it has signed in, `x-amzn-oidc-data`: believed from the pinned one alone.
@Suite struct LoadBalancerTests {
  private static let signer = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/shop/50dc6c495c0c9188"
  private static let kid = "0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f"
  private static let inside: [UInt8] = [10, 0, 0, 7]

  private final class Balancer {
    let key: PrivateKey
    init() throws { key = try PrivateKey.generateEC(.p256) }

    /// Padded as AWS pads; the signature covers the padding.
    func word(_ header: [String: JSONValue?] = [:], _ claims: [String: JSONValue?] = [:], padded: Bool = true) throws -> String {
      var head: [String: JSONValue] = [
        "alg": .string("ES256"), "kid": .string(kid), "signer": .string(signer), "iss": .string("https://idp.example"),
        "client": .string("app"), "exp": .integer(Desk.time + 120),
      ]
      var body: [String: JSONValue] = ["sub": .string("alice"), "email": .string("a@b.example"), "exp": .integer(Desk.time + 120)]
      for (name, value) in header { head[name] = value }
      for (name, value) in claims { body[name] = value }
      func part(_ bytes: [UInt8]) -> String {
        let text = Base64URL.encode(bytes)
        return padded ? text + String(repeating: "=", count: (4 - text.utf8.count % 4) % 4) : text
      }
      func object(_ members: [String: JSONValue]) -> [UInt8] {
        Array(JSONValue(.object(members.sorted { $0.key < $1.key }.map { .init(name: $0.key, value: $0.value) })).text.utf8)
      }
      let signed = part(object(head)) + "." + part(object(body))
      return signed + "." + part(try key.sign(Array(signed.utf8), by: JWSAlgorithm.es256.signature))
    }
  }

  private func desk(_ balancer: Balancer, knowing: Bool = true) throws -> Desk {
    let desk = try Desk(
      policies: "permit (principal == User::\"alb|alice\", action, resource);", configuration: "",
      issuers: """
        alb: { issuer: 'https://idp.example', id_prefix: 'alb',
          load_balancer: { signer: '\(Self.signer)', client_id: 'app', from: ['10.0.0.0/24'] } },
        """)
    desk.facts.adopt([.known(.init(set: .empty, generation: 1)), .known(.init(set: desk.issuer.keySet, generation: 1))])
    if knowing {
      desk.facts.learn(
        .init(key: balancer.key.publicKey, problem: nil, until: .max),
        to: .init(issuer: 0, generation: 1, kid: ExactString(Self.kid)))
    }
    return desk
  }

  private func verdict(_ desk: Desk, _ word: String, from octets: [UInt8] = inside, _ more: String..., at time: Int64 = Desk.time) throws
    -> String
  {
    try desk.verdict("GET /orders", ["X-Amzn-Oidc-Data: \(word)"] + more, from: octets, at: time)
  }

  @Test func theLoadBalancersWordIsTakenFromItsNetworkAlone() throws {
    let balancer = try Balancer()
    let desk = try desk(balancer)
    let word = try balancer.word()
    #expect(try verdict(desk, word) == "forward")
    #expect(try verdict(desk, word) == "forward", "hot")
    #expect(try verdict(desk, balancer.word(padded: false)) == "forward")
    #expect(try verdict(desk, word, from: [10, 0, 1, 7]) == "401 no_token", "from elsewhere it is nobody's word")
    #expect(try verdict(desk, word, from: [203, 0, 113, 1], "X-Forwarded-For: 10.0.0.7") == "401 no_token")
    let bare = try balancer.word(padded: false)
    #expect(try verdict(desk, bare) == "forward")
    #expect(try desk.verdict("GET /orders", token: bare, from: [10, 0, 1, 7]).hasPrefix("401"), "nor in a client's mouth, hot as it is")
    #expect(try desk.verdict("GET /orders", token: bare, from: Self.inside).hasPrefix("401"))
  }

  @Test func signerClientIssuerAndTimeArePinned() throws {
    let balancer = try Balancer()
    let desk = try desk(balancer)
    #expect(try verdict(desk, balancer.word(["signer": .string(Self.signer + "x")])) == "401 token_issuer")
    #expect(try verdict(desk, balancer.word(["signer": nil])) == "401 token_malformed")
    #expect(try verdict(desk, balancer.word(["client": .string("other")])) == "401 token_audience")
    #expect(try verdict(desk, balancer.word(["iss": .string("https://other.example")])) == "401 token_issuer")
    #expect(try verdict(desk, balancer.word([:], ["iss": .string("https://other.example")])) == "401 token_issuer")
    #expect(try verdict(desk, balancer.word(["exp": .integer(Desk.time - 61)])) == "401 token_expired")
    #expect(try verdict(desk, balancer.word([:], ["exp": .integer(Desk.time - 61)])) == "401 token_expired")
    #expect(try verdict(desk, balancer.word(["alg": .string("RS256")])) == "401 token_algorithm")
    #expect(
      try verdict(desk, balancer.word(["kid": .string("../../secret")])) == "401 key_unknown", "the name becomes a part of an address")
    #expect(try verdict(desk, balancer.word([:], ["sub": nil])) == "401 token_malformed")
    #expect(try verdict(desk, Balancer().word()) == "401 token_signature")
    #expect(try verdict(desk, balancer.word(), "X-Amzn-Oidc-Data: again") == "400 multiple_credentials")
    #expect(try verdict(desk, balancer.word(), "Authorization: Bearer a.b.c") == "400 multiple_credentials")
    #expect(try verdict(desk, balancer.word([:], ["sub": .string("mallory")])) == "403 no_permit")
  }

  @Test func aKeyIsFetchedByItsName() throws {
    let balancer = try Balancer()
    let desk = try desk(balancer, knowing: false)
    var exchange = try desk.exchange("GET /orders", ["X-Amzn-Oidc-Data: \(try balancer.word())"], from: Self.inside)
    guard case .wait(.loadBalancerKey(let question)) = exchange.decide(desk.facts) else {
      Issue.record("it does not wait")
      return
    }
    #expect(question.kid.string == Self.kid)
    desk.facts.learn(.init(key: nil, problem: "refused", until: Desk.time + 1), to: question)
    #expect(try verdict(desk, balancer.word()) == "503 jwks_unavailable")
    desk.facts.learn(.init(key: nil, problem: nil, until: Desk.time + 1), to: question)
    #expect(try verdict(desk, balancer.word()) == "401 key_unknown")
    desk.facts.learn(.init(key: balancer.key.publicKey, problem: nil, until: Desk.time + 1), to: question)
    #expect(desk.verdict(&exchange) == "forward")
    #expect(try desk.forwarded(&exchange)?.lowercased().contains("x-amzn-oidc") == false, "the service is told by us alone")
  }

  @Test func placesOfKeysFollowTheARN() {
    let place = LoadBalancerSettings.keysURL
    #expect(
      place("arn:aws:elasticloadbalancing:eu-west-1:1:loadbalancer/app/a/b") == "https://public-keys.auth.elb.eu-west-1.amazonaws.com/")
    #expect(
      place("arn:aws-us-gov:elasticloadbalancing:us-gov-west-1:1:loadbalancer/app/a/b")
        == "https://s3-us-gov-west-1.amazonaws.com/aws-elb-public-keys-prod-us-gov-west-1/")
    for wrong in [
      "", "arn:aws:s3:::b", "arn:aws:elasticloadbalancing:a.evil/x:1:loadbalancer/app/a/b",
      "arn:aws-cn:elasticloadbalancing:cn-north-1:1:l",
    ] {
      #expect(place(wrong) == nil, "\(wrong)")
    }
  }
}
