internal import AWS
internal import Bytes
internal import Crypto
internal import Glibc
internal import JSON

/// The last good contents of a store on disk, so that a restart while the store cannot be reached still serves.
///
/// Readable and writable by us alone: whoever could write it could permit things. It begins with a checksum, and what is not whole,
/// or not ours, or of another store, is as good as none.
struct StoreCopy {
  private let path: String
  private let place: String

  /// The copy of what a place names, in a folder that exists.
  init(of place: String, in folder: String) {
    self.place = place
    path = "\(folder)/policies-\(Hex.encode(Digest.sha256(place.utf8).prefix(16))).copy"
  }

  /// Keeps contents, or says why not.
  func write(_ contents: PolicyStoreContents) -> String? {
    let content = Array("\(Hex.encode(Digest.sha256(place.utf8)))\n\(contents.copy.text)\n".utf8)
    let bytes = Array("\(Self.format)\n\(Hex.encode(Digest.sha256(content)))\n".utf8) + content
    let temporary = "\(path).\(getpid())"
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { return Self.reason("open") }
    var written = 0
    while written < bytes.count {
      let count = bytes[written...].withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { break }
      written += count
    }
    let problem = written == bytes.count && fchmod(descriptor, 0o600) == 0 && fsync(descriptor) == 0 ? nil : Self.reason("write")
    close(descriptor)
    guard problem == nil, rename(temporary, path) == 0 else {
      let problem = problem ?? Self.reason("rename")
      unlink(temporary)
      return problem
    }
    return nil
  }

  /// What was kept, or why it cannot be used; nil for both if nothing was kept.
  func read() -> (contents: PolicyStoreContents?, problem: String?) {
    let descriptor = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
    guard descriptor >= 0 else { return (nil, errno == ENOENT ? nil : Self.reason("open")) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { return (nil, Self.reason("fstat")) }
    guard status.st_mode & S_IFMT == S_IFREG, status.st_uid == geteuid(), status.st_mode & 0o077 == 0 else {
      return (nil, "\(path) is not a file that we alone can read and write")
    }
    guard status.st_size <= Self.mostBytes else { return (nil, "\(path) is larger than any store") }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = Glibc.read(descriptor, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { return (nil, Self.reason("read")) }
      guard count > 0, bytes.count <= Self.mostBytes else { break }
      bytes.append(contentsOf: buffer[..<count])
    }
    guard let contents = decode(bytes) else { return (nil, "\(path) is not whole, or of another store") }
    return (contents, nil)
  }

  private func decode(_ bytes: [UInt8]) -> PolicyStoreContents? {
    let lines = bytes.split(separator: ASCII.lf, maxSplits: 3, omittingEmptySubsequences: false)
    guard lines.count == 4, lines[0].elementsEqual(Self.format.utf8) else { return nil }
    guard lines[1].elementsEqual(Hex.encode(Digest.sha256(Array(bytes[lines[2].startIndex...]))).utf8) else { return nil }
    guard lines[2].elementsEqual(Hex.encode(Digest.sha256(place.utf8)).utf8) else { return nil }
    do throws(JSONError) {
      let json = try JSONParser.parse(lines[3])
      do throws(WireError) { return try PolicyStoreContents(copy: json) } catch { return nil }
    } catch { return nil }
  }

  private static let format = "stockade policy store copy 1"
  private static let mostBytes = 256 << 20

  private static func reason(_ call: String) -> String { "\(call): \(String(cString: strerror(errno)))" }
}
