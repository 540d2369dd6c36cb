internal import Bytes

/// A record in CloudWatch's embedded metric format: the native line, and before it what CloudWatch makes metrics of.
///
/// Dimensions are the decision, its reason and the route: each comes from a table of ours or from the configuration.
struct EMFLine {
  private var native = DecisionLine()

  mutating func append(_ record: borrowing DecisionRecord, to line: inout LineCursor) {
    var dimensions = #"["decision"],["decision","reason"]"#
    if let route = record.route, Self.canBeDimension(route) { dimensions += #",["route","decision"]"# }
    // A line that says two engines differ is about a decision that was counted already.
    var metrics = #"{"Name":"decisions","Unit":"Count"}"#
    if record.difference != nil {
      (dimensions, metrics) = ("[]", #"{"Name":"differences","Unit":"Count"}"#)
    } else {
      if record.authorizeMicros != nil { metrics += #",{"Name":"authz_us","Unit":"Microseconds"}"# }
      if record.totalMicros != nil { metrics += #",{"Name":"total_us","Unit":"Microseconds"}"# }
      if record.upstreamMicros != nil { metrics += #",{"Name":"upstream_us","Unit":"Microseconds"}"# }
    }
    Self.appendHead(record.timeMillis, dimensions: "[\(dimensions)]", metrics: metrics, to: &line)
    line.append(record.difference == nil ? #","decisions":"# : #","differences":"#)
    line.append(integer: record.weight)
    native.append(record, opening: ",", to: &line)
  }

  static func appendHead(_ millis: UInt64, dimensions: String, metrics: String, to line: inout LineCursor) {
    line.append(#"{"_aws":{"Timestamp":"#)
    line.append(integer: millis)
    line.append(#","CloudWatchMetrics":[{"Namespace":"Stockade","Dimensions":"#)
    line.append(own: dimensions)
    line.append(#","Metrics":["#)
    line.append(own: metrics)
    line.append("]}]}")
  }

  // What CloudWatch takes as a dimension's value: 1 to 1024 characters of ASCII, not beginning with a colon. What is longer than the
  // line's own limit stands there cut, and is no value of a configuration that anyone would recognize.
  private static func canBeDimension(_ text: String) -> Bool {
    !text.isEmpty && text.utf8.count <= 1024 && text.utf8.first != UInt8(ascii: ":") && text.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7f }
  }
}
