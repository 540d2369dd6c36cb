internal import Bytes
public import Cedar
internal import CedarSchema
public import HTTP
internal import JSON

/// Where the entities of a route's requests are looked up, and within which bounds.
public final class EntitySource: Sendable {
  /// The URL for a request.
  let url: URLTemplate
  /// Scheme and authority of every URL.
  public var base: String { url.base }
  /// How long a request may wait for an answer, in milliseconds.
  public let timeoutMillis: UInt64
  /// How long an answer serves, in milliseconds; 0 for the requests alone that waited for it.
  public let cacheMillis: UInt64
  /// The largest answer in bytes.
  public let maximumBytes: Int
  /// Field lines that are sent along.
  public let headers: FieldBlock

  init(url: URLTemplate, timeoutMillis: UInt64, cacheMillis: UInt64, maximumBytes: Int, headers: FieldBlock) {
    self.url = url
    self.timeoutMillis = timeoutMillis
    self.cacheMillis = cacheMillis
    self.maximumBytes = maximumBytes
    self.headers = headers
  }
}

/// One question to a source of entities. Two are equal if the same answer serves both: same route, same URL, same load.
public struct EntityLookup: Hashable, Sendable, CustomStringConvertible {
  /// Whom to ask.
  public let source: EntitySource
  /// The whole URL.
  public let url: String
  /// The load that the question belongs to.
  public var generation: UInt64 { snapshot.generation }
  private let snapshot: Snapshot

  init(_ source: EntitySource, url: String, under snapshot: Snapshot) {
    self.source = source
    self.url = url
    self.snapshot = snapshot
  }

  /// Equality by route, URL and load.
  public static func == (a: EntityLookup, b: EntityLookup) -> Bool {
    a.source === b.source && a.snapshot.generation == b.snapshot.generation && exactlyEquals(a.url, b.url)
  }

  /// Hashes route, URL and load.
  public func hash(into hasher: inout Hasher) {
    hasher.combine(ObjectIdentifier(source))
    hasher.combine(snapshot.generation)
    hasher.combine(ExactString(url))
  }

  /// The URL.
  public var description: String { "entities of \(url)" }

  /// What a response means: 200 with entities in Cedar's JSON format, 404 for none, and nothing else.
  public func answer(status: Status, contentType: String?, isEncoded: Bool, body: [UInt8]) -> EntityAnswer {
    if status == .notFound { return .entities([], size: 0) }
    guard status == .ok else { return .failed("\(source.base) answered \(status)") }
    guard let contentType, JSONMediaType.matches(Array(contentType.utf8)), !isEncoded else {
      return .failed("\(source.base) answered with something else than application/json")
    }
    return answer(body)
  }

  /// What a body with entities means.
  public func answer(_ body: [UInt8]) -> EntityAnswer {
    let schema = snapshot.authorization.schema
    do throws(JSONError) {
      let json = try JSONParser.parse(body, limits: JSONParser.Limits(depth: 64, bytes: source.maximumBytes))
      do throws(ParseErrors) {
        let entities = try EntitiesJSON.entities(json, schema: schema)
        if let problem = Self.problem(of: entities, schema, notOf: snapshot.identityTypes) { return .failed(problem) }
        return .entities(entities, size: body.count)
      } catch {
        return .failed("the answer has no entities that can be read: \(error.diagnostics.first?.message ?? "")")
      }
    } catch {
      return .failed("the answer is not JSON: \(error)")
    }
  }

  private static func problem(of entities: [Entity], _ schema: Schema?, notOf identityTypes: [EntityType]) -> String? {
    for entity in entities {
      let type = entity.uid.type
      // Who someone is, and in which groups, is the token's to say; what actions there are, the policies'.
      if identityTypes.contains(type) || type.isAction {
        return "the answer has \(entity.uid), and a lookup cannot change identities or actions"
      }
    }
    do throws(EntitiesError) { _ = try Entities(entities) } catch { return "the answer contradicts itself: \(error)" }
    guard let schema else { return nil }
    for entity in entities {
      do throws(ConformanceError) { try schema.check(entity) } catch { return "the answer does not fit the schema: \(error)" }
    }
    return nil
  }
}

/// What came of a lookup.
public enum EntityAnswer: Sendable {
  /// Entities, read from so many bytes; none if the source knows of none.
  case entities([Entity], size: Int)
  /// Nothing that could be used, and why.
  case failed(String)
}
