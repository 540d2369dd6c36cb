internal import Net
internal import Pipeline
internal import Telemetry

extension Gateway {
  /// What clients may use of each of so many workers. A connection needs two descriptors, one here and one behind: where there are not
  /// as many, fewer connections are taken, so that those that are taken can be served.
  static func limits(_ configuration: Configuration, workers: Int, _ serverLog: ServerLog) -> ClientLimits {
    var limits = configuration.limits
    if let descriptors = Signals.raiseDescriptorLimit() {
      let room = max((descriptors - descriptorsForUs - descriptorsForWorker * workers) / 2, workers)
      if room < limits.connections {
        // Only who has named a number is warned that it cannot be.
        let tell = limits.connections == Defaults.clientConnections ? serverLog.info : serverLog.warn
        tell(
          "connections_lowered",
          [
            "from": .integer(limits.connections), "to": .integer(room), "descriptors": .integer(descriptors),
            "meaning": "a connection needs two descriptors; raise the limit of open files, or lower limits.connections",
          ])
        limits.connections = room
      }
    }
    return limits.share(of: workers)
  }

  // Logs, the control socket, the operations listener with its connections, key sets, watches; and a worker's loop and listener.
  private static let descriptorsForUs = 32
  private static let descriptorsForWorker = 4

  /// How names are looked up.
  static func lookup(_ configuration: Configuration) -> Resolver.Lookup {
    guard let text = configuration.nameServer else { return Resolver.system }
    do throws(NetError) { return Resolver.lookup(at: try SocketAddress.parse(text)) } catch { return { _ in .failure(error) } }
  }

  /// How long what was looked up is used.
  static func resolverLimits(_ configuration: Configuration) -> Resolver.Limits {
    var limits = Resolver.Limits()
    limits.refreshMillis = configuration.dnsRefreshMillis
    return limits
  }
}
