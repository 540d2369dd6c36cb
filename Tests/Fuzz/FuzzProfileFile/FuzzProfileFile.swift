import AWS
import Bytes

/// One input of the fuzzer: a profile file of either kind, and what follows from it.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let source = SourceText(name: "file", bytes: UnsafeRawBufferPointer(start: start, count: count))
  for kind in [ProfileFile.Kind.config, .credentials] {
    do throws(ProfileError) {
      let file = try ProfileFile.parse(source, kind)
      let none = ProfileFile.absent("none")
      for profile in [nil, "default", "a"] {
        let chain =
          kind == .config
          ? CredentialChain(environment: [:], config: file, credentials: none, profile: profile)
          : CredentialChain(environment: [:], config: none, credentials: file, profile: profile)
        _ = (chain.region, chain.usesFIPS, chain.endpointURL(of: .verifiedPermissions))
        let source = try chain.source()
        precondition(!source.description.isEmpty)
      }
    } catch {
      precondition(!error.rendered.isEmpty && !error.description.isEmpty)
    }
  }
  return 0
}
