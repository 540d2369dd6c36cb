/// A policy store whose policies the engine in this process takes, and follows as they change.
public struct PolicySource: Sendable, Equatable {
  /// Where the store is and what signs.
  public var store: RemoteEngine
  /// How long it is left alone between two looks, in milliseconds.
  public var pollMillis: UInt64

  /// A source.
  public init(store: RemoteEngine, pollMillis: UInt64) {
    self.store = store
    self.pollMillis = pollMillis
  }

  /// Reads `policies.store`; nil if there is none, or none that can be used.
  init?(_ setting: Setting?, beside folder: Setting?, _ report: inout ConfigurationReport) {
    guard let setting, setting.origin != .byDefault else { return nil }
    guard let name = setting.text("policy_store"), RemoteEngine.isStore(name) else {
      report.add(
        setting["policy_store"] ?? setting, "no policy store is named", help: "write store: { policy_store: 'PSEXAMPLEabcdefg111111' }")
      return nil
    }
    guard let store = RemoteEngine(setting, &report) else { return nil }
    if let folder, folder.origin != .byDefault {
      report.add(folder, "policies come from policy store \(name), and from here", help: "keep one of the two")
    }
    self.init(store: store, pollMillis: setting["poll"]?.count ?? 30_000)
  }
}
