/// One step of a compiled condition; works on a stack of cells.
struct Instruction: BitwiseCopyable, Hashable {
  enum Opcode: UInt8, BitwiseCopyable {
    /// Pushes constant `a`.
    case constant
    /// Pushes variable `a`, in the order of `Variable.allCases`.
    case variable
    /// Needs a Boolean: false stays and jumps to `a`; true is dropped.
    case and
    /// Needs a Boolean: true stays and jumps to `a`; false is dropped.
    case or
    /// Needs a Boolean and keeps it.
    case bool
    /// Needs a Boolean and drops it; jumps to `a` if it was false.
    case branch
    /// Jumps to `a`.
    case jump
    case not, negate
    case add, subtract, multiply
    case equal, notEqual, less, lessOrEqual, greater, greaterOrEqual
    case `in`
    /// Path `a` of `b` keys.
    case has
    /// Key `a`.
    case attribute
    /// Key `a` of variable `b`: the commonest pair in one step.
    case variableAttribute
    /// Pattern `a`.
    case like
    /// Type `a`.
    case `is`
    /// Type `a`: false stays and jumps to `b`; an entity of the type stays.
    case isThen
    /// `a` elements.
    case set
    /// `a`: the start of `b` keys.
    case record
    case contains, containsAll, containsAny, isEmpty, getTag, hasTag
    /// Function `a` of `b` arguments.
    case call
    /// Always fails: function name `a` in the program's names.
    case undefinedCall
    /// Equality of the top with constant `a`.
    case equalConstant
    /// Membership of the top in constant `a`.
    case inConstant
    /// Whether constant set `a` has the top as an element.
    case constantContains
  }

  var opcode: Opcode
  var a: Int32
  var b: Int32
  /// The expression it comes from, in its policy's tree.
  var node: Int32
}

/// Conditions compiled, constants and names numbered in the frozen layer; one for all policies of an authorizer.
struct Program {
  var code: [Instruction] = []
  var constants: [Cell] = []
  var keys: [Int32] = []
  var patterns: [Pattern] = []
  var names: [String] = []
  /// The deepest stack that any condition needs.
  var stackSize = 0
  /// Whether any condition calls `unknown`.
  var namesUnknowns = false

  /// One compiled `when` or `unless`.
  struct Clause {
    var start: Int
    var end: Int
    var isUnless: Bool
  }
}

/// A program at rest, in buffers that never move.
final class FrozenProgram: @unchecked Sendable {
  // Written once, before anybody else can see the object; only read afterwards, so sharing is safe.
  let code: UnsafeMutablePointer<Instruction>
  let constants: UnsafeMutablePointer<Cell>
  let keys: UnsafeMutablePointer<Int32>
  // Patterns as runs of bytes between wildcards, one after another: each pattern is a stretch of runs.
  private let patternBytes: Pool<UInt8>
  private let patternRuns: Pool<Layer.Run>
  private let patterns: Pool<Layer.Run>
  let names: [String]
  let stackSize: Int
  let namesUnknowns: Bool

  init(_ program: Program) {
    code = .allocate(capacity: max(program.code.count, 1))
    constants = .allocate(capacity: max(program.constants.count, 1))
    keys = .allocate(capacity: max(program.keys.count, 1))
    for (index, step) in program.code.enumerated() { (code + index).initialize(to: step) }
    for (index, cell) in program.constants.enumerated() { (constants + index).initialize(to: cell) }
    for (index, key) in program.keys.enumerated() { (keys + index).initialize(to: key) }
    var patternBytes = Pool<UInt8>()
    var patternRuns = Pool<Layer.Run>()
    var patterns = Pool<Layer.Run>()
    for pattern in program.patterns {
      patterns.append(Layer.Run(start: Int32(truncatingIfNeeded: patternRuns.count), count: Int32(truncatingIfNeeded: pattern.runs.count)))
      for run in pattern.runs {
        patternRuns.append(Layer.Run(start: Int32(truncatingIfNeeded: patternBytes.count), count: Int32(truncatingIfNeeded: run.count)))
        run.withUnsafeBufferPointer { patternBytes.append($0) }
      }
    }
    self.patternBytes = patternBytes
    self.patternRuns = patternRuns
    self.patterns = patterns
    names = program.names
    stackSize = program.stackSize
    namesUnknowns = program.namesUnknowns
  }

  deinit {
    code.deallocate()
    constants.deallocate()
    keys.deallocate()
    patternBytes.deallocate()
    patternRuns.deallocate()
    patterns.deallocate()
  }

  /// Whether a whole text matches a pattern.
  func pattern(_ number: Int32, matches text: UnsafeBufferPointer<UInt8>) -> Bool {
    let pattern = patterns[number]
    return Pattern.matches(text, count: Int(pattern.count)) { index in
      let run = patternRuns[Int(pattern.start) + index]
      return UnsafeBufferPointer(start: UnsafePointer(patternBytes.base) + Int(run.start), count: Int(run.count))
    }
  }
}
