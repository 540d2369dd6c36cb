import Cedar
import Glibc
import JSON

/// Time of this thread on a processor: what others do on the machine does not count, as long as they leave the caches alone.
func now() -> UInt64 { clock(CLOCK_THREAD_CPUTIME_ID) }

func clock(_ which: clockid_t) -> UInt64 {
  var time = timespec()
  clock_gettime(which, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

func quantile(_ sorted: [Double], _ fraction: Double) -> Double { sorted.isEmpty ? 0 : sorted[Int(Double(sorted.count - 1) * fraction)] }

/// Nanoseconds of one call: the median over batches, whose time on a processor is exact and whose clock costs nothing, and the 99th
/// percentile of single calls, less what the clock itself takes.
func measure(_ body: (Int) -> Void) -> (median: Double, p99: Double) {
  let first = now()
  for index in 0..<64 { body(index) }
  // About a fifth of a second in all.
  let batches = Int(min(max(200_000_000 / max(now() - first, 1), 5), 400))
  for index in 0..<64 { body(index) }
  var times: [Double] = []
  for round in 0..<batches {
    let start = now()
    for index in 0..<64 { body(round &* 64 &+ index) }
    times.append(Double(now() - start) / 64)
  }
  times.sort()
  var single: [Double] = []
  var idle: [Double] = []
  for index in 0..<(batches * 10) {
    let start = clock(CLOCK_MONOTONIC)
    body(index)
    let end = clock(CLOCK_MONOTONIC)
    single.append(Double(end - start))
    idle.append(Double(clock(CLOCK_MONOTONIC) - end))
  }
  single.sort()
  idle.sort()
  return (quantile(times, 0.5), max(quantile(single, 0.99) - quantile(idle, 0.5), 0))
}

/// What a process holds in memory.
func residentBytes() -> Int { statusBytes("VmRSS:") }

/// The most that it ever held.
func peakBytes() -> Int { statusBytes("VmHWM:") }

private func statusBytes(_ name: String) -> Int {
  guard let file = fopen("/proc/self/status", "r") else { return 0 }
  defer { fclose(file) }
  var line = [CChar](repeating: 0, count: 256)
  while fgets(&line, 256, file) != nil {
    let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    if text.hasPrefix(name) { return (text.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0) * 1024 }
  }
  return 0
}

/// One line of JSON for `cedar.py`.
func tell(_ members: KeyValuePairs<String, JSONValue>) {
  print(JSONValue.object(members).text)
  fflush(nil)
}

extension JSONValue {
  /// A number of nanoseconds, bytes and the like.
  static func number(_ value: Double) -> JSONValue { .integer(Int64(value.rounded())) }
  static func number(_ value: UInt64) -> JSONValue { .integer(Int64(truncatingIfNeeded: value)) }
  static func number(_ value: Int) -> JSONValue { .integer(Int64(value)) }
}
