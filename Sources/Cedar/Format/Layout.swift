internal import Bytes

/// A document that can be laid out in several ways, and the best way within a line width.
///
/// The combinators are those of Wadler's pretty printer as the reference's printing library has them; the document is a flat
/// stream with opening and closing marks instead of a tree, so building and rendering take linear time and no recursion.
struct Layout {
  /// One element of the stream.
  enum Item: Equatable {
    /// Bytes of the pool, printed as they are.
    case text(Range<Int>)
    case space
    /// A newline in a broken group, a space in a flat one.
    case line
    /// A newline in a broken group, nothing in a flat one.
    case softLine
    /// Always a newline: a group that contains one is broken.
    case hardLine
    /// A group is flat if it fits on the rest of the line, with what follows it up to the next possible newline.
    case beginGroup
    case endGroup
    /// Newlines inside are indented by so much more.
    case beginNest(Int)
    case endNest
    /// A place kept for a `beginGroup` that turned out not to be needed.
    case nothing
  }

  /// The stream.
  private(set) var items: [Item] = []
  /// What the texts are taken from.
  private let pool: [UInt8]

  init(pool: [UInt8]) {
    self.pool = pool
  }

  mutating func append(_ item: Item) { items.append(item) }

  mutating func removeAll() { items.removeAll(keepingCapacity: true) }

  /// Keeps a place where a group may have to begin once it is known what stands in it.
  mutating func reserve() -> Int {
    items.append(.nothing)
    return items.count - 1
  }

  /// Begins a group at a place kept for it and ends it here.
  mutating func group(from place: Int) {
    items[place] = .beginGroup
    items.append(.endGroup)
  }

  /// The text of the document for lines of `width` columns.
  func rendered(width: Int) -> [UInt8] {
    let measures = Measures(items, pool)
    var out: [UInt8] = []
    var column = 0
    var indents = [0]
    // Items before this index are inside a flat group.
    var flatUntil = 0
    for (index, item) in items.enumerated() {
      let isFlat = index < flatUntil
      switch item {
      case .text(let range):
        out.append(contentsOf: pool[range])
        column += measures.columns(of: index)
      case .space:
        out.append(ASCII.space)
        column += 1
      case .line where isFlat:
        out.append(ASCII.space)
        column += 1
      case .softLine where isFlat: break
      case .line, .softLine, .hardLine:
        column = indentAfter(index, indents)
        out.append(ASCII.lf)
        out.append(contentsOf: repeatElement(ASCII.space, count: column))
      case .beginGroup: if !isFlat, measures.fits(index, at: column, width: width) { flatUntil = measures.end(of: index) }
      case .endGroup, .nothing: break
      case .beginNest(let amount): indents.append((indents.last ?? 0) + amount)
      case .endNest: if indents.count > 1 { indents.removeLast() }
      }
    }
    return out
  }

  /// A newline is indented as the next element is that is not a closing mark: a newline at the end of a nest belongs to
  /// what follows. (At the end of the document the nest counts in which the newline stands.)
  private func indentAfter(_ index: Int, _ indents: [Int]) -> Int {
    var level = indents.count - 1
    var next = index + 1
    while next < items.count {
      switch items[next] {
      case .endNest: level = max(0, level - 1)
      case .endGroup, .nothing: break
      default: return indents[level]
      }
      next += 1
    }
    return indents.last ?? 0
  }
}

/// Sums over a stream from its start, so that whether a group fits is answered without walking it.
private struct Measures {
  // Columns of everything before an index, laid out flat.
  private var before: [Int] = [0]
  // Hard lines before an index.
  private var hardBefore: [Int] = [0]
  // The end of the group that begins at an index.
  private var ends: [Int32]
  // The first possible newline at or after an index.
  private var nextLine: [Int32]

  init(_ items: [Layout.Item], _ pool: [UInt8]) {
    before.reserveCapacity(items.count + 1)
    hardBefore.reserveCapacity(items.count + 1)
    ends = [Int32](repeating: 0, count: items.count)
    nextLine = [Int32](repeating: Int32(clamping: items.count), count: items.count + 1)
    var open: [Int] = []
    for (index, item) in items.enumerated() {
      var columns = 0
      var hard = 0
      switch item {
      case .text(let range):
        let bytes = pool[range]
        columns = bytes.allSatisfy { $0 < 0x80 } ? bytes.count : DisplayWidth.columns(String(decoding: bytes, as: UTF8.self))
      case .space, .line: columns = 1
      case .hardLine: hard = 1
      case .beginGroup: open.append(index)
      case .endGroup: if let start = open.popLast() { ends[start] = Int32(clamping: index) }
      case .softLine, .beginNest, .endNest, .nothing: break
      }
      before.append(before[index] + columns)
      hardBefore.append(hardBefore[index] + hard)
    }
    for start in open { ends[start] = Int32(clamping: items.count) }
    var next = items.count
    for index in items.indices.reversed() {
      switch items[index] {
      case .line, .softLine, .hardLine: next = index
      default: break
      }
      nextLine[index] = Int32(clamping: next)
    }
  }

  func columns(of index: Int) -> Int { before[index + 1] - before[index] }

  func end(of group: Int) -> Int { Int(ends[group]) }

  func fits(_ group: Int, at column: Int, width: Int) -> Bool {
    let end = end(of: group)
    guard hardBefore[end] == hardBefore[group] else { return false }
    let rest = Int(nextLine[end])
    return column + before[rest] - before[group] <= width
  }
}
