import JOSE

/// One input of the fuzzer.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = UnsafeRawBufferPointer(start: start, count: count)
  do throws(JWKSetError) {
    let set = try JWKSet.parse(bytes)
    precondition(set.keys.count <= JWKSet.keyLimit)
    precondition(set.fingerprint.count == 32)
    for key in set.keys {
      precondition(key.thumbprint.count == 32)
      precondition(JWSAlgorithm.allCases.contains(where: key.accepts))
    }
    for problem in set.problems { precondition(problem.error.description.utf8.count < 1024) }
  } catch {
    precondition(error.description.utf8.count < 1024)
  }
  return 0
}
