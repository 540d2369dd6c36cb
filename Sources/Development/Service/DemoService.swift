internal import Bytes
internal import JSON

/// The service behind the demo's proxy: orders in memory. It decides nothing itself and shows who it was told is asking.
///
/// Pure and deterministic: the same requests in the same order get the same answers.
public final class DemoService {
  /// Most orders it keeps, and most bytes of one.
  static let orderLimit = 1000
  static let orderByteLimit = 16 * 1024

  private var orders: [ExactString: JSONValue] = [:]
  // Whose they are, by the principal that the proxy told of. No service of its own would keep it elsewhere; here it is not shown.
  private var owners: [ExactString: String] = [:]
  private var nextID = 100

  /// A service with a few orders: 7, which is alice's, and 42, which is bob's.
  public init() {
    orders[ExactString("7")] = .object(["id": .string("7"), "item": .string("paper"), "quantity": .integer(20)])
    owners = [ExactString("7"): "demo|alice", ExactString("42"): "demo|bob"]
    orders[ExactString("42")] = .object(["id": .string("42"), "item": .string("lamp"), "quantity": .integer(1)])
  }

  /// Answers one request.
  public func answer(_ request: LocalRequest) -> LocalResponse {
    let segments = request.path.utf8.split(separator: UInt8(ascii: "/")).map { String(decoding: $0, as: UTF8.self) }
    let isRead = request.method == "GET" || request.method == "HEAD"
    switch (segments.first, segments.count) {
    case (nil, _) where isRead: return json(200, .object(["service": .string("orders")]), for: request)
    case ("healthz", 1) where isRead: return json(200, .object(["status": .string("ok")]), for: request)
    case ("echo", _): return json(200, echo(request), for: request)
    case ("orders", 1): return answerOrders(request)
    case ("orders", 2): return answerOrder(segments[1], request)
    case ("orders", _) where segments[1] == "archive":
      guard isRead else { return problem(405, "The archive is read only.", for: request) }
      return json(200, .object(["id": .string(segments[2]), "archived": .bool(true)]), for: request)
    case ("internal", 4) where isRead && segments[1] == "entities" && segments[2] == "orders": return entities(segments[3], request)
    case ("admin", _), ("invoices", _):
      guard isRead else { return problem(405, "Read only.", for: request) }
      return json(200, .object(["path": .string(request.path)]), for: request)
    default: return problem(404, "Nothing is here.", for: request)
    }
  }

  private func answerOrders(_ request: LocalRequest) -> LocalResponse {
    switch request.method {
    case "GET", "HEAD":
      let all = orders.sorted {
        $0.key.string.utf8.count == $1.key.string.utf8.count
          ? $0.key.string < $1.key.string : $0.key.string.utf8.count < $1.key.string.utf8.count
      }
      return json(200, .object(["orders": .array(all.map(\.value))]), for: request)
    case "POST":
      guard orders.count < Self.orderLimit else { return problem(507, "There are too many orders.", for: request) }
      let id = String(nextID)
      guard let order = order(id, in: request) else { return problem(400, "An order is a JSON object.", for: request) }
      nextID += 1
      orders[ExactString(id)] = order
      owners[ExactString(id)] = request.header("X-Stockade-Principal")
      var response = json(201, order, for: request)
      response.headers.append(("Location", "/orders/\(id)"))
      return response
    default: return problem(405, "GET or POST.", for: request)
    }
  }

  private func answerOrder(_ id: String, _ request: LocalRequest) -> LocalResponse {
    let key = ExactString(id)
    switch request.method {
    case "GET", "HEAD":
      guard let order = orders[key] else { return problem(404, "There is no such order.", for: request) }
      return json(200, order, for: request)
    case "PUT", "PATCH":
      guard orders[key] != nil || orders.count < Self.orderLimit, id.utf8.count <= 64 else {
        return problem(507, "There are too many orders.", for: request)
      }
      guard let order = order(id, in: request) else { return problem(400, "An order is a JSON object.", for: request) }
      let isNew = orders.updateValue(order, forKey: key) == nil
      if isNew { owners[key] = request.header("X-Stockade-Principal") }
      return json(isNew ? 201 : 200, order, for: request)
    case "DELETE":
      guard orders.removeValue(forKey: key) != nil else { return problem(404, "There is no such order.", for: request) }
      owners[key] = nil
      return LocalResponse(status: 204, headers: told(request))
    default: return problem(405, "GET, PUT, PATCH or DELETE.", for: request)
    }
  }

  /// An order as an entity for policies, in Cedar's JSON format: what a look-up asks for.
  private func entities(_ id: String, _ request: LocalRequest) -> LocalResponse {
    let key = ExactString(id)
    guard orders[key] != nil else { return problem(404, "There is no such order.", for: request) }
    var attributes: [JSONValue.Member] = []
    if let owner = owners[key] {
      let uid = JSONValue.object(["type": .string("User"), "id": .string(owner)])
      attributes.append(.init(name: "owner", value: .object(["__entity": uid])))
    }
    let order = JSONValue.object([
      "uid": .object(["type": .string("Order"), "id": .string(id)]), "attrs": JSONValue(.object(attributes)), "parents": .array([]),
    ])
    return json(200, .array([order]), for: request)
  }

  /// The order a body describes, under the id that the path gives it; no body is an empty order.
  private func order(_ id: String, in request: LocalRequest) -> JSONValue? {
    var members: [JSONValue.Member] = [.init(name: "id", value: .string(id))]
    if request.body.isEmpty { return JSONValue(.object(members)) }
    guard request.body.count <= Self.orderByteLimit else { return nil }
    do throws(JSONError) {
      guard let given = try JSONParser.parse(request.body, limits: .init(depth: 16, bytes: Self.orderByteLimit)).object else { return nil }
      members += given.filter { !exactlyEquals($0.name, "id") }
      return JSONValue(.object(members))
    } catch {
      return nil
    }
  }

  /// What arrived: method, path, the headers by which the proxy says who is asking, and whether a credential came along.
  private func echo(_ request: LocalRequest) -> JSONValue {
    let identity = request.headers.filter { ASCII.equalsIgnoringCase($0.name.utf8.prefix(11), "x-stockade-".utf8) }
    return .object([
      "method": .string(request.method), "path": .string(request.path), "bytes": .integer(Int64(request.body.count)),
      "identity": JSONValue(
        .object(
          identity.map {
            JSONValue.Member(name: String(decoding: $0.name.utf8.map(ASCII.lowercased), as: UTF8.self), value: .string($0.value))
          })),
      "authorization": .bool(request.header("Authorization") != nil),
    ])
  }

  /// Says back whom the service believes to be asking, so that one curl shows it.
  private func told(_ request: LocalRequest) -> [(name: String, value: String)] {
    request.header("X-Stockade-Principal").map { [("X-Demo-Principal", $0)] } ?? []
  }

  private func json(_ status: Int, _ value: JSONValue, for request: LocalRequest) -> LocalResponse {
    LocalResponse(status: status, headers: [("Content-Type", "application/json")] + told(request), body: Array((value.text + "\n").utf8))
  }

  private func problem(_ status: Int, _ detail: String, for request: LocalRequest) -> LocalResponse {
    json(status, .object(["status": .integer(Int64(status)), "detail": .string(detail)]), for: request)
  }
}
