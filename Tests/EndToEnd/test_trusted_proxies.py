"""Behind proxies of one's own: HAProxy and nginx in front say whose a connection or request is, and are believed where they are
named, and nobody else is."""

import socket
import struct
import subprocess

import pytest
import requests

from conftest import run_flags
from processes import CHECKOUT, Running, Stockade, eventually, free_port, listening

# What only the machine's own address may see, in a policy; requests come from the loopback network by other addresses.
LOCAL_ONLY = """
@id("only-127.0.0.9")
forbid (principal, action, resource)
unless { context has client && context.client.ip == ip("127.0.0.9") };
"""


class HAProxy(Running):
    """Debian's, as a TCP or HTTP proxy in front."""

    def __init__(self, folder, name, mode, server, more=""):
        self.port = free_port()
        configuration = folder / f"{name}.cfg"
        configuration.write_text(
            f"""defaults
  mode {mode}
  timeout connect 5s
  timeout client 10s
  timeout server 10s
listen front
  bind 127.0.0.1:{self.port}
  {more}
  server stockade {server}
"""
        )
        super().__init__(["/usr/sbin/haproxy", "-f", str(configuration)], folder, name)
        self.until("haproxy listens", lambda: listening(self.port))
        self.url = f"http://127.0.0.1:{self.port}"


@pytest.fixture
def policies(tmp_path):
    folder = tmp_path / "policies"
    folder.mkdir()
    for name in ("orders.cedar", "schema.cedarschema", "entities.json"):
        (folder / name).write_text((CHECKOUT / "policies" / name).read_text())
    (folder / "local.cedar").write_text(LOCAL_ONLY)
    return folder


def start(tmp_path, pool, nginx, policies, settings):
    configuration = tmp_path / "stockade.json5"
    configuration.write_text("{ " + settings + " }")
    server = Stockade(tmp_path, "edge", "--config", configuration, *run_flags(pool, nginx.url, policies))
    server.until("its keys are there", lambda: requests.get(server.ops + "/readyz", timeout=5).status_code == 200)
    return server


def get(url, token, source=None, **headers):
    """Asks from an address of the loopback network."""
    session = requests.Session()
    if source:
        session.get_adapter(url).init_poolmanager(1, 1, source_address=(source, 0))
    return session.get(url + "/orders/42", headers={"Authorization": "Bearer " + token, **headers}, timeout=10)


def raw(address, sent):
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(sent)
        received = b""
        try:
            while chunk := connection.recv(65536):
                received += chunk
        except ConnectionResetError:
            pass
        return received


@pytest.mark.parametrize("send", ["send-proxy", "send-proxy-v2", "send-proxy-v2 check"])
def test_haproxy_says_whose_a_connection_is(tmp_path, pool, nginx, policies, alice, send):
    server = start(tmp_path, pool, nginx, policies, "proxy_protocol: true, trusted_proxies: ['127.0.0.1'],")
    token = alice["AccessToken"]
    front = HAProxy(tmp_path, "tcp", "tcp", server.proxy.removeprefix("http://") + " " + send)
    answer = get(front.url, token, source="127.0.0.9")
    assert answer.status_code == 200
    record = server.record(answer.headers["X-Stockade-Decision-Id"])
    assert record["client"] == {"ip": "127.0.0.9", "forwarded": False}
    # The header says who connected, and X-Forwarded-For of somebody who is no proxy says nothing.
    answer = get(front.url, token, source="127.0.0.8", **{"X-Forwarded-For": "127.0.0.9"})
    assert answer.status_code == 403
    assert server.record(answer.headers["X-Stockade-Decision-Id"])["client"]["ip"] == "127.0.0.8"
    front.end()
    assert server.end() == 0, server.text()


def test_http_proxies_are_believed_where_they_are_named(tmp_path, pool, nginx, policies, alice):
    server = start(tmp_path, pool, nginx, policies, "trusted_proxies: ['127.0.0.1'],")
    token = alice["AccessToken"]
    front = HAProxy(tmp_path, "http", "http", server.proxy.removeprefix("http://"), "option forwardfor")
    answer = get(front.url, token, source="127.0.0.9", **{"X-Forwarded-For": "127.0.0.7"})
    assert answer.status_code == 200
    record = server.record(answer.headers["X-Stockade-Decision-Id"])
    assert record["client"] == {"ip": "127.0.0.9", "forwarded": True}
    # Past the proxy, from an address that is none.
    answer = get(server.proxy, token, source="127.0.0.8", **{"X-Forwarded-For": "127.0.0.9"})
    assert answer.status_code == 403
    assert server.record(answer.headers["X-Stockade-Decision-Id"])["client"] == {"ip": "127.0.0.8", "forwarded": False}
    answer = get(server.proxy, token, source="127.0.0.1", **{"X-Forwarded-For": "nonsense"})
    assert answer.status_code == 400
    front.end()
    assert server.end() == 0, server.text()


def test_a_proxy_header_is_read_whole_or_the_connection_is_closed(tmp_path, pool, nginx, policies, alice):
    server = start(tmp_path, pool, nginx, policies, "proxy_protocol: true, trusted_proxies: ['127.0.0.1'],")
    request = (
        "GET /orders/42 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer " + alice["AccessToken"] + "\r\n\r\n"
    ).encode()
    line = b"PROXY TCP4 127.0.0.9 127.0.0.1 5000 80\r\n"
    binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack(">H", 12) + bytes([127, 0, 0, 9, 127, 0, 0, 1]) + struct.pack(">HH", 5000, 80)
    for header in (line, binary):
        assert raw(server.proxy, header + request).startswith(b"HTTP/1.1 200 ")
    before = len(nginx.requests())
    for wrong in (
        request, b"PROXY TCP4 127.0.0.9\r\n" + request, b"PROXY TCP4 127.0.0.9 127.0.0.1 5000 99999\r\n" + request,
        b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c" + bytes(12) + request, line[:20],
    ):  # fmt: skip
        connection_ends = raw(server.proxy, wrong) if wrong != line[:20] else half(server.proxy, wrong)
        assert connection_ends == b"", wrong
    assert len(nginx.requests()) == before
    said = server.until("it is told", lambda: (text := server.err.read_text()).count("proxy_header_refused") and text)
    assert "127.0.0.1" in said
    # A byte at a time is the same header.
    host, port = server.proxy.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as slow:
        slow.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in line + request:
            slow.send(bytes([byte]))
        assert slow.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert server.end() == 0, server.text()


def half(address, sent):
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        return connection.recv(1)


def test_whoever_is_no_proxy_may_not_connect(tmp_path, pool, nginx, policies, alice):
    server = start(tmp_path, pool, nginx, policies, "proxy_protocol: true, trusted_proxies: ['10.0.0.0/8'],")
    assert raw(server.proxy, b"PROXY TCP4 127.0.0.9 127.0.0.1 5000 80\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n") == b""
    eventually("it is told", lambda: "not one of trusted_proxies" in server.err.read_text())
    assert server.end() == 0, server.text()
