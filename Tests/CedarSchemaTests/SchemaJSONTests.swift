import Cedar
import CedarSchema
import JSON
import Testing

@Suite struct SchemaJSONTests {
  private func messages(_ json: String) -> [String]? {
    do {
      _ = try Schema(jsonText: json)
      return nil
    } catch {
      return error.errors.map(\.message)
    }
  }

  private func attribute(_ type: String) -> String {
    #"{"": {"entityTypes": {"Shop": {"shape": {"type": "Record", "attributes": {"a": \#(type)}}}}, "actions": {}, "commonTypes": {"T": {"type": "Long"}}}}"#
  }

  private func entity(_ type: String) -> String {
    #"{"": {"entityTypes": {"Shop": \#(type)}, "actions": {}, "commonTypes": {"T": {"type": "Long"}, "R": {"type": "Record", "attributes": {}}}}}"#
  }

  private func action(_ action: String) -> String { #"{"": {"entityTypes": {"Shop": {}}, "actions": {"go": \#(action), "group": {}}}}"# }

  @Test(
    "Types of attributes",
    arguments: [
      #"{"type": "Long"}"#, #"{"type": "Boolean"}"#, #"{"type": "Bool"}"#,
      #"{"type": "Set", "element": {"type": "Set", "element": {"type": "T"}}}"#,
      #"{"type": "Record", "attributes": {"x": {"type": "String", "required": false}}, "additionalAttributes": false}"#,
      #"{"type": "Entity", "name": "Shop"}"#, #"{"type": "Extension", "name": "ipaddr"}"#, #"{"type": "ipaddr"}"#,
      #"{"type": "__cedar::Long"}"#,
      #"{"type": "EntityOrCommon", "name": "Shop"}"#, #"{"type": "EntityOrCommon", "name": "Long"}"#,
      #"{"type": "Long", "required": false, "annotations": {"unit": "cm", "if": null}}"#,
    ])
  func types(type: String) { #expect(messages(attribute(type)) == nil) }

  @Test(
    "Types that are none",
    arguments: [
      (#"{"type": "long"}"#, "failed to resolve type: long"), (#"{"type": "Shop"}"#, "failed to resolve type: Shop"),
      (#"{"type": "Set"}"#, "missing field `element`"), (#"{"type": "Record"}"#, "missing field `attributes`"),
      (#"{}"#, "missing field `type`"),
      (#"{"type": "Extension", "name": "ip"}"#, "unknown extension type `ip`"),
      (#"{"type": "Entity", "name": "T"}"#, "failed to resolve type: T"),
      (#"{"type": "Long", "element": {"type": "Long"}}"#, "unknown field `element`, there are no fields"),
      (
        #"{"type": "Entity", "name": "A :: B"}"#,
        "invalid type `A :: B`: `A :: B` is not a name: write identifiers joined by `::`, without white space"
      ),
      (#""Long""#, "invalid type: a string, expected a type as an object"),
      (#"{"type": "__cedar::Boolean"}"#, "failed to resolve type: __cedar::Boolean"),
      (
        #"{"type": "Record", "attributes": {}, "additionalAttributes": true}"#,
        "records and entities with `additionalAttributes` are experimental and not supported"
      ),
    ])
  func wrongTypes(type: String, message: String) { #expect(messages(attribute(type)) == [message]) }

  @Test("`required` belongs to attributes and nowhere else")
  func required() {
    let found = messages(attribute(#"{"type": "Set", "element": {"type": "Long", "required": false}}"#))
    #expect(found == ["unknown field `required`, expected one of `type`, `element`, `attributes`, `additionalAttributes`, `name`"])
  }

  @Test("Entity types: a shape may be a common type that is a record; an enumeration has nothing beside it")
  func entityTypes() {
    #expect(messages(entity(#"{"shape": {"type": "R"}, "tags": {"type": "T"}, "memberOfTypes": ["Shop"]}"#)) == nil)
    #expect(messages(entity(#"{"enum": ["a", "b"], "annotations": {"x": "y"}}"#)) == nil)
    #expect(messages(entity(#"{"shape": {"type": "T"}}"#)) == ["Shape for entity type Shop is declared with a type other than `Record`"])
    #expect(messages(entity(#"{"enum": []}"#)) == ["the vector provided was empty, NonEmpty needs at least one element"])
    #expect(messages(entity(#"{"enum": ["a"], "tags": {"type": "T"}}"#)) == ["unexpected field: tags"])
    #expect(messages(entity(#"{"shap": {"type": "R"}}"#))?.first?.hasPrefix("unknown field `shap`") == true)
    #expect(messages(entity("null"))?.count == 1)
  }

  @Test("Actions: empty lists and nulls are allowed, attributes are not")
  func actions() {
    #expect(messages(action("{}")) == nil)
    #expect(messages(action(#"{"appliesTo": null, "memberOf": null, "attributes": null}"#)) == nil)
    #expect(
      messages(
        action(#"{"appliesTo": {"principalTypes": [], "resourceTypes": ["Shop"]}, "memberOf": [{"id": "group", "type": "Action"}]}"#))
        == nil)
    #expect(messages(action(#"{"appliesTo": {"principalTypes": []}}"#)) == ["missing field `resourceTypes`"])
    #expect(messages(action(#"{"attributes": {}}"#)) == ["unsupported feature used in schema: action declared with attributes: [go]"])
    #expect(messages(action(#"{"memberOf": [{"id": "nope"}]}"#)) == [#"undeclared action: Action::"nope""#])
    #expect(messages(action(#"{"memberOf": ["group"]}"#)) == ["invalid type: a string, expected an action as an object"])
  }

  @Test("Namespaces: both lists are required, names are checked, one name stands once")
  func namespaces() {
    #expect(messages("{}") == nil)
    #expect(messages(#"{"A::B": {"entityTypes": {}, "actions": {}}}"#) == nil)
    #expect(messages(#"{"": {"entityTypes": {}}}"#) == ["missing field `actions`"])
    #expect(messages(#"{"A B": {"entityTypes": {}, "actions": {}}}"#)?.count == 1)
    #expect(messages(#"{"__cedar": {"entityTypes": {}, "actions": {}}}"#) == ["use of the reserved `__cedar` namespace"])
    #expect(
      messages(#"{"": {"entityTypes": {}, "actions": {}, "annotations": {"a": "b"}}}"#) == [
        "annotations are not allowed on the empty namespace"
      ])
    #expect(messages(#"{"": {"entityTypes": {"if": {}}, "actions": {}}}"#)?.count == 1)
    #expect(messages("[]")?.count == 1)
  }

  @Test("A name twice in an object is refused, even if whoever read the JSON kept both")
  func duplicateNames() throws {
    let text = #"{"": {"entityTypes": {"A": {}, "A": {"enum": ["x"]}}, "actions": {}}}"#
    #expect(messages(text)?.first == "duplicate name \"A\" in an object")
    let value = try JSONParser.parse(text, limits: JSONParser.Limits(duplicateNames: .keepAll))
    #expect(throws: SchemaErrors.self) { try Schema(json: value) }
  }

  @Test("Mistakes have places in the JSON text")
  func places() {
    let text = attribute(#"{"type": "Lnog"}"#)
    do {
      _ = try Schema(jsonText: text)
      Issue.record("accepted")
    } catch {
      let span = error.errors[0].span
      #expect(String(decoding: Array(text.utf8)[span.start..<span.end], as: UTF8.self) == "\"Lnog\"")
    }
  }

  @Test("An array in an object's place is refused: the reference takes its elements for members, by a position nobody wrote down")
  func arraysAreNoObjects() {
    // Found by the differential run; the one place where a schema that the reference reads is none for us.
    #expect(messages(action("[]")) == ["invalid type: an array, expected an action as an object"])
    #expect(messages(entity("[]")) == ["invalid type: an array, expected an entity type as an object"])
    #expect(messages(#"{"": [{}, {}, {}]}"#) == ["invalid type: an array, expected a namespace as an object"])
  }
}
