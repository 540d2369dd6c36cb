import Cedar
import JSON

func parsePolicies(_ question: Case) throws(Failure) -> Answer {
  let set = try question.policySet()
  return [("policies", .integer(Int64(set.policies.count + set.links.count))), ("templates", .integer(Int64(set.templates.count)))]
}

func parseExpr(_ question: Case) throws(Failure) -> Answer {
  _ = try question.expression()
  return []
}

extension Case {
  /// The policies of the line, its links included.
  func policySet() throws(Failure) -> PolicySet {
    guard let policies = self["policies"] else { return PolicySet() }
    var set: PolicySet
    if let text = policies.string {
      set = try staged("policies") { () throws(ParseErrors) in try PolicyParser.parse(text) }.asSet()
    } else {
      set = try staged("policies") { () throws(ParseErrors) in try PolicyJSON.policySet(from: policies) }
    }
    for link in try links() { try staged("links") { () throws(PolicySetError) in try set.link(link) } }
    return set
  }

  /// The expression of the line.
  func expression() throws(Failure) -> (tree: ExprTree, root: ExprID) {
    let text = try string("expr")
    return try staged("parse") { () throws(ParseErrors) in try PolicyParser.parseExpression(text) }
  }
}

extension [Policy] {
  fileprivate func asSet() throws(Failure) -> PolicySet {
    try staged("policies") { () throws(PolicySetError) in try PolicySet(self) }
  }
}
