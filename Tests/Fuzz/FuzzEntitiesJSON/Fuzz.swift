import Cedar
import JSON

// Every document gives entities or mistakes; entities that are written and read again are the same.

/// A schema that expects something of every type, so that the implicit forms are reached.
private struct Expectations: EntitySchema {
  let attributes = [
    ExpectedAttribute("ip", .extension(.ipaddr), isRequired: false), ExpectedAttribute("when", .extension(.datetime), isRequired: false),
    ExpectedAttribute("ref", .entity(EntityType(unchecked: "U")), isRequired: false),
    ExpectedAttribute("set", .set(.extension(.decimal)), isRequired: false),
    ExpectedAttribute(
      "rec", .record([ExpectedAttribute("a", .long), ExpectedAttribute("b", .set(.entity(EntityType(unchecked: "U"))))], isOpen: false),
      isRequired: false),
  ]
  func expectedEntity(of type: EntityType) -> ExpectedEntity? {
    ExpectedEntity(attributes: attributes, tags: .extension(.duration), isOpen: true)
  }
  func expectedContext(of action: EntityUID) -> [ExpectedAttribute]? { attributes }
}

/// The entities after a round through JSON; nil if they cannot be read again.
private func again(_ entities: Entities) -> Entities? {
  do { return try Entities(EntitiesJSON.entities(EntitiesJSON.json(entities))) } catch { return nil }
}

/// One input of libFuzzer.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = UnsafeBufferPointer(start: start, count: count)
  let json: JSONValue
  do throws(JSONError) {
    json = try JSONParser.parse(bytes, limits: JSONParser.Limits(depth: 512, duplicateNames: .keepAll))
  } catch { return 0 }
  let action = EntityUID(type: EntityType(unchecked: "Action"), id: "a")
  for schema in [nil, Expectations()] as [(any EntitySchema)?] {
    do throws(ParseErrors) {
      let list = try EntitiesJSON.entities(json, schema: schema)
      do throws(EntitiesError) {
        let entities = try Entities(list)
        for entity in list { precondition(!entities.ancestors(of: entity.uid).contains(entity.uid)) }
        precondition(again(entities) == entities, "written and read again it is something else")
        _ = Authorizer(policies: PolicySet(), entities: entities)
      } catch {}
    } catch {
      precondition(!error.errors.isEmpty)
      for mistake in error.errors { precondition(mistake.span.end <= count) }
    }
    do throws(ParseErrors) { _ = try EntitiesJSON.partialEntities(json, schema: schema) } catch { precondition(!error.errors.isEmpty) }
    do throws(ParseErrors) { _ = try EntitiesJSON.context(json, action: action, schema: schema) } catch {
      precondition(!error.errors.isEmpty)
    }
  }
  return 0
}
