// From a parsed request head to a permit, top to bottom. Nothing else decides.

internal import AWS
internal import HTTP
internal import JOSE

extension Exchange {
  /// Decides this exchange, or says what must be known first.
  ///
  /// Pure: no I/O, no locks, no clock. Every input is in `self` or in `facts`, so the page can be run again from the
  /// top when a missing fact arrives.
  public mutating func decide(_ facts: Facts) -> Outcome {
    let snapshot = snapshot
    do throws(Stop) {
      // Who sent it, as far as proxies in front of us are trusted to say.                                        400
      if !snapshot.trustedProxies.isEmpty { client = try snapshot.trustedProxies.client(of: peer, head) }

      if let answer = snapshot.ownAnswer(to: head) {
        trail.isOwn = true
        return .answer(answer)
      }

      // match: what is asked, in the words of the routes?                                                        403
      var question = try snapshot.mapping.match(&head)
      trail.question = question
      if try question.isOpen(to: head) { return .forward(try permit(nil, facts)) }

      // authenticate: whose token is this, and is it valid now?                                    400, 401, or wait
      let credential = try Credential.find(in: head, for: snapshot.issuers, from: peer, proven: question.demandsProof)
      let identity: Identity
      if let issuer = credential.opaqueIssuer {
        identity = try introspected(credential, by: issuer, facts)
      } else if let known = facts.identity(of: credential, in: head, under: snapshot, at: time) {
        identity = known
      } else if let issuer = credential.loadBalancer {
        let token = try verified(credential, from: issuer, facts)
        try facts.requireUnrevoked(token)
        identity = try issuer.mapping.identity(of: token, from: issuer, for: snapshot)
        facts.remember(identity, of: token, from: issuer, under: snapshot, at: time)
      } else {
        let unverified = try UnverifiedToken.read(credential, in: head)
        let issuer = try snapshot.issuers.issuer(of: unverified)
        trail.token = TokenTrace(unverified, from: issuer)
        let keys = try facts.keys(of: issuer, for: unverified, since: arrival, at: time)
        trail.keysAreStale = facts.keysAreStale(of: issuer.index)
        let beganAt = facts.stopwatch()
        let token = try verified(unverified, by: issuer, keys, facts)
        trail.verifyingNanos = facts.stopwatch() &- beganAt
        try facts.requireUnrevoked(token)
        identity = try issuer.mapping.identity(of: token, from: issuer, for: snapshot)  // map
        facts.remember(identity, of: token, from: issuer, under: snapshot, at: time)
      }
      try requireActive(identity, by: credential, facts)
      try requireProof(of: identity, by: credential, for: question, facts)
      trail.identity = identity
      if isTraced { trail.authenticatedAt = facts.stopwatch() }
      trail.keysAreStale = credential.opaqueIssuer == nil && facts.keysAreStale(of: identity.issuerIndex)
      try question.requireScopes(of: identity)
      try question.requireSignIn(of: identity, at: time)
      if question.access == .authenticated { return .forward(try permit(identity, facts)) }

      // learn: what do its body and the route's source of entities say?                   400, 413, 415, 503, or wait
      if let route = question.route, route.asksForMore {
        let body = try learned.body(route.body, of: head)
        question = try snapshot.mapping.match(head, to: route, with: body)
        let values = RequestValues.All(head: head, path: route.path, body: body, principal: identity.principal)
        question.learned = try learned.entities(from: route.entities, for: values, under: snapshot)
        trail.question = question
      }

      // map: what are we asking, in Cedar's words? authorize: may it? Another engine answers in its own time.    403, 503, or wait
      if case .remote(let index) = question.route?.engine ?? snapshot.engine {
        let remote = snapshot.engines[index]
        let key = DecisionMemo.Key(question, identity, to: index, remote, from: client.peer, head, under: snapshot)
        let answer: AuthorizationAnswer?
        if let known = facts.answer(to: key, at: time) {
          answer = known
        } else {
          answer = try learned.answer(
            to: { () throws(Stop) in
              let mapped = try snapshot.mapping.request(question, by: identity, from: client.peer, head, at: time)
              return try snapshot.question(mapped, identity, to: index, remote, credential: credential, in: head)
            }, of: remote, about: identity)
        }
        if let answer {
          facts.remember(answer, to: key, by: identity, at: time)
          trail.answer = answer
          trail.shadow = askShadow(question, by: identity, beside: answer, facts)
          try snapshot.authorization.enforce(answer)
          return .forward(try permit(identity, facts))
        }
        trail.hasFallenBack = true
      }
      let response = try snapshot.mapping.ask(
        question, by: identity, from: client.peer, head, at: time, of: snapshot.authorization, facts.evaluation)
      trail.response = response
      trail.shadow = askShadow(question, by: identity, beside: response, facts)
      try snapshot.authorization.enforce(response)
      return .forward(try permit(identity, facts))
    } catch {
      switch error {
      case .wait(let dependency): return .wait(dependency)
      case .refuse(let rejection):
        trail.rejection = rejection
        // Observe mode lets a refusal pass that was about who and what, never one about the form of the request.
        let mode = trail.question?.route?.mode ?? snapshot.mode
        guard mode == .observe, rejection.passesWhenObserved else { return .refuse(rejection) }
        do throws(Stop) { return .forward(try permit(trail.identity, observing: rejection, facts)) } catch {
          switch error {
          case .wait(let dependency):
            // The page runs again from the top, and may find otherwise.
            trail.rejection = nil
            return .wait(dependency)
          case .refuse(let rejection):
            trail.rejection = rejection
            return .refuse(rejection)
          }
        }
      }
    }
  }

  // sign: with what does it go on to a service that is an API of AWS?                           403, 413, 503, or wait
  private mutating func permit(_ identity: Identity?, observing rejection: Rejection? = nil, _ facts: Facts) throws(Stop) -> Permit {
    let signature = try signature(for: identity, observing: rejection, facts)
    trail.signedWith = signature?.source
    return Permit(identity: identity, refusalObserved: rejection, signature: signature?.0)
  }
}

/// Proof that a request may be forwarded. Only this file can make one; only the writer of a forwarded head takes one, and keeps it.
public struct Permit: ~Copyable, Sendable {
  /// Whose request it is; nil on an open route, and in observe mode where nobody was verified.
  public let identity: Identity?
  /// In observe mode, what would have refused the request.
  public let refusalObserved: Rejection?
  /// What signs the request for the service behind; nil where the route says nothing of that.
  let signature: RequestSignature?

  fileprivate init(identity: Identity?, refusalObserved: Rejection?, signature: RequestSignature?) {
    self.identity = identity
    self.refusalObserved = refusalObserved
    self.signature = signature
  }
}
