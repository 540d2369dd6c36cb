internal import Bytes

/// Writes the messages that are our own from the first byte: answers of the proxy, and requests of its client.
public enum MessageWriter {
  /// Appends a whole response with a body of known length.
  ///
  /// - Parameters:
  ///   - status: its phrase is the registered one.
  ///   - fields: our lines, without framing and `Connection`.
  ///   - body: the content; not sent, but counted, in answer to HEAD. 1xx, 204 and 304 have none.
  ///   - method: of the request that is answered.
  ///   - keepAlive: whether the connection lives on.
  ///   - minorVersion: the version's second digit in the request.
  public static func appendResponse(
    _ status: Status, _ fields: FieldBlock, body: [UInt8] = [], answering method: Method, keepAlive: Bool, minorVersion: UInt8 = 1,
    to out: inout [UInt8]
  ) {
    let hasBody = !status.isInformational && status != .noContent && status != .notModified
    out.append(estimate: 128 + fields.bytes.count + body.count) { out in
      out.put(ascii: "HTTP/1.1 ")
      out.put(decimal: UInt64(status.rawValue))
      out.put(ASCII.space)
      out.put(status.reason)
      out.put(ascii: "\r\n")
      out.put(fields.bytes)
      if !status.isInformational {
        if hasBody { HeadWriter.appendFraming(.length(UInt64(body.count)), to: &out) }
        HeadWriter.appendConnection(keepAlive: keepAlive, minorVersion: minorVersion, to: &out)
      }
      out.put(ascii: "\r\n")
      if hasBody, method != .head { out.put(body) }
    }
  }

  /// `HTTP/1.1 100 Continue`, RFC 9110 §15.2.1.
  public static let `continue`: [UInt8] = Array("HTTP/1.1 100 Continue\r\n\r\n".utf8)

  /// Appends a whole request of our own client; false, and nothing appended, if a part could not be sent as one request.
  ///
  /// - Parameters:
  ///   - method: not `other`.
  ///   - target: origin-form, visible ASCII.
  ///   - host: the authority for `Host`.
  ///   - fields: our lines, without Host and framing.
  ///   - body: the content; nil for none, which sends no length.
  public static func appendRequest(
    _ method: Method, target: String, host: String, _ fields: FieldBlock, body: [UInt8]? = nil, to out: inout [UInt8]
  ) -> Bool {
    var copy = target
    let isTarget = copy.withUTF8 { text in
      text.first == UInt8(ascii: "/") && ByteScan.endOfVisible(UnsafeRawBufferPointer(text), from: 0) == text.count
    }
    var authority = host
    guard method != .other, isTarget, authority.withUTF8({ Authority(UnsafeRawBufferPointer($0)) }) != nil else { return false }
    out.append(estimate: 128 + target.utf8.count + host.utf8.count + fields.bytes.count + (body?.count ?? 0)) { out in
      out.put(method.name)
      out.put(ASCII.space)
      out.put(target)
      out.put(ascii: " HTTP/1.1\r\nHost: ")
      out.put(host)
      out.put(ascii: "\r\n")
      out.put(fields.bytes)
      if let body { HeadWriter.appendFraming(.length(UInt64(body.count)), to: &out) }
      out.put(ascii: "\r\n")
      if let body { out.put(body) }
    }
    return true
  }
}
