"""Streams that last: closed when their token ends, when it is revoked, or when what is in force would refuse them by now."""

import contextlib
import json
import socket
import threading
import time

import pytest
import requests

from processes import Stockade, eventually
from provider import Key, Provider

POLICY = '@id("all") permit (principal, action, resource);'
FORBID = '\n@id("no-more") forbid (principal, action, resource in Path::"/chat");'


def frame(text):
    assert len(text) < 126
    return bytes([0x81, len(text)]) + text


class Talking:
    """A service that speaks WebSocket, another protocol, or a response without end, by the path it is asked for."""

    endless = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n6\r\ndata\n\n\r\n"

    def __init__(self):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.server.getsockname()[1]}"
        self.connections, self.heard = [], []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            connection, _ = self.server.accept()
            threading.Thread(target=self.speak, args=(connection,), daemon=True).start()

    def speak(self, connection):
        with connection, contextlib.suppress(ConnectionError):
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += connection.recv(1) or b"\r\n\r\n"
            protocol = next((line.split(b": ")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"upgrade:")), None)
            if protocol:
                connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + protocol + b"\r\n\r\n")
            else:
                connection.sendall(self.endless)
            self.connections.append(connection)
            while chunk := connection.recv(65536):
                if not protocol and chunk.startswith(b"GET "):
                    connection.sendall(self.endless)
                else:
                    self.heard.append(chunk)


@pytest.fixture(scope="module")
def provider():
    provider = Provider()
    yield provider
    provider.end()


@pytest.fixture
def service():
    return Talking()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "policy.cedar").write_text(POLICY)
    (tmp_path / "revoked.json").write_text("[]")
    return tmp_path


@pytest.fixture
def server(folder, provider, service):
    (folder / "stockade.json5").write_text(
        f"""{{ upstream: '{service.url}', policies: 'policies', workers: 2, revocations: 'revoked.json', drain: {{ timeout: '1s' }},
          issuers: {{ main: {{ issuer: '{provider.issuer}', client_ids: ['app'], id_prefix: 'demo', jwks_url: '{provider.url}', clock_skew: '1s',
            jwks: {{ refresh: '1s' }} }} }},
          routes: [
            {{ match: 'GET /chat/all/{{rest...}}', close_streams: 'all' }},
            {{ match: 'GET /chat/never/{{rest...}}', close_streams: 'never' }},
            {{ match: 'GET /chat/observed/{{rest...}}', mode: 'observe' }},
            {{ match: '* /{{rest...}}' }},
          ] }}"""
    )
    server = Stockade(folder, "gateway", "--config", folder / "stockade.json5")
    server.until("its keys are there", lambda: requests.get(server.ops + "/readyz", timeout=5).status_code == 200)
    yield server
    assert server.end() == 0, server.text()


@contextlib.contextmanager
def stream(server, service, path, token, upgrade=None):
    """The client's end and the service's end of one stream that has begun, and the decision that let it begin."""
    host, port = server.proxy.removeprefix("http://").split(":")
    before = len(service.connections)
    with socket.create_connection((host, int(port)), timeout=20) as client:
        offer = f"Connection: Upgrade\r\nUpgrade: {upgrade}\r\n" if upgrade else ""
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n{offer}\r\n".encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = client.recv(1)
            assert byte, head
            head += byte
        assert head.startswith(b"HTTP/1.1 101 " if upgrade else b"HTTP/1.1 200 "), head
        if not upgrade:
            assert client.recv(11) == b"6\r\ndata\n\n\r\n"
        eventually("the service has begun", lambda: len(service.connections) > before)
        began = next(line.split(b": ")[1].decode() for line in head.split(b"\r\n") if line.lower().startswith(b"x-stockade-decision-id"))
        yield client, service.connections[-1], began


def rest(client):
    """What comes until the end, and whether the end was one."""
    received = b""
    try:
        while chunk := client.recv(65536):
            received += chunk
        return received, "end"
    except ConnectionResetError:
        return received, "reset"


def change_policy(folder, text):
    fresh = folder / "policies" / "policy.new"
    fresh.write_text(text)
    fresh.rename(folder / "policies" / "policy.cedar")


def status(server, path, token):
    """The status alone: what is allowed has no end."""
    with requests.get(server.proxy + path, timeout=5, headers={"Authorization": f"Bearer {token}"}, stream=True) as response:
        return response.status_code


def linked(server, began):
    return server.until("the linked record", lambda: next((record for record in server.records() if record.get("stream_of") == began), None))


def metric(server, name):
    text = requests.get(server.ops + "/metrics", timeout=5).text
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith((name + " ", name + "{")))


def assert_closed_by(received, decision):
    assert received.startswith(b"\x88") and received[1] == len(received) - 2 and received[2:4] == b"\x03\xf0", received
    assert received[4:].decode() == f"decision {decision}"


def test_a_websocket_ends_with_its_token(server, service, provider):
    expires = int(time.time()) + 3
    with stream(server, service, "/chat/1", provider.token(exp=expires), "websocket") as (client, behind, began):
        behind.sendall(frame(b"hello"))
        assert client.recv(7) == frame(b"hello")
        received, end = rest(client)
        assert time.time() >= expires and end == "end"
        record = linked(server, began)
        assert_closed_by(received, record["id"])
        assert (record["decision"], record["reason"], record["status"], record["enforced"]) == ("deny", "token_expired", 101, True)
        assert record["route"] and record["http"]["path"] == "/chat/1"
    first = server.record(began)
    assert first["decision"] == "allow" and "stream_of" not in first
    eventually("it is counted", lambda: metric(server, "stockade_streams_closed_total") == 1)
    assert metric(server, "stockade_requests_total") == 1, "a stream that ends is no request"


def test_a_token_without_a_near_end_is_watched_as_well(folder, server, service, provider):
    """One that lives for most of a year: its timer is bounded, and a reload finds it all the same."""
    path = folder / "stockade.json5"
    path.write_text(path.read_text().replace("clock_skew: '1s',", "clock_skew: '1s', max_lifetime: '366d',"))
    token = provider.token(exp=int(time.time()) + 300 * 86_400)
    server.until("the bound is in force", lambda: status(server, "/chat/1", token) == 200)
    with stream(server, service, "/chat/1", token, "websocket") as (client, _, began):
        change_policy(folder, POLICY + FORBID)
        received, _ = rest(client)
        assert_closed_by(received, linked(server, began)["id"])


def test_a_frame_is_sent_to_its_end_first(folder, server, service, provider):
    whole = frame(b"x" * 100)
    with stream(server, service, "/chat/1", provider.token(), "websocket") as (client, behind, began):
        behind.sendall(whole[:40])
        assert client.recv(40, socket.MSG_WAITALL) == whole[:40]
        change_policy(folder, POLICY + FORBID)
        record = linked(server, began)
        assert (record["reason"], record["policies"]) == ("policy_forbid", ["no-more"])
        # What the client says from now on is not the service's to hear.
        client.sendall(b"after the end")
        behind.sendall(whole[40:] + frame(b"never to be seen"))
        received, _ = rest(client)
        assert received[:62] == whole[40:]
        assert_closed_by(received[62:], record["id"])
    assert b"after the end" not in b"".join(service.heard)


def test_streams_that_go_while_all_are_asked_about_harm_nobody(folder, server, service, provider):
    """More than are asked about in one turn; the clients of the later ones are gone when their turn comes."""
    with contextlib.ExitStack() as streams:
        clients = [streams.enter_context(stream(server, service, "/chat/1", provider.token(), "websocket"))[0] for _ in range(150)]
        change_policy(folder, POLICY + FORBID)
        rest(clients[0])
        for client in clients[1:]:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()
    assert status(server, "/chat/1", provider.token()) == 403
    linked = [record["stream_of"] for record in server.records() if "stream_of" in record]
    assert len(linked) == len(set(linked)) > 0, "a stream ends once"


def test_a_frame_that_does_not_end_is_not_waited_for(folder, server, service, provider):
    with stream(server, service, "/chat/1", provider.token(), "websocket") as (client, behind, began):
        behind.sendall(frame(b"x" * 100)[:40])
        assert len(client.recv(40, socket.MSG_WAITALL)) == 40
        change_policy(folder, POLICY + FORBID)
        linked(server, began)
        assert rest(client) == (b"", "reset")


def test_another_protocol_is_broken_off(folder, server, service, provider):
    with stream(server, service, "/chat/1", provider.token(), "shout") as (client, behind, began):
        change_policy(folder, POLICY + FORBID)
        linked(server, began)
        assert rest(client)[1] == "reset"


def test_a_reload_that_allows_leaves_a_stream_alone(folder, server, service, provider):
    with stream(server, service, "/chat/1", provider.token(), "websocket") as (client, behind, _):
        change_policy(folder, POLICY + '\n@id("other") forbid (principal, action, resource in Path::"/other");')
        server.until("it is in force", lambda: status(server, "/other/1", provider.token()) == 403)
        behind.sendall(frame(b"still here"))
        assert client.recv(12) == frame(b"still here")
        assert not [record for record in server.records() if "stream_of" in record]


def test_a_revoked_token_ends_its_streams(folder, server, service, provider):
    with stream(server, service, "/chat/1", provider.token(jti="lost"), "websocket") as (client, _, began):
        with stream(server, service, "/chat/2", provider.token(jti="kept"), "websocket") as (other, behind, _):
            (folder / "revoked.new").write_text(json.dumps([{"jti": "lost"}]))
            (folder / "revoked.new").rename(folder / "revoked.json")
            received, _ = rest(client)
            record = linked(server, began)
            assert record["reason"] == "token_revoked"
            assert_closed_by(received, record["id"])
            behind.sendall(frame(b"still here"))
            assert other.recv(12) == frame(b"still here")


def test_a_withdrawn_key_ends_the_streams_of_its_tokens(server, service, provider):
    token, old = provider.token(), provider.keys
    with stream(server, service, "/chat/1", token, "websocket") as (client, _, began):
        provider.keys = [Key()]
        try:
            rest(client)
            assert linked(server, began)["reason"] == "key_unknown"
        finally:
            provider.keys = old


def test_responses_that_flow_are_closed_only_where_it_is_asked_for(folder, server, service, provider):
    with (
        stream(server, service, "/chat/all/1", provider.token()) as (closed, _, began),
        stream(server, service, "/chat/1", provider.token()) as (plain, behind_plain, _),
        stream(server, service, "/chat/never/1", provider.token(), "websocket") as (never, behind_never, _),
        stream(server, service, "/chat/observed/1", provider.token(), "websocket") as (observed, behind_observed, watched),
    ):
        change_policy(folder, POLICY + FORBID)
        received, end = rest(closed)
        # A body that breaks off is never taken for a whole one.
        assert b"0\r\n\r\n" not in received and end == "reset"
        assert linked(server, began)["status"] == 200
        behind_plain.sendall(b"6\r\nmore\n\n\r\n")
        assert plain.recv(11) == b"6\r\nmore\n\n\r\n"
        # In observe mode it is told, once.
        record = linked(server, watched)
        assert (record["decision"], record["enforced"], record["reason"]) == ("deny", False, "policy_forbid")
        for client, behind in ((never, behind_never), (observed, behind_observed)):
            behind.sendall(frame(b"still here"))
            assert client.recv(12) == frame(b"still here")
    assert len([record for record in server.records() if "stream_of" in record]) == 2


def test_a_response_with_an_end_is_asked_about_no_more(folder, server, service, provider):
    with stream(server, service, "/chat/all/1", provider.token()) as (client, behind, _):
        behind.sendall(b"0\r\n\r\n")
        assert client.recv(5) == b"0\r\n\r\n"
        change_policy(folder, POLICY + FORBID)
        server.until("it is in force", lambda: status(server, "/chat/2", provider.token()) == 403)
        # The connection is there, and serves.
        client.sendall(f"GET /chat/2 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {provider.token()}\r\n\r\n".encode())
        assert client.recv(12) == b"HTTP/1.1 403"
    assert not [record for record in server.records() if "stream_of" in record]
