internal import Glibc

/// The numbers every Prometheus client gives of its process, read from the kernel when asked.
enum ProcessMetrics {
  static func samples(startedSeconds: Double) -> [Metrics.Sample] {
    var samples = [Metrics.Sample(startTime, value: startedSeconds)]
    var usage = rusage()
    if getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 {
      let user = Double(usage.ru_utime.tv_sec) + Double(usage.ru_utime.tv_usec) / 1e6
      let system = Double(usage.ru_stime.tv_sec) + Double(usage.ru_stime.tv_usec) / 1e6
      samples.append(Metrics.Sample(cpu, value: user + system))
    }
    // statm: total and resident size in pages.
    let pages = text(of: "/proc/self/statm").split(separator: " ").prefix(2).compactMap { Double(String($0)) }
    if pages.count == 2 {
      let page = Double(sysconf(Int32(_SC_PAGESIZE)))
      samples.append(Metrics.Sample(virtualMemory, value: pages[0] * page))
      samples.append(Metrics.Sample(residentMemory, value: pages[1] * page))
    }
    if let open = openDescriptors() { samples.append(Metrics.Sample(openFiles, value: Double(open))) }
    var limit = rlimit()
    if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
      samples.append(Metrics.Sample(maxFiles, value: Double(limit.rlim_cur)))
    }
    return samples
  }

  private static func openDescriptors() -> Int? {
    guard let folder = opendir("/proc/self/fd") else { return nil }
    defer { closedir(folder) }
    var count = 0
    while readdir(folder) != nil { count += 1 }
    // Not `.`, `..` and the descriptor that reads them.
    return max(count - 3, 0)
  }

  private static func text(of path: String) -> String {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return "" }
    defer { close(file) }
    var buffer = [UInt8](repeating: 0, count: 256)
    let count = buffer.withUnsafeMutableBytes { read(file, $0.baseAddress, $0.count) }
    return String(decoding: buffer.prefix(max(count, 0)), as: UTF8.self)
  }

  static let families = [cpu, residentMemory, virtualMemory, openFiles, maxFiles, startTime]

  private static let cpu = MetricFamily("process_cpu_seconds", .counter, "Processor time used, user and system.")
  private static let residentMemory = MetricFamily("process_resident_memory_bytes", .gauge, "Memory in use.")
  private static let virtualMemory = MetricFamily("process_virtual_memory_bytes", .gauge, "Address space in use.")
  private static let openFiles = MetricFamily("process_open_fds", .gauge, "Open descriptors.")
  private static let maxFiles = MetricFamily("process_max_fds", .gauge, "How many descriptors may be open.")
  private static let startTime = MetricFamily("process_start_time_seconds", .gauge, "When the process started, in Unix time.")
}
