"""The first week of somebody who puts Stockade before a service of theirs, played from beginning to end on one running process:
begin without blocking anything, read what would be refused, write the policy that is missing, enforce, take in a second issuer,
edit under load, break it, roll back."""

import os
import signal
import subprocess
import threading

import pytest
import requests

from processes import Stockade, binary, eventually, outside


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "service"
    folder.mkdir()
    return folder


def command(home, *words):
    return subprocess.run(
        [binary(), *map(str, words)], cwd=home, env=outside(), capture_output=True, text=True, timeout=60, check=False
    )


def save(path, text):
    """As an editor saves: another file is renamed over the old one, and nobody sees half of it."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    os.rename(fresh, path)


def edit(path, old, new):
    text = path.read_text()
    assert old in text, f"{path} has no {old!r}"
    save(path, text.replace(old, new, 1))


class Load:
    """Requests without pause from several clients, each of which knows what it must get."""

    def __init__(self, proxy):
        self.proxy = proxy
        self.wrong, self.counts = [], []
        self.stop = threading.Event()
        self.threads = []

    def add(self, method, path, token, statuses):
        def ask():
            count = 0
            with requests.Session() as session:
                while not self.stop.is_set():
                    try:
                        status = session.request(
                            method, self.proxy + path, headers={"Authorization": "Bearer " + token}, timeout=10
                        ).status_code
                    except requests.RequestException as error:
                        status = repr(error)
                    count += 1
                    if status not in statuses:
                        self.wrong.append((method, path, status))
            self.counts.append(count)

        self.threads.append(threading.Thread(target=ask))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()


EDITORS = """
@id("editors-delete-orders")
permit (
  principal in UserGroup::"{pool}|editor",
  action == Action::"DELETE",
  resource in Path::"/orders"
);
"""

VISITORS = """
@id("partners-see-orders-only")
forbid (principal in UserGroup::"partner|viewer", action, resource)
unless { resource in Path::"/orders" };
"""


def test_the_first_week(home, pool, nginx, demo, alice, bob):
    configuration, policy = home / "stockade.json5", home / "policies" / "starter.cedar"

    # Monday. A first configuration, and nothing is blocked.
    made = command(home, "init", "--to", nginx.url, "--cognito", pool.id, "--client-id", pool.client_id)
    assert made.returncode == 0, made.stderr
    assert "nothing is blocked yet" in made.stdout
    # The pool is moto's, so its keys are not where AWS has them.
    edit(configuration, "client_ids:", f"jwks_url: '{pool.jwks_url}',\n      client_ids:")
    checked = command(home, "check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    server = Stockade(home, "week", cwd=home)
    server.until("its keys are there", lambda: requests.get(server.ops + "/readyz", timeout=5).status_code == 200)
    assert "observe_mode" in server.err.read_text()

    def ask(method, path, token=None):
        headers = {"Authorization": "Bearer " + token} if token else {}
        return requests.request(method, server.proxy + path, headers=headers, timeout=10)

    def generation():
        for line in requests.get(server.ops + "/metrics", timeout=5).text.splitlines():
            if line.startswith("stockade_snapshot_generation"):
                return int(float(line.split()[-1]))
        raise AssertionError("no generation")

    def expect_reload(change):
        before = generation()
        change()
        server.until("the edit is in force", lambda: generation() > before)

    (nginx.root / "orders" / "57").write_text("order 57\n")
    (nginx.root / "orders" / "58").write_text("order 58\n")
    assert ask("GET", "/orders/42").status_code == 200
    assert ask("GET", "/orders/42", alice["AccessToken"]).status_code == 200
    assert ask("DELETE", "/orders/57", bob["AccessToken"]).status_code == 204

    # Tuesday. What would have been refused, and why: the anonymous reader and the editor who deletes.
    would = eventually(
        "two would-denies", lambda: (found := [r for r in server.records() if r["decision"] == "deny"]) and len(found) == 2 and found
    )
    assert [(r["http"]["method"], r["reason"], r["enforced"]) for r in would] == [
        ("GET", "no_token", False), ("DELETE", "no_permit", False),
    ]  # fmt: skip
    assert would[1]["principal"] == f'User::"{pool.id}|{pool.subjects["bob"]}"'

    # Wednesday. The editor's permission is missing: written, with a test, checked, in force.
    expect_reload(lambda: save(policy, policy.read_text() + EDITORS.format(pool=pool.id)))
    tests = home / "policies" / "tests" / "starter.test.json5"
    edit(tests, "nobody: null,", "nobody: null,\n    eve: { issuer: 'main', claims: { sub: 'eve', 'cognito:groups': ['editor'] } },")
    edit(
        tests, "tests: [",
        "tests: [\n    { name: 'editors delete', as: 'eve', request: 'DELETE /orders/42', expect: 'allow', by: ['editors-delete-orders'] },",
    )  # fmt: skip
    checked = command(home, "check")
    assert checked.returncode == 0 and "4 passed, 0 failed" in checked.stdout, checked.stdout + checked.stderr
    answer = ask("DELETE", "/orders/58", bob["AccessToken"])
    assert answer.status_code == 204
    record = server.record(answer.headers["X-Stockade-Decision-Id"])
    assert (record["decision"], record["policies"]) == ("allow", ["editors-delete-orders"])

    # Thursday. Enforced, under load: no request fails that may pass, before, at and after the change.
    load = Load(server.proxy)
    load.add("GET", "/orders/42", alice["AccessToken"], {200})
    load.add("GET", "/invoices/1", bob["IdToken"], {200})
    # Let pass while observed, refused once enforced, and never anything else.
    load.add("PUT", "/orders/42", alice["AccessToken"], {403, 405})
    with load:
        server.until("there is load", lambda: len(server.records()) > 50)
        expect_reload(lambda: edit(configuration, "mode: 'observe'", "mode: 'enforce'"))
        server.until("it is enforced", lambda: ask("GET", "/orders/42").status_code == 401)
        assert ask("DELETE", "/orders/42", alice["AccessToken"]).status_code == 403

        # Friday. A second issuer beside the pool, and a policy of its own; the first notices nothing.
        partner = f"""partner: {{
          issuer: '{demo.info["issuer"]}',
          id_prefix: 'partner',
          mapping: {{ group_claim: 'cognito:groups' }},
          client_ids: ['{demo.info["client_ids"][0]}'],
        }},
      }},
      development: true,
      policies:"""
        expect_reload(lambda: edit(configuration, "},\n  policies:", partner))
        token = subprocess.run(
            [binary(), "token", "alice", "--issuer", demo.info["issuer_url"]], capture_output=True, text=True, timeout=30
        ).stdout.strip()
        answer = ask("GET", "/orders/42", token)
        assert answer.status_code == 200
        record = server.record(answer.headers["X-Stockade-Decision-Id"])
        assert record["principal"].startswith('User::"partner|') and record["token"]["issuer"] == "partner"
        assert ask("GET", "/invoices/1", token).status_code == 200
        expect_reload(lambda: save(home / "policies" / "partners.cedar", VISITORS))
        assert ask("GET", "/invoices/1", token).status_code == 403
        assert ask("GET", "/orders/42", token).status_code == 200

        # Saturday. A mistake: told with its place, and nothing changes.
        before = generation()
        sound = policy.read_text()
        save(policy, sound.replace("permit (", "permitt (", 1))
        place = f"starter.cedar:{sound[: sound.index('permit (')].count(chr(10)) + 1}:1: error:"
        server.until("it is told", lambda: place in server.err.read_text())
        assert "Nothing was changed." in server.err.read_text()
        refused = command(home, "check")
        assert refused.returncode == 3 and place in refused.stdout + refused.stderr
        assert generation() == before and ask("GET", "/orders/42", alice["AccessToken"]).status_code == 200
        assert ask("GET", "/invoices/1", token).status_code == 403

        # Sunday. Rolled back to what was, by a signal this time.
        save(policy, sound)
        (home / "policies" / "partners.cedar").unlink()
        os.kill(server.pid, signal.SIGHUP)
        server.until("the old rules are in force", lambda: ask("GET", "/invoices/1", token).status_code == 200)
    assert load.wrong == [] and min(load.counts) > 50
    assert server.end() == 0, server.text()
    statuses = {record["status"] for record in server.records()}
    assert 500 not in statuses and 502 not in statuses and 503 not in statuses
