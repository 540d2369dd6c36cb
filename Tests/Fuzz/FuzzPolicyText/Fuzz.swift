import Cedar

// Every text gives policies or mistakes: mistakes lie inside the text, and policies compile and answer.

private let uid = EntityUID(type: EntityType(unchecked: "User"), id: "a")
private let request = Request(
  principal: uid, action: EntityUID(type: EntityType(unchecked: "Action"), id: "view"), resource: uid)
// libFuzzer calls on one thread.
nonisolated(unsafe) private let evaluation = Evaluation()

private func check(_ errors: ParseErrors, _ size: Int) {
  precondition(!errors.errors.isEmpty)
  for error in errors.errors {
    precondition(error.span.start <= error.span.end && error.span.end <= size, "a mistake outside the text")
    precondition(!error.message.isEmpty)
  }
}

/// One input of libFuzzer.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  do throws(ParseErrors) {
    let policies = try PolicyParser.parse(bytes)
    for policy in policies { precondition(policy.span.end <= count) }
    do throws(PolicySetError) {
      let authorizer = Authorizer(policies: try PolicySet(policies))
      do throws(OverlayError) { _ = try authorizer.explain(request, in: evaluation) } catch {
        preconditionFailure("no overlay, no conflict")
      }
    } catch { preconditionFailure("positional ids differ") }
  } catch {
    check(error, count)
  }
  do throws(ParseErrors) {
    let (tree, root) = try PolicyParser.parseExpression(bytes)
    precondition(tree.depth(of: root) <= Limits().depth)
  } catch {
    check(error, count)
  }
  return 0
}
