public import Glibc

/// A value that threads share under a mutex: the one lock of the house.
///
/// ThreadSanitizer understands a pthread mutex; it reports false races for `Synchronization.Mutex` on Linux.
public final class Locked<Value: Sendable>: @unchecked Sendable {
  // Unchecked, and right: `value` is touched only while `mutex` is held, and it is itself Sendable.
  @usableFromInline let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  @usableFromInline var value: Value

  /// Starts with a value.
  public init(_ value: Value) {
    self.value = value
    pthread_mutex_init(mutex, nil)
  }

  deinit {
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  /// Lends the value to one thread at a time. The body must not block, nor take the same lock again.
  @inlinable public func withLock<R, E: Error>(_ body: (inout Value) throws(E) -> R) throws(E) -> R {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return try body(&value)
  }
}
