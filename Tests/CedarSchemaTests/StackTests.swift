import Cedar
import CedarSchema
import Foundation
import Synchronization
import TestSupport
import Testing

@Suite struct StackTests {
  /// Runs a body on a thread with a stack of that size and waits for it.
  private func onStack(megabytes: Int, _ body: @escaping @Sendable () -> String) -> String {
    let outcome = Outcome()
    let done = DispatchSemaphore(value: 0)
    let thread = Thread {
      outcome.text.withLock { $0 = body() }
      done.signal()
    }
    // A sanitizer's frames are larger; what is promised is promised of the code without one.
    thread.stackSize = (megabytes << 20) * (Sanitizer.slowness > 1 ? 8 : 1)
    thread.start()
    done.wait()
    return outcome.text.withLock { $0 }
  }

  private final class Outcome: Sendable {
    let text = Mutex("")
  }

  @Test(
    "Expressions as deep as the parser lets through are validated on a worker's stack, in debug builds too",
    arguments: [
      ("(true && ", "true", ")"), ("(if true then ", "true", " else false)"),
      ("[", "1", "].isEmpty() == true || [[1]].contains([2]) || [1].contains(1)"),
      ("principal has a.b.c || (", "true", ")"), ("{a: ", "1", "}.a"), ("(principal is U in [", "principal", "])"), ("!(", "true", ")"),
      ("[1].contains(", "1", ")"), ("(1 + ", "1", ")"), ("(principal in ", "principal", ")"),
    ])
  func deep(open: String, middle: String, close: String) {
    for depth in [100, 250, 500, 5000] {
      let text =
        "permit(principal, action, resource) when { " + String(repeating: open, count: depth) + middle
        + String(repeating: close, count: depth) + " };"
      let outcome = onStack(megabytes: 4) {
        do {
          let set = try PolicySet(PolicyParser.parse(text))
          let schema = try Schema(
            "entity U in [U] { a?: { b?: { c?: Long } } } tags String; action go appliesTo { principal: U, resource: U };")
          let result = Validator(schema, mode: .permissive, level: 3).validate(set)
          return "\(result.errors.count)"
        } catch {
          return "refused"
        }
      }
      #expect(!outcome.isEmpty)
      if depth >= 5000 { #expect(outcome == "refused") }
    }
  }
}
