public import Bytes
internal import Cedar
internal import CedarSchema
internal import JSON

/// `translate`: policies and schemas from one of their two syntaxes to the other.
public enum Translate {
  /// From what to what.
  public enum Direction: String, Sendable, CaseIterable {
    case policiesToJSON = "policies-to-json"
    case policiesToCedar = "policies-to-cedar"
    case schemaToJSON = "schema-to-json"
    case schemaToCedar = "schema-to-cedar"
  }

  /// Translates a text. JSON comes indented by two; Cedar text comes formatted.
  public static func run(_ source: SourceText, _ direction: Direction) -> ToolOutcome {
    guard let text = String(validating: source.bytes, as: UTF8.self) else {
      return ToolOutcome(messages: Diagnostic(.error, "invalid UTF-8").rendered(in: source), status: .invalid)
    }
    do {
      switch direction {
      case .policiesToJSON:
        var writer = JSONWriter()
        try PolicyJSON.write(try PolicySet(PolicyParser.parse(text)), to: &writer)
        return ToolOutcome(output: IndentedJSON.text(of: writer.bytes))
      case .policiesToCedar:
        let set = try PolicyJSON.policySetOrPolicy(from: text.utf8)
        let printed = try PolicyPrinter.text(of: set)
        let lost =
          set.links.isEmpty
          ? ""
          : Diagnostic(.warning, "\(counted(set.links.count, "template link", "template links")) left out: Cedar syntax has none").rendered(
            in: source)
        return ToolOutcome(output: try PolicyFormatter.format(printed), messages: lost)
      case .schemaToJSON:
        let fragment = try SchemaFragment(text)
        return ToolOutcome(output: IndentedJSON.text(of: Array(fragment.json.text.utf8)))
      case .schemaToCedar: return ToolOutcome(output: try SchemaFragment(jsonText: text).cedarText())
      }
    } catch let error as ParseErrors {
      return ToolOutcome(messages: error.diagnostics.rendered(in: source), status: .invalid)
    } catch let error as SchemaErrors {
      return ToolOutcome(messages: error.parseErrors.diagnostics.rendered(in: source), status: .invalid)
    } catch {
      return ToolOutcome(messages: Diagnostic(.error, "\(error)").rendered(in: source), status: .invalid)
    }
  }
}
