import Bytes
import Cedar
import CedarSchema
import Foundation
import TestSupport
import Testing

/// What the author of a policy reads. The mistakes are those of the reference's own list of examples, in our words.
@Suite struct ValidationMessageTests {
  /// The schema of the examples, written anew: only the names in the policies are given.
  static let schema = """
    entity User in [Group] { name: String, age?: Long };
    entity Group;
    entity Photo in [Album] { owner: User, private: Bool };
    entity Album;
    action view, edit appliesTo { principal: [User], resource: [Photo], context: { ip: ipaddr, mfa?: Bool } };
    """

  static let cases: [(name: String, policy: String, level: Int?)] = [
    ("V1. typo in attribute", #"permit(principal, action == Action::"view", resource) when { principal.nam == "x" };"#, nil),
    ("V2. optional attribute without has", #"permit(principal, action == Action::"view", resource) when { principal.age > 18 };"#, nil),
    ("V3. unknown entity type", "permit(principal is Usr, action, resource);", nil),
    ("V4. unknown action", #"permit(principal, action == Action::"veiw", resource);"#, nil),
    ("V5. type mismatch", #"permit(principal, action == Action::"view", resource) when { principal.name > 3 };"#, nil),
    ("V6. strict equality", #"permit(principal, action == Action::"view", resource) when { principal.name == 3 };"#, nil),
    ("V7. empty set", #"permit(principal, action == Action::"view", resource) when { [].contains(principal) };"#, nil),
    (
      "V8. bad ip literal", #"permit(principal, action == Action::"view", resource) when { context.ip.isInRange(ip("10.0.0.0/33")) };"#, nil
    ),
    ("V9. ext non literal", #"permit(principal, action == Action::"view", resource) when { ip(principal.name).isIpv4() };"#, nil),
    ("V10. impossible", #"permit(principal, action == Action::"view", resource) when { principal == resource };"#, nil),
    ("V11. impossible denied", #"permit(principal, action == Action::"view", resource) when { principal == resource };"#, nil),
    ("V12. not applicable", #"permit(principal == Photo::"p", action == Action::"view", resource);"#, nil),
    ("V13. level", #"permit(principal, action == Action::"view", resource) when { resource.owner.name == "x" };"#, 1),
  ]

  private func result(_ policy: String, _ level: Int?) throws -> ValidationResult {
    Validator(try Schema(Self.schema), level: level).validate(try PolicySet(PolicyParser.parse(policy)))
  }

  @Test("Every example has a message with its place and a way out: golden")
  func golden() throws {
    var text = ""
    for example in Self.cases {
      let result = try result(example.policy, example.level)
      let source = SourceText(name: "policy.cedar", example.policy)
      text += "### \(example.name)\n"
      let reports = result.errors.map(\.diagnostic) + result.warnings.map(\.diagnostic)
      text += reports.rendered(in: source) + "\n"
      #expect(!reports.isEmpty)
      for report in reports { #expect(report.help != nil, "\(example.name) offers no way out: \(report.message)") }
    }
    #expect(Golden.difference(text, from: "validation-messages.txt") == nil)
  }

  @Test("Places are those of the reference or tighter")
  func places() throws {
    guard let file = TestData.sharedFile("spec/cedar-language.md") else { return }
    let lines = String(decoding: try TestData.contents(of: file), as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
      .map(String.init)
    var compared = 0
    for example in Self.cases {
      guard let heading = lines.firstIndex(of: "### \(example.name)") else { continue }
      let block = lines[(heading + 1)...].prefix { !$0.hasPrefix("### ") }
      // The first underline of the example: `   :      ^^^^^`, under ` 1 | policy`.
      guard let underline = block.first(where: { $0.contains("^") && $0.hasPrefix("   :") }) else { continue }
      let columns = Array(underline.dropFirst(5))
      guard let from = columns.firstIndex(of: "^"), let to = columns.lastIndex(of: "^") else { continue }
      let result = try result(example.policy, example.level)
      let ours = result.errors.first?.span ?? result.warnings.first?.span ?? .none
      #expect(
        ours.start >= from && ours.end <= to + 1 && ours.length > 0,
        "\(example.name): \(ours.start)..<\(ours.end), reference \(from)..<\(to + 1)")
      compared += 1
    }
    TestData.report("places of validation messages", ran: compared)
    #expect(compared == Self.cases.count)
  }

  @Test("Mistakes in schemas, as their author reads them: golden")
  func schemas() throws {
    let texts = [
      "entity User in Grup { name: Strng, age?: Lnog };\nentity Group;", "entiy User;", "entity User { name: String, name2 String };",
      "entity User;\nentity Group;\nentity User { name: String };", "action view appliesTo { principal: User };\nentity User;",
      "namespace Shop {\n  namespace Inner { }\n}", "type Address = { home: Address };", "action a in b;\naction b in a;",
      "entity Photo = Album;\ntype Album = {};", "namespace A { entity U; }\nentity U;", "entity User { name: 'x' };",
      "entity Color enum [\"red\",];", "action view appliesTo { principal: User, resource: User, context: Long };\nentity User;",
    ]
    var golden = ""
    for text in texts {
      do {
        _ = try Schema(text)
        Issue.record("accepted: \(text)")
      } catch {
        golden += error.errors.map(\.diagnostic).rendered(in: SourceText(name: "shop.cedarschema", text)) + "\n"
      }
    }
    #expect(Golden.difference(golden, from: "schema-messages.txt") == nil)
  }
}
