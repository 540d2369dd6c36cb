internal import Bytes
public import Cedar
public import JSON
public import Telemetry

/// A decision as its record tells of it: what was decided, and as much of the question as was written down.
public struct RecordedDecision: Sendable {
  /// The decision's name.
  public let id: String
  /// When, as the log writes times.
  public let time: String
  /// `allow`, `deny` or `error`.
  public let decision: String
  /// Why, by the table of reasons; nil for a reason that this build does not know.
  public let reason: DecisionReason?
  /// The reason as written.
  public let reasonText: String
  /// What exactly was seen.
  public let detail: String?
  /// Whether the decision was acted upon.
  public let isEnforced: Bool
  /// The answer's status.
  public let status: Int64
  /// The policies that determined the decision.
  public let policies: [String]
  /// The hash of the policies.
  public let policySet: String
  /// The matched route; nil for none.
  public let route: String?
  /// The method.
  public let method: String?
  /// The path as sent.
  public let path: String?
  /// The question's three names; nil if it never came to one.
  public let subject: Subject?
  /// JSON Pointers to what was left out.
  public let redacted: [String]
  /// What the policies saw, if that was recorded.
  let input: JSONValue?
  private let host: String?
  private let address: String?
  private let token: (issuer: String?, use: String?, expiresIn: Int64?)

  /// Who, what, with what.
  public struct Subject: Sendable {
    /// Cedar's principal.
    public let principal: EntityUID
    /// Cedar's action.
    public let action: EntityUID
    /// Cedar's resource.
    public let resource: EntityUID
  }

  /// Reads a line; nil if it is no decision.
  public init?(_ json: JSONValue) {
    guard let type = json["type"]?.string, exactlyEquals(type, "decision"), let id = json["id"]?.string, let time = json["time"]?.string,
      let decision = json["decision"]?.string, let reason = json["reason"]?.string
    else { return nil }
    self.id = id
    self.time = time
    self.decision = decision
    self.reason = DecisionReason(rawValue: reason)
    reasonText = reason
    detail = json["detail"]?.string
    isEnforced = json["enforced"]?.bool ?? true
    status = json["status"]?.integer ?? 0
    policies = json["policies"]?.array?.compactMap(\.string) ?? []
    policySet = json["policy_set"]?.string ?? ""
    route = json["route"]?.string
    let http = json["http"]
    method = http?["method"]?.string
    path = http?["path"]?.string
    host = http?["host"]?.string
    address = json["client"]?["ip"]?.string
    let token = json["token"]
    self.token = (token?["issuer"]?.string, token?["use"]?.string, token?["expires_in_s"]?.integer)
    redacted = json["redacted"]?.array?.compactMap(\.string) ?? []
    input = json["input"]
    subject = Self.subject(json)
  }

  private static func subject(_ json: JSONValue) -> Subject? {
    func uid(_ name: String) -> EntityUID? {
      // A name that was cut is no name.
      guard let text = json[name]?.string, !text.hasSuffix("…") else { return nil }
      do throws(ParseErrors) { return try PolicyParser.parseEntityUID(text) } catch { return nil }
    }
    guard let principal = uid("principal"), let action = uid("action"), let resource = uid("resource") else { return nil }
    return Subject(principal: principal, action: action, resource: resource)
  }

  /// Whether policies were asked at all: other decisions are the same under any policies.
  public var isByPolicy: Bool {
    switch reason {
    case .policyPermit, .policyForbid, .noPermit, .policyError: true
    default: false
    }
  }

  // MARK: - The question

  /// The whole question, if it was recorded; else why there is none.
  func question() throws(ParseErrors) -> (request: Request, entities: [Entity])? {
    guard let subject, let input, let elements = input["entities"], let context = input["context"] else { return nil }
    let entities = try EntitiesJSON.entities(elements)
    let record = try EntitiesJSON.context(context, action: subject.action)
    return (Request(principal: subject.principal, action: subject.action, resource: subject.resource, context: record), entities)
  }

  /// As much of the question as every record holds, and what it does not hold.
  func partialQuestion(_ subject: Subject) -> (request: Request, entities: [Entity], gaps: KnownRequest.Gaps) {
    var gaps = KnownRequest.Gaps()
    var http: [Record.Field] = []
    if let method { http.append(.init("method", .string(method))) }
    if let host, !host.hasSuffix("…") { http.append(.init("host", .string(host))) }
    // Policies see the decoded path, which is the one sent only where there was nothing to decode.
    if let path, !path.hasSuffix("…"), !path.utf8.contains(UInt8(ascii: "%")) { http.append(.init("path", .string(path))) }
    var fields = [Record.Field("http", .record(Record(lastWins: http)))]
    if let address, !address.hasSuffix("…") {
      do throws(ExtensionError) {
        fields.append(.init("client", .record(Record(lastWins: [.init("ip", .ip(try Cedar.IPAddress(address)))]))))
        gaps.wholeRecords.append(["client"])
      } catch {
        // Then it is not known.
      }
    }
    if let instant = Self.second(of: time) { fields.append(.init("time", .datetime(instant))) }
    let request = Request(
      principal: subject.principal, action: subject.action, resource: subject.resource, context: Record(lastWins: fields))
    guard route == nil, let entities = Self.pathEntities(subject.resource) else { return (request, [], gaps) }
    gaps.knowsResource = true
    return (request, entities, gaps)
  }

  // Policies see whole seconds.
  private static func second(of time: String) -> Datetime? {
    do throws(ExtensionError) {
      let millis = try Datetime(time).milliseconds
      return Datetime(milliseconds: millis - millis % 1000)
    } catch {
      return nil
    }
  }

  /// The entities of the built-in mapping: they follow from the path's name alone.
  private static func pathEntities(_ resource: EntityUID) -> [Entity]? {
    guard exactlyEquals(String(resource.type.text.split(separator: ":").last ?? ""), "Path"), resource.id.utf8.first == UInt8(ascii: "/")
    else {
      return nil
    }
    func entity(_ id: String, segments: Int, in parent: EntityUID?) -> Entity {
      Entity(
        uid: EntityUID(type: resource.type, id: id),
        attributes: Record(lastWins: [.init("path", .string(id)), .init("segments", .long(Int64(segments)))]),
        parents: parent.map { [$0] } ?? [])
    }
    var entities = [entity("/", segments: 0, in: nil)]
    var path = ""
    let parts = resource.id.utf8.split(separator: UInt8(ascii: "/"))
    for (index, part) in parts.enumerated() {
      path += "/" + String(decoding: part, as: UTF8.self)
      entities.append(entity(path, segments: index + 1, in: entities.last?.uid))
    }
    if resource.id.utf8.count > 1, resource.id.utf8.last == UInt8(ascii: "/") {
      entities.append(entity(path + "/", segments: parts.count, in: entities.last?.uid))
    }
    return entities
  }

  /// What the token said of itself, for a person.
  var tokenFacts: String? {
    var parts: [String] = []
    if let issuer = token.issuer { parts.append("issuer \(issuer)") }
    if let use = token.use { parts.append("token \(use)") }
    if let left = token.expiresIn {
      parts.append(left >= 0 ? "valid for \(Self.duration(left)) more" : "expired for \(Self.duration(-left))")
    }
    return parts.isEmpty ? nil : parts.joined(separator: ", ")
  }

  private static func duration(_ seconds: Int64) -> String {
    seconds < 120 ? "\(seconds) s" : seconds < 7200 ? "\(seconds / 60) min" : "\(seconds / 3600) h"
  }
}
