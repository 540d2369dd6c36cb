internal import Telemetry

extension Fields {
  /// Settings of the places that decisions go to: of the first, and of those beside it.
  static let logSinks: [Field] =
    sink("log.decisions") + [
      Field("log.decisions.also", .list, "More places that decisions go to, each in a format of its own"),
      Field("log.decisions.also.*", .object, "One place", shorthand: "to"),
      Field("log.decisions.also.*.to", .text("TO"), "As log.decisions.to"),
      Field(
        "log.decisions.also.*.format", .choice(LogSinkSettings.Format.allCases.map(\.rawValue)), "As log.decisions.format", default: "auto"),
    ] + sink("log.decisions.also.*")

  private static func sink(_ place: String) -> [Field] {
    [
      Field(
        "\(place).on_full", .choice(DecisionLog.FullPolicy.allCases.map(\.rawValue)),
        "What happens to a request when the log cannot keep up: its line is dropped and counted, it waits, or it is refused",
        default: "drop"),
      Field("\(place).queue", .integer(1...1_000_000), "How many lines may wait to be written", default: "8192"),
      Field(
        "\(place).max_size", .size(4096...(1 << 50)),
        "How large a file becomes before it is begun anew and kept as FILE.1; default: any size"),
      Field("\(place).keep", .integer(0...1000), "How many old files are kept, with max_size", default: "5"),
      Field("\(place).headers", .names, "Fields that a collector wants, such as its key"),
      Field("\(place).headers.*", .text("VALUE"), "The field's value", secret: true),
      Field("\(place).service", .text("NAME"), "service.name in OpenTelemetry's records", default: "stockade"),
    ]
  }
}
