/// Why a message is refused: the one closed table of what HTTP/1.1 syntax and framing can be accused of.
///
/// A request refused for any of these gets `status`, its connection is closed, and bytes after it are never interpreted.
/// In a response from an upstream the same cases are always a 502, and the upstream connection is not used again.
public enum HTTPRefusal: UInt8, Error, Sendable, CaseIterable {
  // The start line, RFC 9112 §3 and §4.
  /// Not a request line.
  case requestLineMalformed
  /// The method is not a token.
  case methodInvalid
  /// A registered method in the wrong case.
  case methodMiscased
  /// `CONNECT`.
  case methodConnect
  /// `TRACE`.
  case methodTrace
  /// Not `HTTP/` and two digits.
  case versionMalformed
  /// A version other than 1.0 and 1.1.
  case versionUnsupported
  /// The preface of HTTP/2, RFC 9113 §3.4.
  case http2Preface
  /// A TLS handshake on a plain port.
  case tlsHandshake
  /// Not a status line.
  case statusLineMalformed

  // Lines and fields, RFC 9112 §2.2 and §5.
  /// CR without LF.
  case bareCR
  /// LF without CR.
  case bareLF
  /// NUL.
  case nulByte
  /// Another control byte.
  case controlByte
  /// A folded line.
  case obsFold
  /// White space between name and colon.
  case whitespaceBeforeColon
  /// The field name is not a token.
  case fieldNameInvalid
  /// The head exceeds its limit.
  case headTooLarge
  /// Too many field lines.
  case tooManyFields
  /// A field name beyond its limit.
  case fieldNameTooLong

  // Framing, RFC 9112 §6.
  /// Not a run of digits.
  case contentLengthInvalid
  /// More than 2^63 - 1.
  case contentLengthTooLarge
  /// More than one, equal or not.
  case contentLengthRepeated
  /// Both Content-Length and Transfer-Encoding.
  case contentLengthWithTransferEncoding
  /// More than one Transfer-Encoding line.
  case transferEncodingRepeated
  /// Not a list of codings that ends in one `chunked`.
  case transferEncodingInvalid
  /// A coding besides chunked.
  case transferEncodingUnsupported
  /// Transfer-Encoding in HTTP/1.0.
  case transferEncodingInHTTP10
  /// A framing field where RFC 9112 §6.1 or RFC 9110 §8.6 forbids it: a response 1xx or 204.
  case framingForbidden

  // Fields that steer the connection.
  /// HTTP/1.1 without Host.
  case hostMissing
  /// More than one Host.
  case hostRepeated
  /// Host is not a host with an optional port.
  case hostInvalid
  /// The authority of an absolute target is not Host.
  case hostDisagrees
  /// Connection is not a list of tokens.
  case connectionInvalid
  /// An expectation other than 100-continue.
  case expectUnsupported
  /// Upgrade is not a list of protocols.
  case upgradeInvalid
  /// A response 101 that nobody asked for.
  case upgradeUnasked

  // The target, RFC 9112 §3.2.
  /// The target exceeds its limit.
  case targetTooLong
  /// A byte that no target may have.
  case targetInvalid
  /// A fragment.
  case targetFragment
  /// Asterisk-form.
  case targetAsterisk
  /// Neither origin-form nor absolute-form of an http URI.
  case targetFormUnsupported
  /// User information in the authority.
  case targetUserInformation

  // Paths that two readers may read differently.
  /// `.` or `..` as a segment, in any spelling.
  case pathDotSegment
  /// `//`.
  case pathEmptySegment
  /// `\`, raw or encoded.
  case pathBackslash
  /// An encoded `/`.
  case pathEncodedSlash
  /// `;`, raw or encoded.
  case pathSemicolon
  /// Letters beyond ASCII, for a service that takes upper and lower case for the same.
  case pathCaseUnclear
  /// An encoded control byte.
  case pathControl
  /// `%` without two hexadecimal digits.
  case pathBadEscape
  /// Decoded bytes that are not UTF-8.
  case pathNotUTF8

  // Chunks, RFC 9112 §7.1.
  /// The chunk size is not hexadecimal.
  case chunkSizeInvalid
  /// The chunk size exceeds 2^63 - 1.
  case chunkSizeTooLarge
  /// The chunk line, extensions included, exceeds its limit.
  case chunkLineTooLong
  /// A chunk extension with bytes that none may have.
  case chunkExtensionInvalid
  /// No CRLF after the chunk's data.
  case chunkUnterminated
  /// A trailer line that is no field line.
  case trailerInvalid
  /// A trailer that only an attacker sends: a length, a transfer coding, a host.
  case trailerForbidden
  /// The trailer section exceeds its limit.
  case trailersTooLarge
  /// The trailer section has more lines than its limit.
  case tooManyTrailers
}

extension HTTPRefusal {
  /// The two reasons that a decision record knows for refused syntax.
  public enum Reason: Sendable {
    /// `request_invalid`.
    case requestInvalid
    /// `path_ambiguous`.
    case pathAmbiguous
  }

  /// One row of the table.
  private struct Row {
    var status: Status
    var detail: String
    var sentence: String

    init(_ status: Status, _ detail: String, _ sentence: String) {
      self.status = status
      self.detail = detail
      self.sentence = sentence
    }
  }

  /// The status of the answer to a request.
  public var status: Status { row.status }
  /// A stable name in snake_case, for logs and metrics.
  public var detail: String { row.detail }
  /// What is wrong, in one sentence for the client; it never contains what the client sent.
  public var sentence: String { row.sentence }

  /// Which reason a record gives.
  public var reason: Reason {
    switch self {
    case .pathDotSegment, .pathEmptySegment, .pathBackslash, .pathEncodedSlash, .pathSemicolon, .pathCaseUnclear, .pathControl,
      .pathBadEscape, .pathNotUTF8:
      .pathAmbiguous
    default: .requestInvalid
    }
  }

  private var row: Row {
    switch self {
    case .requestLineMalformed:
      Row(.badRequest, "request_line_malformed", "The request line is not a method, a target and a version with one space between.")
    case .methodInvalid: Row(.badRequest, "method_invalid", "The method is not a token.")
    case .methodMiscased: Row(.badRequest, "method_miscased", "Methods are case-sensitive; write the method in upper case.")
    case .methodConnect: Row(.methodNotAllowed, "method_connect", "CONNECT is not served here.")
    case .methodTrace: Row(.methodNotAllowed, "method_trace", "TRACE is not served here.")
    case .versionMalformed: Row(.badRequest, "version_malformed", "The HTTP version is malformed.")
    case .versionUnsupported: Row(.httpVersionNotSupported, "version_unsupported", "Only HTTP/1.1 and HTTP/1.0 are spoken here.")
    case .http2Preface: Row(.httpVersionNotSupported, "http2_preface", "HTTP/2 is not spoken here; use HTTP/1.1.")
    case .tlsHandshake: Row(.badRequest, "tls_handshake", "A TLS handshake arrived at a port that speaks plain HTTP.")
    case .statusLineMalformed: Row(.badGateway, "status_line_malformed", "The status line is malformed.")
    case .bareCR: Row(.badRequest, "bare_cr", "A carriage return stands without its line feed.")
    case .bareLF: Row(.badRequest, "bare_lf", "A line ends in a line feed alone.")
    case .nulByte: Row(.badRequest, "nul_byte", "A NUL byte stands in the head.")
    case .controlByte: Row(.badRequest, "control_byte", "A control byte stands in the head.")
    case .obsFold: Row(.badRequest, "obs_fold", "A field line begins with white space; folded lines are obsolete.")
    case .whitespaceBeforeColon: Row(.badRequest, "whitespace_before_colon", "White space stands between a field name and its colon.")
    case .fieldNameInvalid: Row(.badRequest, "field_name_invalid", "A field name is not a token.")
    case .headTooLarge: Row(.requestHeaderFieldsTooLarge, "head_too_large", "The head is larger than is allowed here.")
    case .tooManyFields: Row(.requestHeaderFieldsTooLarge, "too_many_fields", "The head has more field lines than are allowed here.")
    case .fieldNameTooLong: Row(.requestHeaderFieldsTooLarge, "field_name_too_long", "A field name is longer than is allowed here.")
    case .contentLengthInvalid:
      Row(.badRequest, "content_length_invalid", "Content-Length is not a decimal number without sign or leading zero.")
    case .contentLengthTooLarge: Row(.badRequest, "content_length_too_large", "Content-Length is beyond any length.")
    case .contentLengthRepeated: Row(.badRequest, "content_length_repeated", "Content-Length is given more than once.")
    case .contentLengthWithTransferEncoding:
      Row(.badRequest, "content_length_with_transfer_encoding", "Content-Length and Transfer-Encoding are both given.")
    case .transferEncodingRepeated: Row(.badRequest, "transfer_encoding_repeated", "Transfer-Encoding is given more than once.")
    case .transferEncodingInvalid: Row(.badRequest, "transfer_encoding_invalid", "Transfer-Encoding does not end in exactly one chunked.")
    case .transferEncodingUnsupported:
      Row(.notImplemented, "transfer_encoding_unsupported", "The only transfer coding spoken here is chunked.")
    case .transferEncodingInHTTP10: Row(.badRequest, "transfer_encoding_in_http10", "HTTP/1.0 has no Transfer-Encoding.")
    case .framingForbidden: Row(.badGateway, "framing_forbidden", "A response that has no body says how long its body is.")
    case .hostMissing: Row(.badRequest, "host_missing", "An HTTP/1.1 request needs a Host field.")
    case .hostRepeated: Row(.badRequest, "host_repeated", "Host is given more than once.")
    case .hostInvalid: Row(.badRequest, "host_invalid", "Host is not a host name or address with an optional port.")
    case .hostDisagrees: Row(.badRequest, "host_disagrees", "The host of the target is not the host of the Host field.")
    case .connectionInvalid: Row(.badRequest, "connection_invalid", "Connection is not a list of tokens.")
    case .expectUnsupported: Row(.expectationFailed, "expect_unsupported", "The only expectation met here is 100-continue.")
    case .upgradeInvalid: Row(.badRequest, "upgrade_invalid", "Upgrade is not a list of protocols.")
    case .upgradeUnasked: Row(.badGateway, "upgrade_unasked", "The protocol was switched without an offer to do so.")
    case .targetTooLong: Row(.uriTooLong, "target_too_long", "The request target is longer than is allowed here.")
    case .targetInvalid: Row(.badRequest, "target_invalid", "The request target has a byte that no URI has; percent-encode it.")
    case .targetFragment: Row(.badRequest, "target_fragment", "The request target has a fragment.")
    case .targetAsterisk: Row(.badRequest, "target_asterisk", "The target * names no resource that could be decided on.")
    case .targetFormUnsupported:
      Row(.badRequest, "target_form_unsupported", "The request target is neither a path nor an http or https URI.")
    case .targetUserInformation: Row(.badRequest, "target_user_information", "The request target has user information before its host.")
    case .pathDotSegment: Row(.badRequest, "path_dot_segment", "The path has a segment that is . or .. in some spelling.")
    case .pathEmptySegment: Row(.badRequest, "path_empty_segment", "The path has an empty segment.")
    case .pathBackslash: Row(.badRequest, "path_backslash", "The path has a backslash.")
    case .pathEncodedSlash: Row(.badRequest, "path_encoded_slash", "The path has an encoded slash.")
    case .pathSemicolon: Row(.badRequest, "path_semicolon", "The path has a semicolon.")
    case .pathCaseUnclear: Row(.badRequest, "path_case_unclear", "The path has letters beyond ASCII, whose case is unclear here.")
    case .pathControl: Row(.badRequest, "path_control", "The path has an encoded control byte.")
    case .pathBadEscape: Row(.badRequest, "path_bad_escape", "The path has a percent sign without two hexadecimal digits.")
    case .pathNotUTF8: Row(.badRequest, "path_not_utf8", "The decoded path is not UTF-8.")
    case .chunkSizeInvalid: Row(.badRequest, "chunk_size_invalid", "A chunk size is not a hexadecimal number.")
    case .chunkSizeTooLarge: Row(.badRequest, "chunk_size_too_large", "A chunk size is beyond any length.")
    case .chunkLineTooLong: Row(.badRequest, "chunk_line_too_long", "A chunk line is longer than is allowed here.")
    case .chunkExtensionInvalid: Row(.badRequest, "chunk_extension_invalid", "A chunk extension is malformed.")
    case .chunkUnterminated: Row(.badRequest, "chunk_unterminated", "The data of a chunk does not end where its size says.")
    case .trailerInvalid: Row(.badRequest, "trailer_invalid", "A trailer line is not a field line.")
    case .trailerForbidden: Row(.badRequest, "trailer_forbidden", "A trailer has a name that only the head may have.")
    case .trailersTooLarge: Row(.requestHeaderFieldsTooLarge, "trailers_too_large", "The trailer section is larger than is allowed here.")
    case .tooManyTrailers:
      Row(.requestHeaderFieldsTooLarge, "too_many_trailers", "The trailer section has more lines than are allowed here.")
    }
  }
}
