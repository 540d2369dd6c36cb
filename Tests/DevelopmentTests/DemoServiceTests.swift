import Development
import JSON
import Testing

struct DemoServiceTests {
  private func ask(_ service: DemoService, _ method: String, _ target: String, body: String = "", principal: String? = nil) -> LocalResponse
  {
    let headers = [("Host", "orders.example"), ("Authorization", "Bearer x")] + (principal.map { [("x-stockade-PRINCIPAL", $0)] } ?? [])
    return service.answer(LocalRequest(method: method, target: target, headers: headers, body: Array(body.utf8)))
  }

  @Test("orders can be listed, read, made, changed and deleted")
  func orders() throws {
    let service = DemoService()
    #expect(
      ask(service, "GET", "/orders").text == #"{"orders":[{"id":"7","item":"paper","quantity":20},{"id":"42","item":"lamp","quantity":1}]}"#
        + "\n")
    #expect(ask(service, "GET", "/orders/42?x=y").status == 200)
    #expect(ask(service, "GET", "/orders/43").status == 404)
    let made = ask(service, "POST", "/orders", body: #"{"item":"chair","id":"7"}"#)
    #expect(made.status == 201 && made.header("Location") == "/orders/100")
    #expect(made.text == #"{"id":"100","item":"chair"}"# + "\n")
    #expect(ask(service, "PUT", "/orders/100", body: #"{"item":"stool"}"#).status == 200)
    #expect(ask(service, "GET", "/orders/100").text.contains("stool"))
    #expect(ask(service, "DELETE", "/orders/100").status == 204)
    #expect(ask(service, "DELETE", "/orders/100").status == 404)
    #expect(ask(service, "POST", "/orders", body: "[").status == 400)
    #expect(ask(service, "POST", "/orders", body: "[]").status == 400)
    #expect(ask(service, "TRACE", "/orders").status == 405)
  }

  @Test("it says whose an order is, as an entity for policies")
  func owners() throws {
    let service = DemoService()
    func owner(_ id: String) throws -> String? {
      let answer = ask(service, "GET", "/internal/entities/orders/\(id)")
      guard answer.status == 200 else { return "\(answer.status)" }
      let entity = try #require(JSONParser.parse(answer.body).array?.first)
      #expect(entity["uid"]?["type"]?.string == "Order" && entity["uid"]?["id"]?.string == id && entity["parents"]?.array?.isEmpty == true)
      return entity["attrs"]?["owner"]?["__entity"]?["id"]?.string
    }
    #expect(try owner("7") == "demo|alice" && owner("42") == "demo|bob" && owner("43") == "404")
    _ = ask(service, "PUT", "/orders/43", principal: "demo|carol")
    _ = ask(service, "PUT", "/orders/7", principal: "demo|carol")
    _ = ask(service, "POST", "/orders", body: #"{"owner":"demo|bob"}"#, principal: "demo|alice")
    #expect(try owner("43") == "demo|carol" && owner("7") == "demo|alice" && owner("100") == "demo|alice", "who made it owns it")
    _ = ask(service, "DELETE", "/orders/7")
    #expect(try owner("7") == "404")
    #expect(ask(service, "PUT", "/internal/entities/orders/7").status == 404)
  }

  @Test("what it keeps is bounded")
  func bounded() {
    let service = DemoService()
    for _ in 0..<1100 { _ = ask(service, "POST", "/orders") }
    #expect(ask(service, "POST", "/orders").status == 507)
    #expect(ask(service, "PUT", "/orders/new").status == 507)
    #expect(ask(service, "PUT", "/orders/42").status == 200)
    let large = #"{"x":""# + String(repeating: "a", count: 20_000) + #""}"#
    #expect(ask(service, "PUT", "/orders/42", body: large).status == 400)
  }

  @Test("it echoes who it was told is asking, and answers on the demo's other paths")
  func echo() throws {
    let service = DemoService()
    let echo = try JSONParser.parse(ask(service, "POST", "/echo/a?b=c", body: "123", principal: "demo|alice").body)
    #expect(echo["method"]?.string == "POST" && echo["path"]?.string == "/echo/a" && echo["bytes"]?.integer == 3)
    #expect(echo["identity"]?.object?.map(\.name) == ["x-stockade-principal"])
    #expect(echo["authorization"]?.bool == true)
    #expect(ask(service, "GET", "/orders/42", principal: "demo|alice").header("X-Demo-Principal") == "demo|alice")
    for path in ["/", "/healthz", "/admin/users", "/invoices/1", "/orders/archive/7"] {
      #expect(ask(service, "GET", path).status == 200, "\(path)")
    }
    #expect(ask(service, "DELETE", "/orders/archive/7").status == 405)
    #expect(ask(service, "GET", "/elsewhere").status == 404)
  }
}
