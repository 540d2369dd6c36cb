import Bytes
import HTTP
import Testing

@testable import Pipeline
@testable import Proxy

@Suite struct EntityAnswersTests {
  private let source: EntitySource
  private let snapshot: Snapshot

  init() throws {
    let path = try RoutePath("/orders/{id}")
    source = EntitySource(
      url: try URLTemplate("http://orders.example/{id}", for: path, TextTemplate.Sources()), timeoutMillis: 1, cacheMillis: 1,
      maximumBytes: 1000, headers: FieldBlock())
    var configuration = Configuration(upstream: "http://127.0.0.1:1")
    var pool = IssuerConfiguration(name: "main", kind: .cognito(poolID: "us-east-1_AbC123"))
    pool.clientIDs = ["app"]
    configuration.issuers = [pool]
    let policies = SourceText(name: "a.cedar", "permit (principal, action, resource);")
    snapshot = try SnapshotBuilder.build(
      configuration, policies: PolicyFiles(policies: [policies], schema: nil, entities: nil, hash: ""), generation: 1)
  }

  private func lookup(_ name: Int) -> EntityLookup { EntityLookup(source, url: "http://orders.example/\(name)", under: snapshot) }

  private func size(_ answers: EntityAnswers, _ name: Int, at now: UInt64 = 0) -> Int? {
    guard case .entities(_, let size) = answers.answer(to: lookup(name), at: now)?.answer else { return nil }
    return size
  }

  @Test func anAnswerServesUntilItsTimeAndNotAtIt() {
    var answers = EntityAnswers()
    answers.keep(.entities([], size: 1), to: lookup(1), until: 100, at: 0)
    #expect(size(answers, 1, at: 99) == 1 && size(answers, 1, at: 100) == nil && size(answers, 2) == nil)
    answers.keep(.entities([], size: 2), to: lookup(2), until: 100, at: 100)
    #expect(size(answers, 2, at: 100) == nil, "what serves for no time is not kept")
  }

  @Test func theOldestGoFirst() {
    var answers = EntityAnswers()
    for name in 0..<(Defaults.entityAnswers + 10) { answers.keep(.entities([], size: 5), to: lookup(name), until: 100, at: 0) }
    #expect(size(answers, 9) == nil && size(answers, 10) == 5 && size(answers, Defaults.entityAnswers + 9) == 5)
  }

  @Test func manyBytesAreTooManyWhateverTheirNumber() {
    var answers = EntityAnswers()
    let half = Defaults.entityAnswerBytes / 20
    for name in 0..<3 { answers.keep(.entities([], size: half), to: lookup(name), until: 100, at: 0) }
    #expect(size(answers, 0) == nil && size(answers, 1) == nil && size(answers, 2) == half)
    answers.keep(.entities([], size: 4 * half), to: lookup(3), until: 100, at: 0)
    #expect(size(answers, 3) == nil, "what is larger than all there may be is not kept")
    answers.keep(.entities([], size: 1), to: lookup(4), until: 100, at: 0)
    #expect(size(answers, 4) == 1)
  }

  @Test func whatIsKeptAgainCountsOnceAndStaysAsLongAsTheNewest() {
    var answers = EntityAnswers()
    answers.keep(.entities([], size: 1), to: lookup(-1), until: 100, at: 0)
    for round in 0..<(3 * Defaults.entityAnswers) { answers.keep(.entities([], size: round), to: lookup(-2), until: 100, at: 0) }
    #expect(size(answers, -1) == 1, "one that is kept again and again drives no other out")
    for name in 0..<(Defaults.entityAnswers - 1) { answers.keep(.entities([], size: 5), to: lookup(name), until: 100, at: 0) }
    #expect(size(answers, -1) == nil && size(answers, -2) == 3 * Defaults.entityAnswers - 1)
  }
}
