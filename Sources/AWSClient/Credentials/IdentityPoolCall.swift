internal import AWS
internal import JSON

/// The two calls of an identity pool. Both carry the same logins.
enum IdentityPoolCall {
  static func getID(_ pool: CredentialSource.IdentityPool, logins: [String: String]) -> [UInt8] {
    var out = JSONWriter()
    out.beginObject()
    out.name("IdentityPoolId")
    out.string(pool.id)
    if let account = pool.accountID {
      out.name("AccountId")
      out.string(account)
    }
    write(logins, to: &out)
    out.endObject()
    return out.bytes
  }

  static func getCredentials(of id: String, _ pool: CredentialSource.IdentityPool, logins: [String: String]) -> [UInt8] {
    var out = JSONWriter()
    out.beginObject()
    out.name("IdentityId")
    out.string(id)
    if let role = pool.roleARN {
      out.name("CustomRoleArn")
      out.string(role)
    }
    write(logins, to: &out)
    out.endObject()
    return out.bytes
  }

  private static func write(_ logins: [String: String], to out: inout JSONWriter) {
    guard !logins.isEmpty else { return }
    out.name("Logins")
    out.beginObject()
    for (provider, token) in logins.sorted(by: { $0.key < $1.key }) {
      out.name(provider)
      out.string(token)
    }
    out.endObject()
  }
}
