internal import CSystem

/// Work that takes long, on a thread of its own that gives way to the others, while the loop turns on.
public enum Aside {
  /// Starts the work; `completion` is called on the loop with what came of it.
  public static func run<Outcome: Sendable>(
    name: String, on loop: EventLoop, stackBytes: Int = 8 << 20, _ work: @escaping @Sendable () -> Outcome,
    completion: @escaping (Outcome) -> Void
  ) throws(NetError) {
    let mailbox = try Mailbox<Outcome>()
    let holder = Holder()
    holder.slot = try mailbox.attach(to: loop) { outcome in
      holder.slot?.detach()
      holder.slot = nil
      completion(outcome)
    }
    do throws(NetError) {
      let thread = try startThread(name: name, stackBytes: stackBytes) {
        // Where that is forbidden the work is done all the same.
        _ = csystem_give_way()
        mailbox.post(work())
      }
      thread.detach()
    } catch {
      holder.slot?.detach()
      holder.slot = nil
      throw error
    }
  }

  private final class Holder {
    var slot: MailboxSlot?
  }
}
