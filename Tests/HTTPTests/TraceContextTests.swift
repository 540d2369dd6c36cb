import Testing

@testable import HTTP

/// What is believed of `traceparent` and `tracestate`: the recommendation's grammar and nothing beside it.
@Suite struct TraceContextTests {
  private static let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
  private static let span = "00f067aa0ba902b7"

  private func parsed(_ value: String) -> TraceParent? { Array(value.utf8).withUnsafeBytes { TraceParent($0) } }

  private func fields(_ lines: String...) throws -> FieldSection {
    var head = RequestHead()
    let text = "GET / HTTP/1.1\r\nHost: x\r\n" + lines.map { $0 + "\r\n" }.joined() + "\r\n"
    guard case .complete = Array(text.utf8).withUnsafeBytes({ RequestHeadParser.parse($0, limits: HeadLimits(), into: &head) }) else {
      throw Unreadable()
    }
    return head.fields
  }
  private struct Unreadable: Error {}

  @Test func aValidContextIsReadAndWrittenBack() {
    let context = parsed("00-\(Self.trace)-\(Self.span)-01")
    #expect(context?.traceText == Self.trace && context?.spanText == Self.span && context?.isSampled == true)
    #expect(context?.description == "00-\(Self.trace)-\(Self.span)-01")
    #expect(parsed("00-\(Self.trace)-\(Self.span)-00")?.isSampled == false)
  }

  @Test func flagsWithoutAMeaningAreNotHandedOn() {
    #expect(parsed("00-\(Self.trace)-\(Self.span)-ff")?.description.hasSuffix("-01") == true)
    #expect(parsed("00-\(Self.trace)-\(Self.span)-fe")?.description.hasSuffix("-00") == true)
  }

  @Test func aLaterVersionIsReadAsFarAsThisOneGoes() {
    #expect(parsed("cc-\(Self.trace)-\(Self.span)-01")?.description == "00-\(Self.trace)-\(Self.span)-01")
    #expect(parsed("cc-\(Self.trace)-\(Self.span)-01-what-the-future-brings")?.traceText == Self.trace)
    #expect(parsed("cc-\(Self.trace)-\(Self.span)-01.what") == nil)
  }

  @Test(
    arguments: [
      "", "00", "00-\(trace)-\(span)", "00-\(trace)-\(span)-", "00-\(trace)-\(span)-0", "00-\(trace)-\(span)-011",
      "00-\(trace)-\(span)-01-",
      "00-\(trace)-\(span)-01-more", "ff-\(trace)-\(span)-01", "0-\(trace)-\(span)-01", "00_\(trace)-\(span)-01", "00-\(trace)_\(span)-01",
      "00-\(trace)-\(span)_01", "00-00000000000000000000000000000000-\(span)-01", "00-\(trace)-0000000000000000-01",
      "00-4BF92F3577B34DA6A3CE929D0E0E4736-\(span)-01", "00-\(trace)-00F067AA0BA902B7-01", "00-\(trace)-\(span)-0A",
      "0A-\(trace)-\(span)-01",
      "00-4bf92f3577b34da6a3ce929d0e0e473g-\(span)-01", "00-\(trace)-\(span)-0g", " 00-\(trace)-\(span)-01", "00-\(trace)-\(span)-01 ",
      "00-4bf92f3577b34da6a3ce929d0e0e473-\(span)-01a", "\u{ff10}0-\(trace)-\(span)-01",
    ])
  func whatIsNotTheGrammarIsNoContext(_ value: String) { #expect(parsed(value) == nil) }

  @Test func aContextSaidTwiceIsNone() throws {
    let one = "traceparent: 00-\(Self.trace)-\(Self.span)-01"
    #expect(TraceParent(of: try fields(one)) != nil)
    #expect(TraceParent(of: try fields("TraceParent: 00-\(Self.trace)-\(Self.span)-01")) != nil)
    #expect(TraceParent(of: try fields(one, one)) == nil)
    #expect(TraceParent(of: try fields()) == nil)
  }

  @Test(
    arguments: [
      "", "congo=t61rcWkgMzE", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "a=1, b=2 ,\tc=3,,", "fw529a3039@dt=FfffwAA", "1a@b=x",
      "a_-*/0=!",
      "a=" + String(repeating: "v", count: 256), "a= leading", String(repeating: "k", count: 256) + "=1",
    ])
  func aValidStateGoesOn(_ value: String) throws { #expect(TraceState.isValid(in: try fields("tracestate: \(value)"))) }

  @Test(
    arguments: [
      "a", "=1", "a=", "A=1", "1a=1", "a b=1", "a=1,a=2", "a=b=c", "a@b@c=1", "a@=1", "@b=1", "a@1b=1", "a=\u{e9}",
      "a=" + String(repeating: "v", count: 257), String(repeating: "k", count: 257) + "=1",
      (0..<33).map { "k\($0)=1" }.joined(separator: ","),
    ])
  func anInvalidStateDoesNot(_ value: String) throws { #expect(!TraceState.isValid(in: try fields("tracestate: \(value)"))) }

  @Test func linesOfAStateAreOneList() throws {
    #expect(TraceState.isValid(in: try fields("tracestate: a=1", "tracestate: b=2")))
    #expect(!TraceState.isValid(in: try fields("tracestate: a=1", "tracestate: a=2")))
    #expect(TraceState.text(in: try fields("tracestate: a=1", "tracestate: b=2")) == "a=1,b=2")
  }
}
