import Bytes
import CedarSchema
import Pipeline
import PolicyTools

/// One input of the fuzzer: an OpenAPI document. What is written for it must be in order, and must not have drifted from it.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let source = SourceText(name: "f", bytes: UnsafeRawBufferPointer(start: start, count: count))
  let document = APIDocument(source)
  // Nothing of the document acts on the terminal of who reads about it.
  precondition(!(document.errors + document.warnings).joined().utf8.contains { $0 < 0x20 && $0 != 0x0a })
  guard document.isUsable else { return 0 }
  let issuer = APIScaffold.Issuer(name: "main", prefix: "us-east-1_AbC123", groupClaim: "groups", isPool: false)
  for mapping in APIMapping.allCases {
    let files = APIScaffold(document, mapping: mapping, namespace: nil, issuer: issuer)
    guard files.problems == nil else { continue }
    let bundle = PolicyBundle(
      .init(policies: [SourceText(name: "p.cedar", files.policies)], schema: SourceText(name: "s.cedarschema", files.schema)))
    precondition(bundle.isSound, bundle.problems.map(\.rendered).joined())
    let tests = PolicyTestFile(SourceText(name: "t.json5", files.tests))
    precondition(tests.problems.isEmpty, tests.problems)
    let text = """
      { upstream: 'http://127.0.0.1:1', issuers: { main: { issuer: 'https://i.example', client_ids: ['a'] } },
      \(files.settings)}
      """
    do throws(ConfigurationError) {
      let configuration = try Configuration.read(
        file: SourceText(name: "stockade.json5", text), flags: [:], surroundings: Surroundings())
      let drift = APIDrift(document, configuration, mapping: mapping)
      precondition(drift.errorCount == 0, drift.report)
      _ = drift.json
    } catch { preconditionFailure(error.report) }
  }
  return 0
}
