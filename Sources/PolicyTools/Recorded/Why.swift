internal import Bytes
internal import Cedar
public import CedarSchema
public import Telemetry

/// `why`: one recorded decision, and of every policy why it did or did not apply.
public enum Why {
  /// Tells the story of a recorded decision by the policies of a folder.
  ///
  /// - Parameters:
  ///   - bundle: the policies; nil where there are none, and none are needed.
  ///   - policySet: their hash, which is held against the record's.
  public static func run(
    _ record: RecordedDecision, _ bundle: PolicyBundle?, policySet: String, everyPolicy: Bool = false, style: TextStyle
  ) -> ToolOutcome {
    var out = heading(record, style)
    guard record.isByPolicy else {
      out += "\n" + style.wrapped(record.reason?.meaning.description ?? "This build does not know the reason.", used: 0, indent: 0) + "\n"
      if let detail = record.detail { out += style.wrapped(detail, used: 0, indent: 2) + "\n" }
      out += style.toned("No policy was asked.", .faint) + "\n"
      return ToolOutcome(output: out)
    }
    guard let bundle else {
      return ToolOutcome(output: out, messages: "the policies are needed to say more: --policies DIR\n", status: .invalid)
    }
    guard bundle.isSound else { return Authorize.unsound(bundle) }
    if !exactlyEquals(policySet, record.policySet) {
      out +=
        "\n"
        + style.toned(
          style.wrapped(
            "The policies have changed since (\(record.policySet) then, \(policySet) now). What follows is said of those of now.", used: 0,
            indent: 0), .odd) + "\n"
    }
    guard let subject = record.subject else {
      return ToolOutcome(
        output: out, messages: "the record does not hold whole names of principal, action and resource\n", status: .invalid)
    }
    do throws(WhyError) {
      return ToolOutcome(output: out + "\n" + (try story(record, subject, bundle, everyPolicy, style)))
    } catch {
      return ToolOutcome(output: out, messages: "the record cannot be explained: \(error.message)\n", status: .invalid)
    }
  }

  private struct WhyError: Error {
    let message: String
  }

  private static func story(
    _ record: RecordedDecision, _ subject: RecordedDecision.Subject, _ bundle: PolicyBundle, _ everyPolicy: Bool, _ style: TextStyle
  ) throws(WhyError) -> String {
    let whole: (request: Request, entities: [Entity])?
    do throws(ParseErrors) { whole = record.redacted.isEmpty ? try record.question() : nil } catch {
      throw WhyError(message: "its input is not what this build writes: \(error.errors.first?.message ?? "")")
    }
    let known: KnownRequest
    do throws(EntitiesError) {
      if let whole {
        known = try KnownRequest(whole.request, overlay: whole.entities, over: bundle.entities, literals: bundle.policies.literals)
      } else {
        let part = record.partialQuestion(subject)
        known = try KnownRequest(
          part.request, overlay: part.entities, over: bundle.entities, literals: bundle.policies.literals, gaps: part.gaps)
      }
    } catch {
      throw WhyError(message: error.description)
    }
    var view = ExplanationView(known, bundle, style)
    view.everyPolicy = everyPolicy
    view.principalFacts = record.tokenFacts
    var out = view.requestRows + "\n" + view.policyRows + view.shadowRows
    guard let whole else {
      out += "\n"
      if exactlyEquals(record.decision, "deny"), record.policies.isEmpty { out += view.nearestRows + "\n" }
      return out
        + style.wrapped(
          "The record does not hold what the policies saw of the token. With log.decisions.record: 'replayable' (--log-record replayable) later ones will.",
          used: 0, indent: 0) + "\n"
    }
    do throws(OverlayError) {
      let response = try Authorizer(policies: bundle.policiesInForce, entities: bundle.entities).isAuthorized(
        whole.request, and: whole.entities)
      if !exactlyEquals(response.decision.rawValue, record.decision) {
        out +=
          "\n" + style.toned("With these policies it would be: ", .odd)
          + style.wrapped(Authorize.verdict(response, bundle), used: 33, indent: 4) + "\n"
      }
      if record.reason == .policyError {
        let failed = response.errors.map(\.policy.text).joined(separator: ", ")
        out += "\n" + style.wrapped("Refused because a forbid failed (on_policy_error: deny): \(failed)", used: 0, indent: 2) + "\n"
      } else if let story = Explain.story(of: response, view, bundle) {
        out += "\n" + story
      }
      return out
    } catch {
      throw WhyError(message: error.description)
    }
  }

  private static func heading(_ record: RecordedDecision, _ style: TextStyle) -> String {
    let isAllow = exactlyEquals(record.decision, "allow")
    let tone: TextStyle.Tone = isAllow ? .good : exactlyEquals(record.decision, "deny") ? .bad : .odd
    let observed = record.isEnforced ? "" : ", observed and not enforced"
    let by = record.policies.isEmpty ? "" : " by \(record.policies.joined(separator: ", "))"
    let verdict = "\(record.decision.uppercased())  \(record.reasonText)\(by)\(observed)"
    var out = style.toned(style.mark(isAllow ? .yes : .no), tone) + " " + style.wrapped(verdict, used: 2, indent: 8) + "\n"
    let day = record.time.prefix(10)
    let answer = record.status == 0 ? "the client went away" : "answered \(record.status)"
    let asked = [record.method, record.path].compactMap { $0 }.joined(separator: " ")
    out +=
      "  "
      + style.wrapped(
        "\(asked.isEmpty ? "a request that could not be read" : asked), \(answer)\(record.route.map { ", route \($0)" } ?? "")", used: 2,
        indent: 4) + "\n"
    return out + "  " + style.toned("\(day) \(record.time.dropFirst(11).prefix(12)) UTC  \(style.fitted(record.id, nil))", .faint) + "\n"
  }
}
