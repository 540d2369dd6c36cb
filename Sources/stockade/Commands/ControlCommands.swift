internal import HTTP
internal import JSON
internal import Net
internal import Pipeline

/// `stockade reload`: tells the running process to read its configuration and policies again.
let reloadCommand = Command(
  name: "reload", summary: "make the running proxy read its configuration and policies again", operand: nil,
  flags: [
    Flag("socket", "PATH", "the control socket; default: control.sock in the state directory"),
    Flag("json", nil, "print JSON: the generation in force, or the report of what is wrong"),
  ], examples: ["stockade reload", "stockade reload --json"]
) { arguments in
  let path = arguments["socket"] ?? StateDirectory.controlSocket
  return LocalCall.send(.post, "unix:\(path)", "/reload") { response in
    if arguments.has("json"), response.status == .ok || response.status == .conflict {
      Terminal.out(String(decoding: response.body, as: UTF8.self))
      return response.status == .ok ? .success : .invalid
    }
    let answer: JSONValue
    do throws(JSONError) { answer = try JSONParser.parse(response.body) } catch { answer = JSONValue(.null) }
    if let generation = answer["generation"]?.integer {
      Terminal.out("reloaded: generation \(generation)\n")
      return .success
    }
    Terminal.error((answer["report"]?.string ?? "the running process answered \(response.status)\n") + "Nothing was changed.\n")
    return .invalid
  } failed: { error in
    Terminal.error("stockade: \(error)\nIs it running, and is its state directory this one? (STATE_DIRECTORY, --socket)\n")
    return .failure
  }
}

/// `stockade health`: whether the running process is ready; made for container health checks.
let healthCommand = Command(
  name: "health", summary: "exit 0 if the running proxy is ready, else 1 and say why not", operand: nil,
  flags: ConfigurationFile.flags + [Flag("json", nil, "print what /readyz says, as JSON")],
  examples: ["stockade health", "stockade health --json", "stockade health --ops-listen 127.0.0.1:9902"]
) { arguments in
  let listen: String
  // The operations address is in the configuration; where there is none that can be read, it is the usual one or the flag's.
  do { listen = try ConfigurationFile.read(arguments).configuration.opsListen } catch {
    listen = arguments["ops-listen"] ?? "127.0.0.1:9902"
  }
  // A socket that was handed over has no address to be known by here; the process answers on its control socket as well.
  let place = listen.hasPrefix("fd:") ? "unix:\(StateDirectory.controlSocket)" : LocalCall.url(of: listen)
  return LocalCall.send(.get, place, "/readyz") { response in
    if arguments.has("json") {
      Terminal.out(String(decoding: response.body, as: UTF8.self))
      return response.status == .ok ? .success : .failure
    }
    guard response.status != .ok else { return .success }
    Terminal.error(String(decoding: response.body, as: UTF8.self))
    return .failure
  } failed: { error in
    Terminal.error("stockade: \(error)\n")
    return .failure
  }
}

/// One request to a process on this machine, waited for.
enum LocalCall {
  static func send(
    _ method: HTTP.Method, _ place: String, _ target: String, answered: @escaping (HTTPClient.Response) -> ExitStatus,
    failed: (NetError) -> ExitStatus
  ) -> ExitStatus {
    do throws(NetError) {
      let url = try HTTPURL.parse(place)
      let loop = try EventLoop()
      let client = HTTPClient(loop, resolver: try Resolver(loop), tls: nil)
      var outcome: Result<HTTPClient.Response, NetError>?
      _ = client.send(HTTPClient.Request(method, url.with(target: target))) { result in
        outcome = result
        loop.stop()
      }
      try loop.run()
      switch outcome {
      case .success(let response): return answered(response)
      case .failure(let error): throw error
      case nil: throw .closed
      }
    } catch {
      return failed(error)
    }
  }

  /// Where to reach what listens at an address: at every address means at this machine's own.
  static func url(of listen: String) -> String {
    if listen.hasPrefix("unix:") { return listen }
    for everywhere in ["0.0.0.0:", "[::]:", ":"] where listen.hasPrefix(everywhere) {
      return "http://127.0.0.1:" + listen.dropFirst(everywhere.count)
    }
    return "http://" + listen
  }
}
