import Bytes
import Cedar
import CedarSchema
import JSON
import TestSupport
import Testing

/// What reading a schema comes to: nil if it is one, else the messages of everything wrong with it.
func messages(_ text: String) -> [String]? {
  do {
    _ = try Schema(text)
    return nil
  } catch {
    return error.errors.map(\.message)
  }
}

@Suite struct SchemaSyntaxTests {
  @Test(
    "Every form of declaration is read",
    arguments: [
      "", "// nothing but a comment", "entity Order;", "entity Order, Item, Invoice;", "entity Order in Shop; entity Shop in [];",
      "entity Clerk in [Shop, Clerk] = { name: String, \"hire date\"?: datetime, } tags Set<Long>; entity Shop;",
      "entity Size enum [\"S\", \"M\", \"S\"];", "entity entity; entity type; entity Set; entity tags tags String;",
      "type Address = { street: String, zip?: Long }; entity Shop { at: Address, other: Set<Address> };",
      "action open, \"close shop\", \"\"; action sell in [open, \"close shop\"];",
      "action sell appliesTo { resource: [Shop], principal: Clerk, context: { till: Long, }, }; entity Clerk; entity Shop;",
      "action sell attributes {}; action buy in Action::\"sell\" attributes {};",
      "namespace Acme::Shop { entity Till; action open appliesTo { principal: Till, resource: Acme::Shop::Till }; }",
      "@doc(\"a shop\") namespace Acme { @if @x(\"\") entity Shop { @unit(\"cm\") size: Long }; @a type T = Long; @b action go; }",
      "entity Shop { \"line\\nbreak\": Long, \"\\u{e9}\": Bool };", "entity\u{a0}Shop\u{2003};\u{3000}// wide spaces separate, too",
      "entity Shop { of: Action, all: Set<Action> }; action go;",
    ])
  func accepted(text: String) { #expect(messages(text) == nil) }

  @Test(
    "What is no schema is refused with the reason",
    arguments: [
      ("entity Shop", "unexpected end of input"), ("entity Shop { a Long };", "unexpected token `Long`"),
      ("entity Shop { a: Long b: Long };", "unexpected token `b`"), ("entity \"Shop\";", "unexpected token `\"Shop\"`"),
      ("entity if;", "`if` is a reserved identifier"), ("entity Shop { in: Long };", "`in` is a reserved identifier"),
      ("entity Size enum [];", "unexpected token `]`"), ("entity Size enum [\"S\",];", "unexpected token `]`"),
      ("entity Shop = Address; type Address = {};", "unexpected token `Address`"), ("entity A::B;", "unexpected token `::`"),
      ("namespace A { namespace B { } }", "unexpected token `namespace`"), ("action go in [];", "unexpected token `]`"),
      ("action go appliesTo { };", "unexpected token `}`"), ("action go { principal: A, resource: A };", "unexpected token `{`"),
      ("entity Shop { a: Long ~ };", "invalid token"), ("/* no */ entity Shop;", "unexpected token `/`"),
      ("entity Shop { \"a\\q\": Long };", "the input `\\q` is not a valid escape"),
      ("@doc(\"a\") @doc(\"b\") entity Shop;", "duplicate annotations: `doc`"),
      ("entity Shop; entity Shop;", "`Shop` is declared twice"), ("action go; action go;", "`go` is declared twice"),
      ("type T = Long; type T = Bool;", "`T` is declared twice"),
      ("namespace A { entity X; } namespace A { entity Y; }", "duplicate namespace id: `A`"),
      ("entity __cedar;", "use of the reserved `__cedar` namespace"),
      ("namespace A::__cedar { }", "use of the reserved `__cedar` namespace"),
      ("type Long = String;", "this uses a reserved schema keyword: `Long`"),
      ("namespace N { type Record = Long; }", "this uses a reserved schema keyword: `Record`"),
      ("entity Action;", "entity type `Action` declared in `entityTypes` list"),
      ("action go appliesTo { principal: A }; entity A;", "missing `resource` declaration for `go`"),
      ("action go appliesTo { principal: [], resource: A }; entity A;", "for action `go`, `principal` is `[]`, which is invalid"),
      ("action go appliesTo { principal: A, resource: A, resource: A }; entity A;", "duplicate `resource` declaration in action `go`"),
    ])
  func refused(text: String, message: String) { #expect(messages(text) == [message]) }

  @Test("Everything wrong with a text is reported, in the order of the text")
  func allErrorsAtOnce() {
    let found = messages(
      """
      entity Shop { open: Bol };
      entiy Clerk;
      entity Till in Shopp;
      action sell appliesTo { principal: Clerk };
      """)
    // Reading comes before resolving: names are only looked up in a text that could be read.
    #expect(found == ["unexpected token `entiy`", "missing `resource` declaration for `sell`"])
    let names = messages("entity Shop { open: Bol }; entity Till in Shopp; action sell in [buy];")
    #expect(names == ["failed to resolve type: Bol", "failed to resolve type: Shopp", "undeclared action: Action::\"buy\""])
  }

  @Test("A broken declaration in a namespace does not take the rest of the namespace with it")
  func recovery() {
    let found = messages("namespace A { entity X { a: }; entity Y { b: }; } entity Z { c: };")
    #expect(found == ["unexpected token `}`", "unexpected token `}`", "unexpected token `}`"])
  }

  @Test("A `;` left out does not take the next line with it")
  func missingSemicolon() {
    let found = messages(
      "entity Group\nentity Photo { owner: User, private Bool };\n@a action view { ;\ntype T = {};\nentity U { type: Long, entity: Bool }\naction go, ;"
    )
    #expect(
      found == [
        "unexpected token `entity`", "unexpected token `Bool`", "unexpected token `{`", "unexpected token `action`", "unexpected token `;`",
      ])
    do { _ = try Schema("entity Group\nentity Photo;") } catch {
      #expect(error.errors.map(\.help) == ["a `;` is missing before `entity`: every declaration ends with one"])
    }
  }

  @Test("A slip of the fingers is answered with the word that was meant")
  func didYouMean() throws {
    func help(_ text: String) -> String? {
      do { _ = try Schema(text) } catch { return error.errors.first?.help }
      return nil
    }
    #expect(help("entiy Shop;") == "did you mean `entity`?")
    #expect(help("entity Shop { open: Bol };")?.contains("did you mean `Bool`?") == true)
    #expect(help("entity Customer in [Custmer];")?.contains("did you mean `Customer`?") == true)
    #expect(help("action go appliesTo { principl: A };") == "did you mean `principal`?")
    #expect(help("action viewAll; action go in [viewAl];") == "did you mean `viewAll`?")
  }

  @Test("Names compare by their bytes: a letter that only looks like another is another")
  func bytes() throws {
    // U+212A is canonically equivalent to K: Swift's strings say equal, Cedar says different.
    let schema = try Schema("entity Shop { \"K\": Long, \"\u{212a}\": String }; action \"K\", \"\u{212a}\";")
    #expect(schema.entityTypes[0].attributes.attributes.count == 2)
    #expect(schema.actions.count == 2)
  }

  @Test("Of two attributes of one name the last counts, as in the reference")
  func lastAttributeWins() throws {
    let schema = try Schema("entity Shop { size: Long, size?: String };")
    #expect(schema.entityTypes[0].attributes["size"]?.type == .string)
    #expect(schema.entityTypes[0].attributes["size"]?.isRequired == false)
  }

  @Test("Depth and size have limits, with an error instead of a crash")
  func limits() throws {
    let deep = String(repeating: "Set<", count: 100_000) + "Long" + String(repeating: ">", count: 100_000)
    #expect(messages("type T = \(deep);")?.first == "this type is nested deeper than 128 levels")
    #expect(messages("type T = \(String(repeating: "{a:", count: 50_000))")?.first == "this type is nested deeper than 128 levels")
    // Every type contains the next twice: expanded, the first would have two to the power of forty parts.
    let doubling = (0..<40).map { "type T\($0) = {a: T\($0 + 1), b: T\($0 + 1)};" }.joined() + "type T40 = Long;"
    #expect(messages(doubling)?.contains("with its common types expanded this type is too large") == true)
    let chain = (0..<500).map { "type T\($0) = {a: T\($0 + 1)};" }.joined() + "type T500 = Long;"
    #expect(messages(chain)?.contains("with its common types expanded this type is nested too deep") == true)
    let many = (0..<10_001).map { "entity E\($0);" }.joined()
    #expect(messages(many) == ["the schema has more than 10000 declarations"])
    #expect(messages(String(repeating: "entity ;", count: 10_000))?.count == 100)
  }

  @Test("Whatever bytes a text has, reading it ends with a schema or errors")
  func anyBytes() throws {
    var random = SplitMix(seed: 20_260_725)
    let seeds = [
      "@a(\"b\") namespace N::M { entity U in [G, H] = { \"x\"?: Set<{a: Long}>, } tags String; type T = ipaddr; entity C enum [\"r\"]; }",
      "action a, \"b\" in [c, N::Action::\"d\"] appliesTo { principal: [U], resource: U, context: {x?: T}, } attributes {};",
    ].map { Array($0.utf8) }
    for _ in 0..<3000 {
      var text = seeds[random.below(seeds.count)]
      for _ in 0..<(1 + random.below(6)) {
        let at = random.below(text.count)
        switch random.below(4) {
        case 0: text[at] = UInt8(random.below(256))
        case 1: text.remove(at: at)
        case 2: text.insert(text[random.below(text.count)], at: at)
        default: text.replaceSubrange(at..<min(at + 8, text.count), with: seeds[0].prefix(random.below(20)))
        }
        if text.isEmpty { text = [0x20] }
      }
      let string = String(decoding: text, as: UTF8.self)
      do {
        let fragment = try SchemaFragment(string)
        _ = fragment.json
      } catch {
        #expect(!error.errors.isEmpty)
        for one in error.errors { #expect(one.span.end <= string.utf8.count) }
      }
      _ = messages(string)
    }
  }
}

/// A small generator of the same numbers every time.
struct SplitMix {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(max(bound, 1))) }
}
