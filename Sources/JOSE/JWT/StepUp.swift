internal import Bytes

/// What a route or a policy demands of the way somebody signed in, RFC 9470.
public struct StepUp: Sendable, Equatable {
  /// Accepted values of `acr`, the preferred first; empty demands none.
  public var acrValues: [String]
  /// The longest time since `auth_time` in seconds; nil demands none.
  public var maximumAge: Int64?

  /// A demand. Values that could not stand in a challenge (a quote, a backslash, a space, anything but printable ASCII) are refused: nil.
  public init?(acrValues: [String] = [], maximumAge: Int64? = nil) {
    // RFC 6750 §3 for the quoted string, and a space would make two values of one.
    let fits = acrValues.allSatisfy { value in
      !value.isEmpty && value.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }
    }
    guard fits, maximumAge ?? 0 >= 0 else { return nil }
    self.acrValues = acrValues
    self.maximumAge = maximumAge
  }

  /// Whether the token's sign-in is good enough now (seconds since 1970). A token that does not say how or when is not; `auth_time`
  /// may lie ahead by the clock skew.
  public func isMet(by token: VerifiedToken, now: Int64, clockSkew: Int64 = 60) -> Bool {
    if !acrValues.isEmpty {
      guard let acr = token.acr, acrValues.contains(where: { exactlyEquals($0, acr) }) else { return false }
    }
    guard let maximumAge else { return true }
    guard let signedIn = token.authenticatedAt else { return false }
    let (age, overflow) = now.subtractingReportingOverflow(signedIn)
    return !overflow && age <= maximumAge && age >= -max(clockSkew, 0)
  }

  /// The parameters of the challenge, RFC 9470 §3, to stand behind `Bearer realm="…", `.
  public var challenge: String {
    var out =
      #"error="insufficient_user_authentication", error_description="A different or a more recent sign-in is required""#
    if !acrValues.isEmpty { out += #", acr_values="\#(acrValues.joined(separator: " "))""# }
    if let maximumAge { out += #", max_age="\#(maximumAge)""# }
    return out
  }
}
