import Bytes
import Cedar
import Crypto
import JOSE
import JSON
import Testing

@testable import Pipeline

/// Tokens as Cognito, Keycloak and Entra shape them, each under a configuration that one would write for it.
@Suite struct IssuerShapeTests {
  private static let configuration = """
    {
      upstream: 'http://127.0.0.1:1',
      namespace: 'Shop',
      issuers: {
        // Amazon Cognito: the pool's id is all that is needed.
        cognito: {
          cognito: 'us-east-1_AbC123',
          client_ids: ['web'],
          mapping: { attributes: { level: { claim: 'custom:level', type: 'long' } } },
        },
        // Keycloak: access tokens name the API in aud (a client scope with an audience mapper), realm roles are the groups.
        keycloak: {
          issuer: 'https://sso.example.com/realms/shop',
          audiences: ['orders'],
          id_prefix: 'shop',
          mapping: {
            group_claim: 'realm_access.roles',
            attributes: {
              name: 'preferred_username',
              client: 'azp',
              account_roles: { claim: '/resource_access/account/roles', type: 'set' },
              department: '/attributes/department',
            },
          },
        },
        // Keycloak again: the roles of one client are the groups, and a name of one's own is the id.
        keycloak_client: {
          issuer: 'https://sso.example.com/realms/staff',
          audiences: ['orders'],
          id_prefix: 'staff',
          mapping: { id_claim: 'preferred_username', group_claim: '/resource_access/orders.api/roles' },
        },
        // Microsoft Entra ID, tokens of version 2: aud is the client id of the API, oid the person in this tenant.
        entra: {
          issuer: 'https://login.microsoftonline.com/72f988bf-0000-0000-0000-2d7cd011db47/v2.0',
          audiences: ['6e74172b-be56-4843-9ff4-e66a39bb12e3'],
          id_prefix: 'entra',
          mapping: {
            namespace: 'Corp', principal_type: 'Person', group_type: 'Role', id_claim: 'oid', group_claim: 'roles',
            attributes: { tenant: 'tid', directory_groups: { claim: 'groups', type: 'set' }, amr: { claim: 'amr', type: 'set' } },
          },
        },
        // And version 1, as APIs get them that did not ask for another: iss ends in a slash, aud is the API's URI.
        entra_v1: {
          issuer: 'https://sts.windows.net/72f988bf-0000-0000-0000-2d7cd011db47/',
          audiences: ['api://orders'],
          id_prefix: 'entra-v1',
          mapping: { namespace: 'Corp', principal_type: 'Person', group_type: 'DirectoryGroup', id_claim: 'oid', group_claim: 'groups' },
        },
        // An issuer that calls scopes something else.
        auth0: {
          issuer: 'https://shop.eu.auth0.com/',
          audiences: ['https://orders.example.com'],
          id_prefix: 'auth0',
          mapping: {
            scope_claim: 'permissions', group_claim: 'https://example.com/roles',
            attributes: { address: 'address', quota: { claim: 'quota', type: 'long' }, since: { claim: 'since', type: 'datetime' } },
          },
        },
      },
    }
    """
  private static let time: Int64 = 1_800_000_000

  private func identity(_ issuer: String, _ claims: String, header: KeyValuePairs<String, JSONValue> = [:]) throws -> (Identity, [Entity]) {
    let configuration = try ConfigurationTests.read(Self.configuration)
    let snapshot = try SnapshotBuilder.build(configuration, policies: Desk.files("permit (principal, action, resource);"), generation: 1)
    let chosen = try #require(snapshot.issuers.issuers.first { $0.name == issuer })
    let signer = JWSSigner(kid: "k", algorithm: .rs256, key: try PrivateKey.generateRSA())
    let set = try JWKSet.parse(Array(JSONValue.object(["keys": .array([signer.publicJWK])]).text.utf8))
    var members = try #require(try JSONParser.parse(claims).object)
    members += [
      .init(name: "iss", value: .string(chosen.rules.issuers[0])), .init(name: "exp", value: .integer(Self.time + 60)),
      .init(name: "iat", value: .integer(Self.time)),
    ]
    let token = try signer.token(claims: JSONValue(.object(members)), header: header)
    let unverified = try Array(token.utf8).withUnsafeBytes { try UnverifiedToken.parse($0) }
    let verified = try TokenVerifier.verify(unverified, keys: set, rules: chosen.rules, now: Self.time, verifier: SignatureVerifier())
    return (try chosen.mapping.identity(of: verified, from: chosen, for: snapshot), try chosen.mapping.claimed(by: verified).entities)
  }

  @Test func cognito() throws {
    let (access, entities) = try identity(
      "cognito",
      #"{"sub":"a-1","token_use":"access","client_id":"web","scope":"orders/read openid","cognito:groups":["viewer","editor"],"username":"alice","custom:level":"7"}"#
    )
    #expect(access.principalText == #"Shop::User::"us-east-1_AbC123|a-1""#)
    #expect(
      access.groups.map(\.description) == [
        #"Shop::UserGroup::"us-east-1_AbC123|viewer""#, #"Shop::UserGroup::"us-east-1_AbC123|editor""#,
      ])
    #expect(
      access.tokenContext?["scope"]?.description == #"["openid", "orders/read"]"# && access.tokenContext?["username"] == .string("alice"))
    #expect(entities[0].attributes.description == #"{"level": 7}"#, "typed, from either kind of token")
    let (id, own) = try identity(
      "cognito", #"{"sub":"a-1","token_use":"id","aud":"web","cognito:groups":["viewer"],"email":"a@example.com","custom:level":"high"}"#)
    #expect(id.tokenContext == nil && own[0].attributes["email"] == .string("a@example.com"))
    #expect(own[0].attributes["level"] == nil, "what is no number is absent rather than wrong")
  }

  private static let keycloakClaims =
    #"{"sub":"f:1:bob","typ":"Bearer","azp":"web","aud":["orders","account"],"scope":"email profile","realm_access":{"roles":["editor","offline_access"]},"resource_access":{"orders.api":{"roles":["write"]},"account":{"roles":["manage-account","view-profile"]}},"preferred_username":"bob","email_verified":true,"attributes":{"department":"sales"}}"#

  @Test func keycloakByRealmRoles() throws {
    let (identity, entities) = try identity("keycloak", Self.keycloakClaims)
    #expect(identity.principalText == #"Shop::User::"shop|f:1:bob""# && identity.tokenUse == .access && identity.clientID == "web")
    #expect(identity.groups.map(\.id) == ["shop|editor", "shop|offline_access"])
    #expect(
      entities[0].attributes.description
        == #"{"account_roles": ["manage-account", "view-profile"], "client": "web", "department": "sales", "name": "bob"}"#)
    #expect(identity.scopes == ["email", "profile"])
    #expect(identity.tokenContext?["typ"] == .string("Bearer") && identity.tokenContext?["email_verified"] == .bool(true))
    #expect(
      identity.tokenContext?["realm_access"]?.description == #"{"roles": ["editor", "offline_access"]}"#, "nested claims are records")
  }

  @Test func keycloakByTheRolesOfAClientWhoseNameHasADot() throws {
    let (identity, _) = try identity("keycloak_client", Self.keycloakClaims)
    #expect(identity.principalText == #"Shop::User::"staff|bob""# && identity.groups.map(\.id) == ["staff|write"])
  }

  @Test func entraVersion2() throws {
    let (identity, entities) = try identity(
      "entra",
      #"{"sub":"pairwise","oid":"11111111-2222","aud":"6e74172b-be56-4843-9ff4-e66a39bb12e3","azp":"web","tid":"72f988bf","ver":"2.0","scp":"Orders.Read Orders.Write","roles":["Admin"],"groups":["9a1c1f4e-0000","0b2d2f5f-0000"],"amr":["pwd","mfa"]}"#
    )
    #expect(
      identity.principalText == #"Corp::Person::"entra|11111111-2222""#
        && identity.groups.map(\.description) == [#"Corp::Role::"entra|Admin""#])
    #expect(identity.tokenUse == .access && identity.scopes == ["Orders.Read", "Orders.Write"])
    #expect(identity.tokenContext?["scope"]?.description == #"["Orders.Read", "Orders.Write"]"#, "scp is found under scope")
    #expect(
      entities[0].attributes.description
        == #"{"amr": ["mfa", "pwd"], "directory_groups": ["0b2d2f5f-0000", "9a1c1f4e-0000"], "tenant": "72f988bf"}"#)
  }

  @Test func entraVersion1() throws {
    let (identity, _) = try identity(
      "entra_v1",
      #"{"sub":"pairwise","oid":"11111111-2222","aud":"api://orders","appid":"web","tid":"72f988bf","ver":"1.0","scp":"Orders.Read","groups":["9a1c1f4e-0000"]}"#
    )
    #expect(
      identity.principalText == #"Corp::Person::"entra-v1|11111111-2222""#
        && identity.groups.map(\.description) == [#"Corp::DirectoryGroup::"entra-v1|9a1c1f4e-0000""#])
    #expect(throws: TokenError.self, "the other version's aud is another audience") {
      try self.identity("entra_v1", #"{"sub":"x","oid":"1","aud":"6e74172b-be56-4843-9ff4-e66a39bb12e3","ver":"1.0"}"#)
    }
  }

  @Test func claimsBecomeExactValuesAndScopesComeFromTheClaimThatIsNamed() throws {
    let (identity, entities) = try identity(
      "auth0",
      #"{"sub":"auth0|1","aud":"https://orders.example.com","scope":"openid","permissions":["orders:read","orders:read","orders:write"],"https://example.com/roles":["ops"],"quota":9223372036854775807,"since":1800000000,"address":{"city":"Zürich","lines":["a","b"],"geo":{"lat":47.3769}},"big":9223372036854775808,"half":0.5,"tiny":0.00001,"none":null}"#
    )
    #expect(identity.scopes == ["orders:read", "orders:write"] && identity.groups.map(\.id) == ["auth0|ops"])
    #expect(identity.tokenContext?["scope"]?.description == #"["orders:read", "orders:write"]"#)
    #expect(entities[0].attributes["quota"] == .long(.max), "every bit of an integer counts")
    #expect(entities[0].attributes["since"] == .datetime(Datetime(milliseconds: 1_800_000_000_000)), "seconds, as tokens count")
    #expect(
      entities[0].attributes["address"]?.description == #"{"city": "Zürich", "geo": {"lat": decimal("47.3769")}, "lines": ["a", "b"]}"#)
    let context = try #require(identity.tokenContext)
    #expect(context["half"]?.description == #"decimal("0.5")"#)
    for absent in ["big", "tiny", "none"] { #expect(context[absent] == nil, "\(absent): what Cedar cannot hold exactly is absent") }
  }
}

/// Two issuers can never mint one principal.
@Suite struct PrincipalSpaceTests {
  private func problems(_ a: String, _ b: String, more: String = "") -> String {
    let file = """
      { upstream: 'http://127.0.0.1:1', \(more) issuers: {
        a: { issuer: 'https://a.example', client_ids: ['a'], \(a) },
        b: { issuer: 'https://b.example', client_ids: ['b'], \(b) } } }
      """
    do throws(ConfigurationError) {
      _ = try ConfigurationTests.read(file)
      return ""
    } catch {
      return error.description
    }
  }

  private func clash(_ a: String, _ b: String, more: String = "") -> Bool {
    let forth = problems(a, b, more: more)
    let back = problems(b, a, more: more)
    #expect(forth.isEmpty == back.isEmpty, "in either order: \(forth) \(back)")
    if !forth.isEmpty { #expect(forth.contains("could each mint the other's users"), "\(forth)") }
    return !forth.isEmpty
  }

  @Test func prefixesThatLeaveNoDoubtAreTaken() {
    #expect(!clash("", ""))
    #expect(!clash("id_prefix: 'x'", "id_prefix: 'y'"))
    #expect(!clash("id_prefix: 'x'", "id_prefix: 'xy'"), "x| is no beginning of xy|")
    #expect(!clash("id_prefix: 'x'", "id_prefix: 'X'"), "Cedar compares bytes, so case makes another principal")
    #expect(!clash("id_prefix: 'x|a'", "id_prefix: 'x|b'"))
  }

  @Test func prefixesThatLeaveADoubtAreNot() {
    #expect(clash("id_prefix: 'x'", "id_prefix: 'x'"))
    #expect(clash("id_prefix: 'x'", "id_prefix: 'x|y'"), "the subject y|1 of the first is 1 of the second")
    #expect(clash("id_prefix: 'x'", "id_prefix: 'x|'"), "the subject |1 of the first is 1 of the second")
    #expect(clash("id_prefix: 'x|'", "id_prefix: 'x||y'"))
    #expect(clash("id_prefix: 'x|y'", "id_prefix: 'x|y|z'"))
    #expect(clash("id_prefix: 'b.example'", "id_prefix: 'b.example'"))
    #expect(problems("id_prefix: 'b.example'", "").contains("could each mint"), "the usual prefix of the other")
    #expect(clash("id_prefix: 'caf\u{e9}'", "id_prefix: 'cafe\u{301}'"), "one text in two normal forms")
    #expect(clash("id_prefix: 'caf\u{e9}'", "id_prefix: 'cafe\u{301}|x'"))
    #expect(clash("id_prefix: 'x'", "id_prefix: 'x|\u{301}'"), "by bytes a beginning, though not by characters")
  }

  @Test func onlyTypesThatAreTheSameLeaveADoubt() {
    let same = "id_prefix: 'x', "
    #expect(!clash(same + "mapping: { namespace: 'A' }", same + "mapping: { namespace: 'B' }"))
    #expect(!clash(same + "mapping: { principal_type: 'U', group_type: 'G' }", same))
    #expect(clash(same + "mapping: { principal_type: 'U' }", same), "the groups are of one type")
    #expect(clash(same + "mapping: { group_type: 'G' }", same), "the principals are of one type")
    #expect(
      clash(same + "mapping: { principal_type: 'UserGroup', group_type: 'G' }", same), "one's principals could be the other's groups")
    #expect(clash(same + "mapping: { namespace: 'A' }", same + "mapping: { principal_type: 'A::User', group_type: 'A::G' }"))
    #expect(clash(same + "mapping: { namespace: 'A' }", same, more: "namespace: 'A',"), "the namespace of all types is that of the second")
    #expect(!clash(same + "mapping: { namespace: 'B' }", same, more: "namespace: 'A',"))
  }

  /// What the rule above promises, tried: no subject of one issuer gets the id of a subject of the other.
  @Test func noTwoSubjectsOfAcceptedPrefixesMeet() {
    let pieces = ["a", "b", "|", "a|", "|a", "a|b", "A", "e\u{301}", "\u{e9}", ""]
    let prefixes = pieces.flatMap { one in pieces.map { one + $0 } }.filter { !$0.isEmpty }
    let subjects = pieces.flatMap { one in pieces.flatMap { two in pieces.map { one + two + $0 } } }.filter { !$0.isEmpty }
    func mapping(_ prefix: String) -> IdentityMapping { IdentityMapping(idPrefix: prefix, groupClaim: JSONPointer(member: "groups")) }
    var owners: [EntityUID: String] = [:]
    var meetings = 0
    for prefix in prefixes {
      let mine = mapping(prefix)
      for subject in subjects {
        let uid = EntityUID(type: mine.principalType, id: "\(prefix)|\(subject)")
        guard let other = owners.updateValue(prefix, forKey: uid), !exactlyEquals(other, prefix) else { continue }
        #expect(mine.couldMintPrincipals(of: mapping(other)), "\(prefix) and \(other) both mint \(uid)")
        meetings += 1
      }
    }
    #expect(meetings > 0, "some pairs do meet, or nothing was tried")
  }
}
