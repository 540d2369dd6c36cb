import Cedar
import JSON
import Testing

@Suite struct EntitiesTests {
  private func read(_ text: String) throws -> Entities { try Entities(EntitiesJSON.entities(JSONParser.parse(text))) }

  private func mistakes(in text: String, schema: (any EntitySchema)? = nil) throws -> [ParseError] {
    try EntitiesJSON.forEach(in: Array(text.utf8), schema: schema) { _, _ in }
  }

  private func attribute(_ text: String) throws -> Value? {
    try read(#"[{"uid": {"type": "U", "id": "a"}, "attrs": {"v": \#(text)}, "parents": []}]"#)[PolicyParser.parseEntityUID("U::\"a\"")]?
      .attributes["v"]
  }

  @Test(arguments: [
    ("true", "true"), ("-9223372036854775808", "-9223372036854775808"), ("[1, \"a\", 1]", "[1, \"a\"]"), ("{}", "{}"),
    (#"{"__entity": {"type": "A::B", "id": "x"}}"#, #"A::B::"x""#), (#"{"__extn": {"fn": "ip", "arg": "1.1.1.1"}}"#, #"ip("1.1.1.1")"#),
    (#"{"type": "U", "id": "x"}"#, #"{"id": "x", "type": "U"}"#), (#"{"__extn": {"fn": "ip"}}"#, #"{"__extn": {"fn": "ip"}}"#),
    (#"{"a": 1, "__entity": {"type": "U", "id": "x"}}"#, #"{"__entity": {"id": "x", "type": "U"}, "a": 1}"#),
    (#"{"__extn": {"fn": "isIpv4", "arg": {"__extn": {"fn": "ip", "arg": "::1"}}}}"#, "false"),
    (
      #"{"__extn": {"fn": "offset", "args": [{"__extn": {"fn": "datetime", "arg": "1970-01-01"}}, {"__extn": {"fn": "duration", "arg": "5ms"}}]}}"#,
      #"(datetime("1970-01-01")).offset(duration("5ms"))"#
    ),
    (#"{"__extn": {"fn": "unknown", "arg": "x"}}"#, #"unknown("x")"#),
    (#"{"__extn": {"fn": "unknown", "args": ["x", "y"]}}"#, #"unknown("x")"#),
    (#"{"__extn": {"fn": "unknown", "arg": "x"}, "z": 1}"#, #"unknown("x")"#),
    (#"{"a": {"__extn": {"fn": "unknown", "arg": "x"}, "z": 1}}"#, #"{"a": {"__extn": {"arg": "x", "fn": "unknown"}, "z": 1}}"#),
    (#"[1, {"a": {"__extn": {"fn": "unknown", "arg": "x"}}}]"#, #"[1, {"a": unknown("x")}]"#),
    (#"{"__extn": {"fn": "ip", "arg": {"__extn": {"fn": "unknown", "arg": "x"}}}}"#, #"ip(unknown("x"))"#),
    (#"{"__extn": {"fn": "nope", "arg": {"__extn": {"fn": "unknown", "arg": "x"}}}}"#, #"nope(unknown("x"))"#),
  ]) func `an attribute`(_ json: String, is expected: String) throws { #expect(try attribute(json)?.description == expected) }

  @Test(arguments: [
    "null", "1.0", "1.5", "10000000000000000000", #"{"a": null}"#, #"{"__extn": {"fn": "ip", "arg": "zzz"}}"#,
    #"{"__extn": {"fn": "nope", "arg": "1"}}"#,
    #"{"__extn": {"fn": "unknown", "arg": 1}}"#, #"{"__extn": {"fn": "unknown", "args": []}}"#,
    #"{"__extn": {"fn": "a b", "arg": {"__extn": {"fn": "unknown", "arg": "x"}}}}"#,
    #"{"__expr": "ip(\"1.1.1.1\")"}"#, #"{"__entity": {"type": "U x", "id": "a"}}"#, #"{"__entity": {"type": "if", "id": "a"}}"#,
  ]) func `an attribute cannot be`(_ json: String) { #expect(throws: (any Error).self) { try attribute(json) } }

  @Test(arguments: [
    #"[{"uid": {"type": "U", "id": "a"}, "parents": []}]"#, #"[{"uid": {"type": "U", "id": "a"}, "attrs": {}}]"#,
    #"[{"attrs": {}, "parents": []}]"#,
    #"[{"uid": "U::\"a\"", "attrs": {}, "parents": []}]"#, #"{}"#, "[1]",
    #"[{"uid": {"type": "U", "id": "a"}, "attrs": {}, "parents": [{"type": "U", "id": "a"}]}]"#,
    #"[{"uid": {"type": "U", "id": "a"}, "attrs": {}, "parents": [{"type": "U", "id": "b"}]}, {"uid": {"type": "U", "id": "b"}, "attrs": {}, "parents": [{"type": "U", "id": "a"}]}]"#,
    #"[{"uid": {"type": "U", "id": "a"}, "attrs": {}, "parents": []}, {"uid": {"type": "U", "id": "a"}, "attrs": {"x": 1}, "parents": []}]"#,
    #"[{"uid": {"type": "Action", "id": "a"}, "attrs": {}, "parents": [{"type": "U", "id": "a"}]}]"#,
  ]) func `entities cannot be`(_ json: String) { #expect(throws: (any Error).self) { try read(json) } }

  @Test func `the same entity twice is one`() throws {
    let one = #"{"uid": {"type": "U", "id": "a"}, "attrs": {"x": [1, 2]}, "parents": []}"#
    #expect(try read("[\(one), \(one)]").count == 1)
  }

  @Test func `every entity's mistake is reported`() throws {
    let json =
      #"[{"uid": {"type": "U", "id": "a"}, "attrs": {"x": null}, "parents": []}, {"attrs": {}}, {"uid": {"type": "U", "id": "b"}, "attrs": {}, "parents": []}]"#
    do {
      _ = try EntitiesJSON.entities(JSONParser.parse(json))
      Issue.record("accepted")
    } catch let errors as ParseErrors { #expect(errors.errors.count == 3) }
  }

  @Test func `every mistake of an entity is reported`() throws {
    let json =
      #"[{"uid": {"type": "U", "id": "a"}, "attrs": {"x": null, "y": 1.5}, "parents": [1, {"type": "U", "id": "b"}, 2], "tags": {"t": null}}]"#
    do {
      _ = try EntitiesJSON.entities(JSONParser.parse(json))
      Issue.record("accepted")
    } catch let errors as ParseErrors { #expect(errors.errors.count == 5) }
  }

  @Test func `every mistake within one value is reported`() throws {
    struct Schema: EntitySchema {
      let attributes = [
        ExpectedAttribute(
          "r", .record([ExpectedAttribute("ip", .extension(.ipaddr)), ExpectedAttribute("n", .long)], isOpen: false))
      ]
      func expectedEntity(of type: EntityType) -> ExpectedEntity? { ExpectedEntity(attributes: attributes, tags: nil, isOpen: false) }
      func expectedContext(of action: EntityUID) -> [ExpectedAttribute]? { attributes }
    }
    let value = #"{"r": {"ip": "300.0.0.1", "x": 1, "y": [null, 1.5, {"a": null, "b": null}]}}"#
    let json = #"[{"uid": {"type": "U", "id": "a"}, "attrs": \#(value), "parents": []}]"#
    let open = try mistakes(in: json).map(\.message)
    #expect(open.count == 4 && open.filter { $0.contains("null") }.count == 3 && open.contains { $0.contains("1.5") })
    // The address, two attributes too many, and one that is missing.
    let closed = try mistakes(in: json, schema: Schema()).map(\.message)
    #expect(closed.count == 4)
    #expect(closed.contains { $0.contains("300.0.0.1") } && closed.contains { $0.contains("attribute `n`") })
    #expect(closed.contains { $0.contains("`x`") } && closed.contains { $0.contains("`y`") })
    do {
      _ = try EntitiesJSON.context(
        JSONParser.parse(value), action: EntityUID(type: EntityType(unchecked: "Action"), id: "a"), schema: Schema())
      Issue.record("accepted")
    } catch let errors as ParseErrors { #expect(errors.errors.count == 4) }
    do {
      _ = try EntitiesJSON.partialEntities(
        JSONParser.parse(#"[{"uid": {"type": "U", "id": "a"}, "attrs": {"x": null}, "parents": [1], "tags": {"t": 1.5}}]"#))
      Issue.record("accepted")
    } catch let errors as ParseErrors { #expect(errors.errors.count == 3) }
  }

  @Test func `mistakes of one value are told up to a limit`() throws {
    let nulls = Array(repeating: "null", count: 3 * ParseErrors.limit).joined(separator: ",")
    #expect(
      try mistakes(in: #"[{"uid": {"type": "U", "id": "a"}, "attrs": {"x": [\#(nulls)]}, "parents": []}]"#).count == ParseErrors.limit)
  }

  @Test func `what is written is read as the same`() throws {
    for seed in 0..<50 as Range<UInt64> {
      var cases = RandomCases(seed: seed)
      let entities = try Entities(cases.entities())
      let again = try read(EntitiesJSON.json(entities).text)
      #expect(again == entities)
    }
  }

  @Test func `a hierarchy of 3,000 levels is closed without recursion`() throws {
    let type = EntityType(unchecked: "U")
    let deep = (0..<3000).map { level in
      Entity(uid: EntityUID(type: type, id: "\(level)"), parents: [EntityUID(type: type, id: "\(level + 1)")])
    }
    #expect(try Entities(deep).ancestors(of: EntityUID(type: type, id: "0")).count == 3000)
  }

  @Test func `entities are given back as they were written, duplicates in the words of the last`() throws {
    let (one, other) = (#"{"__extn": {"fn": "decimal", "arg": "1.50"}}"#, #"{"__extn": {"fn": "decimal", "arg": "1.5"}}"#)
    func entity(_ value: String) -> String {
      #"{"uid": {"type": "U", "id": "a"}, "attrs": {"v": [\#(value)]}, "parents": [{"type": "G", "id": "b"}]}"#
    }
    #expect(try EntitiesJSON.json(read("[\(entity(one))]")).text.contains("1.50"))
    #expect(try !EntitiesJSON.json(read("[\(entity(one)), \(entity(other))]")).text.contains("1.50"))
    for seed in 0..<50 as Range<UInt64> {
      var cases = RandomCases(seed: seed)
      let list = cases.entities()
      let entities = try Entities(list + list)
      #expect(entities.all == list)
      for entity in list { #expect(entities[entity.uid] == entity) }
    }
  }

  @Test func `a cycle is found wherever it is, and names an entity on it`() throws {
    let type = EntityType(unchecked: "U")
    func uid(_ id: String) -> EntityUID { EntityUID(type: type, id: id) }
    let graph = ["a": "b", "b": "cd", "c": "e", "d": "e", "e": "b", "f": "f", "x": "y", "y": ""]
    func entities(_ names: String) -> [Entity] {
      names.map { Entity(uid: uid("\($0)"), parents: Set((graph["\($0)"] ?? "").map { uid("\($0)") })) }
    }
    for names in ["abcde", "ebcda", "xyf", "f"] {
      do throws(EntitiesError) {
        _ = try Entities(entities(names))
        Issue.record("accepted \(names)")
      } catch {
        if case .cycle(let found) = error {
          #expect((names.contains("f") ? "f" : "bcde").contains(found.id))
        } else {
          Issue.record("\(error)")
        }
      }
    }
    #expect(try Entities(entities("abcdxy")).ancestors(of: uid("a")) == Set("bcde".map { uid("\($0)") }))
  }
}
