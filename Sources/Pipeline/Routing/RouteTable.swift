internal import Bytes
public import HTTP

/// The routes as a tree over path segments: found without allocation, the most specific first.
///
/// Segment by segment a literal beats a parameter, and a parameter beats the rest; on one path a method of its own beats
/// `*`; a host beats all hosts. What is left is a tie, and a tie is refused when the table is made.
public struct RouteTable: Sendable {
  /// The routes in the order written.
  public let routes: [Route]
  private var nodes: [Node] = [Node()]
  private var hosts: [(host: RouteHost, root: Int)] = []
  /// Forms of paths that some route takes for data: a request is refused for the others when it is parsed, and for these when
  /// its route is another.
  public private(set) var pathRules = PathRules.strict

  private struct Node: Sendable {
    var literals: [(bytes: [UInt8], node: Int)] = []
    // Names in lower case that stand for every case of theirs.
    var caseless: [(bytes: [UInt8], node: Int)] = []
    var parameter: Int?
    // Routes that end here: without and with a final slash, and those that take the rest.
    var ends: [Int] = []
    var endsWithSlash: [Int] = []
    var rest: [Int] = []
  }

  /// Two routes for the same requests.
  struct Tie {
    let first: Int
    let second: Int
  }

  /// Makes the table; ties are for the caller to refuse.
  init(_ routes: [Route]) {
    self.routes = routes
    for (index, route) in routes.enumerated() { insert(route, index) }
    for index in nodes.indices { nodes[index].literals.sort { $0.bytes.lexicographicallyPrecedes($1.bytes) } }
    for route in routes { pathRules.formUnion(route.reading.rules) }
    // Exact hosts before wildcards, long wildcards before short ones.
    hosts.sort { a, b in
      a.host.isWildcard != b.host.isWildcard ? b.host.isWildcard : a.host.name.count > b.host.name.count
    }
  }

  /// The ties, each once.
  func ties() -> [Tie] {
    var ties: [Tie] = []
    for node in nodes {
      for ends in [node.ends, node.endsWithSlash, node.rest] {
        for (position, second) in ends.enumerated() {
          if let first = ends[..<position].first(where: { routes[$0].methods.overlaps(routes[second].methods) }) {
            ties.append(Tie(first: first, second: second))
          }
        }
      }
    }
    return ties.sorted { $0.second < $1.second }
  }

  /// The route for a request; nil if there is none.
  public func match(_ head: borrowing RequestHead) -> Route? {
    if !hosts.isEmpty, let host = head.host {
      for (candidate, root) in hosts where candidate.matches(host) {
        if let found = find(root, 0, head) { return routes[found] }
      }
    }
    return find(0, 0, head).map { routes[$0] }
  }

  // As deep as the longest route, whatever the request.
  private func find(_ node: Int, _ index: Int, _ head: borrowing RequestHead) -> Int? {
    if index == head.path.count {
      guard head.path.hasTrailingSlash else { return best(nodes[node].ends, head) }
      return best(nodes[node].endsWithSlash, head) ?? best(nodes[node].rest, head)
    }
    if let next = literal(node, index, head.path), let found = find(next, index + 1, head) { return found }
    if let next = caseless(node, index, head.path), let found = find(next, index + 1, head) { return found }
    if let next = nodes[node].parameter, let found = find(next, index + 1, head) { return found }
    return best(nodes[node].rest, head)
  }

  private func best(_ candidates: [Int], _ head: borrowing RequestHead) -> Int? {
    var best: (route: Int, rank: Int)?
    for candidate in candidates {
      let rank = routes[candidate].methods.rank(head)
      if rank > best?.rank ?? 0 { best = (candidate, rank) }
    }
    return best?.route
  }

  private func literal(_ node: Int, _ index: Int, _ path: DecodedPath) -> Int? {
    path.withSegment(index) { segment in
      var low = 0
      var high = nodes[node].literals.count
      while low < high {
        let middle = (low + high) / 2
        let order = Self.compare(nodes[node].literals[middle].bytes, segment)
        if order == 0 { return nodes[node].literals[middle].node }
        if order < 0 { low = middle + 1 } else { high = middle }
      }
      return nil
    }
  }

  // Few routes have any.
  private func caseless(_ node: Int, _ index: Int, _ path: DecodedPath) -> Int? {
    guard !nodes[node].caseless.isEmpty else { return nil }
    return path.withSegment(index) { segment in
      nodes[node].caseless.first { $0.bytes.elementsEqual(segment.lazy.map { ASCII.lowercased($0) }) }?.node
    }
  }

  private static func compare(_ a: [UInt8], _ b: UnsafeRawBufferPointer) -> Int {
    for index in 0..<min(a.count, b.count) where a[index] != b[index] { return a[index] < b[index] ? -1 : 1 }
    return a.count - b.count
  }

  private mutating func insert(_ route: Route, _ index: Int) {
    var node = root(for: route.host)
    for segment in route.path.segments {
      switch segment {
      case .literal(let bytes):
        let names: WritableKeyPath<Node, [(bytes: [UInt8], node: Int)]> = route.reading.ignoresCase ? \.caseless : \.literals
        if let found = nodes[node][keyPath: names].first(where: { $0.bytes == bytes }) {
          node = found.node
        } else {
          nodes.append(Node())
          nodes[node][keyPath: names].append((bytes, nodes.count - 1))
          node = nodes.count - 1
        }
      case .parameter:
        if let found = nodes[node].parameter {
          node = found
        } else {
          nodes.append(Node())
          nodes[node].parameter = nodes.count - 1
          node = nodes.count - 1
        }
      }
    }
    if route.path.hasRest {
      nodes[node].rest.append(index)
    } else {
      let takesBoth = route.reading.ignoresTrailingSlash
      if takesBoth || route.path.hasTrailingSlash { nodes[node].endsWithSlash.append(index) }
      if takesBoth || !route.path.hasTrailingSlash { nodes[node].ends.append(index) }
    }
  }

  private mutating func root(for host: RouteHost?) -> Int {
    guard let host else { return 0 }
    if let found = hosts.first(where: { $0.host == host }) { return found.root }
    nodes.append(Node())
    hosts.append((host, nodes.count - 1))
    return nodes.count - 1
  }
}
