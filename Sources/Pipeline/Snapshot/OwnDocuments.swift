internal import Bytes
internal import HTTP
internal import JOSE

extension Snapshot {
  /// The answer to a request for a document of ours; nil for every other request.
  ///
  /// Only the path as it is written is ours: another spelling goes the way of all requests, and opens nothing.
  func ownAnswer(to head: borrowing RequestHead) -> Answer? {
    guard let protectedResource, exactlyEquals(head.rawPath, protectedResource.path) else { return nil }
    switch head.method {
    case .get, .head: return Answer(document: protectedResource.document)
    case .options: return head.isPreflight ? Answer(preflightFor: protectedResource.document) : nil
    default: return nil
    }
  }
}
