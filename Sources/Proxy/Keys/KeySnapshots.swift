internal import Bytes
internal import Crypto
internal import Glibc
internal import Pipeline

/// The last good key sets on disk, so that a restart while an issuer cannot be reached still serves.
///
/// One file a source of keys, readable and writable by us alone: whoever could write it could sign tokens. It begins with a checksum,
/// and a file that is not whole, or not ours, or of another source, is as good as none. Written beside and renamed into place; not
/// synchronized to the disk, for a file that a power cut spoils is found out by its checksum, and waiting for a disk would hold
/// up the loop that tells workers about revoked keys.
struct KeySnapshots {
  /// A key set as it was fetched.
  struct Stored {
    var body: [UInt8]
    /// In seconds since 1970.
    var fetchedAt: Int64
  }

  private let folder: String

  /// Snapshots in a folder that exists.
  init(folder: String) { self.folder = folder }

  /// Keeps a key set, or says why not.
  func write(_ stored: Stored, of source: KeySource) -> String? {
    let path = path(of: source)
    let temporary = path + ".\(getpid())"
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { return Self.reason("open") }
    let isWritten = fchmod(descriptor, 0o600) == 0 && Self.write(Self.encode(stored, of: source), to: descriptor)
    let problem = isWritten ? nil : Self.reason("write")
    close(descriptor)
    guard problem == nil, rename(temporary, path) == 0 else {
      let problem = problem ?? Self.reason("rename")
      unlink(temporary)
      return problem
    }
    return nil
  }

  /// The key set that was kept, or why there is none; nil for both if nothing was kept.
  func read(_ source: KeySource) -> (stored: Stored?, problem: String?) {
    let descriptor = open(path(of: source), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
    guard descriptor >= 0 else { return (nil, errno == ENOENT ? nil : Self.reason("open")) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { return (nil, Self.reason("fstat")) }
    guard status.st_mode & S_IFMT == S_IFREG, status.st_uid == geteuid(), status.st_mode & 0o077 == 0 else {
      return (nil, "it is not a file that we alone can read and write")
    }
    guard status.st_size <= Self.byteLimit else { return (nil, "it is larger than any key set") }
    var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
    var count = 0
    while count < bytes.count {
      let got = bytes.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress?.advanced(by: count), $0.count - count) }
      guard got > 0 else { return (nil, "it cannot be read") }
      count += got
    }
    guard let stored = Self.decode(bytes, of: source) else { return (nil, "it is not whole, or of something else") }
    return (stored, nil)
  }

  // MARK: - The file: format and source; checksum of what follows; time of fetching; the set.

  private static func encode(_ stored: Stored, of source: KeySource) -> [UInt8] {
    let content = Array("\(source.text)\n\(stored.fetchedAt)\n".utf8) + stored.body
    return Array("\(format)\n\(Hex.encode(Digest.sha256(content)))\n".utf8) + content
  }

  private static func decode(_ bytes: [UInt8], of source: KeySource) -> Stored? {
    let lines = bytes.split(separator: UInt8(ascii: "\n"), maxSplits: 4, omittingEmptySubsequences: false)
    guard lines.count == 5, lines[0].elementsEqual(format.utf8), lines[2].elementsEqual(source.text.utf8) else { return nil }
    let content = bytes[lines[2].startIndex...]
    guard lines[1].elementsEqual(Hex.encode(Digest.sha256(content)).utf8) else { return nil }
    guard let fetchedAt = Int64(String(decoding: lines[3], as: UTF8.self)) else { return nil }
    return Stored(body: Array(lines[4]), fetchedAt: fetchedAt)
  }

  private static let format = "stockade key snapshot 1"
  private static let byteLimit = 1 << 20

  private func path(of source: KeySource) -> String {
    "\(folder)/keys-\(Hex.encode(Digest.sha256(source.text.utf8).prefix(16))).snapshot"
  }

  private static func write(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
    var written = 0
    while written < bytes.count {
      let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress?.advanced(by: written), $0.count - written) }
      guard count > 0 else { return false }
      written += count
    }
    return true
  }

  private static func reason(_ call: String) -> String { "\(call): \(String(cString: strerror(errno)))" }
}

extension KeySource {
  /// What tells one source from another; an address has no line ends.
  fileprivate var text: String {
    switch self {
    case .jwks(let url): "jwks \(url)"
    case .discovery(let issuer): "discovery \(issuer)"
    case .noSet: "none"
    case .file(let file): "file \(file.path)"
    }
  }
}
