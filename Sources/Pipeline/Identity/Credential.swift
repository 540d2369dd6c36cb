internal import Bytes
internal import HTTP
internal import JOSE

/// Where the one credential of a request lies in its head: `Authorization: Bearer <token>` (RFC 6750 §2.1), or the bare
/// token for issuers whose clients send it so.
///
/// A request with several credentials is refused whatever they are: nobody can say whose it is (RFC 6750 §2).
struct Credential {
  /// The token's bytes in the head.
  let range: Range<Int>

  static func find(in head: RequestHead, for issuers: IssuerTable) throws(Stop) -> Credential {
    guard head.fields.has(.authorization) else { throw .refuse(.noToken) }
    guard !head.fields.isRepeated(.authorization), let value = head.fields.range(of: .authorization) else {
      throw .refuse(.multipleCredentials(detail: "Authorization is given more than once"))
    }
    switch Self.token(in: head.fields, value, allowingBare: issuers.acceptsBareToken) {
    case .token(let range): return Credential(range: range)
    case .otherScheme: throw .refuse(.noToken)
    case .malformed: throw .refuse(.token(.partCount(1)))
    }
  }

  private enum Found {
    case token(Range<Int>)
    /// Another scheme than Bearer: as if no bearer credential were there, so the challenge names what is wanted.
    case otherScheme
    case malformed
  }

  private static func token(in fields: FieldSection, _ value: Range<Int>, allowingBare: Bool) -> Found {
    fields.withBytes(value) { bytes in
      guard let space = bytes.firstIndex(of: ASCII.space) else {
        // No scheme: a bare token has exactly two dots, as Amplify's clients send it to Cognito-protected APIs.
        let dots = bytes.count { $0 == UInt8(ascii: ".") }
        guard dots == 2 else { return .malformed }
        return allowingBare ? .token(value) : .otherScheme
      }
      guard ASCII.equalsIgnoringCase(bytes[..<space], "bearer".utf8) else { return .otherScheme }
      var start = space
      while start < bytes.count, bytes[start] == ASCII.space { start += 1 }
      let token = bytes[start...]
      guard !token.isEmpty, token.allSatisfy(isTokenByte) else { return .malformed }
      return .token(value.lowerBound + start..<value.lowerBound + bytes.count)
    }
  }

  // b64token of RFC 6750 §2.1. A comma, which would begin another credential, is none of it.
  private static func isTokenByte(_ byte: UInt8) -> Bool {
    ASCII.isAlpha(byte) || ASCII.isDigit(byte) || "-._~+/=".utf8.contains(byte)
  }
}

extension UnverifiedToken {
  /// Takes the credential apart.
  static func read(_ credential: Credential, in head: RequestHead) throws(Stop) -> UnverifiedToken {
    let result: Result<UnverifiedToken, TokenError> = head.fields.withBytes(credential.range) { bytes in
      do throws(TokenError) { return .success(try UnverifiedToken.parse(bytes)) } catch { return .failure(error) }
    }
    switch result {
    case .success(let token): return token
    case .failure(let error): throw .refuse(.token(error))
    }
  }
}
