extension Fields {
  /// What is said of a service behind, at its place in the file.
  static func service(_ place: String, _ help: String, flag: String? = nil) -> [Field] {
    let ejection = "\(place).ejection"
    let breaker = "\(place).breaker"
    let health = "\(place).health"
    return [
      Field(place, .object, help, shorthand: "url", listShorthand: "urls"),
      Field(
        "\(place).url", .text("URL"), "\(flag == nil ? "Where it is" : "the service behind"): http://127.0.0.1:3000, https://…, unix:/path",
        flag: flag),
      Field("\(place).urls", .texts("URL"), "More addresses of it: a request goes to the one with the fewest in flight"),
      Field("\(place).connect_timeout", .duration(timeout), "How long connecting may take", default: millis(Defaults.connectTimeoutMillis)),
      Field(
        "\(place).response_timeout", .duration(timeout), "How long it may take to begin its response",
        default: millis(Defaults.responseTimeoutMillis)),
      Field(
        "\(place).body_timeout", .duration(timeout), "How long a body may pause on its way, in either direction",
        default: millis(Defaults.bodyIdleTimeoutMillis)),
      Field(
        "\(place).idle_timeout", .duration(timeout), "How long an idle connection to it is kept",
        default: millis(Defaults.upstreamIdleMillis)),
      Field(
        "\(place).max_connections", .integer(1...65_535), "How many connections to each address a worker opens at most, one a request",
        default: "\(Defaults.upstreamConnections)"),
      Field(
        "\(place).max_waiting", .integer(0...65_535), "How many requests of a worker may wait for one of them",
        default: "\(Defaults.upstreamWaiting)"),
      Field(
        "\(place).waiting_timeout", .duration(timeout), "How long they wait at most", default: millis(Defaults.upstreamWaitingMillis)),
    ] + upstreamTLS(place) + [
      Field(ejection, .object, "When an address that fails is left out for a while, where there are others"),
      Field(
        "\(ejection).failures", .integer(0...10_000), "After so many failures in a row; 0: never",
        default: "\(Defaults.ejectionFailures)"),
      Field("\(ejection).time", .duration(timeout), "For how long, the first time", default: millis(Defaults.ejectionMillis)),
      Field(
        "\(ejection).max_percent", .integer(0...99), "How many of a hundred addresses at most, rounded down",
        default: "\(Defaults.ejectionPercent)"),
      Field(breaker, .object, "When the service is not asked at all for a while, and requests are answered with 503"),
      Field(
        "\(breaker).failures", .integer(0...10_000), "After so many requests in a row that got no answer; 0: never",
        default: "\(Defaults.breakerFailures)"),
      Field(
        "\(breaker).open", .duration(timeout), "For how long; then one request is let through, and says how to go on",
        default: millis(Defaults.breakerOpenMillis)),
      Field(health, .object, "How each address is asked whether it is well, if it is", shorthand: "path"),
      Field("\(health).path", .text("PATH"), "What to GET; well is a status of 200 to 299"),
      Field("\(health).interval", .duration(100...timeout.upperBound), "How often; default: 5s"),
      Field("\(health).timeout", .duration(timeout), "How long an answer may take; default: 2s"),
      Field("\(health).unhealthy", .integer(1...1000), "Down after so many failures in a row; default: 3"),
      Field("\(health).healthy", .integer(1...1000), "Up again after so many answers in a row; default: 2"),
    ]
  }
}
