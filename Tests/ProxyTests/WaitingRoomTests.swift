import Testing

@testable import Proxy

@Suite struct WaitingRoomTests {
  private final class Client {}

  @Test func whoWaitsIsFoundAndCanLeave() {
    var room = WaitingRoom<Client>(limit: 3)
    let clients = [Client(), Client(), Client()]
    for client in clients { #expect(room.admit(client, from: [1]) == nil) }
    room.remove(clients[1])
    room.remove(clients[1])
    #expect(room.count == 2 && Set(room.all.map(ObjectIdentifier.init)) == [ObjectIdentifier(clients[0]), ObjectIdentifier(clients[2])])
  }

  @Test func onePlaceCannotTakeTheRoomOfOthers() {
    var room = WaitingRoom<Client>(limit: 100)
    var crowd: [ObjectIdentifier: Client] = [:]
    for _ in 1...1000 {
      let client = Client()
      crowd[ObjectIdentifier(client)] = client
      let leaving = room.admit(client, from: [6, 6, 6, 6])
      #expect(leaving == nil || leaving === client, "it takes room from itself alone")
    }
    let honest = (1...50).map { _ in Client() }
    for client in honest {
      let leaving = room.admit(client, from: [1, 1, 1, 1])
      #expect(leaving.map { crowd[ObjectIdentifier($0)] != nil } == true, "one of the crowd leaves for it")
    }
    #expect(room.count == 100)
    let waiting = Set(room.all.map(ObjectIdentifier.init))
    for client in honest { #expect(waiting.contains(ObjectIdentifier(client))) }
    // At equal shares nobody is sent away for another.
    let late = Client()
    #expect(room.admit(late, from: [1, 1, 1, 1]) === late)
  }
}
