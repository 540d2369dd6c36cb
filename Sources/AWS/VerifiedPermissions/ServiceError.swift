internal import Bytes
internal import JSON

/// An error that a service of AWS answered with, in the JSON protocols.
public struct ServiceError: Error, Sendable, Equatable {
  /// The HTTP status.
  public var status: Int
  /// `ValidationException`; nil if the answer names none.
  public var code: String?
  /// What the service says, shortened; may be empty.
  public var message: String

  /// An error.
  public init(status: Int, code: String?, message: String) {
    self.status = status
    self.code = code
    self.message = message
  }

  /// Reads an error's answer; whatever the body is, there is an error.
  ///
  /// - Parameter header: the value of `x-amzn-ErrorType`, if there is one.
  public static func read(status: Int, header: String?, body: [UInt8]) -> ServiceError {
    var json: JSONValue?
    do throws(JSONError) { json = try JSONParser.parse(body, limits: .init(depth: 32, bytes: 1 << 20)) } catch { json = nil }
    let name = (json?["__type"]?.string ?? header ?? json?["code"]?.string).map(bareName)
    let message = json?["message"]?.string ?? json?["Message"]?.string ?? ""
    return ServiceError(status: status, code: name, message: shortened(message))
  }

  // `com.amazonaws.verifiedpermissions#ValidationException:http://…` is `ValidationException`.
  private static func bareName(_ text: String) -> String {
    let afterHash = text.utf8.split(separator: UInt8(ascii: "#")).last ?? text.utf8[...]
    let beforeColon = afterHash.split(separator: UInt8(ascii: ":")).first ?? afterHash
    return shortened(String(Substring(beforeColon)))
  }

  // What comes from outside grows no log.
  private static func shortened(_ text: String) -> String {
    text.utf8.count <= 300 ? text : String(text.unicodeScalars.prefix(75)) + "…"
  }
}

extension ServiceError: CustomStringConvertible {
  /// `ValidationException (400): Policy Store does not exist.`
  public var description: String { "\(code ?? "an error") (\(status))" + (message.isEmpty ? "" : ": \(message)") }
}
