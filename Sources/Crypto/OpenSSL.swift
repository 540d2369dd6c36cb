internal import COpenSSL

/// The library that this room stands on.
public enum OpenSSL {
  /// The version that runs, such as `3.0.17`.
  public static var version: String { String(cString: copenssl_version()) }
}
