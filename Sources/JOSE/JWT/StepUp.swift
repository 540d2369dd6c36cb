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

  /// Whether a sign-in is good enough now (seconds since 1970), by the token's `acr` and `auth_time`. A token that does not say how
  /// or when is not; `auth_time` may lie ahead by the clock skew.
  public func isMet(acr: String?, authenticatedAt: Int64?, now: Int64, clockSkew: Int64 = 60) -> Bool {
    if !acrValues.isEmpty {
      guard let acr, acrValues.contains(where: { exactlyEquals($0, acr) }) else { return false }
    }
    guard let maximumAge else { return true }
    guard let signedIn = authenticatedAt else { return false }
    let (age, overflow) = now.subtractingReportingOverflow(signedIn)
    return !overflow && age <= maximumAge && age >= -max(clockSkew, 0)
  }

  /// The parameters of the challenge, RFC 9470 §3, beside `error`.
  public var parameters: [(name: String, value: String)] {
    (acrValues.isEmpty ? [] : [("acr_values", acrValues.joined(separator: " "))]) + (maximumAge.map { [("max_age", "\($0)")] } ?? [])
  }

  /// What meets both demands' ages and, of the ways to sign in, those of the first that names any.
  public func and(_ other: StepUp) -> StepUp {
    var both = self
    if both.acrValues.isEmpty { both.acrValues = other.acrValues }
    both.maximumAge = [maximumAge, other.maximumAge].compactMap { $0 }.min()
    return both
  }
}
