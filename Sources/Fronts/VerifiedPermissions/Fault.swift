internal import AWS
internal import JSON

/// An error of the API, as its model names it.
struct Fault: Error {
  /// The error's name.
  var name: String
  var message: String
  /// Members that the model gives this error beside its message.
  var members: [JSONValue.Member] = []
  var status = 400

  /// Something is wrong with the request, at a place.
  static func validation(_ message: String, at path: String? = nil) -> Fault {
    var fault = Fault(name: "ValidationException", message: message)
    if let path {
      let field: JSONValue = .object(["path": .string(path), "message": .string(message)])
      fault.members = [.init(name: "fieldList", value: .array([field]))]
    }
    return fault
  }

  static func validation(_ error: FieldError) -> Fault { validation(error.message, at: error.path) }

  /// What kind of thing an error is about.
  enum Resource: String {
    case policyStore = "POLICY_STORE"
    case policy = "POLICY"
    case policyTemplate = "POLICY_TEMPLATE"
    case schema = "SCHEMA"
    case identitySource = "IDENTITY_SOURCE"

    var words: String {
      switch self {
      case .policyStore: "Policy Store"
      case .policy: "Policy"
      case .policyTemplate: "Policy Template"
      case .schema: "Schema"
      case .identitySource: "Identity Source"
      }
    }
  }

  static func notFound(_ resource: Resource, _ id: String) -> Fault {
    Fault(
      name: "ResourceNotFoundException", message: "\(resource.words) does not exist.",
      members: [.init(name: "resourceId", value: .string(id)), .init(name: "resourceType", value: .string(resource.rawValue))])
  }

  static func conflict(_ message: String, _ resource: Resource, _ id: String) -> Fault {
    let one: JSONValue = .object(["resourceId": .string(id), "resourceType": .string(resource.rawValue)])
    return Fault(name: "ConflictException", message: message, members: [.init(name: "resources", value: .array([one]))])
  }

  static func quota(_ message: String, _ resource: Resource, _ id: String) -> Fault {
    Fault(
      name: "ServiceQuotaExceededException", message: message,
      members: [.init(name: "resourceType", value: .string(resource.rawValue)), .init(name: "resourceId", value: .string(id))])
  }

  static let unknownOperation = Fault(name: "UnknownOperationException", message: "This operation is not known here.", status: 404)

  /// The body of the answer.
  var body: JSONValue {
    JSONValue(
      .object(
        [
          .init(name: "__type", value: .string("com.amazonaws.verifiedpermissions#\(name)")),
          .init(name: "message", value: .string(message)),
        ] + members))
  }
}
