"""The Verified Permissions service, driven by stock boto3: shapes, errors, pages, client tokens, decisions, tokens, the journal."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess

import boto3
import botocore.exceptions
import pytest
import requests
from botocore.config import Config

from processes import VerifiedPermissions

SCHEMA = {
    "Shop": {
        "entityTypes": {
            "User": {"memberOfTypes": ["Group"], "shape": {"type": "Record", "attributes": {"age": {"type": "Long", "required": False}}}},
            "Group": {},
            "Order": {"shape": {"type": "Record", "attributes": {"owner": {"type": "Entity", "name": "User", "required": False}}}},
        },
        "actions": {
            "readAll": {},
            "read": {"memberOf": [{"id": "readAll"}], "appliesTo": {"principalTypes": ["User"], "resourceTypes": ["Order"]}},
        },
    }
}
ALICE = {"entityType": "Shop::User", "entityId": "alice"}
ORDER = {"entityType": "Shop::Order", "entityId": "1"}
READ = {"actionType": "Shop::Action", "actionId": "read"}


def client(server):
    return boto3.client(
        "verifiedpermissions", endpoint_url=server.url, region_name="us-east-1", aws_access_key_id="A", aws_secret_access_key="s",
        config=Config(retries={"total_max_attempts": 1}),
    )  # fmt: skip


@pytest.fixture(scope="module")
def server(workplace, moto, pool):
    server = VerifiedPermissions(
        workplace, "avp", "--jwks", f"https://cognito-idp.us-east-1.amazonaws.com/{pool.id}={pool.jwks_url}"
    )
    yield server
    assert server.end() == 0


@pytest.fixture(scope="module")
def avp(server):
    return client(server)


@pytest.fixture
def store(avp):
    return avp.create_policy_store(validationSettings={"mode": "OFF"})["policyStoreId"]


def add(avp, store, statement, **more):
    return avp.create_policy(policyStoreId=store, definition={"static": {"statement": statement}}, **more)["policyId"]


def fails(code, call, **arguments):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**arguments)
    assert caught.value.response["Error"]["Code"] == code, caught.value
    return caught.value.response


def test_a_store_is_made_read_changed_listed_and_deleted(avp):
    made = avp.create_policy_store(validationSettings={"mode": "STRICT"}, description="first", deletionProtection="ENABLED")
    identifier = made["policyStoreId"]
    assert re.fullmatch(r"[1-9A-HJ-NP-Za-km-z]{22}", identifier)
    assert made["arn"] == f"arn:aws:verifiedpermissions::123456789012:policy-store/{identifier}"
    found = avp.get_policy_store(policyStoreId=identifier)
    assert found["validationSettings"] == {"mode": "STRICT"} and found["description"] == "first"
    assert found["deletionProtection"] == "ENABLED" and found["cedarVersion"] == "CEDAR_4"
    assert found["createdDate"] == made["createdDate"]
    fails("InvalidStateException", avp.delete_policy_store, policyStoreId=identifier)
    avp.update_policy_store(policyStoreId=identifier, validationSettings={"mode": "OFF"}, deletionProtection="DISABLED")
    changed = avp.get_policy_store(policyStoreId=identifier)
    assert changed["validationSettings"] == {"mode": "OFF"} and changed["description"] == "first"
    assert identifier in [s["policyStoreId"] for page in avp.get_paginator("list_policy_stores").paginate() for s in page["policyStores"]]
    avp.delete_policy_store(policyStoreId=identifier)
    avp.delete_policy_store(policyStoreId=identifier)
    error = fails("ResourceNotFoundException", avp.get_policy_store, policyStoreId=identifier)
    assert error["resourceType"] == "POLICY_STORE" and error["resourceId"] == identifier
    assert error["Error"]["Message"] == "Policy Store does not exist."


def test_a_policy_is_made_read_changed_and_deleted(avp, store):
    statement = "// why\npermit(principal == Shop::User::\"alice\", action in [Shop::Action::\"read\"], resource) when { true };"
    made = avp.create_policy(policyStoreId=store, definition={"static": {"statement": statement, "description": "d"}}, name="name/one")
    assert made["policyType"] == "STATIC" and made["effect"] == "Permit" and made["principal"] == ALICE and made["actions"] == [READ]
    assert "resource" not in made
    for identifier in (made["policyId"], "name/one"):
        found = avp.get_policy(policyStoreId=store, policyId=identifier)
        assert found["definition"] == {"static": {"statement": statement, "description": "d"}} and found["name"] == "name/one"
    error = fails("ConflictException", avp.create_policy, policyStoreId=store, definition={"static": {"statement": statement}}, name="name/one")
    assert error["resources"] == [{"resourceId": made["policyId"], "resourceType": "POLICY"}]
    changed = statement.replace("true", "false")
    avp.update_policy(policyStoreId=store, policyId="name/one", definition={"static": {"statement": changed}}, name="")
    found = avp.get_policy(policyStoreId=store, policyId=made["policyId"])
    assert found["definition"]["static"] == {"statement": changed, "description": "d"} and "name" not in found
    for other in (statement.replace("permit", "forbid"), statement.replace("alice", "bob")):
        fails("ValidationException", avp.update_policy, policyStoreId=store, policyId=made["policyId"], definition={"static": {"statement": other}})
    avp.delete_policy(policyStoreId=store, policyId=made["policyId"])
    avp.delete_policy(policyStoreId=store, policyId=made["policyId"])
    error = fails("ResourceNotFoundException", avp.get_policy, policyStoreId=store, policyId=made["policyId"])
    assert error["resourceType"] == "POLICY"


def test_a_template_and_its_links(avp, store):
    statement = "permit(principal == ?principal, action, resource == ?resource);"
    template = avp.create_policy_template(policyStoreId=store, statement=statement, name="name/t")["policyTemplateId"]
    linked = avp.create_policy(
        policyStoreId=store, definition={"templateLinked": {"policyTemplateId": "name/t", "principal": ALICE, "resource": ORDER}}
    )
    assert linked["policyType"] == "TEMPLATE_LINKED" and linked["principal"] == ALICE and linked["resource"] == ORDER
    answer = avp.is_authorized(policyStoreId=store, principal=ALICE, action=READ, resource=ORDER)
    assert answer["decision"] == "ALLOW" and answer["determiningPolicies"] == [{"policyId": linked["policyId"]}]
    # The links change with their template, and go with it.
    avp.update_policy_template(policyStoreId=store, policyTemplateId=template, statement=statement.replace(";", " when { false };"))
    assert avp.is_authorized(policyStoreId=store, principal=ALICE, action=READ, resource=ORDER)["decision"] == "DENY"
    fails("ValidationException", avp.create_policy_template, policyStoreId=store, statement="permit(principal, action, resource == ?resource);")
    fails("ValidationException", avp.create_policy_template, policyStoreId=store, statement="permit(principal, action, resource);")
    fails(
        "ValidationException", avp.create_policy, policyStoreId=store,
        definition={"templateLinked": {"policyTemplateId": template, "principal": ALICE}},
    )  # fmt: skip
    fails(
        "ValidationException", avp.update_policy, policyStoreId=store, policyId=linked["policyId"],
        definition={"static": {"statement": "permit(principal, action, resource);"}},
    )  # fmt: skip
    avp.delete_policy_template(policyStoreId=store, policyTemplateId=template)
    fails("ResourceNotFoundException", avp.get_policy, policyStoreId=store, policyId=linked["policyId"])


def test_many_policies_are_read_at_once(avp, store):
    text = "permit(principal == Shop::User::\"alice\", action, resource);"
    made = [add(avp, store, text, name=f"name/{n}") for n in ("a", "b")]
    wanted = [(store, made[1]), (store, "nobody"), (store, "name/a"), ("nowhere", made[0])]
    answer = avp.batch_get_policy(requests=[{"policyStoreId": s, "policyId": p} for s, p in wanted])
    assert [(r["policyId"], r["name"], r["definition"]["static"]["statement"]) for r in answer["results"]] == [
        (made[1], "name/b", text), (made[0], "name/a", text),
    ]  # fmt: skip
    assert set(answer["results"][0]) == {
        "policyStoreId", "policyId", "policyType", "definition", "createdDate", "lastUpdatedDate", "name",
    }  # fmt: skip
    assert [(e["code"], e["policyStoreId"], e["policyId"]) for e in answer["errors"]] == [
        ("POLICY_NOT_FOUND", store, "nobody"), ("POLICY_STORE_NOT_FOUND", "nowhere", made[0]),
    ]  # fmt: skip
    fails("ValidationException", avp.batch_get_policy, requests=[{"policyStoreId": store, "policyId": made[0]}] * 101)


def test_lists_come_in_pages_and_by_filters(avp, store):
    forbids = [add(avp, store, f'forbid(principal == Shop::User::"u{i}", action, resource);') for i in range(7)]
    open_one = add(avp, store, "permit(principal, action, resource);")
    pages = list(avp.get_paginator("list_policies").paginate(policyStoreId=store, PaginationConfig={"PageSize": 3}))
    assert [len(page["policies"]) for page in pages] == [3, 3, 2]
    assert [p["policyId"] for page in pages for p in page["policies"]] == forbids + [open_one]
    assert "statement" not in pages[0]["policies"][0]["definition"]["static"]
    named = avp.list_policies(policyStoreId=store, filter={"principal": {"identifier": {"entityType": "Shop::User", "entityId": "u3"}}})
    assert [p["policyId"] for p in named["policies"]] == [forbids[3]]
    free = avp.list_policies(policyStoreId=store, filter={"principal": {"unspecified": True}, "policyType": "STATIC"})
    assert [p["policyId"] for p in free["policies"]] == [open_one]
    fails("ValidationException", avp.list_policies, policyStoreId=store, nextToken="AAAA")
    fails("ValidationException", avp.list_policies, policyStoreId=store, maxResults=51)


def test_a_client_token_makes_once(avp, store):
    one = {"static": {"statement": "permit(principal, action, resource);"}}
    first = avp.create_policy(policyStoreId=store, definition=one, clientToken="t1")
    again = avp.create_policy(policyStoreId=store, definition=one, clientToken="t1")
    assert first["policyId"] == again["policyId"] and first["createdDate"] == again["createdDate"]
    other = {"static": {"statement": "forbid(principal, action, resource);"}}
    fails("ConflictException", avp.create_policy, policyStoreId=store, definition=other, clientToken="t1")
    assert len(avp.list_policies(policyStoreId=store)["policies"]) == 1


def test_a_strict_store_holds_policies_to_its_schema(avp):
    store = avp.create_policy_store(validationSettings={"mode": "STRICT"})["policyStoreId"]
    statement = 'permit(principal is Shop::User, action == Shop::Action::"read", resource) when { principal has age && principal.age > 17 };'
    fails("ValidationException", avp.create_policy, policyStoreId=store, definition={"static": {"statement": statement}})
    put = avp.put_schema(policyStoreId=store, definition={"cedarJson": json.dumps(SCHEMA)})
    assert put["namespaces"] == ["Shop"]
    found = avp.get_schema(policyStoreId=store)
    assert json.loads(found["schema"]) == SCHEMA and found["namespaces"] == ["Shop"]
    add(avp, store, statement)
    error = fails(
        "ValidationException", avp.create_policy, policyStoreId=store, definition={"static": {"statement": statement.replace("has age && principal.age", "!= principal && principal.size")}}
    )
    assert error["fieldList"][0]["path"] == "definition"
    fails("ValidationException", avp.put_schema, policyStoreId=store, definition={"cedarJson": '{"":{}}'})
    fails("ValidationException", avp.put_schema, policyStoreId=store, definition={"cedarJson": "entity User;"})
    avp.put_schema(policyStoreId=store, definition={"cedarJson": "{}"})
    assert fails("ResourceNotFoundException", avp.get_schema, policyStoreId=store)["resourceType"] == "SCHEMA"


def test_decisions_are_cedars(avp, store):
    avp.put_schema(policyStoreId=store, definition={"cedarJson": json.dumps(SCHEMA)})
    adults = add(avp, store, 'permit(principal in Shop::Group::"staff", action in Shop::Action::"readAll", resource) when { principal.age > 17 };')
    broken = add(avp, store, "forbid(principal, action, resource) when { context.missing };")
    entities = {"entityList": [
        {"identifier": ALICE, "attributes": {"age": {"long": 3}}},
        {"identifier": ALICE, "attributes": {"age": {"long": 30}}, "parents": [{"entityType": "Shop::Group", "entityId": "staff"}]},
    ]}  # fmt: skip
    answer = avp.is_authorized(policyStoreId=store, principal=ALICE, action=READ, resource=ORDER, entities=entities)
    assert answer["decision"] == "ALLOW" and answer["determiningPolicies"] == [{"policyId": adults}]
    assert len(answer["errors"]) == 1 and broken in answer["errors"][0]["errorDescription"]
    context = {"contextMap": {"missing": {"boolean": True}}}
    answer = avp.is_authorized(policyStoreId=store, principal=ALICE, action=READ, resource=ORDER, context=context)
    assert answer["decision"] == "DENY" and answer["determiningPolicies"] == [{"policyId": broken}] and answer["errors"] == []
    as_json = json.dumps([{"uid": {"type": "Shop::User", "id": "alice"}, "attrs": {"age": 30}, "parents": [{"type": "Shop::Group", "id": "staff"}]}])
    answer = avp.is_authorized(
        policyStoreId=store, principal=ALICE, action=READ, resource=ORDER, entities={"cedarJson": as_json}, context={"cedarJson": '{"missing": false}'}
    )
    assert answer["decision"] == "ALLOW" and answer["errors"] == []
    # What is left out matches what constrains nothing, and nothing else.
    assert avp.is_authorized(policyStoreId=store)["decision"] == "DENY"
    add(avp, store, "permit(principal, action, resource);")
    assert avp.is_authorized(policyStoreId=store)["decision"] == "ALLOW"
    action = {"entityList": [{"identifier": {"entityType": "Shop::Action", "entityId": "read"}}]}
    fails("ValidationException", avp.is_authorized, policyStoreId=store, principal=ALICE, action=READ, resource=ORDER, entities=action)
    cycle = {"entityList": [{"identifier": ALICE, "parents": [ORDER]}, {"identifier": ORDER, "parents": [ALICE]}]}
    fails("ValidationException", avp.is_authorized, policyStoreId=store, principal=ALICE, action=READ, resource=ORDER, entities=cycle)


def test_a_batch_answers_in_order(avp, store):
    add(avp, store, 'permit(principal == Shop::User::"alice", action, resource);')
    names = ["alice", "bob", "alice"]
    items = [{"principal": {"entityType": "Shop::User", "entityId": n}, "action": READ, "resource": ORDER} for n in names]
    results = avp.batch_is_authorized(policyStoreId=store, requests=items)["results"]
    assert [r["decision"] for r in results] == ["ALLOW", "DENY", "ALLOW"] and [r["request"] for r in results] == items
    mixed = items[:2] + [{**items[0], "resource": {"entityType": "Shop::Order", "entityId": "2"}}]
    fails("ValidationException", avp.batch_is_authorized, policyStoreId=store, requests=mixed)
    fails("ValidationException", avp.batch_is_authorized, policyStoreId=store, requests=items[:1] * 31)


def test_values_of_every_kind_arrive(avp, store):
    add(avp, store, """permit(principal, action, resource) when {
      context.b && context.n == -9223372036854775808 && context.s == "é\\u{1F600}" && context.set.contains(1) && context.set.contains("a") &&
      context.r.x.y == "z" && context.e == Shop::User::"alice" && context.ip.isInRange(ip("10.0.0.0/8")) && context.d == decimal("1.10") &&
      context.at > datetime("2024-01-01") && context.for == duration("1h30m") && principal.getTag("t") == true };""")  # fmt: skip
    context = {"contextMap": {
        "b": {"boolean": True}, "n": {"long": -(2**63)}, "s": {"string": "é😀"}, "set": {"set": [{"long": 1}, {"string": "a"}]},
        "r": {"record": {"x": {"record": {"y": {"string": "z"}}}}}, "e": {"entityIdentifier": ALICE}, "ip": {"ipaddr": "10.1.2.3"},
        "d": {"decimal": "1.1"}, "at": {"datetime": "2024-10-15T11:35:00.000+0100"}, "for": {"duration": "90m"},
    }}  # fmt: skip
    entities = {"entityList": [{"identifier": ALICE, "tags": {"t": {"boolean": True}}}]}
    answer = avp.is_authorized(policyStoreId=store, principal=ALICE, action=READ, resource=ORDER, context=context, entities=entities)
    assert answer["decision"] == "ALLOW", answer


@pytest.fixture
def tokens_store(avp, store, pool):
    avp.create_identity_source(
        policyStoreId=store, principalEntityType="Shop::User",
        configuration={"cognitoUserPoolConfiguration": {
            "userPoolArn": f"arn:aws:cognito-idp:us-east-1:123456789012:userpool/{pool.id}", "clientIds": [pool.client_id],
            "groupConfiguration": {"groupEntityType": "Shop::Group"},
        }},
    )  # fmt: skip
    return store


def test_tokens_that_moto_issued_name_the_principal(avp, tokens_store, pool):
    store = tokens_store
    tokens = pool.sign_in("alice")
    group = add(avp, store, f'permit(principal in Shop::Group::"{pool.id}|viewer", action, resource) when {{ principal["cognito:username"] == "alice" }};')
    client_policy = add(avp, store, f'permit(principal, action, resource) when {{ context.token.client_id == "{pool.client_id}" }};')
    by_id = avp.is_authorized_with_token(policyStoreId=store, identityToken=tokens["IdToken"], action=READ, resource=ORDER)
    assert by_id["decision"] == "ALLOW" and by_id["determiningPolicies"] == [{"policyId": group}]
    assert by_id["principal"]["entityType"] == "Shop::User" and by_id["principal"]["entityId"].startswith(pool.id + "|")
    by_access = avp.is_authorized_with_token(policyStoreId=store, accessToken=tokens["AccessToken"], action=READ, resource=ORDER)
    assert by_access["determiningPolicies"] == [{"policyId": client_policy}]
    both = avp.is_authorized_with_token(
        policyStoreId=store, identityToken=tokens["IdToken"], accessToken=tokens["AccessToken"], action=READ, resource=ORDER
    )
    assert sorted(p["policyId"] for p in both["determiningPolicies"]) == sorted([group, client_policy])
    batch = avp.batch_is_authorized_with_token(
        policyStoreId=store, accessToken=tokens["AccessToken"], requests=[{"action": READ, "resource": ORDER}] * 2
    )
    assert batch["principal"] == by_id["principal"] and [r["decision"] for r in batch["results"]] == ["ALLOW", "ALLOW"]


def test_tokens_that_are_not_accepted(avp, tokens_store, store, pool):
    tokens = pool.sign_in("alice")
    ask = dict(policyStoreId=tokens_store, action=READ, resource=ORDER)
    fails("ValidationException", avp.is_authorized_with_token, **ask)
    fails("ValidationException", avp.is_authorized_with_token, **ask, identityToken=tokens["AccessToken"])
    fails("ValidationException", avp.is_authorized_with_token, **ask, accessToken=tokens["IdToken"])
    head, body, signature = tokens["IdToken"].split(".")
    forged = f"{head}.{body}.{signature[:10]}{'A' if signature[10] != 'A' else 'B'}{signature[11:]}"
    fails("ValidationException", avp.is_authorized_with_token, **ask, identityToken=forged)
    entities = {"entityList": [{"identifier": ALICE}]}
    error = fails("ValidationException", avp.is_authorized_with_token, **ask, identityToken=tokens["IdToken"], entities=entities)
    assert error["Error"]["Message"] == "PrincipalEntityType Shop::User cannot be defined in Entities"
    context = {"contextMap": {"token": {"string": "mine"}}}
    fails("ValidationException", avp.is_authorized_with_token, **ask, accessToken=tokens["AccessToken"], context=context)
    other = avp.create_policy_store(validationSettings={"mode": "OFF"})["policyStoreId"]
    error = fails("ResourceNotFoundException", avp.is_authorized_with_token, **{**ask, "policyStoreId": other}, identityToken=tokens["IdToken"])
    assert error["resourceType"] == "IDENTITY_SOURCE"


def test_an_identity_source_is_made_read_changed_and_deleted(avp, tokens_store, pool):
    store = tokens_store
    listed = avp.list_identity_sources(policyStoreId=store)["identitySources"]
    identifier = listed[0]["identitySourceId"]
    found = avp.get_identity_source(policyStoreId=store, identitySourceId=identifier)
    cognito = found["configuration"]["cognitoUserPoolConfiguration"]
    assert cognito["issuer"] == f"https://cognito-idp.us-east-1.amazonaws.com/{pool.id}" and found["details"]["openIdIssuer"] == "COGNITO"
    arn = cognito["userPoolArn"]
    fails(
        "ServiceQuotaExceededException", avp.create_identity_source, policyStoreId=store,
        configuration={"cognitoUserPoolConfiguration": {"userPoolArn": arn}},
    )  # fmt: skip
    avp.update_identity_source(
        policyStoreId=store, identitySourceId=identifier, updateConfiguration={"cognitoUserPoolConfiguration": {"userPoolArn": arn}}
    )
    found = avp.get_identity_source(policyStoreId=store, identitySourceId=identifier)
    assert found["configuration"]["cognitoUserPoolConfiguration"]["clientIds"] == [] and found["principalEntityType"] == "Shop::User"
    avp.delete_identity_source(policyStoreId=store, identitySourceId=identifier)
    fails("ResourceNotFoundException", avp.delete_identity_source, policyStoreId=store, identitySourceId=identifier)
    oidc = avp.create_identity_source(
        policyStoreId=store, principalEntityType="Shop::User",
        configuration={"openIdConnectConfiguration": {
            "issuer": "https://auth.example.com", "entityIdPrefix": "My", "groupConfiguration": {"groupClaim": "groups", "groupEntityType": "Shop::Group"},
            "tokenSelection": {"accessTokenOnly": {"audiences": ["https://app.example.com"]}},
        }},
    )  # fmt: skip
    found = avp.get_identity_source(policyStoreId=store, identitySourceId=oidc["identitySourceId"])
    assert found["configuration"]["openIdConnectConfiguration"]["tokenSelection"]["accessTokenOnly"]["principalIdClaim"] == "sub"


def test_what_is_not_here_says_so(avp, server, store):
    fails("UnknownOperationException", avp.create_policy_store_alias, aliasName="policy-store-alias/x", policyStoreId=store)
    fails("UnknownOperationException", avp.list_tags_for_resource, resourceArn="arn:aws:verifiedpermissions::123456789012:policy-store/x")
    fails("ValidationException", avp.create_policy_store, validationSettings={"mode": "OFF"}, tags={"a": "b"})
    for target, body, code in [
        ("VerifiedPermissions.Nothing", "{}", "UnknownOperationException"), ("Other.IsAuthorized", "{}", "UnknownOperationException"),
        ("VerifiedPermissions.IsAuthorized", "{", "SerializationException"), ("VerifiedPermissions.IsAuthorized", "[]", "SerializationException"),
        ("VerifiedPermissions.IsAuthorized", "{}", "ValidationException"),
        ("VerifiedPermissions.IsAuthorized", '{"policyStoreId": 5}', "ValidationException"),
    ]:  # fmt: skip
        answer = requests.post(server.url, data=body, headers={"X-Amz-Target": target}, timeout=5)
        assert answer.headers["x-amzn-ErrorType"] == code and answer.json()["__type"].endswith("#" + code)
        assert answer.headers["Content-Type"] == "application/x-amz-json-1.0"


def test_the_state_survives_and_a_torn_record_is_cut_off(workplace, tmp_path):
    server = VerifiedPermissions(tmp_path, "first")
    avp = client(server)
    store = avp.create_policy_store(validationSettings={"mode": "OFF"})["policyStoreId"]
    kept = add(avp, store, "permit(principal, action, resource);")
    before = (server.state / "verified-permissions.journal").stat().st_size
    last = add(avp, store, "forbid(principal, action, resource);")
    assert server.end() == 0
    journal = (server.state / "verified-permissions.journal").read_bytes()

    def policies(content):
        state = tmp_path / "cut"
        shutil.rmtree(state, ignore_errors=True)
        state.mkdir()
        (state / "verified-permissions.journal").write_bytes(content)
        again = VerifiedPermissions(tmp_path, "again", state=state)
        try:
            found = [p["policyId"] for p in client(again).list_policies(policyStoreId=store)["policies"]]
            add(client(again), store, "permit(principal, action, resource);")
            return found
        finally:
            assert again.end() == 0

    assert policies(journal) == [kept, last]
    # Every byte is cut at in JournalTests.
    for length in (before, before + 1, before + 33, len(journal) - 1):
        assert policies(journal[:length]) == [kept], length
    damaged = journal[: before - 10] + b"X" + journal[before - 9 :]
    state = tmp_path / "damaged"
    state.mkdir()
    (state / "verified-permissions.journal").write_bytes(damaged)
    refused = subprocess.run(
        [server.command[0], "avp", "serve", "--state", str(state), "--listen", "127.0.0.1:0"], capture_output=True, text=True, timeout=30
    )
    assert refused.returncode != 0 and "this record is damaged" in refused.stderr


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_a_record_is_on_the_disk_before_it_is_answered(tmp_path):
    trace = tmp_path / "trace"
    server = VerifiedPermissions(
        tmp_path, "traced", command=("strace", "-f", "-o", str(trace), "-e", "trace=write,fsync,sendto,send,writev,sendmsg", "-s", "64")
    )
    client(server).create_policy_store(validationSettings={"mode": "OFF"})
    (traced,) = pathlib.Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    os.kill(int(traced), signal.SIGTERM)
    server.process.wait(30)
    lines = trace.read_text().splitlines()
    written = next(i for i, line in enumerate(lines) if '"put' in line or "\\\"put" in line)
    synced = next(i for i, line in enumerate(lines) if i > written and "fsync(" in line)
    answered = next(i for i, line in enumerate(lines) if "HTTP/1.1 200" in line)
    assert written < synced < answered, lines[-20:]


def test_two_processes_do_not_share_a_state(server):
    second = subprocess.run(
        [server.command[0], "avp", "serve", "--state", str(server.state), "--listen", "127.0.0.1:0"], capture_output=True, text=True, timeout=30
    )
    assert second.returncode != 0 and "in use by another process" in second.stderr
