// Measures the authorizer: medians and 99th percentiles in nanoseconds of whole answers, release builds only.

import Cedar
import Glibc

/// Time of this thread on a processor: what others do on the machine does not count, as long as they leave the caches alone.
func now() -> UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

func pad(_ text: String, _ width: Int) -> String { text + String(repeating: " ", count: max(width - text.count, 1)) }

func quantile(_ sorted: [Double], _ fraction: Double) -> Double { sorted.isEmpty ? 0 : sorted[Int(Double(sorted.count - 1) * fraction)] }

/// Nanoseconds of one call, in batches so that the clock costs nothing: medians over batches, and the 99th percentile.
func measure(_ batch: Int, _ batches: Int = 400, _ body: (Int) -> Void) -> (median: Double, p99: Double) {
  for index in 0..<(batch * 4) { body(index) }
  var times: [Double] = []
  for round in 0..<batches {
    let start = now()
    for index in 0..<batch { body(round &* batch &+ index) }
    times.append(Double(now() - start) / Double(batch))
  }
  times.sort()
  return (quantile(times, 0.5), quantile(times, 0.99))
}

func run(_ input: Input) throws {
  let start = now()
  let statements = try PolicyParser.parse(input.policies)
  let parsed = now()
  var set = try PolicySet(statements)
  for link in input.links { try set.link(link) }
  let entities = try Entities(input.entities)
  let built = now()
  let authorizer = Authorizer(policies: set, entities: entities)
  let ready = now()
  let token = try authorizer.prepare(input.token)
  let evaluation = Evaluation()
  var allowed = 0
  var reasons = 0
  var errors = 0
  for request in input.requests {
    let response = try authorizer.isAuthorized(request, with: token, in: evaluation)
    allowed += response.decision == .allow ? 1 : 0
    reasons += response.determining.count
    errors += response.errors.count
  }
  let count = input.requests.count
  let whole = measure(64) { index in
    do { _ = try authorizer.isAuthorized(input.requests[index % count], with: token, in: evaluation) } catch {}
  }
  print(
    pad(input.name, 40), "median", Int(whole.median), "ns  p99", Int(whole.p99), "ns | parse", (parsed - start) / 1000, "µs, entities",
    (built - parsed) / 1000,
    "µs, compile", (ready - built) / 1000, "µs | allow", allowed, "of", count, "reasons", reasons, "errors", errors)
}

/// `CedarBenchmark [WORD]`: only the inputs whose name contains the word.
let wanted = CommandLine.arguments.dropFirst().first ?? ""
var inputs = [gateway()]
for count in [10, 100, 1000, 10_000] { inputs += [perPrincipal(count), perGroup(count), linked(count), open(count)] }
for input in inputs where wanted.isEmpty || input.name.contains(wanted) { try run(input) }
