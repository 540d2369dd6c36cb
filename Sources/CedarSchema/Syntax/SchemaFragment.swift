internal import Bytes
public import Cedar

/// A schema as its author wrote it: every name still as spelled, nothing resolved. Both syntaxes read into it and both are
/// written from it, so a translation goes through this type and nothing else.
///
/// Source: Cedar reference, "Cedar schema" and "JSON schema".
public struct SchemaFragment: Sendable {
  /// The namespaces in the order of the text. The empty namespace has the name `""` and appears at most once.
  public var namespaces: [Namespace]

  /// A fragment of namespaces.
  public init(namespaces: [Namespace] = []) { self.namespaces = namespaces }
}

extension SchemaFragment {
  /// A name as written: `User`, `Acme::User`, `__cedar::Long`.
  public struct WrittenName: Sendable, Equatable {
    /// The components joined by `::`, without white space.
    public var text: String
    /// Byte offsets in the text; empty for names made by programs.
    public var span: SourceSpan

    /// A name; `span` is empty for names made by programs.
    public init(_ text: String, span: SourceSpan = .none) {
      self.text = text
      self.span = span
    }

    /// Whether the name has no namespace.
    public var isUnqualified: Bool { !text.utf8.contains(UInt8(ascii: ":")) }

    /// Equality of bytes; where a name stands does not count.
    public static func == (a: WrittenName, b: WrittenName) -> Bool { exactlyEquals(a.text, b.text) }
  }

  /// One annotation, `@key("value")`.
  public struct Annotation: Sendable, Equatable {
    /// The key, an identifier (reserved words are allowed).
    public var key: String
    /// The value; nil where the annotation has none.
    public var value: String?

    /// An annotation.
    public init(key: String, value: String?) {
      self.key = key
      self.value = value
    }

    /// Equality of bytes. An annotation without value equals one with the value `""`.
    public static func == (a: Annotation, b: Annotation) -> Bool {
      exactlyEquals(a.key, b.key) && exactlyEquals(a.value ?? "", b.value ?? "")
    }
  }

  /// One namespace and what it declares.
  public struct Namespace: Sendable {
    /// The name; `""` for the empty namespace.
    public var name: WrittenName
    /// Common types in the order of the text.
    public var commonTypes: [CommonTypeDeclaration]
    /// Entity types in the order of the text.
    public var entityTypes: [EntityTypeDeclaration]
    /// Actions in the order of the text.
    public var actions: [ActionDeclaration]
    /// The namespace's annotations, sorted by key; the empty namespace has none.
    public var annotations: [Annotation]

    /// A namespace.
    public init(
      name: WrittenName, commonTypes: [CommonTypeDeclaration] = [], entityTypes: [EntityTypeDeclaration] = [],
      actions: [ActionDeclaration] = [], annotations: [Annotation] = []
    ) {
      self.name = name
      self.commonTypes = commonTypes
      self.entityTypes = entityTypes
      self.actions = actions
      self.annotations = annotations
    }
  }

  /// `type Name = Type;`
  public struct CommonTypeDeclaration: Sendable {
    /// The declared name, unqualified.
    public var name: WrittenName
    /// What it stands for.
    public var type: TypeExpression
    /// Annotations, sorted by key.
    public var annotations: [Annotation]

    /// A declaration.
    public init(name: WrittenName, type: TypeExpression, annotations: [Annotation] = []) {
      self.name = name
      self.type = type
      self.annotations = annotations
    }
  }

  /// `entity Name …;`
  public struct EntityTypeDeclaration: Sendable {
    /// Ordinary or enumerated.
    public enum Kind: Sendable {
      /// Parents' types, shape (nil is the empty record), type of tags (nil: no tags).
      case standard(memberOf: [WrittenName], shape: TypeExpression?, tags: TypeExpression?)
      /// The only valid ids, at least one.
      case enumerated([String])
    }

    /// The declared name, unqualified.
    public var name: WrittenName
    /// Ordinary or enumerated.
    public var kind: Kind
    /// Annotations, sorted by key.
    public var annotations: [Annotation]

    /// A declaration.
    public init(name: WrittenName, kind: Kind, annotations: [Annotation] = []) {
      self.name = name
      self.kind = kind
      self.annotations = annotations
    }
  }

  /// A reference to an action in `in` or `memberOf`.
  public struct ActionReference: Sendable {
    /// The action's entity type as written; nil means `Action` of the same namespace.
    public var type: WrittenName?
    /// The action's id.
    public var id: String
    /// Byte offsets in the text.
    public var span: SourceSpan

    /// A reference.
    public init(type: WrittenName?, id: String, span: SourceSpan = .none) {
      self.type = type
      self.id = id
      self.span = span
    }
  }

  /// What an action applies to.
  public struct AppliesTo: Sendable {
    /// Entity types of principals; empty applies to nothing.
    public var principals: [WrittenName]
    /// Entity types of resources; empty applies to nothing.
    public var resources: [WrittenName]
    /// The context's type; nil is the empty record.
    public var context: TypeExpression?

    /// What an action applies to.
    public init(principals: [WrittenName], resources: [WrittenName], context: TypeExpression? = nil) {
      self.principals = principals
      self.resources = resources
      self.context = context
    }
  }

  /// `action name …;`
  public struct ActionDeclaration: Sendable {
    /// The action's id; any string.
    public var name: WrittenName
    /// Parents; nil where none are written.
    public var memberOf: [ActionReference]?
    /// What it applies to; nil applies to nothing.
    public var appliesTo: AppliesTo?
    /// Whether the JSON form gave the action attributes, which no engine supports.
    public var hasAttributes: Bool
    /// Annotations, sorted by key.
    public var annotations: [Annotation]

    /// A declaration.
    public init(
      name: WrittenName, memberOf: [ActionReference]? = nil, appliesTo: AppliesTo? = nil, hasAttributes: Bool = false,
      annotations: [Annotation] = []
    ) {
      self.name = name
      self.memberOf = memberOf
      self.appliesTo = appliesTo
      self.hasAttributes = hasAttributes
      self.annotations = annotations
    }
  }

  /// One attribute of a record type.
  public struct Attribute: Sendable {
    /// The attribute's name; any string.
    public var name: WrittenName
    /// Whether it must be present.
    public var isRequired: Bool
    /// Its type.
    public var type: TypeExpression
    /// Annotations, sorted by key.
    public var annotations: [Annotation]

    /// An attribute.
    public init(name: WrittenName, isRequired: Bool, type: TypeExpression, annotations: [Annotation] = []) {
      self.name = name
      self.isRequired = isRequired
      self.type = type
      self.annotations = annotations
    }
  }

  /// A type as written. The depth is bounded by the readers (`SchemaLimits.depth`).
  public struct TypeExpression: Sendable {
    /// What kind of type.
    public indirect enum Kind: Sendable {
      case long
      case string
      case bool
      /// A set of one type.
      case set(TypeExpression)
      /// A closed record; names are distinct, the last of equal ones was kept.
      case record([Attribute])
      /// A record with undeclared attributes (JSON's `additionalAttributes: true`), which resolution refuses.
      case openRecord([Attribute])
      /// A name that must be an entity type.
      case entity(WrittenName)
      /// A name that must be an extension type.
      case `extension`(WrittenName)
      /// A name that must be a common type.
      case common(WrittenName)
      /// A name that may be either; what the Cedar syntax writes.
      case entityOrCommon(WrittenName)
    }

    /// What kind of type.
    public var kind: Kind
    /// Byte offsets in the text.
    public var span: SourceSpan

    /// A type; `span` is empty for types made by programs.
    public init(_ kind: Kind, span: SourceSpan = .none) {
      self.kind = kind
      self.span = span
    }

    /// Whether this is the closed record without attributes.
    public var isEmptyRecord: Bool {
      if case .record(let attributes) = kind { attributes.isEmpty } else { false }
    }
  }
}

/// What the schema readers accept. Where the reference would overflow its stack we answer with an error.
public struct SchemaLimits: Sendable {
  /// Largest text in bytes.
  public var bytes: Int
  /// Deepest nesting of types, before and after common types are expanded.
  public var depth: Int
  /// Most nodes of one type after common types are expanded.
  public var expandedNodes: Int
  /// Most declarations of all kinds.
  public var declarations: Int
  /// Most errors reported for one text.
  public var errors: Int

  /// Limits; the defaults leave room for every schema a person would write.
  public init(bytes: Int = 16 << 20, depth: Int = 128, expandedNodes: Int = 100_000, declarations: Int = 10_000, errors: Int = 100) {
    self.bytes = bytes
    self.depth = depth
    self.expandedNodes = expandedNodes
    self.declarations = declarations
    self.errors = errors
  }
}
