import Bytes
import Net
import TestSupport
import Testing

@testable import Pipeline

/// What is said about a configuration that is wrong, each as a person would want to read it.
@Suite struct ConfigurationMessagesTests {
  private struct Case {
    let name: String
    var file: String?
    var flags: [String: [String]] = [:]
    var variables: [String: String] = [:]
    var files: [String: String] = [:]
    var sockets: [Systemd.InheritedSocket]?
  }

  /// A configuration that is in order, with lines added and some of it replaced.
  private static func with(_ line: String, upstream: String = "upstream: 'http://127.0.0.1:3000',", issuer: String = pool) -> String {
    "{\n  \(upstream)\n  issuers: { main: { \(issuer) } },\n  \(line)\n}\n"
  }
  private static let pool = "cognito: 'us-east-1_AbC123', client_ids: ['app']"
  private static func route(_ text: String) -> String { with("routes: [\n    \(text)\n  ],") }

  private static func tls(_ more: String) -> String { "tls: { certificates: [{ certificate: 'api.pem', key: 'api.key' }], \(more) }," }

  private static func handedOver(_ names: String) -> [Systemd.InheritedSocket] {
    Systemd.inheritedSockets(listenPID: "1", listenFDs: "3", names: names, processID: 1)
  }

  private static let cases: [Case] = [
    // The text.
    Case(name: "an empty file", file: ""),
    Case(name: "a list", file: "[]"),
    Case(name: "a comment of another language", file: "# mine\n{}"),
    Case(name: "a bracket that is not closed", file: "{ upstream: 'x'"),
    Case(name: "a comment that is not closed", file: "{ /* upstream: 'x' }"),
    Case(name: "a string that is not closed", file: "{ upstream: 'http://x,\n}"),
    Case(name: "a time without quotes", file: with("drain: { delay: 30s },")),
    Case(name: "a missing comma", file: "{\n  mode: 'observe'\n  listen: 'x'\n}"),
    Case(name: "an equals sign", file: "{ mode = 'observe' }"),
    // Names.
    Case(name: "a mistyped name", file: with("mod: 'observe',")),
    Case(name: "a name of elsewhere", file: with("connect_timeout: '1s',")),
    Case(name: "a name that nothing is like", file: with("frobnicate: true,")),
    Case(name: "a mistyped name inside", file: with("", issuer: "cognito: 'us-east-1_AbC123', client_id: ['app']")),
    Case(name: "a name given twice", file: with("mode: 'observe', mode: 'enforce',")),
    Case(name: "an issuer given twice", file: "{ upstream: 'http://a', issuers: { main: { \(pool) }, main: { \(pool) } } }"),
    Case(name: "an issuer without a name", file: "{ upstream: 'http://a', issuers: { '': { \(pool) } } }"),
    // Types and units.
    Case(name: "a string for a list", file: with("", issuer: "cognito: 'us-east-1_AbC123', client_ids: 'app'")),
    Case(name: "a number for a string", file: with("listen: 8080,")),
    Case(name: "a null", file: with("listen: null,")),
    Case(name: "a quoted number", file: with("workers: '4',")),
    Case(name: "a quoted truth", file: with("development: 'yes',")),
    Case(name: "a slash that is data in the rest", file: route("{ match: 'GET /f/{rest...}', paths: { encoded_slash: 'data' } }")),
    Case(name: "a slash that is data in a path", file: route("{ match: 'GET /f/{name}', paths: { encoded_slash: 'data' } }")),
    Case(name: "capitals where case is the same", file: route("{ match: 'GET /Files', paths: { case: 'same' } }")),
    Case(name: "a proxy that is everybody", file: with("trusted_proxies: ['0.0.0.0/0'],")),
    Case(name: "a step-up that demands nothing", file: route("{ match: 'GET /a', step_up: {} }")),
    Case(name: "an acr that cannot stand in a challenge", file: route("{ match: 'GET /a', step_up: { acr: ['a b'] } }")),
    Case(name: "a step-up where no token is asked for", file: route("{ match: 'GET /a', access: 'public', step_up: { max_age: '5m' } }")),
    Case(name: "a proof where no token is asked for", file: route("{ match: 'GET /a', access: 'public', dpop: true }")),
    Case(name: "an origin with a path", file: with("dpop: { origin: 'https://api.example.com/v1' },")),
    Case(name: "an introspection without credentials", file: with("", issuer: pool + ", introspection: { url: 'https://a.example/i' }")),
    Case(
      name: "opaque tokens of a user pool",
      file: with("", issuer: pool + ", introspection: { url: 'https://a.example/i', client_id: 'a', client_secret: 'b', opaque: true }")),
    Case(
      name: "opaque tokens of two issuers",
      file: """
        {
          upstream: 'http://127.0.0.1:3000',
          issuers: {
            one: { issuer: 'https://one.example', client_ids: ['app'], introspection: { url: 'https://one.example/i', client_id: 'a', client_secret: 'b', opaque: true } },
            two: { issuer: 'https://two.example', client_ids: ['app'], introspection: { url: 'https://two.example/i', client_id: 'a', client_secret: 'b', opaque: true } },
          },
        }
        """),
    Case(
      name: "opaque tokens for a service that reads tokens",
      file: """
        {
          upstream: 'http://127.0.0.1:3000',
          engine: { verified_permissions: { policy_store: 'PSEXAMPLEabcdefg111111', region: 'eu-west-1', operation: 'IsAuthorizedWithToken' } },
          issuers: {
            one: { issuer: 'https://one.example', client_ids: ['app'], introspection: { url: 'https://one.example/i', client_id: 'a', client_secret: 'b', opaque: true } },
          },
        }
        """),
    Case(
      name: "a load balancer from anywhere",
      file: with(
        "",
        issuer:
          "issuer: 'https://a.example', load_balancer: { signer: 'arn:aws:elasticloadbalancing:us-east-1:1:loadbalancer/app/a/b', client_id: 'a', from: ['0.0.0.0/0'] }"
      )),
    Case(
      name: "a load balancer nobody knows",
      file: with("", issuer: "issuer: 'https://a.example', load_balancer: { signer: 'mine', client_id: 'a', from: ['10.0.0.0/8'] }")),
    Case(
      name: "a load balancer for a pool",
      file: with(
        "",
        issuer:
          "cognito: 'us-east-1_AbC123', load_balancer: { signer: 'arn:aws:elasticloadbalancing:us-east-1:1:l', client_id: 'a', from: ['10.0.0.0/8'] }"
      )),
    Case(
      name: "a load balancer without networks",
      file: with("", issuer: "issuer: 'https://a.example', load_balancer: { signer: 'mine', client_id: 'a' }")),
    Case(name: "an assertion for nobody", file: with("identity_assertion: { issuer: 'me' },")),
    Case(name: "an assertion in a field that has a meaning", file: with("identity_assertion: { audience: 'a', header: 'Host' },")),
    Case(name: "a protected resource without an address", file: with("protected_resource: { name: 'Orders' },")),
    Case(name: "a protected resource over plain HTTP", file: with("protected_resource: 'http://api.example.com',")),
    Case(name: "a network with bits behind its prefix", file: with("trusted_proxies: ['10.0.0.1/8'],")),
    Case(name: "a PROXY header from nobody", file: with("proxy_protocol: true,")),
    Case(name: "a number out of range", file: with("workers: 1000,")),
    Case(name: "another version", file: with("version: 2,")),
    Case(name: "a time without unit", file: with("drain: { timeout: 25 },")),
    Case(name: "a time without unit, in quotes", file: with("drain: { timeout: '25' },")),
    Case(name: "a time in a unit that is none", file: with("drain: { timeout: '2 minutes' },")),
    Case(name: "a time that is too short", file: with("", upstream: "upstream: { url: 'http://a', connect_timeout: '0s' },")),
    Case(name: "a size without unit", file: route("{ match: 'POST /a', body_limit: 1000 }")),
    Case(name: "a word that is near", file: with("mode: 'observed',")),
    Case(name: "a word that is not", file: with("mode: 'off',")),
    Case(name: "an object for a list", file: with("routes: { match: 'GET /' },")),
    // References.
    Case(name: "a variable that is not set", file: with("listen: '${LISTEN_ON}',")),
    Case(name: "a variable that must be set", file: with("realm: '${REALM:?say what is protected}',")),
    Case(name: "a reference that is none", file: with("realm: '${1REALM}',")),
    Case(name: "a reference without end", file: with("realm: '${REALM',")),
    Case(name: "a dollar sign", file: with("realm: 'cash $ carry',")),
    Case(name: "a file that is not there", file: with("realm: '${file:/run/secrets/realm}',")),
    Case(name: "a secret where none can be", file: with("mode: '${file:secret}',"), files: ["secret": "s3cret\n"]),
    Case(
      name: "a secret that is no claim", file: with("", issuer: "\(pool), mapping: { group_claim: '${file:secret}' }"),
      files: ["secret": "s3cret..b\n"]),
    Case(name: "a variable in a path that is not set", file: with("realm: '${file:${CREDENTIALS_DIRECTORY}/realm}',")),
    Case(
      name: "a file of a variable that is not there", file: with("realm: '${file:${SECRETS:-/run}/realm}',"), variables: ["SECRETS": "/a}b"]
    ),
    Case(name: "references that are too deep", file: with("realm: '${A:-${B:-${C:-${D:-${E:-x}}}}}',")),
    Case(name: "a reference in another without end", file: with("realm: '${A:-${B:-x}',")),
    // Places.
    Case(name: "an address without port", file: with("listen: 'localhost',")),
    Case(name: "a host name for an address", file: with("ops: { listen: 'ops.example.com:9902' },")),
    Case(name: "a socket without name", file: with("listen: 'fd:',")),
    Case(name: "a socket and none was handed over", file: with("listen: 'fd:http',"), sockets: []),
    Case(name: "a socket that was not handed over", file: with("listen: 'fd:web',"), sockets: handedOver("http:ops:")),
    Case(name: "two sockets of one name", file: with("listen: 'fd:http',"), sockets: handedOver("http:http:ops")),
    Case(name: "one socket for both", file: with("listen: 'fd:http', ops: 'fd:http',"), sockets: handedOver("http:ops:x")),
    Case(name: "a flag's address", file: with(""), flags: ["listen": ["8080"]]),
    Case(name: "a variable of the wrong type", file: with("workers: '${MANY}',"), variables: ["MANY": "many"]),
    // What is needed.
    Case(name: "nothing said"),
    Case(name: "an empty list of addresses", file: with("", upstream: "upstream: [],")),
    Case(name: "an address given twice", file: with("", upstream: "upstream: ['http://a:1', 'http://a:1'],")),
    Case(name: "a service without an address", file: with("upstreams: { orders: { max_waiting: 1 } },")),
    Case(name: "a service with the usual one's name", file: with("upstreams: { upstream: 'http://a' },")),
    Case(
      name: "a route to an unknown service",
      file: with("upstreams: { orders: 'http://a' }, routes: [{ match: 'GET /', upstream: 'order' }],")),
    Case(name: "a route to a service nobody named", file: with("routes: [{ match: 'GET /', upstream: 'orders' }],")),
    Case(name: "a health check without a path", file: with("", upstream: "upstream: { url: 'http://a', health: { interval: '1s' } },")),
    Case(name: "a health check of something else", file: with("", upstream: "upstream: { url: 'http://a', health: 'up' },")),
    Case(name: "a limit of nothing", file: with("limits: { connections: 0 },")),
    Case(name: "no upstream", file: "{ issuers: { main: { \(pool) } } }"),
    Case(name: "no issuer", file: "{ upstream: 'http://a' }"),
    // Issuers.
    Case(name: "neither pool nor issuer", file: with("", issuer: "client_ids: ['app']")),
    Case(name: "a pool id that is none", file: with("", issuer: "cognito: 'us-east-1AbC', client_ids: ['app']")),
    Case(name: "an issuer that is no URL", file: with("", issuer: "issuer: 'login.example.com', client_ids: ['app']")),
    Case(name: "no client", file: with("", issuer: "cognito: 'us-east-1_AbC123'")),
    Case(name: "a development issuer", file: with("", issuer: "issuer: 'http://127.0.0.1:8081', client_ids: ['app']")),
    Case(name: "an algorithm that is not safe", file: with("", issuer: "\(pool), algorithms: ['HS256']")),
    Case(
      name: "the same prefix",
      file:
        "{ upstream: 'http://a', issuers: {\n  a: { \(pool), id_prefix: 'x' },\n  b: { issuer: 'https://b.example', client_ids: ['b'], id_prefix: 'x' } } }"
    ),
    Case(
      name: "a prefix that begins another",
      file:
        "{ upstream: 'http://a', issuers: {\n  a: { \(pool), id_prefix: 'x' },\n  b: { issuer: 'https://b.example', client_ids: ['b'], id_prefix: 'x|y' } } }"
    ),
    Case(
      name: "the same issuer twice",
      file: "{ upstream: 'http://a', issuers: {\n  a: { \(pool), id_prefix: 'x' },\n  b: { \(pool), id_prefix: 'y' } } }"),
    Case(name: "keys from two places", file: with("", issuer: "\(pool), jwks_url: 'https://a.example/keys', jwks_file: 'keys.json'")),
    Case(name: "a key file that is not there", file: with("", issuer: "\(pool), jwks_file: 'keys.json'")),
    Case(name: "a scope claim that is none", file: with("", issuer: "\(pool), mapping: { scope_claim: '' }")),
    Case(name: "an issuer's namespace that is none", file: with("", issuer: "\(pool), mapping: { namespace: 'My-App' }")),
    Case(name: "a claim that is none", file: with("", issuer: "\(pool), mapping: { group_claim: 'a..b' }")),
    Case(name: "a type that is no name", file: with("", issuer: "\(pool), mapping: { principal_type: 'My User' }")),
    Case(name: "one type for users and groups", file: with("", issuer: "\(pool), mapping: { group_type: 'User' }")),
    Case(name: "an attribute without claim", file: with("", issuer: "\(pool), mapping: { attributes: { level: { type: 'long' } } }")),
    // Routes.
    Case(name: "a route without match", file: route("{ action: 'view' }")),
    Case(name: "a match without method", file: route("{ match: '/orders' }")),
    Case(name: "a method in small letters", file: route("{ match: 'get /orders' }")),
    Case(name: "a path without slash", file: route("{ match: 'GET orders' }")),
    Case(name: "an empty segment", file: route("{ match: 'GET /a//b' }")),
    Case(name: "a glob", file: route("{ match: 'GET /files/**' }")),
    Case(name: "a parameter that is part of a segment", file: route("{ match: 'GET /files/{name}.txt' }")),
    Case(name: "a parameter twice", file: route("{ match: 'GET /a/{id}/b/{id}' }")),
    Case(name: "a rest that is not last", file: route("{ match: 'GET /a/{rest...}/b' }")),
    Case(name: "an escape in a path", file: route("{ match: 'GET /a%20b' }")),
    Case(name: "a query in a path", file: route("{ match: 'GET /a?b=c' }")),
    Case(name: "a segment that is refused anyway", file: route("{ match: 'GET /a/../b' }")),
    Case(name: "a tie", file: route("{ match: 'GET /orders/{id}' },\n    { match: 'GET,PUT /orders/{order}' }")),
    Case(name: "a parameter that the path has not", file: route("{ match: 'GET /orders/{id}', resource: { type: 'Order', id: '{ids}' } }")),
    Case(name: "a resource without id", file: route("{ match: 'GET /orders/{id}', resource: { type: 'Order' } }")),
    Case(name: "a resource without type", file: route("{ match: 'GET /orders/{id}', resource: { id: '{id}' } }")),
    Case(name: "a credential for policies", file: route("{ match: 'GET /o', resource: { type: 'O', id: '{header.Authorization}' } }")),
    Case(name: "a field that is removed", file: route("{ match: 'GET /o', resource: { type: 'O', id: '{header.X-Forwarded-For}' } }")),
    Case(name: "an action in Cedar's words", file: route("{ match: 'GET /o', action: 'Action::\"view\"' }")),
    Case(name: "a public route with an action", file: route("{ match: 'GET /healthz', access: 'public', action: 'view' }")),
    Case(name: "a public route with scopes", file: route("{ match: 'GET /healthz', access: 'public', scopes: ['a'] }")),
    Case(name: "preflights of another method", file: route("{ match: 'GET /{rest...}', access: 'preflight' }")),
    Case(name: "a host with a port", file: route("{ match: 'GET /', host: 'api.example.com:443' }")),
    Case(name: "an engine without a store", file: route("{ match: 'GET /', engine: { verified_permissions: { region: 'us-east-1' } } }")),
    Case(name: "a store that is none", file: with("engine: { verified_permissions: { policy_store: 'a b' } },")),
    Case(name: "two engines", file: with("engine: { local: {}, verified_permissions: { policy_store: 'PS' } },")),
    Case(name: "an operation that is none", file: with("engine: { verified_permissions: { policy_store: 'PS', operation: 'Allow' } },")),
    Case(
      name: "a try longer than all tries",
      file: with("engine: { verified_permissions: { policy_store: 'PS', timeout: '1s', attempt_timeout: '2s' } },")),
    Case(
      name: "an endpoint and a switch",
      file: with("engine: { verified_permissions: { policy_store: 'PS', endpoint: 'https://avp.example', fips: true } },")),
    Case(name: "nothing to compare", file: with("compare: { local: {} },")),
    Case(
      name: "two sources of credentials",
      file: with("engine: { verified_permissions: { policy_store: 'PS', profile: 'app', identity_pool: 'us-east-1:x' } },")),
    // Requests that are signed.
    Case(name: "a signature without a service", file: route("{ match: 'GET /', sign: { region: 'us-east-1' } }")),
    Case(name: "a service that is none", file: route("{ match: 'GET /', sign: 'S3 ' }")),
    Case(name: "a signature for no region", file: route("{ match: 'GET /', sign: { service: 's3', region: 'Ireland' } }")),
    Case(
      name: "an identity pool that is not asked", file: route("{ match: 'GET /', sign: { service: 's3', identity_pool: 'us-east-1:x' } }")),
    Case(name: "no identity pool to ask", file: route("{ match: 'GET /', sign: { service: 's3', credentials: 'identity_pool' } }")),
    Case(
      name: "an identity pool that is none",
      file: route("{ match: 'GET /', sign: { service: 's3', credentials: 'identity_pool', identity_pool: 'x' } }")),
    Case(
      name: "an identity pool and a profile",
      file: route("{ match: 'GET /', sign: { service: 's3', credentials: 'identity_pool', identity_pool: 'us-east-1:x', profile: 'p' } }")),
    Case(
      name: "an identity pool for nobody",
      file: route(
        "{ match: 'GET /', access: 'public', sign: { service: 's3', credentials: 'identity_pool', identity_pool: 'us-east-1:x' } }")),
    Case(name: "a body whose hash is too much", file: route("{ match: 'PUT /', body_limit: '1GiB', sign: 's3' }")),
    Case(
      name: "a service that wants signed bodies",
      file: route("{ match: 'PUT /', upstream: 'https://a', sign: { service: 'lambda', body: 'unsigned' } }")),
    Case(name: "a body that nothing protects", file: route("{ match: 'PUT /', sign: { service: 's3', body: 'unsigned' } }")),
    Case(name: "unrouted without routes", file: with("unrouted: 'path',")),
    // What a route asks for beyond the head.
    Case(name: "a body on a public route", file: route("{ match: 'POST /a', access: 'public', body: { fields: { a: '/a' } } }")),
    Case(name: "a look-up for preflights", file: route("{ match: 'OPTIONS /a', access: 'preflight', entities: 'http://a/b' }")),
    Case(name: "a body without fields", file: route("{ match: 'POST /a', body: { max: '1KiB' } }")),
    Case(name: "a field that leads nowhere", file: route("{ match: 'POST /a', body: { fields: { amount: '/a~b' } } }")),
    Case(name: "a field with a name that is none", file: route("{ match: 'POST /a', body: { fields: { 'a b': '/a' } } }")),
    Case(
      name: "a body that is larger than may come",
      file: route("{ match: 'POST /a', body_limit: '10B', body: { max: '1KiB', fields: { a: '/a' } } }")),
    Case(name: "a body that is too large", file: route("{ match: 'POST /a', body: { max: '1GiB', fields: { a: '/a' } } }")),
    Case(
      name: "a field of the body that is not named",
      file: route("{ match: 'POST /a', body: { fields: { amount: '/a' } }, resource: { type: 'O', id: '{body.amont}' } }")),
    Case(name: "a field of no body", file: route("{ match: 'POST /a', resource: { type: 'O', id: '{body.amount}' } }")),
    Case(
      name: "the principal as a part of the resource", file: route("{ match: 'GET /a', resource: { type: 'O', id: '{principal.id}' } }")),
    Case(name: "a look-up without URL", file: route("{ match: 'GET /a', entities: { timeout: '1s' } }")),
    Case(name: "a look-up of another kind", file: route("{ match: 'GET /a/{id}', entities: 'file:///orders/{id}' }")),
    Case(name: "a look-up whose host a client chooses", file: route("{ match: 'GET /a/{id}', entities: 'http://{id}.example/a' }")),
    Case(name: "a look-up with a password", file: route("{ match: 'GET /a/{id}', entities: 'http://me:secret@orders.example/a' }")),
    Case(name: "a look-up without path", file: route("{ match: 'GET /a/{id}', entities: 'http://orders.example' }")),
    Case(name: "a look-up with dots", file: route("{ match: 'GET /a/{id}', entities: 'http://orders.example/../{id}' }")),
    Case(name: "a look-up with a fragment", file: route("{ match: 'GET /a/{id}', entities: 'http://orders.example/#{id}' }")),
    Case(
      name: "a look-up with a parameter that the path has not",
      file: route("{ match: 'GET /a/{id}', entities: 'http://o.example/{order}' }")),
    Case(
      name: "a look-up with credentials of the client",
      file: route("{ match: 'GET /a', entities: 'http://o.example/{header.authorization}' }")),
    Case(
      name: "a field that is not ours to send",
      file: route("{ match: 'GET /a', entities: { url: 'http://o.example/a', headers: { Host: 'x' } } }")),
    Case(
      name: "a field with a line break",
      file: route("{ match: 'GET /a', entities: { url: 'http://o.example/a', headers: { 'X-Key': 'a\\r\\nb' } } }")),
    Case(
      name: "a time that is too long for a look-up",
      file: route("{ match: 'GET /a', entities: { url: 'http://o.example/a', timeout: '1h' } }")),
    // The rest.
    Case(name: "a namespace that is no name", file: with("namespace: 'My App',")),
    Case(name: "an identity header that is taken", file: with("identity_headers: { principal: 'Host' },")),
    Case(name: "an identity header that is no name", file: with("identity_headers: { subject: 'X User' },")),
    Case(name: "two identity headers of one name", file: with("identity_headers: { claims: { 'x_stockade_subject': 'email' } },")),
    Case(name: "an origin with a path", file: with("cors: { errors_allow_origins: ['https://app.example.com/'] },")),
    Case(name: "every origin", file: with("cors: { errors_allow_origins: ['*'] },")),
    Case(name: "a field of another's", file: with("context: { headers: ['Cookie'] },")),
    Case(name: "a flag that is not possible", file: with(""), flags: ["mode": ["observed"], "workers": ["many"], "drain-delay": ["5"]]),
    Case(name: "a variable that is not possible", file: with(""), variables: ["STOCKADE_MODE": "Observe", "STOCKADE_DEV": "1"]),
    Case(name: "flags alone", flags: ["to": ["http://127.0.0.1:3000"], "cognito": ["us-east-1AbC"], "client-id": ["app"]]),
    Case(
      name: "many mistakes at once",
      file: "{\n  mod: 'observe',\n  listen: 8080,\n  upstream: '${UP}',\n  issuers: { main: { cognito: 'x', client_ids: ['a'] } },\n}"),
    Case(name: "a file that writes to the terminal", file: with("mode: '\u{1b}[31m\u{202e}evil',")),

    // TLS.
    Case(name: "TLS without a certificate", file: with("tls: {},")),
    Case(name: "a certificate without a key", file: with("tls: { certificates: [{ certificate: 'api.pem' }] },")),
    Case(name: "a certificate that is not there", file: with("tls: { certificates: [{ certificate: 'api.pem', key: 'api.key' }] },")),
    Case(
      name: "client certificates of anybody", file: with(tls("client_certificates: 'required'")),
      files: ["api.pem": "-", "api.key": "s3cret"]),
    Case(
      name: "authorities of clients that are not asked", file: with(tls("client_certificates: { ca: 'ca.pem', crl: 'ca.pem' }")),
      files: ["api.pem": "-", "api.key": "s3cret", "ca.pem": "-"]),
    Case(
      name: "ciphers of a version that is not spoken", file: with(tls("minimum_version: '1.3', ciphers: 'ECDHE'")),
      files: ["api.pem": "-", "api.key": "s3cret"]),
    Case(name: "an old version", file: with(tls("minimum_version: '1.1'")), files: ["api.pem": "-", "api.key": "s3cret"]),
    Case(
      name: "TLS with a service that is reached without", file: with("", upstream: "upstream: { url: 'http://a', tls: { ca: 'ca.pem' } },")),
    Case(
      name: "half of a certificate for a service",
      file: with("", upstream: "upstream: { url: 'https://a', tls: { certificate: 'us.pem' } },"), files: ["us.pem": "-"]),
    Case(name: "bound tokens where no certificate is asked for", file: route("{ match: 'GET /a', certificate_bound: true }")),
    Case(name: "bound tokens where no token is asked for", file: route("{ match: 'GET /a', access: 'public', certificate_bound: true }")),
    Case(name: "no time for a handshake", file: with("limits: { handshake_timeout: '0s', handshakes: 0 },")),

    // Traces.
    Case(name: "a collector without a scheme", file: with("traces: 'collector:4318',")),
    Case(name: "a part that is more than the whole", file: with("traces: { endpoint: 'http://c:4318', ratio: '1.5' },")),
    Case(name: "a part without quotes", file: with("traces: { endpoint: 'http://c:4318', ratio: 0.5 },")),
    Case(name: "a sampler that nobody knows", file: with("traces: { endpoint: 'http://c:4318', sample: 'parentbased_always_of' },")),
    Case(name: "a field for the collector that is none", file: with("traces: { endpoint: 'http://c:4318', headers: { 'api key': 'x' } },")),
  ]

  @Test func everyMistakeIsToldWithItsPlaceAndRemedy() {
    var text = ""
    for item in Self.cases {
      text += "# \(item.name)\n"
      do throws(ConfigurationError) {
        _ = try Configuration.read(
          file: item.file.map { SourceText(name: "stockade.json5", $0) }, flags: item.flags,
          surroundings: Surroundings(
            variables: item.variables, readFile: { path in item.files[path].map { ($0, "") } ?? (nil, "\(path) cannot be read") },
            problemOfPlace: { text in ListenPlace.problem(of: text, among: item.sockets).map { ($0.message, $0.help) } }))
        text += "IN ORDER\n"
        Issue.record("\(item.name) is taken")
      } catch {
        text += error.report
        for line in error.problems
        where !line.contains("stockade.json5:") && item.file != nil && item.flags.isEmpty && item.variables.isEmpty {
          Issue.record("no place for: \(line)")
        }
      }
      text += "\n"
    }
    #expect(!text.contains("s3cret"), "what comes from a file may be a secret")
    #expect(Self.cases.count >= 40)
    #expect(Golden.difference(text, from: "configuration-messages.txt") == nil)
  }
}
