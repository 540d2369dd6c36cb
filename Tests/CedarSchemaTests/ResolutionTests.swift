import Cedar
import CedarSchema
import Testing

@Suite struct ResolutionTests {
  private func type(of attribute: String, on entity: String = "U", in text: String) throws -> String? {
    try Schema(text).entityType(EntityType(unchecked: entity))?.attributes[attribute]?.type.description
  }

  @Test("A name means the nearest: common type before entity type, own namespace before the empty one, builtins last")
  func order() throws {
    #expect(try type(of: "a", in: "type T = Long; entity T; entity U { a: T };") == "Long")
    #expect(try type(of: "a", on: "N::U", in: "namespace N { entity T; entity U { a: T }; } ") == "N::T")
    #expect(try type(of: "a", on: "N::U", in: "namespace N { entity U { a: T }; } type T = String;") == "String")
    #expect(try type(of: "a", on: "N::U", in: "namespace N { entity U { a: T }; } entity T;") == "T")
    #expect(try type(of: "a", on: "N::U", in: "namespace N { entity String; entity U { a: String }; }") == "N::String")
    #expect(try type(of: "a", in: "entity Long; entity U { a: Long };") == "Long")
    #expect(try type(of: "a", in: "type ipaddr = String; entity U { a: ipaddr, b: __cedar::ipaddr };") == "String")
    #expect(try type(of: "b", in: "type ipaddr = String; entity U { a: ipaddr, b: __cedar::ipaddr };") == "ipaddr")
    #expect(try type(of: "a", on: "N::U", in: "namespace N { entity U { a: M::T }; } namespace M { type T = Bool; }") == "Bool")
  }

  @Test("An entity type named like a primitive is that entity type, not the primitive")
  func entityNamedLong() throws {
    let schema = try Schema("entity Long; entity U { a: Long, b: __cedar::Long };")
    let attributes = try #require(schema.entityType(EntityType(unchecked: "U"))).attributes
    #expect(attributes["b"]?.type == .long)
    #expect(attributes["a"]?.type != .long)
    #expect(schema.warnings.map(\.kind) == [.shadowsBuiltin])
  }

  @Test("Nothing in a namespace may hide a declaration of the empty one")
  func shadowing() {
    let message = "definition of `A::U` illegally shadows the existing definition of `U`"
    #expect(messages("namespace A { entity U; } entity U;") == [message])
    #expect(messages("namespace A { type U = Long; } entity U;") == [message])
    #expect(messages("namespace A { entity U; } type U = Long;") == [message])
    #expect(
      messages("namespace A { action go; } action go;") == [
        #"definition of `A::Action::"go"` illegally shadows the existing definition of `Action::"go"`"#
      ])
    #expect(messages("namespace A { entity U; } namespace B { entity U; }") == nil)
  }

  @Test("Cycles: allowed among entity types, refused among common types and actions, every member named")
  func cycles() {
    #expect(messages("entity A in [B]; entity B in [C]; entity C in [A];") == nil)
    #expect(
      messages("type A = Set<B>; type B = {x: A}; type C = A;") == [
        "cycle in common type references containing `A`", "cycle in common type references containing `B`",
      ])
    #expect(messages("action a in b; action b in a; action c in a;")?.count == 2)
    #expect(messages("action a in a;") == [#"cycle in action hierarchy containing `Action::"a"`"#])
  }

  @Test("An entity type may refer to types declared anywhere, in any order")
  func forward() {
    #expect(
      messages("entity U { a: A::T, b: Set<B::V> }; namespace A { type T = B::S; } namespace B { type S = {v: V}; entity V in [U]; }")
        == nil)
  }

  @Test("Actions apply to entity types only, and a context is a record")
  func actions() {
    #expect(messages("action a appliesTo { principal: Action, resource: U }; entity U;") == ["undeclared entity type: Action"])
    #expect(
      messages("action a appliesTo { principal: U, resource: U, context: T }; entity U; type T = Long;") == [
        #"Context for action Action::"a" is declared with a type other than `Record`"#
      ])
    #expect(messages("action a appliesTo { principal: U, resource: U, context: U }; entity U;") == ["failed to resolve type: U"])
    #expect(messages("entity U { a: Action };") == ["failed to resolve type: Action"])
    #expect(messages("namespace N { action a in [Action::\"b\", N::Action::\"b\", b]; action b; }") == nil)
    #expect(messages("namespace N { action a in [Action::\"b\"]; } action b;") == nil)
  }

  @Test("The hierarchy is closed: types above and below, actions in groups")
  func hierarchy() throws {
    let schema = try Schema("entity A in [B]; entity B in [C]; entity C; entity D in [D]; action x in [y]; action y in [z]; action z;")
    func type(_ text: String) -> EntityType { EntityType(unchecked: text) }
    func action(_ id: String) -> EntityUID { EntityUID(type: type("Action"), id: id) }
    #expect(schema.types(above: type("A")).map(\.text) == ["B", "C"])
    #expect(schema.types(below: type("C")).map(\.text) == ["A", "B"])
    #expect(schema.canBe(type("D"), below: type("D")))
    #expect(!schema.canBe(type("A"), below: type("A")))
    #expect(schema.isAction(action("x"), in: action("z")))
    #expect(schema.isAction(action("z"), in: action("z")))
    #expect(!schema.isAction(action("z"), in: action("x")))
    #expect(schema.actionEntities.first { $0.uid == action("x") }?.parents == [action("y")])
  }

  @Test("Several fragments are one schema: names across them resolve, declarations in both collide")
  func fragments() throws {
    let a = try SchemaFragment("namespace A { entity U { b: B::V }; }")
    let b = try SchemaFragment("namespace B { entity V; }")
    #expect(try Schema([a, b]).entityTypes.count == 2)
    #expect(throws: SchemaErrors.self) { try Schema([a]) }
    #expect(throws: SchemaErrors.self) { try Schema([a, b, b]) }
  }
}
