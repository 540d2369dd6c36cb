"""Policies between files and a store: `avp push` and `avp pull` against our service, with stock boto3 looking on."""

import http.client
import http.server
import itertools
import json
import os
import pathlib
import shutil
import subprocess
import threading
import time

import pytest
import requests

from processes import VerifiedPermissions, binary, outside
from test_verified_permissions import client

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDTEST", "AWS_SECRET_ACCESS_KEY": "hush-secret", "AWS_REGION": "us-east-1"}

POLICIES = """// The shop's policies. This line belongs to the first of them.

// Viewers may look.
@id("viewers-read")
@owner("team-orders")
permit (
  principal in Shop::Group::"viewers", // whoever signed up
  action == Shop::Action::"read",
  resource
);  // until further notice

@id("no-secrets") forbid(principal, action, resource == Shop::Order::"secret") unless { principal in Shop::Group::"ädmins 🦊" };
permit(principal == Shop::User::"root", action, resource);

/* no id, and no line end behind it */"""
POLICIES = POLICIES.replace("/* no id, and no line end behind it */", "// no id, and no line end behind it")

TEMPLATES = """@id("share")
permit (
  principal == ?principal,
  action == Shop::Action::"read",
  resource == ?resource
);

@id("ban")
forbid (principal == ?principal, action, resource in ?resource);
"""

SCHEMA = """// Everything there is.
namespace Shop {
entity Group;
entity User in [Group] = { age?: Long };
entity Folder;
entity Order in [Folder] = { owner?: User };
action all;
action read, write in [all] appliesTo { principal: [User], resource: [Order] };
}
"""


def uid(kind, name):
    return {"type": f"Shop::{kind}", "id": name}


def link(identifier, template, principal, resource):
    return {"templateId": template, "newId": identifier, "values": {"?principal": uid("User", principal), "?resource": uid(*resource)}}


def write_folder(path):
    path.mkdir()
    (path / "orders.cedar").write_text(POLICIES)
    (path / "shared.cedar").write_text(TEMPLATES)
    (path / "schema.cedarschema").write_text(SCHEMA)
    (path / "entities.json").write_text("[]")
    links = [link("bob-sees-1", "share", "bob", ("Order", "1")), link("eve-is-out", "ban", "eve", ("Folder", "all"))]
    static = {"json-one": {
        "effect": "permit", "principal": {"op": "==", "entity": uid("User", "json")}, "action": {"op": "All"}, "resource": {"op": "All"},
        "conditions": [], "annotations": {"note": "from JSON"},
    }}  # fmt: skip
    (path / "more.cedar.json").write_text(json.dumps({"staticPolicies": static, "templates": {}, "templateLinks": links}))
    return path


def contents(path):
    return {p.name: p.read_bytes() for p in sorted(path.iterdir()) if p.is_file() and p.name != "avp.json"}


def avp(url, *words, environment=None):
    return subprocess.run(
        [binary(), "avp", *map(str, words)], capture_output=True, text=True, timeout=120,
        env={**outside(), **KEYS, "AWS_ENDPOINT_URL": url, **(environment or {})},
    )  # fmt: skip


def push(url, store, path, *flags, code=0):
    done = avp(url, "push", "--policy-store", store, "--apply", *flags, path)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def pull(url, store, path, *flags, code=0):
    done = avp(url, "pull", "--policy-store", store, *flags, path)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def plan(url, store, path, *flags, code=0):
    done = avp(url, "push", "--policy-store", store, "--dry-run", *flags, path)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


class Watcher:
    """Between a client and the service: notes the changes that are asked for, and may change the store, or cut, before one."""

    def __init__(self, url):
        watcher = self
        self.changes = []
        self.before = {}
        self.limit = None
        host = url.removeprefix("http://")

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                name = self.headers["X-Amz-Target"].removeprefix("VerifiedPermissions.")
                if hook := watcher.before.pop(name, None):
                    hook()
                is_change = name.startswith(("Create", "Update", "Delete", "Put"))
                if is_change and watcher.limit is not None and len(watcher.changes) > watcher.limit:
                    self.close_connection = True
                    return
                inner = http.client.HTTPConnection(host, timeout=30)
                inner.request("POST", "/", body, {k: v for k, v in self.headers.items() if k.lower() != "host"})
                answer = inner.getresponse()
                text = answer.read()
                if is_change:
                    watcher.changes.append((name, json.loads(body), json.loads(text)))
                    if watcher.limit is not None and len(watcher.changes) > watcher.limit:
                        # It is done, and nobody learns of it.
                        watcher.cut.set()
                        self.close_connection = True
                        return
                self.send_response(answer.status)
                for field, value in answer.getheaders():
                    if field.lower() not in ("content-length", "connection", "date", "server"):
                        self.send_header(field, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

        self.cut = threading.Event()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def names(self):
        return [name for name, _, _ in self.changes]


@pytest.fixture(scope="module")
def server(workplace):
    server = VerifiedPermissions(workplace, "push")
    yield server
    assert server.end() == 0


@pytest.fixture(scope="module")
def api(server):
    return client(server)


@pytest.fixture(params=["OFF", "STRICT"])
def store(api, request):
    return api.create_policy_store(validationSettings={"mode": request.param})["policyStoreId"]


@pytest.fixture
def loose(api):
    return api.create_policy_store(validationSettings={"mode": "OFF"})["policyStoreId"]


@pytest.fixture
def watcher(server):
    return Watcher(server.url)


def stored(api, store):
    """Everything the store has, as boto3 tells it, by what is known of it outside the store."""
    found = {}
    templates = {}
    for page in api.get_paginator("list_policy_templates").paginate(policyStoreId=store):
        for item in page["policyTemplates"]:
            template = api.get_policy_template(policyStoreId=store, policyTemplateId=item["policyTemplateId"])
            templates[item["policyTemplateId"]] = template["statement"]
            found[("template", template["statement"])] = template.get("name")
    for page in api.get_paginator("list_policies").paginate(policyStoreId=store):
        for item in page["policies"]:
            policy = api.get_policy(policyStoreId=store, policyId=item["policyId"])
            definition = policy["definition"]
            if "static" in definition:
                key = ("static", definition["static"]["statement"])
            else:
                linked = definition["templateLinked"]
                key = ("link", templates[linked["policyTemplateId"]], json.dumps([linked.get("principal"), linked.get("resource")], sort_keys=True))
            assert key not in found, f"twice: {key}"
            found[key] = policy.get("name")
    return found


QUESTIONS = list(itertools.product(
    ["alice", "bob", "eve", "root", "json"], ["read", "write"], ["1", "secret"],
    [[], ["viewers"], ["ädmins 🦊", "viewers"]], [[], ["all"]],
))  # fmt: skip


def remote_decisions(api, store, ids):
    answers = []
    for user, action, order, groups, folders in QUESTIONS:
        user = {"entityType": "Shop::User", "entityId": user}
        order = {"entityType": "Shop::Order", "entityId": order}
        answer = api.is_authorized(
            policyStoreId=store, principal=user, action={"actionType": "Shop::Action", "actionId": action}, resource=order,
            entities={"entityList": [
                {"identifier": user, "parents": [{"entityType": "Shop::Group", "entityId": g} for g in groups]},
                {"identifier": order, "parents": [{"entityType": "Shop::Folder", "entityId": f} for f in folders]},
            ]},
        )  # fmt: skip
        assert not answer["errors"]
        answers.append((answer["decision"], sorted(ids[p["policyId"]] for p in answer["determiningPolicies"])))
    return answers


def local_decisions(tmp_path, path):
    folder = tmp_path / f"asked-{path.name}-{len(list(tmp_path.iterdir()))}"
    shutil.copytree(path, folder)
    answers = []
    for user, action, order, groups, folders in QUESTIONS:
        entities = [
            {"uid": uid("User", user), "attrs": {}, "parents": [uid("Group", g) for g in groups]},
            {"uid": uid("Order", order), "attrs": {}, "parents": [uid("Folder", f) for f in folders]},
            *[{"uid": uid("Group", g), "attrs": {}, "parents": []} for g in groups],
            *[{"uid": uid("Folder", f), "attrs": {}, "parents": []} for f in folders],
        ]
        (folder / "entities.json").write_text(json.dumps(entities))
        done = subprocess.run(
            [binary(), "authorize", "--policies", folder, "--principal", f'Shop::User::"{user}"', "--action", f'Shop::Action::"{action}"',
             "--resource", f'Shop::Order::"{order}"'],
            capture_output=True, text=True, timeout=30, env=outside(),
        )  # fmt: skip
        assert done.returncode in (0, 2), done.stdout + done.stderr
        answers.append((done.returncode, done.stdout))
    return answers


def ids_of(path, store):
    known = json.loads((path / "avp.json").read_text())["stores"][store]
    return {entry["id"]: name for name, entry in known["policies"].items()}


def test_push_then_pull_changes_no_text_name_link_or_decision(server, api, store, tmp_path):
    path = write_folder(tmp_path / "policies")
    before = contents(path)
    decided = local_decisions(tmp_path, path)
    push(server.url, store, path)
    found = stored(api, store)
    statements = {key[1]: name for key, name in found.items() if key[0] == "static"}
    first = POLICIES[: POLICIES.index("\n\n@id(\"no-secrets\")")]
    assert statements[first] == "name/viewers-read"
    assert {name for name in found.values() if name} == {
        f"name/{n}" for n in ("viewers-read", "no-secrets", "share", "ban", "bob-sees-1", "eve-is-out", "json-one")
    }
    assert len(found) == 8
    schema = json.loads(api.get_schema(policyStoreId=store)["schema"])
    assert set(schema["Shop"]["entityTypes"]) == {"Group", "User", "Folder", "Order"}
    assert "Nothing to do" in plan(server.url, store, path)

    # The same folder is left as it is, byte for byte.
    pull(server.url, store, path)
    assert contents(path) == before
    # Another folder gets the same texts, names and links, and pushing it changes nothing.
    other = tmp_path / "other"
    pull(server.url, store, other)
    texts = [p.read_text() for p in other.glob("*.cedar")]
    for statement in [key[1] for key in found if key[0] != "link"]:
        assert statement + "\n" in texts
    links = json.loads((other / "links.cedar.json").read_text())["templateLinks"]
    assert sorted(links, key=str) == sorted(json.loads(before["more.cedar.json"])["templateLinks"], key=str)
    assert "Nothing to do" in plan(server.url, store, other)
    assert stored(api, store) == found
    after = contents(other)
    pull(server.url, store, other)
    assert contents(other) == after

    # All three decide the same.
    ours = remote_decisions(api, store, ids_of(path, store))
    theirs = remote_decisions(api, store, ids_of(other, store))
    assert [d for d, _ in ours] == [d for d, _ in theirs] == [("ALLOW", "DENY")[c // 2] for c, _ in decided]
    assert {d for d, _ in ours} == {"ALLOW", "DENY"}
    assert [c for c, _ in local_decisions(tmp_path, other)] == [c for c, _ in decided]
    assert [c for c, _ in local_decisions(tmp_path, path)] == [c for c, _ in decided]


def test_three_hundred_policies_are_more_than_a_page(server, api, loose, tmp_path):
    path = tmp_path / "many"
    path.mkdir()
    for file in range(10):
        (path / f"f{file}.cedar").write_text(
            "".join(f'// {n}\n@id("p{file}-{n}") permit(principal == Shop::User::"u{n}", action, resource == Shop::Order::"{file}");\n\n' for n in range(30))
        )
    before = contents(path)
    push(server.url, loose, path)
    assert len(stored(api, loose)) == 300
    pull(server.url, loose, path)
    assert contents(path) == before
    other = tmp_path / "others"
    pull(server.url, loose, other)
    assert len(list(other.glob("*.cedar"))) == 300
    assert "Nothing to do" in plan(server.url, loose, other)


def test_no_moment_allows_what_neither_before_nor_after_allows(server, api, loose, tmp_path, watcher):
    path = tmp_path / "moving"
    path.mkdir()
    (path / "a.cedar").write_text(
        '@id("out") forbid(principal, action, resource) when { resource == Shop::Order::"1" };\n'
        '@id("in") permit(principal == Shop::User::"alice", action, resource);\n'
        '@id("same") permit(principal == Shop::User::"bob", action, resource);\n'
        '@id("gone") permit(principal == Shop::User::"carol", action, resource);\n'
    )
    push(server.url, loose, path)
    names = ids_of(path, loose)
    (path / "a.cedar").write_text(
        '@id("out") forbid(principal, action, resource) when { resource == Shop::Order::"2" };\n'
        '@id("in") permit(principal == Shop::User::"alicia", action, resource);\n'
        '@id("same") permit(principal == Shop::User::"bob", action, resource) when { resource != Shop::Order::"3" };\n'
        '@id("new") permit(principal == Shop::User::"dan", action, resource);\n'
    )
    users, orders = ["alice", "alicia", "bob", "carol", "dan"], ["1", "2", "3"]

    def allowed():
        return {
            (u, o) for u in users for o in orders
            if api.is_authorized(
                policyStoreId=loose, principal={"entityType": "Shop::User", "entityId": u}, action={"actionType": "Shop::Action", "actionId": "read"},
                resource={"entityType": "Shop::Order", "entityId": o},
            )["decision"] == "ALLOW"
        }  # fmt: skip

    moments = [allowed()]
    original = watcher.changes.append

    class Noting(list):
        def append(self, item):
            original(item)
            super().append(item)
            moments.append(allowed())

    watcher.changes = Noting()
    push(watcher.url, loose, path)
    first, last = moments[0], moments[-1]
    assert first != last and len(moments) > 5
    for moment in moments:
        assert moment <= first | last
    # A forbid that is replaced is made before the old one goes; a permit goes before the new one is made.
    order = []
    for name, sent, got in watcher.changes:
        if name == "DeletePolicy":
            order.append(("-", names[sent["policyId"]]))
        elif name == "CreatePolicy":
            order.append(("+", sent["definition"]["static"]["statement"].split('"')[1]))
        elif name == "UpdatePolicy" and "definition" in sent:
            order.append(("~", names[sent["policyId"]]))
    assert order == [("+", "out"), ("-", "in"), ("-", "gone"), ("~", "same"), ("+", "in"), ("+", "new"), ("-", "out")]
    assert {name for key, name in stored(api, loose).items()} == {"name/out", "name/in", "name/same", "name/new"}


@pytest.mark.parametrize("done", range(0, 12))
def test_a_push_that_was_cut_off_is_ended_by_the_next(server, api, loose, tmp_path, watcher, done):
    path = write_folder(tmp_path / "policies")
    push(server.url, loose, path)
    text = (path / "orders.cedar").read_text()
    (path / "orders.cedar").write_text(
        text.replace('Shop::Order::"secret"', 'Shop::Order::"hidden"').replace('Shop::User::"root"', 'Shop::User::"boss"').replace("viewers\",", "members\",")
    )
    (path / "shared.cedar").write_text(TEMPLATES.replace("action == Shop::Action::\"read\"", "action").replace("action, resource in", "action == Shop::Action::\"write\", resource in"))
    (path / "more.cedar.json").unlink()
    watcher.limit = done
    process = subprocess.Popen(
        [binary(), "avp", "push", "--policy-store", loose, "--apply", path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**outside(), **KEYS, "AWS_ENDPOINT_URL": watcher.url},
    )  # fmt: skip
    while process.poll() is None and not watcher.cut.wait(0.05):
        pass
    # It has changed the store and will never know.
    process.kill()
    output = process.communicate()[0]
    if not watcher.cut.is_set():
        assert process.returncode == 0, output
    push(server.url, loose, path)
    assert "Nothing to do" in plan(server.url, loose, path)
    clean = api.create_policy_store(validationSettings={"mode": "OFF"})["policyStoreId"]
    fresh = tmp_path / "fresh"
    shutil.copytree(path, fresh)
    (fresh / "avp.json").unlink()
    push(server.url, clean, fresh)
    # As if it had been pushed in one piece.
    assert stored(api, loose) == stored(api, clean)


def test_what_was_not_made_from_the_files_is_kept(server, api, loose, tmp_path):
    path = write_folder(tmp_path / "policies")
    theirs = api.create_policy(
        policyStoreId=loose, definition={"static": {"statement": 'permit(principal == Shop::User::"x", action, resource);'}}
    )["policyId"]
    text = push(server.url, loose, path)
    assert f"permit {theirs} is kept" in text and "--prune" in text
    assert api.get_policy(policyStoreId=loose, policyId=theirs)
    # What was made from the files goes with them; theirs still does not.
    (path / "more.cedar.json").unlink()
    text = push(server.url, loose, path)
    assert "delete permit bob-sees-1" in text and api.get_policy(policyStoreId=loose, policyId=theirs)
    assert len(stored(api, loose)) == 6
    push(server.url, loose, path, "--prune")
    assert len(stored(api, loose)) == 5


def test_what_somebody_else_changed_is_a_conflict(server, api, loose, tmp_path, watcher):
    path = write_folder(tmp_path / "policies")
    push(server.url, loose, path)
    before = contents(path)
    ids = {name: identifier for identifier, name in ids_of(path, loose).items()}

    def edit(text):
        old = api.get_policy(policyStoreId=loose, policyId=ids["viewers-read"])["definition"]["static"]["statement"]
        api.update_policy(policyStoreId=loose, policyId=ids["viewers-read"], definition={"static": {"statement": old.replace("resource\n", text)}})

    edit("resource // theirs\n")
    (path / "orders.cedar").write_text(POLICIES.replace("whoever signed up", "whoever is here"))
    assert "conflict: permit viewers-read was changed in the store" in plan(server.url, loose, path, code=1)
    assert "changed here and in the store" in pull(server.url, loose, path, code=1)
    (path / "orders.cedar").write_text(POLICIES)
    pull(server.url, loose, path)
    assert "resource // theirs\n" in (path / "orders.cedar").read_text()
    changed = {name for name, data in contents(path).items() if data != before[name]}
    assert changed == {"orders.cedar"}
    assert (path / "orders.cedar").read_text().replace("resource // theirs\n", "resource\n") == POLICIES

    # Between plan and deed: nothing is done on what has changed.
    (path / "orders.cedar").write_text((path / "orders.cedar").read_text().replace("whoever signed up", "mine"))
    watcher.before["UpdatePolicy"] = None
    watcher.before["GetPolicy"] = lambda: edit("resource // late\n") or api.update_policy(
        policyStoreId=loose, policyId=ids["viewers-read"], name="name/other"
    )
    text = push(watcher.url, loose, path, code=1)
    assert "viewers-read has changed in the store since the plan was made" in text
    assert watcher.names() == []
    assert "mine" not in api.get_policy(policyStoreId=loose, policyId=ids["viewers-read"])["definition"]["static"]["statement"]

    # Deleted there, wanted here.
    api.delete_policy(policyStoreId=loose, policyId=ids["json-one"])
    assert "permit json-one was deleted in the store" in plan(server.url, loose, path, code=1)
    push(server.url, loose, path, "--overwrite")
    assert "Nothing to do" in plan(server.url, loose, path)


def test_pull_brings_what_was_made_changed_and_deleted_in_the_store(server, api, loose, tmp_path):
    path = write_folder(tmp_path / "policies")
    push(server.url, loose, path)
    ids = {name: identifier for identifier, name in ids_of(path, loose).items()}
    api.delete_policy(policyStoreId=loose, policyId=ids["no-secrets"])
    api.delete_policy(policyStoreId=loose, policyId=ids["bob-sees-1"])
    statement = '\n// made by hand\nforbid(principal, action, resource == Shop::Order::"9");\n\n'
    api.create_policy(policyStoreId=loose, definition={"static": {"statement": statement, "description": "by hand"}}, name="name/by/hand")
    text = pull(server.url, loose, path)
    assert "wrote" in text
    assert (path / "by-hand.cedar").read_text() == statement
    assert "no-secrets" not in (path / "orders.cedar").read_text() and "viewers-read" in (path / "orders.cedar").read_text()
    assert [x["newId"] for x in json.loads((path / "more.cedar.json").read_text())["templateLinks"]] == ["eve-is-out"]
    assert "Nothing to do" in plan(server.url, loose, path)
    assert subprocess.run([binary(), "check", "--policies", path], env=outside(), capture_output=True).returncode == 0


def test_the_shadow_is_not_pushed_and_limits_are_known(server, api, loose, tmp_path):
    path = tmp_path / "shadow"
    path.mkdir()
    (path / "a.cedar").write_text(
        '@id("real") permit(principal == Shop::User::"a", action, resource);\n@id("trial") @mode("shadow") permit(principal, action, resource);\n'
    )
    text = push(server.url, loose, path)
    assert "trial is not pushed: it is in the shadow" in text
    assert list(stored(api, loose).values()) == ["name/real"]
    (path / "b.cedar").write_text('@id("t") permit(principal, action, resource == ?resource);')
    assert "template t must say something of both principal and resource" in plan(server.url, loose, path, code=3)
    (path / "b.cedar").write_text('@id("big") permit(principal, action, resource) when { "%s" == "" };' % ("x" * 10_000))
    assert "and a store takes 10000" in plan(server.url, loose, path, code=3)
    (path / "b.cedar").unlink()
    (path / "schema.cedarschema").write_text("entity User; entity Order; action read appliesTo { principal: [User], resource: [Order] };")
    (path / "a.cedar").write_text('@id("real") permit(principal == User::"a", action, resource);')
    assert "the schema has declarations outside of namespaces" in plan(server.url, loose, path, code=3)
    (path / "schema.cedarschema").unlink()
    (path / "b.cedar").write_text("permit(principal, action")
    assert avp(server.url, "push", "--policy-store", loose, "--apply", path).returncode == 3
    assert avp(server.url, "push", "--policy-store", loose, path).returncode == 64
    assert avp(server.url, "push", "--apply", path).returncode == 64
    assert avp(server.url, "pull", "--policy-store", "nowhere", tmp_path / "x").returncode == 1
    assert avp("http://127.0.0.1:1", "pull", "--policy-store", loose, tmp_path / "x", environment={"AWS_PROFILE": "none"}).returncode in (1, 3)
    assert not (tmp_path / "x").exists()


def test_groups_of_actions_move_between_forbids_and_permits(server, api, tmp_path, watcher):
    store = api.create_policy_store(validationSettings={"mode": "STRICT"})["policyStoreId"]
    path = write_folder(tmp_path / "policies")
    push(server.url, store, path)
    (path / "schema.cedarschema").write_text(SCHEMA.replace("action read, write in [all]", "action read, write"))
    (path / "new.cedar").write_text('@id("f") forbid(principal, action, resource == Shop::Order::"7");\n@id("p") permit(principal == Shop::User::"z", action, resource);\n')
    text = push(watcher.url, store, path)
    assert "which changes groups of actions" in text
    assert watcher.names() == ["CreatePolicy", "PutSchema", "CreatePolicy"]
    assert "Nothing to do" in plan(server.url, store, path)


def test_the_plan_of_eighty_columns(server, api, loose, tmp_path):
    path = write_folder(tmp_path / "policies")
    done = subprocess.run(
        [binary(), "avp", "push", "--policy-store", loose, "--dry-run", "policies"], cwd=tmp_path, capture_output=True, text=True,
        env={**outside(), **KEYS, "AWS_ENDPOINT_URL": server.url},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    golden = pathlib.Path(__file__).parent / "golden" / "avp_push_plan.txt"
    text = done.stdout.replace(loose, "STORE")
    if os.environ.get("UPDATE_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text()
    assert stored(api, loose) == {} and not (path / "avp.json").exists()
