/// Numbered strings, uids, sets, records and entities: one layer of what an evaluation can see.
///
/// The bottom layer belongs to an `Authorizer` and is frozen with it. On top may lie what one token brings, and on top of
/// that what one request brings; a layer numbers only what the layers below do not have, so equal things have one number,
/// and what came with a request dies with its layer.
///
/// A handle: its memory is allocated by `make` and freed by whoever made it, so that an evaluation passes layers around
/// without counting references. A layer must not outlive those below it.
struct Layer {
  // Open to the other files of this type, and to nobody else.
  let at: UnsafeMutablePointer<State>

  /// What a layer holds. Behind a pointer, so that access costs neither counting nor exclusivity checks.
  struct State {
    var seed: UInt64 = 0
    var below: Layer?

    // First number of each kind in this layer; smaller numbers belong below.
    var firstString: Int32 = 0
    var firstUID: Int32 = 0
    var firstAddress: Int32 = 0
    var firstSet: Int32 = 0
    var firstRecord: Int32 = 0
    var firstUnknown: Int32 = 0

    var bytes = Pool<UInt8>()
    var strings = Pool<Run>()
    var stringIndex = HashIndex()
    var uids = Pool<UIDEntry>()
    var uidIndex = HashIndex()
    var addresses = Pool<AddressEntry>()
    var addressIndex = HashIndex()
    var elements = Pool<Cell>()
    var sets = Pool<Run>()
    var setIndex = HashIndex()
    var fields = Pool<Field>()
    var records = Pool<Run>()
    var recordIndex = HashIndex()
    // Rarely any.
    var unknowns: [Unknown] = []

    // Entities of this layer by the number of their uid.
    var slots = Pool<Slot>()
    var slotIndex = HashIndex()
    var ancestors = Pool<Int32>()
    // In a layer of static entities, by the number of a uid: its slot or −1, and whether something has it as an ancestor.
    var dense = Pool<Int32>()
    var hasDescendants = Pool<Bool>()
    // Entities of this layer that have parents here and are ancestors of something below: the only ones that can give a
    // lower entity an ancestor it did not have.
    var bridges = Pool<Int32>()
  }

  struct Run: BitwiseCopyable {
    var start: Int32
    var count: Int32
  }

  struct UIDEntry: BitwiseCopyable, Equatable {
    var type: Int32
    var id: Int32
  }

  struct AddressEntry: BitwiseCopyable, Equatable {
    var high: UInt64
    var low: UInt64
    var isIPv6: Bool
    var prefix: UInt8
  }

  struct Field: BitwiseCopyable, Equatable {
    var key: Int32
    var cell: Cell
  }

  /// An entity: the records of its attributes and tags (−1 for one that is named in a hierarchy but does not exist), and
  /// its ancestors in ascending order.
  struct Slot: BitwiseCopyable {
    var uid: Int32
    var attributes: Int32
    var tags: Int32
    var ancestors: Run

    /// Whether there is an entity, not only a place in the hierarchy.
    var exists: Bool { attributes >= 0 }
  }

  init(at: UnsafeMutablePointer<State>) { self.at = at }

  /// Allocates an empty layer on top of another.
  static func make(on below: Layer?) -> Layer {
    let at = UnsafeMutablePointer<State>.allocate(capacity: 1)
    at.initialize(to: State())
    let layer = Layer(at: at)
    at.pointee.seed = below?.seed ?? Mix.seed
    at.pointee.below = below
    layer.settle()
    return layer
  }

  /// Frees what `make` allocated.
  func free() {
    at.pointee.bytes.deallocate()
    at.pointee.strings.deallocate()
    at.pointee.stringIndex.deallocate()
    at.pointee.uids.deallocate()
    at.pointee.uidIndex.deallocate()
    at.pointee.addresses.deallocate()
    at.pointee.addressIndex.deallocate()
    at.pointee.elements.deallocate()
    at.pointee.sets.deallocate()
    at.pointee.setIndex.deallocate()
    at.pointee.fields.deallocate()
    at.pointee.records.deallocate()
    at.pointee.recordIndex.deallocate()
    at.pointee.slots.deallocate()
    at.pointee.slotIndex.deallocate()
    at.pointee.ancestors.deallocate()
    at.pointee.dense.deallocate()
    at.pointee.hasDescendants.deallocate()
    at.pointee.bridges.deallocate()
    at.deinitialize(count: 1)
    at.deallocate()
  }

  @inline(__always) var seed: UInt64 { at.pointee.seed }
  @inline(__always) var below: Layer? { at.pointee.below }
  @inline(__always) private var firstString: Int32 { at.pointee.firstString }
  @inline(__always) var firstUID: Int32 { at.pointee.firstUID }
  @inline(__always) private var firstAddress: Int32 { at.pointee.firstAddress }
  @inline(__always) private var firstSet: Int32 { at.pointee.firstSet }
  @inline(__always) private var firstRecord: Int32 { at.pointee.firstRecord }
  @inline(__always) private var bytes: Pool<UInt8> { at.pointee.bytes }
  @inline(__always) private var strings: Pool<Run> { at.pointee.strings }
  @inline(__always) private var stringIndex: HashIndex { at.pointee.stringIndex }
  @inline(__always) var uids: Pool<UIDEntry> { at.pointee.uids }
  @inline(__always) private var uidIndex: HashIndex { at.pointee.uidIndex }
  @inline(__always) private var addresses: Pool<AddressEntry> { at.pointee.addresses }
  @inline(__always) private var addressIndex: HashIndex { at.pointee.addressIndex }
  @inline(__always) private var elements: Pool<Cell> { at.pointee.elements }
  @inline(__always) private var sets: Pool<Run> { at.pointee.sets }
  @inline(__always) private var setIndex: HashIndex { at.pointee.setIndex }
  @inline(__always) private var fields: Pool<Field> { at.pointee.fields }
  @inline(__always) private var records: Pool<Run> { at.pointee.records }
  @inline(__always) private var recordIndex: HashIndex { at.pointee.recordIndex }
  @inline(__always) var slots: Pool<Slot> { at.pointee.slots }
  @inline(__always) var slotIndex: HashIndex { at.pointee.slotIndex }
  @inline(__always) var ancestors: Pool<Int32> { at.pointee.ancestors }
  @inline(__always) var dense: Pool<Int32> { at.pointee.dense }
  @inline(__always) var hasDescendants: Pool<Bool> { at.pointee.hasDescendants }
  @inline(__always) var bridges: Pool<Int32> { at.pointee.bridges }

  /// Allocates a layer that holds the same, to be added to.
  func copy() -> Layer {
    let copied = UnsafeMutablePointer<State>.allocate(capacity: 1)
    var state = at.pointee
    state.bytes = bytes.copy()
    state.strings = strings.copy()
    state.stringIndex = stringIndex.copy()
    state.uids = uids.copy()
    state.uidIndex = uidIndex.copy()
    state.addresses = addresses.copy()
    state.addressIndex = addressIndex.copy()
    state.elements = elements.copy()
    state.sets = sets.copy()
    state.setIndex = setIndex.copy()
    state.fields = fields.copy()
    state.records = records.copy()
    state.recordIndex = recordIndex.copy()
    state.slots = slots.copy()
    state.slotIndex = slotIndex.copy()
    state.ancestors = ancestors.copy()
    state.dense = dense.copy()
    state.hasDescendants = hasDescendants.copy()
    state.bridges = bridges.copy()
    copied.initialize(to: state)
    return Layer(at: copied)
  }

  /// Gives back what the pools hold in reserve; nothing is added any more.
  func trim() {
    at.pointee.bytes.trim()
    at.pointee.strings.trim()
    at.pointee.uids.trim()
    at.pointee.addresses.trim()
    at.pointee.elements.trim()
    at.pointee.sets.trim()
    at.pointee.fields.trim()
    at.pointee.records.trim()
    at.pointee.slots.trim()
    at.pointee.ancestors.trim()
    at.pointee.dense.trim()
    at.pointee.hasDescendants.trim()
  }

  /// Empties the layer and lays it on another; its memory is kept unless it grew unusually.
  func reset(on below: Layer?) {
    at.pointee.below = below
    at.pointee.bytes.removeAll()
    at.pointee.strings.removeAll()
    at.pointee.stringIndex.removeAll()
    at.pointee.uids.removeAll()
    at.pointee.uidIndex.removeAll()
    at.pointee.addresses.removeAll()
    at.pointee.addressIndex.removeAll()
    at.pointee.elements.removeAll()
    at.pointee.sets.removeAll()
    at.pointee.setIndex.removeAll()
    at.pointee.fields.removeAll()
    at.pointee.records.removeAll()
    at.pointee.recordIndex.removeAll()
    if !at.pointee.unknowns.isEmpty { at.pointee.unknowns.removeAll() }
    at.pointee.slots.removeAll()
    at.pointee.slotIndex.removeAll()
    at.pointee.ancestors.removeAll()
    at.pointee.bridges.removeAll()
    at.pointee.bytes.shrink(to: 1 << 16)
    at.pointee.elements.shrink(to: 1 << 12)
    at.pointee.fields.shrink(to: 1 << 12)
    at.pointee.ancestors.shrink(to: 1 << 12)
    settle()
  }

  private func settle() {
    at.pointee.firstString = below.map { $0.endString } ?? 0
    at.pointee.firstUID = below.map { $0.endUID } ?? 0
    at.pointee.firstAddress = below.map { $0.endAddress } ?? 0
    at.pointee.firstSet = below.map { $0.endSet } ?? 0
    at.pointee.firstRecord = below.map { $0.endRecord } ?? 0
    at.pointee.firstUnknown = below.map { $0.endUnknown } ?? 0
  }

  private var endString: Int32 { firstString + Int32(truncatingIfNeeded: strings.count) }
  private var endUID: Int32 { firstUID + Int32(truncatingIfNeeded: uids.count) }
  private var endAddress: Int32 { firstAddress + Int32(truncatingIfNeeded: addresses.count) }
  private var endSet: Int32 { firstSet + Int32(truncatingIfNeeded: sets.count) }
  private var endRecord: Int32 { firstRecord + Int32(truncatingIfNeeded: records.count) }
  private var endUnknown: Int32 { at.pointee.firstUnknown + Int32(truncatingIfNeeded: at.pointee.unknowns.count) }

  // MARK: Strings

  /// The number of a string, or nil if no layer has it.
  func findString(_ text: UnsafeBufferPointer<UInt8>) -> Int32? { findString(text, Mix.hash(text, seed)) }

  @inline(__always) private func findString(_ text: UnsafeBufferPointer<UInt8>, _ hash: UInt64) -> Int32? {
    var layer: Layer? = self
    while let here = layer {
      if let found = here.localString(text, hash) { return found }
      layer = here.below
    }
    return nil
  }

  private func localString(_ text: UnsafeBufferPointer<UInt8>, _ hash: UInt64) -> Int32? {
    stringIndex.find(hash) { entry in
      let run = strings[entry]
      guard Int(run.count) == text.count else { return false }
      guard let other = text.baseAddress else { return true }
      return Mix.isSame(bytes.base + Int(run.start), other, text.count)
    }.map { $0 &+ firstString }
  }

  /// The number of a string, new if need be.
  func string(_ text: UnsafeBufferPointer<UInt8>) -> Int32 {
    let hash = Mix.hash(text, seed)
    if let found = findString(text, hash) { return found }
    let entry = Int32(truncatingIfNeeded: strings.count)
    at.pointee.strings.append(Run(start: Int32(truncatingIfNeeded: bytes.count), count: Int32(truncatingIfNeeded: text.count)))
    at.pointee.bytes.append(text)
    at.pointee.stringIndex.insert(hash, entry)
    return entry &+ firstString
  }

  /// The number of a string, new if need be.
  func string(_ text: String) -> Int32 {
    // Native strings lend their bytes as they are; others are copied first.
    if let number = text.utf8.withContiguousStorageIfAvailable({ string($0) }) { return number }
    return Array(text.utf8).withUnsafeBufferPointer { string($0) }
  }

  /// The number of a string, or nil if no layer has it.
  func findString(_ text: String) -> Int32? { Array(text.utf8).withUnsafeBufferPointer { findString($0) } }

  /// The bytes of a numbered string; valid while no string is added.
  func bytes(ofString number: Int32) -> UnsafeBufferPointer<UInt8> {
    var layer = self
    while number < layer.firstString, let below = layer.below { layer = below }
    let run = layer.strings[number &- layer.firstString]
    return UnsafeBufferPointer(start: layer.bytes.base + Int(run.start), count: Int(run.count))
  }

  /// A numbered string.
  func text(ofString number: Int32) -> String { String(decoding: bytes(ofString: number), as: UTF8.self) }

  // MARK: Uids

  @inline(__always) private static func hash(_ entry: UIDEntry, _ seed: UInt64) -> UInt64 {
    Mix.hash(UInt64(UInt32(bitPattern: entry.type)) << 32 | UInt64(UInt32(bitPattern: entry.id)), seed)
  }

  private func findUID(_ entry: UIDEntry, _ hash: UInt64) -> Int32? {
    var layer: Layer? = self
    while let here = layer {
      if let found = here.uidIndex.find(hash, { here.uids[$0] == entry }) { return found &+ here.firstUID }
      layer = here.below
    }
    return nil
  }

  /// The number of a uid whose type and id are numbered strings, new if need be.
  func uid(type: Int32, id: Int32) -> Int32 {
    let entry = UIDEntry(type: type, id: id)
    let hash = Self.hash(entry, seed)
    if let found = findUID(entry, hash) { return found }
    let number = Int32(truncatingIfNeeded: uids.count)
    at.pointee.uids.append(entry)
    at.pointee.uidIndex.insert(hash, number)
    return number &+ firstUID
  }

  /// The number of a uid, or nil if no layer has it.
  func findUID(_ uid: EntityUID) -> Int32? {
    guard let type = findString(uid.type.text), let id = findString(uid.id) else { return nil }
    let entry = UIDEntry(type: type, id: id)
    return findUID(entry, Self.hash(entry, seed))
  }

  /// The number of a uid, new if need be.
  func uid(_ uid: EntityUID) -> Int32 { self.uid(type: string(uid.type.text), id: string(uid.id)) }

  @inline(__always) func entry(ofUID number: Int32) -> UIDEntry {
    var layer = self
    while number < layer.firstUID, let below = layer.below { layer = below }
    return layer.uids[number &- layer.firstUID]
  }

  /// The number of the string that names the uid's type.
  @inline(__always) func type(ofUID number: Int32) -> Int32 { entry(ofUID: number).type }

  /// A numbered uid.
  func value(ofUID number: Int32) -> EntityUID {
    let entry = entry(ofUID: number)
    return EntityUID(type: EntityType(unchecked: text(ofString: entry.type)), id: text(ofString: entry.id))
  }

  // MARK: Addresses

  /// The number of an address, new if need be.
  func address(_ address: IPAddress) -> Int32 {
    let entry = AddressEntry(high: address.high, low: address.low, isIPv6: address.isIPv6, prefix: address.prefix)
    let hash = Mix.hash(address.low, Mix.hash(address.high ^ UInt64(address.prefix), seed))
    var layer: Layer? = self
    while let here = layer {
      if let found = here.addressIndex.find(hash, { here.addresses[$0] == entry }) { return found &+ here.firstAddress }
      layer = here.below
    }
    let number = Int32(truncatingIfNeeded: addresses.count)
    at.pointee.addresses.append(entry)
    at.pointee.addressIndex.insert(hash, number)
    return number &+ firstAddress
  }

  /// A numbered address.
  func address(number: Int32) -> IPAddress {
    var layer = self
    while number < layer.firstAddress, let below = layer.below { layer = below }
    let entry = layer.addresses[number &- layer.firstAddress]
    return entry.isIPv6
      ? IPAddress(v6: entry.high, entry.low, prefix: entry.prefix)
      : IPAddress(v4: UInt32(truncatingIfNeeded: entry.low), prefix: entry.prefix)
  }

  // MARK: Sets

  /// The number of the set of some cells, new if need be; sorts them in place.
  func set(_ cells: UnsafeMutableBufferPointer<Cell>) -> Int32 {
    cells.sortFew(Cell.precedes)
    let start = elements.count
    var hash = seed
    for (index, cell) in cells.enumerated() where index == 0 || cell != cells[index - 1] {
      at.pointee.elements.append(cell)
      hash = Mix.hash(UInt64(bitPattern: cell.bits) ^ UInt64(cell.tag.rawValue) << 56, hash)
    }
    let run = Run(start: Int32(truncatingIfNeeded: start), count: Int32(truncatingIfNeeded: elements.count - start))
    var layer: Layer? = self
    while let here = layer {
      let found = here.setIndex.find(hash) { entry in
        let other = here.sets[entry]
        guard other.count == run.count else { return false }
        for index in 0..<run.count where here.elements[other.start &+ index] != elements[run.start &+ index] { return false }
        return true
      }
      if let found {
        at.pointee.elements.truncate(to: start)
        return found &+ here.firstSet
      }
      layer = here.below
    }
    let number = Int32(truncatingIfNeeded: sets.count)
    at.pointee.sets.append(run)
    at.pointee.setIndex.insert(hash, number)
    return number &+ firstSet
  }

  /// The elements of a numbered set, in ascending order; valid while no set is added.
  @inline(__always) func elements(ofSet number: Int32) -> UnsafeBufferPointer<Cell> {
    var layer = self
    while number < layer.firstSet, let below = layer.below { layer = below }
    let run = layer.sets[number &- layer.firstSet]
    return UnsafeBufferPointer(start: layer.elements.base + Int(run.start), count: Int(run.count))
  }

  /// Whether a numbered set has an element.
  @inline(__always) func set(_ number: Int32, contains cell: Cell) -> Bool {
    let elements = elements(ofSet: number)
    if elements.count <= 8 {
      for element in elements where element == cell { return true }
      return false
    }
    var low = 0
    var high = elements.count
    while low < high {
      let middle = (low + high) / 2
      if elements[middle] == cell { return true }
      if Cell.precedes(elements[middle], cell) { low = middle + 1 } else { high = middle }
    }
    return false
  }

  // MARK: Records

  /// The number of a record, new if need be; the keys must differ; sorts the fields in place.
  func record(_ given: UnsafeMutableBufferPointer<Field>) -> Int32 {
    given.sortFew { $0.key < $1.key }
    var hash = seed
    for field in given {
      hash = Mix.hash(
        UInt64(bitPattern: field.cell.bits) ^ UInt64(field.cell.tag.rawValue) << 56 ^ UInt64(UInt32(bitPattern: field.key)) << 24, hash)
    }
    var layer: Layer? = self
    while let here = layer {
      let found = here.recordIndex.find(hash) { entry in
        let other = here.records[entry]
        guard Int(other.count) == given.count else { return false }
        for index in 0..<given.count where here.fields[Int(other.start) + index] != given[index] { return false }
        return true
      }
      if let found { return found &+ here.firstRecord }
      layer = here.below
    }
    let number = Int32(truncatingIfNeeded: records.count)
    at.pointee.records.append(Run(start: Int32(truncatingIfNeeded: fields.count), count: Int32(truncatingIfNeeded: given.count)))
    at.pointee.fields.append(UnsafeBufferPointer(given))
    at.pointee.recordIndex.insert(hash, number)
    return number &+ firstRecord
  }

  /// The fields of a numbered record, in ascending order of their keys' numbers; valid while no record is added.
  @inline(__always) func fields(ofRecord number: Int32) -> UnsafeBufferPointer<Field> {
    var layer = self
    while number < layer.firstRecord, let below = layer.below { layer = below }
    let run = layer.records[number &- layer.firstRecord]
    return UnsafeBufferPointer(start: layer.fields.base + Int(run.start), count: Int(run.count))
  }

  /// The value of a key, or nil.
  @inline(__always) func record(_ number: Int32, key: Int32) -> Cell? {
    let fields = fields(ofRecord: number)
    if fields.count <= 12 {
      for field in fields where field.key == key { return field.cell }
      return nil
    }
    var low = 0
    var high = fields.count
    while low < high {
      let middle = (low + high) / 2
      if fields[middle].key == key { return fields[middle].cell }
      if fields[middle].key < key { low = middle + 1 } else { high = middle }
    }
    return nil
  }

  // MARK: Unknowns

  /// The number of something unknown. It need not be found again: nothing is ever equal to it.
  func unknown(_ unknown: Unknown) -> Int32 {
    at.pointee.unknowns.append(unknown)
    return endUnknown - 1
  }

  /// Something unknown.
  func unknown(number: Int32) -> Unknown {
    guard number >= 0 else { return Unknown(ExtensionFunction.unknown.rawValue, []) }
    var layer = self
    while number < layer.at.pointee.firstUnknown, let below = layer.below { layer = below }
    return layer.at.pointee.unknowns[Int(number - layer.at.pointee.firstUnknown)]
  }

  /// Whether this layer or one below holds anything unknown.
  var holdsUnknowns: Bool { endUnknown > 0 }

  /// Whether something in a value is unknown.
  func holdsUnknown(_ cell: Cell) -> Bool { contains(cell) { $0.tag == .unknown } }

  /// What is unknown in a value, in words; of several the first by its text, since numbers follow from what came before.
  func nameOfUnknown(in cell: Cell) -> String? {
    var name: String?
    _ = contains(cell) { part in
      guard part.tag == .unknown, part.bits >= 0 else { return false }
      let text = unknown(number: part.number).description
      if name.map({ Text.compare(text, $0) < 0 }) ?? true { name = text }
      return false
    }
    return name
  }

  /// Whether every part of a value in which something is unknown can be had without the others. The reference writes such a
  /// value as an expression, in which extension values are calls; and where there is a call, any part may be about to fail.
  func isProjectable(_ cell: Cell) -> Bool {
    !contains(cell) { part in
      switch part.tag {
      case .decimal, .ip, .datetime, .duration: true
      case .unknown: part.bits < 0 || !unknown(number: part.number).isName
      case .bool, .long, .string, .entity, .set, .record: false
      }
    }
  }

  /// Whether some part of a value matches. Parts are visited with a list, and each set and record once: equal ones have one
  /// number, however often they occur.
  private func contains(_ cell: Cell, where matches: (Cell) -> Bool) -> Bool {
    guard cell.tag == .set || cell.tag == .record else { return matches(cell) }
    var seenSets: Set<Int32> = []
    var seenRecords: Set<Int32> = []
    var queue = [cell]
    while let next = queue.popLast() {
      if matches(next) { return true }
      if next.tag == .set, seenSets.insert(next.number).inserted { queue += elements(ofSet: next.number) }
      if next.tag == .record, seenRecords.insert(next.number).inserted { queue += fields(ofRecord: next.number).map(\.cell) }
    }
    return false
  }
}
