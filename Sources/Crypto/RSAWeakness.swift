/// Moduli that look like RSA and are not safe.
enum RSAWeakness {
  // The first 38 odd primes: the primorial that the weak generator used has them for every modulus of 2048 bits or more.
  private static let primes: [UInt32] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113, 127, 131, 137,
    139,
    149, 151, 157, 163, 167,
  ]

  /// Whether a modulus has the fingerprint of ROCA (Nemec et al., CCS 2017 §5.2): for every small prime p its residue is
  /// a power of 65537 modulo p. A modulus of random primes has it with a chance below 2^-27.
  static func hasStructureOfROCA(_ modulus: some Collection<UInt8>) -> Bool {
    for prime in primes {
      let residue = modulus.reduce(UInt32(0)) { ($0 << 8 | UInt32($1)) % prime }
      var power: UInt32 = 1
      var found = residue == 1
      for _ in 1..<prime where !found {
        power = power * 65537 % prime
        found = power == residue
      }
      if !found { return false }
    }
    return true
  }
}
