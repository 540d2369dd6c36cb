internal import CedarSchema
internal import HTTP
internal import Telemetry

/// Every setting there is. The table drives the reader, the defaults, the flags and variables, the JSON Schema, and what
/// `stockade config show` prints.
public enum Fields {
  /// Settings with a default or without, outer ones before what stands in them.
  public static let all: [Field] = [
    first, service("upstream", "The service behind", flag: "to"),
    [Field("upstreams", .names, "More services, each under a name by which routes call it")], service("upstreams.*", "One service"),
    process, tls,
    limits, logSinks, traces, issuers, routes, engine("routes.*.engine", "Who decides, for this route"), unrouted, policies,
    engine("engine", "Who decides"),
    engine("compare", "Who is asked in the background about what another engine has decided; differences are logged and counted"),
  ].flatMap { (fields: [Field]) in fields }

  /// Those that a flag of `run` sets.
  public static var flagged: [Field] { all.filter { $0.flag != nil } }

  private static let years: ClosedRange<Int64> = 0...366 * 86_400_000
  static let timeout: ClosedRange<Int64> = 1...86_400_000

  private static let first: [Field] = [
    Field("$schema", .anything, "Where editors find this file's JSON Schema; not read"),
    Field("version", .integer(1...1), "The version of the format", default: "1"),
    Field(
      "mode", .choice(Snapshot.Mode.allCases.map(\.rawValue)), "observe: decide and log, and let pass what would be refused",
      default: "enforce", flag: "mode"),
    Field(
      "close_streams", .choice(StreamRule.allCases.map(\.rawValue)),
      "What is closed when its token ends or its request would be refused by now: upgrades (WebSocket), all responses that still flow, or never",
      default: "upgrades"),
  ]

  private static let process: [Field] = [
    Field(
      "listen", .text("ADDRESS"), "where requests arrive; port 0 takes a free one; unix:PATH; fd:NAME, a socket of systemd's",
      default: Defaults.listen, flag: "listen"),
    Field(
      "share_port", .flag,
      "Whether other processes of the same user may listen there too, as a successor does before this one is told to leave",
      default: "false", flag: "share-port"),
    Field(
      "trusted_proxies", .texts("NETWORK"),
      "Proxies in front whose word is taken for where a request came from: 10.0.0.0/8, an address, or unix for a unix socket's peers"),
    Field(
      "forwarding_field", .choice(ForwardedClient.Source.allCases.map(\.rawValue)), "The field by which trusted proxies say so",
      default: ForwardedClient.Source.xForwardedFor.rawValue),
    Field(
      "proxy_protocol", .flag,
      "Whether connections begin with a PROXY protocol header (version 1 or 2); then trusted proxies alone may connect",
      default: "false"),
    Field("ops", .object, "The listener for operations", shorthand: "listen"),
    Field(
      "ops.listen", .text("ADDRESS"), "where /livez, /readyz, /startupz and /metrics are; as listen", default: Defaults.opsListen,
      flag: "ops-listen"),
    Field("workers", .integer(0...64), "how many threads serve requests; 0: one a processor", default: "0", flag: "workers"),
    Field("drain", .object, "Leaving in good order"),
    Field(
      "drain.delay", .duration(years), "how long /readyz fails before accepting ends at SIGTERM",
      default: millis(Defaults.drainDelayMillis),
      flag: "drain-delay"),
    Field(
      "drain.timeout", .duration(years), "how long requests in flight may then take", default: millis(Defaults.drainTimeoutMillis),
      flag: "drain-timeout"),
    Field("log", .object, "What is written down"),
    Field("log.decisions", .object, "The decision log", shorthand: "to"),
    Field(
      "log.decisions.to", .text("TO"),
      "where decisions go: stdout, none, a file, unix:PATH (a socket), or the http(s) URL of an OpenTelemetry collector", default: "stdout",
      flag: "log"),
    Field(
      "log.decisions.format", .choice(LogSinkSettings.Format.allCases.map(\.rawValue)),
      "json: our own; ecs: Elastic; ocsf: OCSF API Activity; emf: json with CloudWatch metrics; otlp: OpenTelemetry; auto: otlp to a collector, text on a terminal, else json",
      default: "auto", flag: "log-format"),
    Field(
      "log.decisions.record", .choice(["decision", "replayable"]),
      "replayable: with what the policies saw, claims included, for stockade why and replay", default: "decision", flag: "log-record"),
    Field(
      "log.decisions.principal", .choice(["plain", "hmac", "omit"]),
      "How principals are written; hmac: as a hash that needs the key; without plain, what the policies saw is left out too",
      default: "plain"),
    Field("log.decisions.hmac_key", .text("KEY"), "The key of these hashes, at least 16 bytes: ${file:…}", secret: true),
    Field(
      "log.decisions.client_ip", .choice(DecisionShape.Addresses.allCases.map(\.rawValue)),
      "How addresses are written; prefix: 24 bits of an IPv4 address, 48 of an IPv6 one", default: "full"),
    Field("log.decisions.drop", .texts("POINTER"), "What is left out, such as /http/user_agent or /input/context/token/email"),
    Field(
      "log.decisions.allowed_one_in", .integer(1...1_000_000),
      "Of so many decisions that allowed, one is written; refusals always are", default: "1"),
    Field("debug_tickets", .object, "Tickets with which single callers are told all that led to a decision", shorthand: "keys"),
    Field(
      "debug_tickets.keys", .texts("KEY"),
      "The keys, each at least 16 bytes: ['${file:…}']; the first makes tickets (stockade ticket), all are accepted; without any, no ticket is",
      secret: true),
    Field("debug_tickets.max_ttl", .duration(1000...86_400_000), "The longest time that a ticket may last", default: "1h"),
    Field("realm", .text("NAME"), "What challenges call the protected space", default: Defaults.realm),
    Field("development", .flag, "accept a development issuer (stockade demo's); never in production", default: "false", flag: "dev"),
    Field(
      "identity_headers", .object, "How the service is told who asks; what a client sends under these names is removed, and x-amzn-oidc-*"),
    Field(
      "identity_headers.principal", .text("NAME"), "The field for the principal's id; '' sends none", default: IdentityHeaders.principal),
    Field("identity_headers.subject", .text("NAME"), "The field for the token's sub; '' sends none", default: IdentityHeaders.subject),
    Field(
      "identity_headers.groups", .text("NAME"), "The field for the groups, separated by commas; '' sends none",
      default: IdentityHeaders.groups),
    Field("identity_headers.claims", .names, "More fields, each from a claim"),
    Field("identity_headers.claims.*", .text("CLAIM"), "The claim: a name, a.b, or a JSON Pointer"),
    Field("identity_headers.authorization", .choice(["keep", "remove"]), "Whether the service gets the token", default: "keep"),
    Field("revocations", .object, "Tokens that are not accepted though they verify", shorthand: "file"),
    Field(
      "revocations.file", .text("FILE"),
      "a JSON list of { jti }, { origin_jti } or { sub, issued_before }, each with issuer and note if you like; in force within a second of a change",
      flag: "revocations"),
    Field("dpop", .object, "Proofs of possession (RFC 9449), for the routes that demand them"),
    Field("dpop.nonce", .flag, "Whether a proof needs a nonce of ours; with several instances each knows its own only", default: "true"),
    Field("dpop.max_age", .duration(1000...600_000), "How old a proof may be", default: "60s"),
    Field(
      "dpop.origin", .text("ORIGIN"),
      "Scheme and host as clients write them, where something in front ends TLS; default: as the request came"),
    Field("identity_assertion", .object, "A signed statement to the service of who asks, in a field of its own", shorthand: "audience"),
    Field("identity_assertion.audience", .text("NAME"), "Its aud: what the service calls itself"),
    Field("identity_assertion.issuer", .text("NAME"), "Its iss; default: stockade"),
    Field("identity_assertion.header", .text("NAME"), "The field; default: \(IdentityHeaders.assertionName)"),
    Field(
      "identity_assertion.rotate", .duration(1000...(366 * 86_400_000)),
      "How long a signing key is used, default: 1d; the keys are at /assertion/jwks.json of the ops listener"),
    Field(
      "identity_assertion.announce", .duration(1000...86_400_000),
      "How long the next key is shown there before it signs: services may keep the keys as long; default: 5m"),
    Field(
      "protected_resource", .object, "What clients may learn about the service (RFC 9728), and where: challenges name it",
      shorthand: "resource"),
    Field("protected_resource.resource", .text("URL"), "The service's address for its clients, such as https://api.example.com"),
    Field("protected_resource.name", .text("TEXT"), "Its name for people"),
    Field("protected_resource.scopes", .texts("SCOPE"), "The scopes it knows"),
    Field("protected_resource.authorization_servers", .texts("URL"), "Who issues its tokens; default: the issuers"),
    Field("cors", .object, "Browsers of other origins"),
    Field("cors.errors_allow_origins", .texts("ORIGIN"), "Origins whose scripts may read our own 401 and 403"),
  ]

  private static let issuers: [Field] = [
    Field("issuers", .names, "Who may issue tokens, each under a name of yours"),
    Field("issuers.*", .object, "One issuer"),
    Field(
      "issuers.*.cognito", .text("POOL_ID"), "accept tokens of this Amazon Cognito user pool, such as us-east-1_AbC123", flag: "cognito"),
    Field(
      "issuers.*.issuer", .text("URL"),
      "accept tokens of this OpenID Connect issuer; the exact iss of its tokens (with a pool id: of a pool that is not AWS's)",
      flag: "issuer"),
    Field("issuers.*.client_ids", .texts("ID"), "an app client whose tokens are meant for this service", flag: "client-id"),
    Field("issuers.*.audiences", .texts("NAME"), "an audience that access tokens may name", flag: "audience"),
    Field("issuers.*.token_use", .choice(["any", "id", "access"]), "Which tokens are accepted", default: "any"),
    Field(
      "issuers.*.id_prefix", .text("TEXT"), "what stands before | in Cedar ids; default: the pool's id, or the issuer without https://",
      flag: "id-prefix"),
    Field("issuers.*.jwks_url", .text("URL"), "where the issuer's keys are, if not where the issuer says", flag: "jwks-url"),
    Field("issuers.*.jwks", .object, "How fresh the issuer's keys are kept"),
    Field(
      "issuers.*.jwks.refresh", .duration(1000...(7 * 86_400_000)),
      "How old they may become; a shorter max-age of the issuer's counts, down to a minute", default: "1h"),
    Field(
      "issuers.*.jwks.max_stale", .duration(0...(30 * 86_400_000)),
      "How much longer the last good keys serve while the issuer cannot be reached; kept in the state directory over a restart",
      default: "1d"),
    Field(
      "issuers.*.jwks.min_interval", .duration(100...60_000),
      "The shortest time between fetches that tokens with unknown keys cause; such a token waits for its turn", default: "5s"),
    Field("issuers.*.load_balancer", .object, "The AWS load balancer that signs this issuer's users in and tells us in x-amzn-oidc-data"),
    Field("issuers.*.load_balancer.signer", .text("ARN"), "Its ARN"),
    Field("issuers.*.load_balancer.client_id", .text("ID"), "The client that it signs users in for"),
    Field(
      "issuers.*.load_balancer.from", .texts("NETWORK"), "Where its connections come from; from elsewhere the field counts for nothing"),
    Field("issuers.*.load_balancer.keys_url", .text("URL"), "Where its keys are, each under its name; default: where AWS has them"),
    Field(
      "issuers.*.introspection", .object, "Where the issuer says whether a token is still active (RFC 7662); it is asked about every one"),
    Field("issuers.*.introspection.url", .text("URL"), "The endpoint"),
    Field("issuers.*.introspection.client_id", .text("ID"), "The name by which we are known there"),
    Field("issuers.*.introspection.client_secret", .text("SECRET"), "The secret that goes with it", secret: true),
    Field("issuers.*.introspection.cache", .duration(0...3_600_000), "How long an answer is believed; default: 30s"),
    Field(
      "issuers.*.introspection.opaque", .flag,
      "Bearer tokens that are no JWTs are this issuer's, and are what it says of them; without jwks_url or jwks_file it has no others"
    ),
    Field(
      "issuers.*.jwks_file", .text("FILE"), "a file with the issuer's keys, in place of fetching them; read again at every reload",
      flag: "jwks-file"),
    Field(
      "issuers.*.allow_insecure_jwks", .flag, "fetch keys over plain HTTP from elsewhere than this machine", default: "false",
      flag: "allow-insecure-jwks"),
    Field(
      "issuers.*.algorithms", .texts("ALG"),
      "The signature algorithms that are accepted; a Cognito pool's are RS256, others' default to all that are safe"),
    Field("issuers.*.clock_skew", .duration(0...600_000), "Allowance for clocks that differ", default: "60s"),
    Field("issuers.*.max_lifetime", .duration(1000...(366 * 86_400_000)), "The longest time from iat to exp", default: "24h"),
    Field("issuers.*.accept_bare_token", .flag, "Accept an Authorization that is the token alone; default: true for a Cognito pool"),
    Field("issuers.*.mapping", .object, "How its claims become a Cedar principal"),
    Field(
      "issuers.*.mapping.namespace", .text("NAME"), "The Cedar namespace of its principals and groups; default: the one of all types"),
    Field(
      "issuers.*.mapping.principal_type", .text("TYPE"), "The principal's type; namespace applies to a name without ::", default: "User"),
    Field(
      "issuers.*.mapping.group_type", .text("TYPE"), "The type of groups; namespace applies to a name without ::", default: "UserGroup"),
    Field(
      "issuers.*.mapping.id_claim", .text("CLAIM"), "The claim that names the principal: a name, a.b, or a JSON Pointer", default: "sub"),
    Field("issuers.*.mapping.group_claim", .text("CLAIM"), "The claim that lists the groups; default: cognito:groups, or groups"),
    Field("issuers.*.mapping.scope_claim", .text("CLAIM"), "The claim that lists the scopes; default: scope, or scp"),
    Field("issuers.*.mapping.attributes", .names, "More attributes of the principal, each from a claim"),
    Field("issuers.*.mapping.attributes.*", .object, "One attribute", shorthand: "claim"),
    Field("issuers.*.mapping.attributes.*.claim", .text("CLAIM"), "The claim: a name, a.b, or a JSON Pointer"),
    Field(
      "issuers.*.mapping.attributes.*.type", .choice(TypedText.allCases.map(\.rawValue) + ["as_is"]), "What the claim's text is read as",
      default: "as_is"),
  ]

  private static let routes: [Field] = [
    Field("routes", .list, "What requests ask for; without routes the method is the action and the path the resource"),
    Field("routes.*", .object, "One route", shorthand: "match"),
    Field("routes.*.match", .text("METHOD PATH"), "Methods and a path: 'GET /orders/{id}', 'PUT,PATCH /files/{rest...}', '* /x'"),
    Field("routes.*.host", .text("NAME"), "Only requests to this host; *.example.com for all below it"),
    Field(
      "routes.*.access", .choice(Route.Access.allCases.map(\.rawValue)),
      "public: everyone; preflight: CORS preflights; authenticated: whoever has a token; policy: whom policies permit", default: "policy"),
    Field("routes.*.action", .text("NAME"), "Cedar's action; default: the method"),
    Field("routes.*.resource", .object, "Cedar's resource; default: the path"),
    Field("routes.*.resource.type", .text("TYPE"), "Its type; namespace applies to a name without ::"),
    Field("routes.*.resource.id", .text("TEMPLATE"), "Its id: text with {parameter}, {query.NAME}, {header.NAME}, {body.NAME}"),
    Field("routes.*.resource.attributes", .names, "Its attributes"),
    Field("routes.*.resource.attributes.*", .object, "One attribute", shorthand: "value"),
    Field(
      "routes.*.resource.attributes.*.value", .text("TEMPLATE"),
      "Its value: text with {parameter}, {query.NAME}, {header.NAME}, {body.NAME}"),
    Field(
      "routes.*.resource.attributes.*.type", .choice(TypedText.allCases.map(\.rawValue)), "What the text is read as", default: "string"),
    Field("routes.*.resource.attributes.*.optional", .flag, "Whether the attribute is left out if the request lacks it", default: "false"),
    Field("routes.*.resource.parents", .list, "What it is in"),
    Field("routes.*.resource.parents.*", .object, "One parent"),
    Field("routes.*.resource.parents.*.type", .text("TYPE"), "Its type"),
    Field("routes.*.resource.parents.*.id", .text("TEMPLATE"), "Its id"),
    Field("routes.*.body", .object, "Fields of a JSON body that policies see in context.http.body; the body is read before the decision"),
    Field("routes.*.body.max", .size(1...(16 << 20)), "The largest body that is read; default: 64KiB"),
    Field("routes.*.body.timeout", .duration(1...600_000), "How long it may take to arrive; default: 30s"),
    Field("routes.*.body.fields", .names, "The fields: names of yours"),
    Field("routes.*.body.fields.*", .text("POINTER"), "Where it is in the body: a name, a.b, or a JSON Pointer"),
    Field("routes.*.entities", .object, "Where entities are looked up that policies need for the decision", shorthand: "url"),
    Field(
      "routes.*.entities.url", .text("TEMPLATE"),
      "What to GET: a URL with {parameter}, {query.NAME}, {header.NAME}, {body.NAME}, {principal.id}; the answer: entities in JSON, or 404"),
    Field("routes.*.entities.timeout", .duration(1...60_000), "How long a request waits for the answer; default: 500ms"),
    Field("routes.*.entities.cache", .duration(0...3_600_000), "How long an answer serves; default: 10s"),
    Field("routes.*.entities.max", .size(1...(4 << 20)), "The largest answer; default: 64KiB"),
    Field("routes.*.entities.headers", .names, "Fields that are sent along"),
    Field("routes.*.entities.headers.*", .text("VALUE"), "The field's value", secret: true),
    Field("routes.*.scopes", .texts("SCOPE"), "Scopes that the token must have, all of them"),
    Field("routes.*.dpop", .flag, "Whether whoever asks must prove to hold the key of its token (RFC 9449)"),
    Field(
      "routes.*.certificate_bound", .flag,
      "Whether the token must be bound to the certificate of the client that sends it (RFC 8705); tls.client_certificates asks for one"),
    Field("routes.*.step_up", .object, "What the sign-in behind the token must be like; if it is not, the client is told so (RFC 9470)"),
    Field("routes.*.step_up.acr", .texts("ACR"), "Accepted values of acr, the preferred one first"),
    Field("routes.*.step_up.max_age", .duration(1000...(366 * 86_400_000)), "The longest time since auth_time"),
    Field("routes.*.mode", .choice(Snapshot.Mode.allCases.map(\.rawValue)), "As `mode`, for this route"),
    Field("routes.*.close_streams", .choice(StreamRule.allCases.map(\.rawValue)), "As `close_streams`, for this route"),
    Field("routes.*.upstream", .text("URL"), "The service behind this route: a URL, or a name of upstreams"),
    Field("routes.*.connect_timeout", .duration(timeout), "As upstream.connect_timeout, for this route"),
    Field("routes.*.response_timeout", .duration(timeout), "As upstream.response_timeout, for this route"),
    Field("routes.*.body_timeout", .duration(timeout), "As upstream.body_timeout, for this route"),
    Field("routes.*.total_timeout", .duration(timeout), "As limits.total_timeout, for this route"),
    Field("routes.*.paths", .object, "How the service behind this route reads paths, if otherwise than byte for byte"),
    Field(
      "routes.*.paths.semicolon", .choice(["refuse", "data"]), "data: it knows no path parameters, ; belongs to its segment",
      default: "refuse"),
    Field(
      "routes.*.paths.encoded_slash", .choice(["refuse", "data"]), "data: it splits before it decodes, %2F belongs to its segment",
      default: "refuse"),
    Field("routes.*.paths.trailing_slash", .choice(["differs", "same"]), "same: /a/ is /a to it, and to policies", default: "differs"),
    Field(
      "routes.*.paths.case", .choice(["differs", "same"]), "same: /A is /a to it; policies see paths in lower case", default: "differs"),
    Field(
      "routes.*.body_limit", .size(0...(1 << 50)),
      "The largest request body; default: limits.body, or 1MiB where `sign` signs a body's hash"),
    Field(
      "routes.*.sign", .object, "For a service that is an API of AWS: the request is signed (Signature Version 4)", shorthand: "service"),
    Field("routes.*.sign.service", .text("NAME"), "The service's name in signatures, such as s3, execute-api or lambda"),
    Field("routes.*.sign.region", .text("REGION"), "Its region; default: the environment's, else the profile's, else the identity pool's"),
    Field(
      "routes.*.sign.credentials", .choice(["own", "identity_pool"]),
      "own: the proxy's, found as the AWS command line finds them; identity_pool: those that a Cognito identity pool gives for the identity token of whoever asks; default: own"
    ),
    Field("routes.*.sign.profile", .text("NAME"), "The profile of the AWS configuration whose credentials sign; default: the usual chain"),
    Field("routes.*.sign.identity_pool", .text("ID"), "The Cognito identity pool"),
    Field(
      "routes.*.sign.body", .choice(UpstreamSigning.Body.allCases.map(\.rawValue)),
      "hash: a body is read whole, within body_limit, and its hash is signed; unsigned: it goes on as it comes, where the service takes that over TLS; default: hash"
    ),
  ]

  private static let unrouted = [
    Field("unrouted", .choice(["deny", "path"]), "What no route matches: refused, or mapped by method and path", default: "deny")
  ]

  private static func engine(_ place: String, _ help: String) -> [Field] {
    let remote = "\(place).verified_permissions"
    return [
      Field(place, .object, help), Field("\(place).local", .object, "The Cedar engine in this process"),
      Field(remote, .object, "Amazon Verified Permissions"),
      Field("\(remote).policy_store", .text("ID"), "The policy store: its id, or policy-store-alias/NAME"),
      Field(
        "\(remote).operation", .choice(RemoteEngine.Operation.allCases.map(\.rawValue)),
        "IsAuthorized: our mapping's principal, entities and context; IsAuthorizedWithToken: the token itself; default: IsAuthorized"),
      Field("\(remote).region", .text("REGION"), "The store's region; default: the environment's, else the profile's"),
      Field("\(remote).endpoint", .text("URL"), "The service's URL; default: AWS_ENDPOINT_URL_VERIFIEDPERMISSIONS, else the region's"),
      Field("\(remote).fips", .flag, "Whether to use hosts validated by FIPS 140; default: as the environment says"),
      Field("\(remote).dual_stack", .flag, "Whether to use hosts with IPv6 addresses; default: as the environment says"),
      Field("\(remote).profile", .text("NAME"), "The profile of the AWS configuration whose credentials sign; default: the usual chain"),
      Field("\(remote).identity_pool", .text("ID"), "The Cognito identity pool whose guest credentials sign, instead of the usual chain"),
      Field("\(remote).timeout", .duration(1...60_000), "How long a request waits for the answer, all tries together; default: 1s"),
      Field("\(remote).attempt_timeout", .duration(1...60_000), "How long one try may take; default: 400ms"),
      Field("\(remote).connect_timeout", .duration(1...60_000), "How long connecting may take; default: 300ms"),
      Field("\(remote).attempts", .integer(1...10), "How often the service is asked at most; default: 3"),
      Field("\(remote).max_in_flight", .integer(1...10_000), "How many questions a worker asks at the same time; default: 64"),
      Field("\(remote).max_waiting", .integer(0...100_000), "How many more wait for their turn; default: 1024"),
      Field(
        "\(remote).cache", .duration(0...3_600_000), "How long an answer serves equal questions, never longer than its token; default: 0"),
      Field(
        "\(remote).batch", .flag,
        "Whether questions that wait at the same moment for one principal or one resource travel together; default: false"),
      Field(
        "\(remote).fallback", .choice(["none", "local"]),
        "local: where the service does not answer, the policies in files decide; default: none, which refuses"),
    ]
  }

  private static let policies: [Field] = [
    Field("policies", .object, "What is permitted", shorthand: "dir"),
    Field("policies.dir", .text("DIR"), "folder with *.cedar, schema.cedarschema and entities.json", flag: "policies"),
    Field("policies.store", .object, "A policy store of Verified Permissions whose policies are taken in place of files, and followed"),
    Field("policies.store.policy_store", .text("ID"), "The policy store: its id, or policy-store-alias/NAME"),
    Field("policies.store.poll", .duration(100...86_400_000), "How long it is left alone between two looks; default: 30s"),
    Field("policies.store.region", .text("REGION"), "The store's region; default: the environment's, else the profile's"),
    Field("policies.store.endpoint", .text("URL"), "The service's URL; default: AWS_ENDPOINT_URL_VERIFIEDPERMISSIONS, else the region's"),
    Field("policies.store.fips", .flag, "Whether to use hosts validated by FIPS 140; default: as the environment says"),
    Field("policies.store.dual_stack", .flag, "Whether to use hosts with IPv6 addresses; default: as the environment says"),
    Field("policies.store.profile", .text("NAME"), "The profile of the AWS configuration whose credentials sign; default: the usual chain"),
    Field(
      "policies.store.identity_pool", .text("ID"), "The Cognito identity pool whose guest credentials sign, instead of the usual chain"),
    Field(
      "policies.ids", .choice(PolicyBundle.Options.PolicyIDs.allCases.map(\.rawValue)),
      "what policies are called: annotation, by their @id, else by file and place; position, by file and place", default: "annotation",
      flag: "policy-ids"),
    Field(
      "on_policy_error", .choice(Authorization.OnPolicyError.allCases.map(\.rawValue)),
      "a forbid that fails to evaluate refuses (deny) or does not apply (skip, as Cedar)", default: "deny", flag: "on-policy-error"),
    Field("namespace", .text("NAME"), "The Cedar namespace of actions and of types without ::"),
    Field("context", .object, "What policies see of a request beside method, path, host, client and time"),
    Field("context.headers", .texts("NAME"), "Fields of the request for context.http.headers"),
    Field("context.query", .texts("NAME"), "Parameters of the query for context.http.query"),
  ]

  static func millis(_ value: UInt64) -> String { Units.duration(Int64(clamping: value)) }
}
