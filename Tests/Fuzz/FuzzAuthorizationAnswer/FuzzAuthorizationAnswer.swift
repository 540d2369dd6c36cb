import AWS
import Cedar

private let uid = EntityUID(type: EntityType(unchecked: "A"), id: "a")
private let calls = (0..<2).map { _ in AuthorizationCall(policyStore: "p", principal: .named(uid), action: uid, resource: uid) }

/// One input of the fuzzer: an answer of Verified Permissions, an error, and what sources of credentials answer. An allow always has
/// a policy.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeRawBufferPointer(start: start, count: count))
  do throws(WireError) {
    let answer = try AuthorizationAnswer.read(bytes, answering: calls[0])
    precondition(answer.decision == .deny || !answer.determining.isEmpty)
  } catch { precondition(!error.description.isEmpty) }
  do throws(WireError) {
    let answers = try AuthorizationAnswer.readBatch(bytes, answering: calls)
    precondition(answers.count == 2)
  } catch {}
  // One by one: the 6.3.1 compiler crashes on a list of functions that throw.
  do throws(WireError) { _ = try CredentialAnswers.metadata(bytes) } catch {}
  do throws(WireError) { _ = try CredentialAnswers.process(bytes) } catch {}
  do throws(WireError) { _ = try CredentialAnswers.identityPool(bytes) } catch {}
  do throws(WireError) { _ = try CredentialAnswers.sts(bytes) } catch {}
  precondition(ServiceError.read(status: 400, header: nil, body: bytes).message.utf8.count <= 400)
  precondition(CredentialAnswers.stsError(status: 400, bytes).status == 400)
  return 0
}
