import Cedar
import CedarSchema
import JSON
import TestSupport
import Testing

@Suite struct TranslationTests {
  static let shop = """
    @doc("the shop")
    namespace Acme::Shop {
      type Address = { street: String, "zip code"?: Long };
      entity Shop, Depot in [Region, Acme::Shop::Shop] = { at: Address, open: __cedar::Bool, @unit size?: Set<decimal> } tags Set<String>;
      entity Region;
      entity Size enum ["S", "a\\"b"];
      action list, sell in [trade, Action::"audit", Acme::Shop::Action::"log"] appliesTo {
        principal: [Shop], resource: Depot, context: { from?: ipaddr }
      };
      action trade, audit, log;
      @x("") action move appliesTo { principal: Shop, resource: Shop, context: Address };
    }
    entity Guest { name: String, "if": Long };
    """

  @Test("A schema in Cedar syntax, as JSON and back as text: golden")
  func golden() throws {
    let fragment = try SchemaFragment(Self.shop)
    let text = try SchemaFragment(json: fragment.json).cedarText()
    #expect(Golden.difference(fragment.json.text + "\n", from: "shop.cedarschema.json") == nil)
    #expect(Golden.difference(text, from: "shop.cedarschema") == nil)
  }

  @Test("Translated there and back, a schema means the same, and translated once more it reads the same")
  func roundTrip() throws {
    let text = try SchemaFragment(json: SchemaFragment(Self.shop).json).cedarText()
    let second = try SchemaFragment(text)
    let again = try SchemaFragment(json: second.json).cedarText()
    #expect(text == again)
    let json = second.json.text
    #expect(json == (try SchemaFragment(again).json.text))
    let a = try Schema(Self.shop)
    let b = try Schema(json: second.json)
    #expect(a.entityTypes.map(\.attributes) == b.entityTypes.map(\.attributes))
    #expect(a.actions.map(\.context) == b.actions.map(\.context))
    #expect(a.actions.map(\.parents) == b.actions.map(\.parents))
  }

  @Test("Translation needs no resolved names, but declarations that stand once")
  func unresolved() throws {
    #expect(try SchemaFragment("entity Shop { a: Nowhere };").json[""]?["entityTypes"]?["Shop"] != nil)
    #expect(throws: SchemaErrors.self) { try SchemaFragment("entity Shop; entity Shop;") }
  }

  @Test("What the Cedar syntax cannot say is an error and not another schema")
  func inexpressible() throws {
    let shape =
      #"{"": {"entityTypes": {"Shop": {"shape": {"type": "R"}}}, "actions": {}, "commonTypes": {"R": {"type": "Record", "attributes": {}}}}}"#
    let both = #"{"N": {"entityTypes": {"X": {}}, "actions": {}, "commonTypes": {"X": {"type": "Long"}}}}"#
    for json in [shape, both] {
      let fragment = try SchemaFragment(jsonText: json)
      #expect(throws: SchemaErrors.self) { try fragment.cedarText() }
    }
  }

  @Test("Builtins named in JSON are written so that nothing can shadow them")
  func builtins() throws {
    let json =
      #"{"": {"entityTypes": {"Long": {}, "U": {"shape": {"type": "Record", "attributes": {"a": {"type": "Long"}}}}}, "actions": {}}}"#
    let text = try SchemaFragment(jsonText: json).cedarText()
    #expect(text.contains("a: __cedar::Long"))
    #expect(try Schema(text).entityType(EntityType(unchecked: "U"))?.attributes["a"]?.type == .long)
  }
}
