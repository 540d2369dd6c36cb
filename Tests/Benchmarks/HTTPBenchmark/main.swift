import Glibc
import HTTP

// Nanoseconds per head, the best of some rounds: BENCH=1 swift run -c release HTTPBenchmark

let token = String(repeating: "eyJhbGciOiJSUzI1NiJ9", count: 55)
let request = Array(
  """
  GET /orders/12345/items?expand=all&page=3 HTTP/1.1\r
  Host: api.example.com\r
  User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36\r
  Accept: application/json, text/plain, */*\r
  Accept-Language: en-US,en;q=0.9\r
  Accept-Encoding: gzip, deflate, br\r
  Authorization: Bearer \(token)\r
  Cookie: session=0123456789abcdef; theme=dark\r
  Origin: https://www.example.com\r
  Referer: https://www.example.com/orders\r
  Sec-Fetch-Mode: cors\r
  Sec-Fetch-Site: same-site\r
  X-Request-Id: 7f3a2b1c-0d9e-4f8a-b6c5-d4e3f2a1b0c9\r
  traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r
  Connection: keep-alive\r
  \r

  """.utf8)
let response = Array(
  """
  HTTP/1.1 200 OK\r
  Server: nginx/1.22.1\r
  Date: Thu, 01 Jan 2026 00:00:00 GMT\r
  Content-Type: application/json; charset=utf-8\r
  Content-Length: 1024\r
  Connection: keep-alive\r
  Cache-Control: no-store\r
  ETag: "0123456789abcdef"\r
  Vary: Origin\r
  X-Content-Type-Options: nosniff\r
  \r

  """.utf8)

/// This thread's processor time, so that neighbours on the machine do not count.
func processorTime() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
}

func measure(_ name: String, _ work: () -> Int) {
  // An argument names the one measurement to run, for a profiler.
  if CommandLine.arguments.count > 1, !name.contains(CommandLine.arguments[1]) {
    _ = work()
    return
  }
  let rounds = 100_000
  var best = Double.infinity
  var sum = 0
  for _ in 0..<9 {
    let start = processorTime()
    for _ in 0..<rounds { sum &+= work() }
    best = min(best, (processorTime() - start) / Double(rounds))
  }
  precondition(sum != 0)
  print("\(name): \(Int(best + 0.5)) ns")
}

func run() {
  let limits = HeadLimits()
  var head = RequestHead()
  var answer = ResponseHead()
  var out: [UInt8] = []
  out.reserveCapacity(8192)
  let rewrite = RequestRewrite(owned: OwnedFields(["X-Stockade-Principal", "X-Stockade-Subject", "X-Stockade-Groups"]))
  var identity = FieldBlock()
  identity.append("X-Forwarded-For", "192.0.2.1")
  identity.append("X-Forwarded-Proto", "https")
  identity.append("X-Stockade-Principal", "User::\"main|7f3a2b1c\"")

  measure("request head, \(request.count) bytes, parsed") {
    guard case .complete(let consumed) = request.withUnsafeBytes({ RequestHeadParser.parse($0, limits: limits, into: &head) }) else {
      return 0
    }
    return consumed
  }
  measure("the same, written for the upstream") {
    out.removeAll(keepingCapacity: true)
    HeadWriter.appendRequest(head, rewrite, adding: identity, to: &out)
    return out.count
  }
  measure("response head, \(response.count) bytes, parsed") {
    guard
      case .complete(let consumed) = response.withUnsafeBytes({
        ResponseHeadParser.parse($0, limits: limits, answering: .get, into: &answer)
      })
    else { return 0 }
    return consumed
  }
  let toClient = ResponseRewrite(framing: .length(1024), keepAlive: true, clientMinorVersion: 1, owned: OwnedFields())
  measure("the same, written for the client") {
    out.removeAll(keepingCapacity: true)
    HeadWriter.appendResponse(answer, toClient, to: &out)
    return out.count
  }
  var chunks: [UInt8] = []
  let piece = [UInt8](repeating: 0x61, count: 1000)
  for _ in 0..<16 { piece.withUnsafeBytes { ChunkedEncoder.appendChunk($0, to: &chunks) } }
  chunks += ChunkedEncoder.end
  measure("16 chunks of 1000 bytes, decoded") {
    var decoder = ChunkedDecoder()
    var taken = 0
    return chunks.withUnsafeBytes { bytes in
      while case .data(let range) = decoder.next(UnsafeRawBufferPointer(rebasing: bytes[taken...])) { taken += range.upperBound }
      return taken
    }
  }
}

run()
