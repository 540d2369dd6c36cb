import Glibc

// What it costs to verify signatures, to accept a token the first time, to find it again, and to refuse each kind of bad one: CPU time of
// one thread, the least of several rounds. BENCH=1 swift run -c release TokenCost
//
// First the verifier alone, by every algorithm; then the page, from the head of a request to the refusal, with every bad token of the
// development issuer, with revocation, step-up and proofs of possession. The second number of a line is the part of an acceptance: of a
// token's first one with the same algorithm; for proofs, of that of a proof with the same algorithm. It ends with 1 if a refusal costs more
// than that.

@main
enum TokenCost {
  static func main() throws {
    var report = Report()
    try SignatureCost.measure(&report)
    try PageCost.measure(&report)
    report.end()
  }
}

/// Collects what is measured and prints it as it comes; at the end a table of what matters most, in Markdown.
struct Report {
  /// What is said of one algorithm.
  struct Row {
    var algorithm: String
    var raw = 0.0
    var ours = 0.0
    var page = 0.0
    var hot = 0.0
    var worst = (ratio: 0.0, what: "")
    var worstProof = (ratio: 0.0, what: "")
  }

  private var rows: [Row] = []

  mutating func title(_ text: String, of algorithm: String) {
    print("\n\(text)")
    if !rows.contains(where: { $0.algorithm == algorithm }) { rows.append(Row(algorithm: algorithm)) }
  }

  /// Takes note of something about an algorithm.
  mutating func note(_ algorithm: String, _ change: (inout Row) -> Void) {
    for index in rows.indices where rows[index].algorithm == algorithm { change(&rows[index]) }
  }

  /// One line; `against` is the acceptance that it is set beside.
  func line(_ what: String, _ nanos: Double, against full: Double? = nil) {
    var text = "  " + what + String(repeating: " ", count: max(64 - what.utf8.count, 1)) + Self.shown(nanos / 1000) + " us"
    if let full { text += "   " + Self.shown(nanos / full) }
    print(text)
  }

  func end() {
    print(
      "\n| algorithm | OpenSSL alone, a second | first acceptance, a second | first acceptance, whole page, µs | hot, µs | costliest refusal of a token | of a proof |"
    )
    print("|---|---|---|---|---|---|---|")
    for row in rows {
      let cells = [
        row.algorithm, "\(Int(1e9 / row.raw))", "\(Int(1e9 / row.ours))", Self.shown(row.page / 1000), Self.shown(row.hot / 1000),
        "\(Self.shown(row.worst.ratio)) \(row.worst.what)", "\(Self.shown(row.worstProof.ratio)) \(row.worstProof.what)",
      ]
      print("| " + cells.joined(separator: " | ") + " |")
    }
    // Two measurements of the same work differ by some parts in a hundred.
    if rows.contains(where: { max($0.worst.ratio, $0.worstProof.ratio) > 1.1 }) {
      print("\nA refusal costs more than it may.")
      exit(1)
    }
  }

  static func shown(_ number: Double) -> String { "\(Double((number * 100).rounded()) / 100)" }
}

/// CPU time of this process.
func cpuNanos() -> UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

/// Nanoseconds of one call that may be repeated.
func cost(_ body: () -> Void) -> Double {
  var count = 1
  while true {
    let start = cpuNanos()
    for _ in 0..<count { body() }
    if cpuNanos() - start > 20_000_000 { break }
    count *= 2
  }
  return (0..<7).map { _ in
    let start = cpuNanos()
    for _ in 0..<count { body() }
    return Double(cpuNanos() - start) / Double(count)
  }.min() ?? 0
}

/// Nanoseconds of one call of those that can be made only once each, an equal share in each of seven rounds.
func costOfEach<Input>(of inputs: [Input], _ body: (Input) -> Void) -> Double {
  let share = inputs.count / 7
  return (0..<7).map { round in
    let some = inputs[round * share..<(round + 1) * share]
    let start = cpuNanos()
    for input in some { body(input) }
    return Double(cpuNanos() - start) / Double(share)
  }.min() ?? 0
}
