import Cedar
import CedarSchema
import JSON
import Testing

@Suite struct ConformanceTests {
  private static let text = """
    entity Clerk in [Team] { from: ipaddr, boss?: Clerk, all?: Set<ipaddr>, desk?: { floor: Long, pay?: decimal }, rank?: Rank } tags ipaddr;
    entity Team in [Region]; entity Region; entity Rank enum ["junior"];
    action view in [trade] appliesTo { principal: Clerk, resource: Team, context: { till?: Long, by?: Rank } };
    action trade in [all]; action all;
    """
  private let schema: Schema

  init() throws { schema = try Schema(Self.text) }

  private func store(_ json: String) -> String {
    do {
      let entities = try EntitiesJSON.entities(JSONParser.parse(json), schema: schema)
      return "\(try schema.store(of: entities).count)"
    } catch let error as ConformanceError {
      return error.description
    } catch {
      return "reading: \(error)"
    }
  }

  private func clerk(_ attributes: String, parents: String = "[]", tags: String = "{}") -> String {
    store(#"[{"uid": {"type": "Clerk", "id": "a"}, "attrs": \#(attributes), "parents": \#(parents), "tags": \#(tags)}]"#)
  }

  @Test("What fits is stored together with the schema's actions; JSON is read by what is expected")
  func accepted() {
    #expect(store("[]") == "3")
    #expect(clerk(#"{"from": "10.0.0.1"}"#) == "4")
    #expect(clerk(#"{"from": {"fn": "ip", "arg": "10.0.0.1"}, "all": ["::1", {"__extn": {"fn": "ip", "arg": "10.0.0.0/8"}}]}"#) == "4")
    #expect(clerk(#"{"from": "10.0.0.1", "boss": {"type": "Clerk", "id": "b"}, "desk": {"floor": 3, "pay": "1.50"}}"#) == "4")
    #expect(
      clerk(#"{"from": "::1"}"#, parents: #"[{"type": "Team", "id": "t"}, {"type": "Region", "id": "r"}]"#, tags: #"{"x": "::1"}"#) == "4")
    #expect(store(#"[{"uid": {"type": "Rank", "id": "junior"}, "attrs": {}, "parents": []}]"#) == "4")
  }

  @Test("What does not fit is refused with its place")
  func refused() {
    #expect(clerk("{}") == "expected entity `Clerk::\"a\"` to have attribute `from`, but it does not")
    #expect(
      clerk(#"{"from": "::1", "desk": {"floor": "3"}}"#)
        == "in attribute `desk` on `Clerk::\"a\"` (at `floor`), type mismatch: value was expected to have type Long, but it actually has type string: `\"3\"`"
    )
    #expect(
      clerk(#"{"from": "::1", "boss": {"type": "Team", "id": "b"}}"#).hasPrefix("in attribute `boss` on `Clerk::\"a\"`, type mismatch"))
    #expect(
      clerk(#"{"from": "::1", "rank": {"type": "Rank", "id": "senior"}}"#)
        == "entity `Rank::\"senior\"` is of an enumerated entity type, but `\"senior\"` is not declared as a valid eid")
    #expect(
      clerk(#"{"from": "::1"}"#, parents: #"[{"type": "Clerk", "id": "b"}]"#)
        == "`Clerk::\"a\"` is not allowed to have an ancestor of type `Clerk` according to the schema")
    #expect(clerk(#"{"from": "::1", "other": 1}"#).contains("should not exist according to the schema"))
    #expect(
      store(#"[{"uid": {"type": "Team", "id": "t"}, "attrs": {}, "parents": [], "tags": {"x": "::1"}}]"#).contains("no tags should exist"))
    #expect(store(#"[{"uid": {"type": "Clark", "id": "t"}, "attrs": {}, "parents": []}]"#).contains("not declared in the schema"))
  }

  @Test("An action among the entities must be the schema's, its ancestors spelled out or not")
  func actions() {
    func action(_ id: String, _ parents: String, attributes: String = "{}") -> String {
      store(#"[{"uid": {"type": "Action", "id": "\#(id)"}, "attrs": \#(attributes), "parents": \#(parents)}]"#)
    }
    #expect(action("view", #"[{"type": "Action", "id": "trade"}, {"type": "Action", "id": "all"}]"#) == "3")
    #expect(action("all", "[]") == "3")
    #expect(action("view", "[]").hasPrefix("definition of action `Action::\"view\"` does not match"))
    #expect(action("all", "[]", attributes: #"{"x": 1}"#).hasPrefix("definition of action"))
    #expect(action("nope", "[]") == "action `Action::\"nope\"` does not exist in the supplied schema")
  }

  @Test("Requests: declared types, an action that applies, enumerated ids, exactly the declared context")
  func requests() {
    func check(_ principal: String, _ action: String, _ resource: String, _ context: [Record.Field] = []) -> String? {
      func uid(_ type: String, _ id: String) -> EntityUID { EntityUID(type: EntityType(unchecked: type), id: id) }
      let request = Request(
        principal: uid(principal, "x"), action: uid("Action", action), resource: uid(resource, "y"), context: Record(lastWins: context))
      do {
        try schema.check(request)
        return nil
      } catch {
        return error.description
      }
    }
    #expect(check("Clerk", "view", "Team") == nil)
    #expect(check("Clerk", "view", "Team", [.init("till", .long(1))]) == nil)
    #expect(check("Team", "view", "Team") == "principal type `Team` is not valid for `Action::\"view\"`")
    #expect(check("Clerk", "view", "Clerk") == "resource type `Clerk` is not valid for `Action::\"view\"`")
    #expect(check("Nobody", "view", "Team") == "principal type `Nobody` is not declared in the schema")
    #expect(check("Clerk", "trade", "Team") == "principal type `Clerk` is not valid for `Action::\"trade\"`")
    #expect(check("Clerk", "nope", "Team") == "action `Action::\"nope\"` does not exist in the supplied schema")
    #expect(check("Rank", "view", "Team")?.contains("is not declared as a valid eid") == true)
    #expect(check("Clerk", "view", "Team", [.init("other", .long(1))])?.hasPrefix("context is not valid for `Action::\"view\"`") == true)
    #expect(check("Clerk", "view", "Team", [.init("till", .string("1"))])?.contains("expected to have type Long") == true)
    let rank = EntityUID(type: EntityType(unchecked: "Rank"), id: "senior")
    #expect(check("Clerk", "view", "Team", [.init("by", .entity(rank))])?.contains("valid eid") == true)
  }

  @Test("A context written as an entity or an extension value is none, with and without a schema")
  func contextEscapes() throws {
    // Found by the differential run: the reference reads the escape and finds no record.
    let view = EntityUID(type: EntityType(unchecked: "Action"), id: "view")
    for text in [#"{"__entity": {"type": "Clerk", "id": "a"}}"#, #"{"__extn": {"fn": "ip", "arg": "::1"}}"#] {
      let json = try JSONParser.parse(text)
      #expect(throws: ParseErrors.self) { try EntitiesJSON.context(json, action: view) }
      #expect(throws: ParseErrors.self) { try EntitiesJSON.context(json, action: view, schema: schema) }
    }
    #expect(try EntitiesJSON.context(JSONParser.parse(#"{"type": "Clerk", "id": "a"}"#), action: view).count == 2)
  }
}
