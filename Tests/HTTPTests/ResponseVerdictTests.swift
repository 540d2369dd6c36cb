import HTTP
import TestSupport
import Testing

/// Our own cases for what upstreams send: whatever could split or desynchronize the connection is refused.
@Suite struct ResponseVerdictTests {
  static let cases: [(String, Method, Bool, String)] = [
    ("plain", .get, false, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"),
    ("no phrase", .get, false, "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"),
    ("no second space", .get, false, "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"),
    ("phrase in UTF-8", .get, false, "HTTP/1.1 200 \u{e9}\r\nContent-Length: 0\r\n\r\n"),
    ("until close", .get, false, "HTTP/1.1 200 OK\r\n\r\nabc"), ("http10 until close", .get, false, "HTTP/1.0 200 OK\r\n\r\nabc"),
    ("http10 keep-alive", .get, false, "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na"),
    ("chunked", .get, false, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"),
    ("close", .get, false, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\na"),
    ("answer to HEAD", .head, false, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("answer to HEAD, chunked", .head, false, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ("304 with length", .get, false, "HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n"),
    ("204", .get, false, "HTTP/1.1 204 No Content\r\n\r\n"),
    ("204 with length zero", .get, false, "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"),
    ("204 with length", .get, false, "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello"),
    ("204 chunked", .get, false, "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("100, then 200", .post, false, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("103, then 200", .get, false, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("100 with length", .get, false, "HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n"),
    ("101 unasked", .get, false, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
    ("101 asked", .get, true, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nraw"),
    ("101 without Upgrade", .get, true, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\r\n"),
    ("101 without option", .get, true, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"),
    ("two lengths", .get, false, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
    ("two equal lengths", .get, false, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na"),
    ("length and chunked", .get, false, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("length and chunked to HEAD", .head, false, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ("gzip transfer coding", .get, false, "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    ("identity", .get, false, "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nabc"),
    ("chunked in http10", .get, false, "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("bare LF", .get, false, "HTTP/1.1 200 OK\nContent-Length: 0\n\n"), ("bare CR", .get, false, "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n"),
    ("NUL", .get, false, "HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n"), ("folded", .get, false, "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n"),
    ("control in the phrase", .get, false, "HTTP/1.1 200 O\u{7}K\r\n\r\n"),
    ("space before the colon", .get, false, "HTTP/1.1 200 OK\r\nA : b\r\n\r\n"),
    ("version 2", .get, false, "HTTP/2 200 OK\r\n\r\n"), ("version 1.2", .get, false, "HTTP/1.2 200 OK\r\n\r\n"),
    ("code of two digits", .get, false, "HTTP/1.1 20 OK\r\n\r\n"),
    ("code of four digits", .get, false, "HTTP/1.1 2000 OK\r\n\r\n"), ("code 99", .get, false, "HTTP/1.1 099 OK\r\n\r\n"),
    ("code 600", .get, false, "HTTP/1.1 600 OK\r\n\r\n"),
    ("not HTTP", .get, false, "SSH-2.0-x\r\n"), ("empty line first", .get, false, "\r\nHTTP/1.1 200 OK\r\n\r\n"),
    ("body cut", .get, false, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab"),
    ("chunk cut", .get, false, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab"),
    ("head cut", .get, false, "HTTP/1.1 200 OK\r\nA"),
    ("head too large", .get, false, "HTTP/1.1 200 OK\r\nA: " + String(repeating: "a", count: 70_000)),
  ]

  @Test func verdictsOnOurOwnCasesAreWhatTheGoldenFileSays() {
    var text = ""
    for (name, method, upgrade, bytes) in Self.cases {
      let read = Conversation.ofResponses(Array(bytes.utf8), to: method, upgradeOffered: upgrade)
      // Whatever the table gives a request, a refused response is a 502.
      if case .refused(let refusal) = read.ending {
        text += "\(name): 502 \(refusal.detail)\n"
      } else {
        text += "\(name): \(read.ending)\n"
      }
      for message in read.messages {
        text += "  \(message.startLine) \(message.framing) \(message.keepAlive ? "keep-alive" : "close")"
        text += message.body.isEmpty ? "\n" : " \(String(decoding: message.body, as: UTF8.self).debugDescription)\n"
      }
    }
    let difference = Golden.difference(text, from: "response-verdicts.txt")
    #expect(difference == nil, "\(difference ?? "")")
  }

  @Test(arguments: [1, 2, 5, 33])
  func aResponseMeansTheSameHoweverItsBytesAreCut(step: Int) {
    for (name, method, upgrade, bytes) in Self.cases where bytes.utf8.count < 1000 || step > 5 {
      let whole = Conversation.ofResponses(Array(bytes.utf8), to: method, upgradeOffered: upgrade)
      #expect(
        whole == Conversation.ofResponses(Array(bytes.utf8), to: method, upgradeOffered: upgrade, step: step), "\(name) in steps of \(step)"
      )
    }
  }
}
