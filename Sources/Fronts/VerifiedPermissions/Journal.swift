internal import Bytes
internal import Crypto
internal import Glibc
internal import JSON

/// The service's state on disk: records appended one after the other, each on stable storage before anyone is told.
///
/// A record is one line, `<chain> <effects>`: the first 32 hexadecimal digits of the SHA-256 of the record before's chain and of the
/// effects. A last record that is not whole was never confirmed and is cut off; anything else that does not fit is damage, and
/// the service does not start on it.
final class Journal {
  private let descriptor: Int32
  private var chain: String
  /// What an earlier failure left unusable: nothing more is written.
  private var isBroken = false

  /// Opens or makes the journal in a folder, and hands over every record in it.
  init(in folder: String, replay: ([Documents.Effect]) -> Void) throws(JournalError) {
    let path = folder + "/verified-permissions.journal"
    if mkdir(folder, 0o700) != 0, errno != EEXIST { throw JournalError("cannot make \(folder): \(Self.reason)") }
    descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw JournalError("cannot open \(path): \(Self.reason)") }
    chain = ""
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { throw JournalError("\(path) is in use by another process") }
    let content = try Self.content(of: descriptor, path)
    var start = content.startIndex
    var line = 1
    while let end = content[start...].firstIndex(of: ASCII.lf) {
      guard let effects = Self.effects(content[start..<end], after: chain) else {
        // Whole lines come after whole writes alone: this one was written and has changed since, unless it is the last.
        guard end + 1 == content.endIndex else { throw JournalError("\(path):\(line): this record is damaged") }
        break
      }
      chain = String(decoding: content[start..<start + Self.chainLength], as: UTF8.self)
      replay(effects)
      start = end + 1
      line += 1
    }
    guard start < content.endIndex || lseek(descriptor, 0, SEEK_END) == off_t(start) else {
      throw JournalError("\(path) changes while it is read")
    }
    if start < content.endIndex {
      guard ftruncate(descriptor, off_t(start)) == 0, fsync(descriptor) == 0 else {
        throw JournalError("cannot cut \(path): \(Self.reason)")
      }
    }
    guard lseek(descriptor, 0, SEEK_END) >= 0 else { throw JournalError("cannot write \(path): \(Self.reason)") }
    try Self.syncFolder(folder)
  }

  deinit {
    // A child of another thread's has a copy of the descriptor until it becomes its program: closing ours would leave it locked so long.
    flock(descriptor, LOCK_UN)
    close(descriptor)
  }

  /// Appends a record and waits for the disk; afterwards it will be there whatever happens.
  func append(_ effects: [Documents.Effect]) throws(JournalError) {
    guard !isBroken else { throw JournalError("the journal failed before; restart the service") }
    let text = JSONValue.array(effects.map(\.json)).text
    let next = Self.chain(after: chain, Array(text.utf8)[...])
    let line = Array("\(next) \(text)\n".utf8)
    var written = 0
    while written < line.count {
      let count = line[written...].withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else {
        isBroken = true
        throw JournalError("the journal cannot be written: \(Self.reason)")
      }
      written += count
    }
    guard fsync(descriptor) == 0 else {
      // After a failed fsync nobody knows what the disk has.
      isBroken = true
      throw JournalError("the journal cannot be brought to the disk: \(Self.reason)")
    }
    chain = next
  }

  private static let chainLength = 32

  private static func chain(after before: String, _ text: ArraySlice<UInt8>) -> String {
    String(decoding: Hex.encode(Digest.sha256(Array(before.utf8) + text)).utf8.prefix(chainLength), as: UTF8.self)
  }

  private static func effects(_ line: ArraySlice<UInt8>, after before: String) -> [Documents.Effect]? {
    guard line.count > chainLength + 1, line[line.startIndex + chainLength] == ASCII.space else { return nil }
    let text = line[(line.startIndex + chainLength + 1)...]
    guard line.prefix(chainLength).elementsEqual(chain(after: before, text).utf8) else { return nil }
    let json: JSONValue
    do throws(JSONError) { json = try JSONParser.parse(text, limits: .init(depth: 64)) } catch { return nil }
    guard let array = json.array else { return nil }
    let effects = array.compactMap(Documents.Effect.init)
    return effects.count == array.count ? effects : nil
  }

  private static func content(of descriptor: Int32, _ path: String) throws(JournalError) -> [UInt8] {
    var content: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = read(descriptor, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw JournalError("cannot read \(path): \(reason)") }
      guard count > 0 else { return content }
      content.append(contentsOf: buffer[..<count])
    }
  }

  // A file that was just made is there after a crash only once its folder was written.
  private static func syncFolder(_ folder: String) throws(JournalError) {
    let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw JournalError("cannot open \(folder): \(reason)") }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw JournalError("cannot bring \(folder) to the disk: \(reason)") }
  }

  private static var reason: String { String(cString: strerror(errno)) }
}

/// Why there is no journal, or nothing more can be written to it.
public struct JournalError: Error, Sendable, CustomStringConvertible {
  /// One sentence.
  public let description: String

  init(_ description: String) { self.description = description }
}
