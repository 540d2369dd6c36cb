/// A policy or link as the evaluator holds it: numbers only.
struct CompiledPolicy: BitwiseCopyable {
  enum Match: UInt8, BitwiseCopyable {
    case any, equal, `in`, `is`, isIn
    /// Actions only: one of a list.
    case inAny
  }

  var isForbid: Bool
  var principalMatch = Match.any
  var actionMatch = Match.any
  var resourceMatch = Match.any
  var principal: Int32 = -1
  var principalType: Int32 = -1
  /// The action; with `inAny` the start of the list.
  var action: Int32 = -1
  var actionCount: Int32 = 0
  var resource: Int32 = -1
  var resourceType: Int32 = -1
  /// Its clauses.
  var clauses: Int32
  var clauseCount: Int32
  /// The statement it comes from.
  var statement: Int32
}

/// A compiled clause.
struct CompiledClause: BitwiseCopyable {
  var start: Int32
  var end: Int32
  var isUnless: Bool
}
