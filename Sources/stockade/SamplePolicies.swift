internal import Bytes
internal import Crypto
internal import Pipeline

/// The sample policies that the demo uses where there is no policy folder: the files of `policies/`, which a test holds them equal to.
enum SamplePolicies {
  /// The sample as if it had been read from disk.
  static var files: PolicyFiles {
    PolicyFiles(
      policies: [SourceText(name: "orders.cedar", policies)], schema: SourceText(name: "schema.cedarschema", schema),
      entities: SourceText(name: "entities.json", entities),
      hash: "sha256:" + Hex.encode(Digest.sha256((policies + schema + entities).utf8)).prefix(12))
  }

  /// `policies/orders.cedar`.
  static let policies = #"""
    // Who may do what with orders. What no policy permits is refused; a forbid wins over every permit.
    @id("viewers-read-orders")
    permit (
      principal in UserGroup::"demo|viewer",
      action in Action::"read",
      resource in Path::"/orders"
    );

    // Editors change orders, but deleting is not editing.
    @id("editors-edit-orders")
    permit (
      principal in UserGroup::"demo|editor",
      action in [Action::"read", Action::"write"],
      resource in Path::"/orders"
    )
    unless { action == Action::"DELETE" };

    // Everybody edits what is theirs. Whose an order is, the service says (demo.json5, entities).
    @id("owners-edit-own-orders")
    permit (
      principal,
      action == Action::"PUT",
      resource is Order
    )
    when { resource has owner && resource.owner == principal };

    @id("admins-all")
    permit (
      principal in UserGroup::"demo|admin",
      action,
      resource
    );

    // Machines have no groups. Their token says what it was issued for.
    @id("machines-read-orders")
    permit (
      principal,
      action in Action::"read",
      resource in Path::"/orders"
    )
    when { context has token.scope && context.token.scope.contains("orders/read") };

    // Whoever you are.
    @id("archive-is-final")
    @advice("Archived orders are kept as they were; enter a correction as a new order.")
    forbid (
      principal,
      action in Action::"write",
      resource in Path::"/orders/archive"
    );

    // What Stockade asks the service is nobody else's to ask.
    @id("internal-stays-inside")
    forbid (
      principal,
      action,
      resource in Path::"/internal"
    );

    // Freezing is a change of data (entities.json), not of policy.
    @id("frozen")
    @advice("Changes are frozen; try again later.")
    forbid (
      principal,
      action in Action::"write",
      resource
    )
    when { Service::"orders".frozen };

    """#

  /// `policies/schema.cedarschema`.
  static let schema = #"""
    // What the sample policies may talk about. Stockade's built-in mapping makes every request look like this:
    // who asks, which method, which path, and what the request itself says.

    // Users of the identity provider, named "<issuer prefix>|<sub>". Their groups come from the token.
    entity User in [UserGroup] = {
      "cognito:username"?: String,
      email?: String,
    };
    entity UserGroup;

    // A path and, as its ancestors, the paths above it: Path::"/orders/42" is in Path::"/orders" and in Path::"/".
    entity Path in [Path] = {
      path: String,
      // How many segments it has; "/" has none.
      segments: Long,
    };

    // An order whose owner decides something, below its path. The service says who that is; nobody, of an order that is not there.
    entity Order in [Path] = {
      owner?: User,
    };

    // Facts of our own, from entities.json.
    entity Service = {
      // While true, nothing may be changed.
      frozen: Bool,
    };

    // The claims of an access token that the policies use.
    type Token = {
      client_id?: String,
      scope?: Set<String>,
    };

    type Request = {
      http: {
        method: String,
        path: String,
        host?: String,
      },
      // Absent for a client on a unix socket.
      client?: {
        ip: ipaddr,
      },
      time: datetime,
      token?: Token,
    };

    action read, write;
    // A HEAD request asks for what GET asks for, so it is decided as GET.
    action GET, OPTIONS in [read] appliesTo {
      principal: [User],
      resource: [Path],
      context: Request,
    };
    action POST, PATCH, DELETE in [write] appliesTo {
      principal: [User],
      resource: [Path],
      context: Request,
    };
    action PUT in [write] appliesTo {
      principal: [User],
      resource: [Path, Order],
      context: Request,
    };

    """#

  /// `policies/entities.json`.
  static let entities = #"""
    [
      {
        "uid": { "type": "Service", "id": "orders" },
        "attrs": { "frozen": false },
        "parents": []
      }
    ]

    """#

  /// `policies/demo.json5`.
  static let configuration = #"""
    // What `stockade demo` runs by, and what tests/ownership.test.json is checked with.
    {
      development: true,
      upstream: '${DEMO_SERVICE:-http://127.0.0.1:8082}',
      issuers: {
        demo: {
          cognito: 'us-east-1_Demo00000',
          issuer: '${DEMO_ISSUER:-http://127.0.0.1:8081/us-east-1_Demo00000}',
          client_ids: ['demoapp', 'demoserver', 'robot'],
          id_prefix: 'demo',
        },
      },
      policies: '.',
      routes: [
        // Who may change an order depends on whose it is. The service knows, and is asked. In Cedar the order is an Order that is
        // in its path and in the paths above, so that what policies say of paths holds for it as well.
        {
          match: 'PUT /orders/{id}',
          resource: {
            type: 'Order',
            id: '{id}',
            parents: [
              { type: 'Path', id: '/orders/{id}' },
              { type: 'Path', id: '/orders' },
              { type: 'Path', id: '/' },
            ],
          },
          entities: { url: '${DEMO_SERVICE:-http://127.0.0.1:8082}/internal/entities/orders/{id}', timeout: '1s', cache: '1s' },
        },
      ],
      // Everything else by its method and path.
      unrouted: 'path',
    }

    """#
}
