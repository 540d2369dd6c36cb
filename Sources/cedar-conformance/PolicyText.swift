import Cedar
import JSON

func toJSON(_ question: Case) throws(Failure) -> Answer {
  let set = try question.policySet()
  return [("json", try policyJSON(set))]
}

func fromJSON(_ question: Case) throws(Failure) -> Answer {
  let set = try question.policySet()
  return [
    ("json", try policyJSON(set)),
    ("cedar", .string(try staged("serialize") { () throws(OutputTooLarge) in try PolicyPrinter.text(of: set) })),
  ]
}

func format(_ question: Case) throws(Failure) -> Answer {
  let text = try question.string("policies")
  let options = PolicyFormatter.Options(
    width: Int(question["width"]?.integer ?? 80), indent: Int(question["indent"]?.integer ?? 2), keepsEveryComment: false)
  return [("text", .string(try staged("policies") { () throws(ParseErrors) in try PolicyFormatter.format(text, options: options) }))]
}

/// A set as JSON. Chains nest deeply there: the text is handed on as it is, which no value of nested arrays could be.
private func policyJSON(_ set: PolicySet) throws(Failure) -> JSONValue {
  var writer = JSONWriter()
  try staged("serialize") { () throws(OutputTooLarge) in try PolicyJSON.write(set, to: &writer) }
  return JSONValue(.number(writer.text))
}
