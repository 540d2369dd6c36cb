internal import Bytes
internal import Cedar
internal import Pipeline

/// What an API's operations are called in Cedar's words.
public enum APIMapping: String, Sendable, CaseIterable {
  /// As the set-up of Amazon Verified Permissions for API Gateway names them: `get /pets/{petId}`, whatever the document calls it.
  case verifiedPermissions = "avp"
  /// As Cedar's integrations for web frameworks do (SimpleRest): by `operationId`, and by method and path where there is none.
  case simpleRest = "simple-rest"
}

/// The names of one API.
struct APINames: Sendable {
  let mapping: APIMapping
  let namespace: String

  /// Both set-ups know one resource, the application itself.
  static let application = "Application"

  /// The action's id. The base path is no part of it: a service that moves keeps its policies.
  func action(of operation: APIDocument.Operation) -> String {
    let plain = String(decoding: operation.method.utf8.map { ASCII.lowercased($0) }, as: UTF8.self) + " " + operation.template
    return mapping == .simpleRest ? operation.id ?? plain : plain
  }

  /// The resource's type, without namespace, and a template of its id for a route.
  func resource(of operation: APIDocument.Operation) -> (type: String, id: String) {
    guard mapping == .simpleRest, let type = operation.resourceTypes.first, !exactlyEquals(type, Self.application) else {
      return (Self.application, namespace)
    }
    // The last parameter names the thing, `/shops/{shop}/pets/{pet}`; without one the path is all there is.
    guard let name = operation.path.route.parameterNames.last else { return (type, operation.path.route.text) }
    return (type, "{\(name)}")
  }

  /// The action as Cedar text.
  func actionText(_ operation: APIDocument.Operation) -> String {
    EntityUID(type: EntityType(unchecked: "\(namespace)::Action"), id: action(of: operation)).description
  }

  /// Two operations of one name, each with the first that has it: a policy for one would be for both.
  func clashes(in document: APIDocument) -> [Diagnostic] {
    var first: [ExactString: Range<Int>] = [:]
    var problems: [Diagnostic] = []
    for operation in document.operations where operation.access == .policy {
      let name = ExactString(action(of: operation))
      if let other = first[name] {
        problems.append(
          Diagnostic(
            .error, "two operations are called \"\(name)\"", at: operation.span,
            help: "give each its own operationId, or name actions by method and path with --mapping avp",
            related: [Diagnostic.Related(other, "the other is here")]))
      } else {
        first[name] = operation.span
      }
    }
    return problems
  }

  /// A namespace made of an API's title: its letters and digits, words in capitals: `Pet store API` is `PetStoreAPI`. Nil if none is left.
  static func namespace(ofTitle title: String) -> String? {
    var out = ""
    for word in title.utf8.split(whereSeparator: { !ASCII.isAlpha($0) && !ASCII.isDigit($0) && $0 != UInt8(ascii: "_") }).prefix(16) {
      guard let first = word.first else { continue }
      let capital = (0x61...0x7a).contains(first) ? first - 0x20 : first
      out += String(decoding: [capital] + word.dropFirst(), as: UTF8.self)
    }
    if let first = out.utf8.first, ASCII.isDigit(first) { out = "_" + out }
    return problem(ofNamespace: out) == nil ? out : nil
  }

  /// Why a text cannot be a namespace; nil if it can.
  static func problem(ofNamespace text: String) -> String? {
    do throws(NameError) {
      _ = try Name(normalized: text)
      return nil
    } catch {
      return error.description
    }
  }
}
