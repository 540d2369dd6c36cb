internal import Cedar
internal import HTTP

/// The strings that every request of the built-in mapping brings, numbered when the policies are loaded.
struct RequestWords: Sendable {
  let actionType, pathType, root, path, segments, http, method, host, client, ip, time, token: Draft.Text

  /// The words, for the authorizer to number.
  static func words(_ mapping: Mapping) -> [String] {
    [
      mapping.actionType.text, mapping.pathType.text, "/", "path", "segments", "http", "method", "host", "client", "ip", "time", "token",
      "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD",
    ]
  }

  /// The words' numbers; nil if the authorizer was not told of them.
  init?(_ mapping: Mapping, in authorizer: Authorizer) {
    let numbers = Self.words(mapping).map { authorizer.text($0) }
    guard let actionType = numbers[0], let pathType = numbers[1], let root = numbers[2], let path = numbers[3], let segments = numbers[4],
      let http = numbers[5], let method = numbers[6], let host = numbers[7], let client = numbers[8], let ip = numbers[9],
      let time = numbers[10], let token = numbers[11]
    else { return nil }
    self.actionType = actionType
    self.pathType = pathType
    self.root = root
    self.path = path
    self.segments = segments
    self.http = http
    self.method = method
    self.host = host
    self.client = client
    self.ip = ip
    self.time = time
    self.token = token
  }
}

extension Mapping {
  /// Asks what the built-in mapping asks, written straight into the evaluation: the usual request, at a fraction of the cost.
  ///
  /// Nil if this is not the usual request; then `request` says the same in values. A test holds the two equal.
  func askByPath(
    _ question: Question, by identity: Identity, from peer: Peer, _ head: borrowing RequestHead, at time: Int64,
    of authorization: Authorization, _ evaluation: Evaluation
  ) -> Response? {
    guard let words = authorization.words, isPlain, let pathText = question.path, question.body == nil, question.learned.isEmpty,
      peer.certificate == nil
    else {
      return nil
    }
    let entities = identity.entities(for: authorization)
    let draft = evaluation.draft(on: authorization.authorizer, with: entities)
    return withUnsafeTemporaryAllocation(of: Draft.Field.self, capacity: 8) { fields -> Response? in
      func record(_ given: (Draft.Text, Draft.Item)...) -> Draft.Item {
        for (index, field) in given.enumerated() { fields.initializeElement(at: index, to: Draft.Field(field.0, field.1)) }
        return draft.record(UnsafeMutableBufferPointer(rebasing: fields[..<given.count]))
      }
      var parent = draft.uid(words.pathType, words.root)
      // The whole path, in the end.
      var path = words.root
      let rootRecord = record((words.path, draft.item(words.root)), (words.segments, draft.item(0)))
      guard draft.add(parent, attributes: rootRecord, below: nil) else { return nil }
      var text = pathText
      let isAdded = text.withUTF8 { bytes in
        var end = 0
        for index in 0..<head.path.count {
          end += 1 + head.path.byteCount(ofSegment: index)
          guard add(bytes, upTo: end, segments: index + 1) else { return false }
        }
        // Another resource than the one without, below it.
        return bytes.count <= max(end, 1) || add(bytes, upTo: bytes.count, segments: head.path.count)
      }
      func add(_ bytes: UnsafeBufferPointer<UInt8>, upTo end: Int, segments: Int) -> Bool {
        path = draft.text(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[..<min(end, bytes.count)]))
        let uid = draft.uid(words.pathType, path)
        let attributes = record((words.path, draft.item(path)), (words.segments, draft.item(Int64(segments))))
        guard draft.add(uid, attributes: attributes, below: parent) else { return false }
        parent = uid
        return true
      }
      guard isAdded else { return nil }

      let method = draft.text(head.methodText)
      let host = head.withHost { draft.item(draft.text($0)) }
      let http =
        host.map { record((words.method, draft.item(method)), (words.path, draft.item(path)), (words.host, $0)) }
        ?? record((words.method, draft.item(method)), (words.path, draft.item(path)))
      let client = peer.ip.map { record((words.ip, draft.item($0))) }
      let instant = draft.item(Datetime(milliseconds: time.multipliedReportingOverflow(by: 1000).partialValue))
      var count = 2
      fields.initializeElement(at: 0, to: Draft.Field(words.http, http))
      fields.initializeElement(at: 1, to: Draft.Field(words.time, instant))
      for (word, item) in [(words.client, client), (words.token, entities.value)] {
        guard let item else { continue }
        fields.initializeElement(at: count, to: Draft.Field(word, item))
        count += 1
      }
      let context = draft.record(UnsafeMutableBufferPointer(rebasing: fields[..<count]))
      // Where no route says otherwise the method is the action; but for HEAD.
      let action = question.route?.action == nil && head.method != .head ? method : draft.text(question.action.id)
      // An identity's entities begin with its principal.
      return draft.isAuthorized(
        principal: entities.first ?? draft.uid(identity.principal), action: draft.uid(words.actionType, action), resource: parent,
        context: context)
    }
  }
}
