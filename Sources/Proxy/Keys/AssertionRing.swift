internal import Crypto
internal import JOSE
internal import Net
internal import Pipeline
internal import Telemetry

/// The keys of our assertions and their rotation, on the control loop. They are in memory and end with the process.
final class AssertionRing {
  private(set) var keys: AssertionKeys

  private let loop: EventLoop
  private let settings: AssertionSettings
  private let serverLog: ServerLog
  private let publish: (AssertionKeys) -> Void
  private var rotatedAt: Int64
  private var timer: TimerID?

  /// Keys with one that signs at once; `publish` tells the workers of every other.
  init(_ loop: EventLoop, _ settings: AssertionSettings, serverLog: ServerLog, publish: @escaping (AssertionKeys) -> Void) throws(KeyError)
  {
    self.loop = loop
    self.settings = settings
    self.serverLog = serverLog
    self.publish = publish
    keys = try AssertionKeys(issuer: settings.issuer, cacheSeconds: settings.announcementSeconds)
    rotatedAt = loop.wallSeconds
    schedule()
  }

  /// Rotates no more.
  func close() {
    if let timer { loop.cancel(timer) }
    timer = nil
  }

  private func schedule() {
    timer = loop.after(Self.stepMillis) { [unowned self] in
      step()
      schedule()
    }
  }

  private func step() {
    let now = loop.wallSeconds
    if now >= rotatedAt &+ settings.rotationSeconds {
      rotatedAt = now
      do throws(KeyError) { try keys.rotate(now: now) } catch {
        // The key of before signs on; the next turn comes.
        serverLog.error("assertion_key_failed", ["why": .text("\(error)")])
      }
    }
    keys.advance(now: now)
    publish(keys)
  }

  // What is announced signs minutes later, so its moment need not be met exactly.
  private static let stepMillis: UInt64 = 1_000
}
