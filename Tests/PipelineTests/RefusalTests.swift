import HTTP
import JOSE
import JSON
import Telemetry
import TestSupport
import Testing

@testable import Pipeline

@Suite struct RefusalTests {
  static let examples: [Rejection] = [
    .syntax(.obsFold), .syntax(.pathDotSegment), .syntax(.headTooLarge), .syntax(.methodTrace), .headTimeout, .untraceable(detail: "x"),
    .multipleCredentials(detail: "two"), .noToken,
    .token(.partCount(2)), .token(.expired(at: 1, now: 100)), .token(.signature(kid: "k", algorithm: .rs256)),
    .token(.unknownKey(kid: "k", algorithm: .rs256)), .token(.issuer(found: "x", expected: ["y"])),
    .token(.audience(claim: "client_id", found: ["x"])), .token(.tokenUse(found: "refresh", expected: [.access])),
    .token(.algorithm(found: "none", expected: [.rs256])), .token(.notYetValid(claim: "nbf", at: 9, now: 1)),
    .token(.lifetime(seconds: 9, maximum: 1)), .token(.senderConstrained), .proof(.count(0)), .proof(.nonce),
    .proof(.otherKey), .proof(.replayed), .proof(.overloaded), .token(.revoked(.subject(issuedBefore: 7))),
    .policyForbids, .noPolicyPermits,
    .policyFailed(detail: "policy p"), .keysUnavailable(issuer: "main", detail: "refused"), .engineFailed(detail: "x"),
    .engineTimedOut(detail: "x"),
    .token(.inactive), .introspectionUnavailable(issuer: "main", detail: "refused"),
    .overloaded(.requestsInFlight, detail: "x"), .logFull,
    .bodyTooLarge(limit: 10, setting: "the route's body.max"), .bodyTimeout, .bodyTooSlow(rate: 240), .bodyUnsupported(detail: "x"),
    .bodyInvalid(detail: "x"),
    .entityLookupFailed(detail: "x"), .credentialsUnavailable(detail: "x"), .credentialsRefused(detail: "x"),
  ]

  static func stepUp() throws -> Rejection {
    .insufficientAuthentication(try #require(StepUp(acrValues: ["urn:a", "urn:b"], maximumAge: 300)))
  }

  @Test func theTableOfRefusals() throws {
    var text = ""
    for rejection in Self.examples + [try Self.stepUp()] {
      var challenge = Challenge(realm: "stockade")
      if case .proof = rejection { challenge.demandsProof = true }
      let answer = Answer(rejection, id: DecisionID(milliseconds: 0, random: (0, 0)), challenge: challenge)
      text += "\(rejection.status.code) \(rejection.reason.rawValue)\(rejection.passesWhenObserved ? " (passes when observed)" : "")\n"
      text += "  client: \(rejection.publicText)\n"
      for field in answer.fields { text += "  \(field.name): \(field.value)\n" }
      if let detail = rejection.detail { text += "  log: \(detail)\n" }
    }
    #expect(Golden.difference(text, from: "refusals.txt") == nil)
  }

  @Test func nothingOfPoliciesKeysOrClaimsIsToldToTheClient() throws {
    for rejection in Self.examples {
      let answer = Answer(rejection, id: DecisionID(milliseconds: 0, random: (0, 0)), challenge: Challenge(realm: "stockade"))
      let told = String(decoding: answer.body, as: UTF8.self) + answer.fields.map { $0.name + $0.value }.joined()
      for secret in ["policy p", "refused\"", "client_id", "kid", "exp 1"] {
        #expect(!told.contains(secret), "\(rejection) tells \(secret)")
      }
      let body = try JSONParser.parse(answer.body)
      #expect(body["status"]?.integer == Int64(rejection.status.code))
      #expect(body["message"]?.string == body["detail"]?.string, "AWS clients read message")
      #expect(body["decision_id"]?.string == "00000000000000000000000000")
    }
  }

  @Test func faultsNeverAre401AndNeverAllow() {
    for rejection in Self.examples where rejection.isFault {
      #expect(rejection.status == .serviceUnavailable && rejection.retryAfter != nil)
    }
  }

  @Test func everyTokenErrorHasAReasonInTheClosedTable() {
    let known = Set(DecisionReason.allCases.map(\.rawValue))
    for reason in TokenError.Reason.allCases { #expect(known.contains(reason.rawValue), "\(reason)") }
  }
}
