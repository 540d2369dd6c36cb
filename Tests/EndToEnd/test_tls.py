"""TLS with clients: Python's ssl, curl and the openssl command against the real listener."""

import base64
import contextlib
import hashlib
import json
import re
import socket
import ssl
import subprocess
import threading
import time

import pytest
import requests
from authority import Authority, openssl
from issuer import Issuer
from processes import Stockade, binary, outside
from services import Accepting, Service
from test_reload import generation

POLICIES = """
@id("anyone") permit (principal, action, resource in Path::"/open");
@id("orders") permit (principal, action, resource in Path::"/orders") when {
  context has client && context.client has certificate && context.client.certificate.dns.contains("orders.internal")
    && context.client.certificate.uris.contains("spiffe://example.org/orders") && context.client.certificate.ips.contains(ip("10.1.2.3"))
    && context.client.certificate.subject == "CN=orders,O=Shop" && context.client.certificate.issuer == "CN=authority"
};
@id("thumb") permit (principal, action, resource in Path::"/thumb") when {
  context.client has certificate && context.client.certificate.thumbprint == "THUMBPRINT"
};
@id("none") permit (principal, action, resource in Path::"/without") when { !(context.client has certificate) };
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"), "authority")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


@pytest.fixture(scope="module")
def good(authority):
    return authority.issue("good", "DNS:localhost,DNS:api.example,IP:127.0.0.1")


@pytest.fixture(scope="module")
def orders(authority):
    return authority.issue("orders", "DNS:orders.internal,URI:spiffe://example.org/orders,IP:10.1.2.3", subject="/O=Shop/CN=orders")


@pytest.fixture(scope="module")
def issuer():
    return Issuer()


@pytest.fixture(scope="module")
def service():
    server = Service("ok")
    heads = server.heads = []
    answer = server.answer
    server.answer = lambda head: heads.append(head.decode()) or answer(head)
    yield server
    server.stop()


def thumbprint(certificate):
    der = ssl.PEM_cert_to_DER_cert(certificate.pem.read_text())
    return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()


@pytest.fixture
def folder(tmp_path, authority, good, orders, issuer):
    good.place(tmp_path)
    (tmp_path / "ca.pem").write_bytes(authority.pem.read_bytes())
    (tmp_path / "keys.json").write_text(issuer.key_set())
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies/all.cedar").write_text(POLICIES.replace("THUMBPRINT", thumbprint(orders)))
    return tmp_path


@pytest.fixture
def run(folder, service):
    """Starts Stockade with what a test says of TLS."""
    started = []

    def start(tls="", more="", certificates="{ certificate: 'api.pem', key: 'api.key' }", upstream=None, waits=True):
        (folder / "stockade.json5").write_text(
            f"""{{ upstream: {upstream or repr(service.url)}, policies: 'policies', workers: 1, {more}
              issuers: {{ main: {{ issuer: 'https://login.example.com', audiences: ['orders'], jwks_file: 'keys.json' }} }},
              {f"tls: {{ certificates: [{certificates}], {tls} }}" if certificates else ""} }}"""
        )
        server = Stockade(folder, f"tls{len(started)}", "--config", folder / "stockade.json5", waits=waits)
        started.append(server)
        return server

    yield start
    for server in started:
        if server.is_alive():
            assert server.end() == 0, server.text()


def port(server):
    return int(server.proxy.rsplit(":", 1)[1])


def connect(server, context, name="localhost"):
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port(server)), timeout=10), server_hostname=name)


def answer_on(connection, path="/open", token=None, fields=()):
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", *fields] + ([f"Authorization: Bearer {token}"] if token else [])
    connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        assert more, f"the answer broke off: {data!r}"
        data += more
    head, body = data.split(b"\r\n\r\n", 1)
    length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
    while len(body) < length:
        more = connection.recv(65536)
        assert more
        body += more
    return int(head.split()[1]), body


def ask(server, context, path="/open", token=None, fields=(), name="localhost"):
    with connect(server, context, name) as connection:
        return answer_on(connection, path, token, fields)[0]


def s_client(server, *arguments, said="", authority=None):
    """What the openssl command says of a connection."""
    trust = ["-CAfile", authority.pem] if authority else []
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port(server)}", *map(str, trust), *map(str, arguments)],
        input=said, capture_output=True, text=True, timeout=20,
    )
    return done.stdout + done.stderr


def test_clients_speak_tls_1_2_and_1_3_and_nothing_older(run, authority, issuer, service):
    server = run()
    assert server.proxy.startswith("https://")
    token = issuer.token("alice")
    with connect(server, authority.client()) as connection:
        assert connection.version() == "TLSv1.3"
        for _ in range(3):
            assert answer_on(connection, token=token) == (200, b"ok")
        assert answer_on(connection)[0] == 401
    assert "\r\nX-Forwarded-Proto: https\r\n" in service.heads[-1]
    assert ask(server, authority.client(maximum_version=ssl.TLSVersion.TLSv1_2), token=token) == 200
    with_curl = subprocess.run(
        ["curl", "-sS", "--cacert", authority.pem, "-H", f"Authorization: Bearer {token}", f"https://localhost:{port(server)}/open"],
        capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    assert with_curl.stdout == "ok", with_curl.stderr
    assert "alert protocol version" in s_client(server, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
    assert "stockade_tls_handshakes_total" in requests.get(server.ops + "/metrics", timeout=10).text


def test_the_lowest_version_and_the_ciphers_are_the_operators(run, authority, issuer):
    server = run("minimum_version: '1.3', cipher_suites: 'TLS_CHACHA20_POLY1305_SHA256'")
    assert "alert protocol version" in s_client(server, "-tls1_2")
    assert "TLS_CHACHA20_POLY1305_SHA256" in s_client(server)
    server = run("ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256'")
    assert "handshake failure" in s_client(server, "-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384")
    assert "ECDHE-ECDSA-AES128-GCM-SHA256" in s_client(server, "-tls1_2")


def test_weak_ciphers_compression_renegotiation_and_early_data_are_off(run, authority):
    server = run()
    for cipher in ("AES128-SHA", "ECDHE-ECDSA-AES128-SHA", "DHE-RSA-AES128-GCM-SHA256", "NULL", "3DES", "RC4"):
        assert re.search(r"handshake failure|no cipher match", s_client(server, "-tls1_2", "-cipher", f"{cipher}:@SECLEVEL=0")), cipher
    assert "Compression: NONE" in s_client(server, "-tls1_2", "-comp")
    told = s_client(server, "-tls1_2", said="R\n")
    assert "RENEGOTIATING" in told and "no renegotiation" in told
    assert "Max Early Data: 0" in s_client(server, "-ign_eof", said="GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")


def test_the_name_that_a_client_asks_for_chooses_the_certificate(run, folder, authority, issuer, orders):
    authority.issue("other", "DNS:other.example,DNS:*.wild.example").place(folder, "other")
    server = run(
        "client_certificates: { ask: 'required', ca: 'ca.pem' }",
        certificates="{ certificate: 'api.pem', key: 'api.key' }, { certificate: 'other.pem', key: 'other.key' }",
    )
    token = issuer.token("alice")
    context = authority.client(orders)
    context.set_alpn_protocols(["h2", "http/1.1"])
    for name in ("api.example", "other.example", "a.wild.example", "localhost"):
        with connect(server, context, name) as connection:
            assert connection.selected_alpn_protocol() == "http/1.1"
            assert answer_on(connection, "/orders", token)[0] == 200, name
    # No name, or one that none is good for: the first.
    for name in ("elsewhere.example", None):
        unchecked = authority.client(orders, check_hostname=False)
        with connect(server, unchecked, name) as connection:
            assert ("DNS", "api.example") in connection.getpeercert()["subjectAltName"]
    # A client that speaks HTTP/2 alone is told so.
    assert "no application protocol" in s_client(server, "-alpn", "h2", "-servername", "other.example")


def test_sessions_are_resumed_by_tickets_that_outlive_other_reloads(run, folder, authority, issuer):
    server = run()
    session = folder / "session"
    request = f"GET /open HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {issuer.token('alice')}\r\nConnection: close\r\n\r\n"
    for version in ("-tls1_2", "-tls1_3"):
        assert "New, " in s_client(server, version, "-ign_eof", "-sess_out", session, said=request)
        told = s_client(server, version, "-ign_eof", "-sess_in", session, said=request)
        assert "Reused, " in told and "HTTP/1.1 200" in told, told
    (folder / "policies/more.cedar").write_text('forbid (principal, action, resource in Path::"/gone");')
    server.until("the reload", lambda: generation(server) > 1)
    assert "Reused, " in s_client(server, version, "-ign_eof", "-sess_in", session, said=request)
    # With the certificate the keys of its tickets go.
    authority.issue("second", "DNS:localhost").place(folder)
    server.until("the new one", lambda: "CN = second" in s_client(server, "-showcerts"))
    assert "New, " in s_client(server, version, "-ign_eof", "-sess_in", session, said=request)


def test_a_swap_of_certificates_under_load_loses_no_request(run, folder, authority, issuer):
    server = run()
    token, context = issuer.token("alice"), authority.client()
    over, failures, served, counts = threading.Event(), [], set(), [0, 0]

    def fresh():
        while not over.is_set():
            try:
                with connect(server, context) as connection:
                    served.add(connection.getpeercert()["serialNumber"])
                    assert answer_on(connection, token=token)[0] == 200
                    counts[0] += 1
            except Exception as error:  # noqa: BLE001
                failures.append(repr(error))

    def lasting():
        try:
            with connect(server, context) as connection:
                while not over.is_set():
                    assert answer_on(connection, token=token)[0] == 200
                    counts[1] += 1
        except Exception as error:  # noqa: BLE001
            failures.append(repr(error))

    threads = [threading.Thread(target=each) for each in (fresh, fresh, lasting)]
    for thread in threads:
        thread.start()
    wanted = set()
    for number in range(3):
        certificate = authority.issue(f"swap{number}", "DNS:localhost")
        serial = certificate.facts("-serial").removeprefix("serial=")
        certificate.place(folder)
        server.until("it is shown", lambda serial=serial: serial in served or failures)
        wanted.add(serial)
    over.set()
    for thread in threads:
        thread.join()
    assert failures == [] and wanted <= served and min(counts) > 10


@pytest.mark.parametrize("how", ["watching", "SIGHUP", "the command"])
@pytest.mark.parametrize("flaw", ["garbage", "another key", "expired"])
def test_a_bad_certificate_never_replaces_a_good_one(run, folder, authority, issuer, how, flaw):
    server = run()
    if flaw == "garbage":
        (folder / "api.pem").write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
        wanted = f"{folder}/api.pem holds no certificate that can be read"
    elif flaw == "another key":
        (folder / "api.key").write_bytes(authority.issue("else", "DNS:localhost").key.read_bytes())
        wanted = f"{folder}/api.key: the private key does not belong to the certificate"
    else:
        authority.issue("old", "DNS:localhost", days=-3).place(folder)
        wanted = f"{folder}/api.pem: the certificate expired 3 days ago"
    if how == "SIGHUP":
        server.process.send_signal(1)
    elif how == "the command":
        done = subprocess.run(
            [binary(), "reload"], env={**outside(), "STATE_DIRECTORY": str(folder / "tls0.state")}, capture_output=True, text=True, timeout=30
        )
        assert done.returncode != 0 and wanted in done.stderr + done.stdout
    server.until("it is told", lambda: wanted in server.text())
    assert "help: " in server.text() and "stockade.json5:" in server.text()
    assert ask(server, authority.client(), token=issuer.token("alice")) == 200
    authority.issue("mended", "DNS:localhost").place(folder)
    server.until("the good one", lambda: "CN = mended" in s_client(server, "-showcerts"))


def test_clients_without_a_certificate_that_is_required_get_nowhere(run, folder, authority, stranger, issuer, orders, service):
    server = run("client_certificates: { ask: 'required', ca: 'ca.pem' }")
    token, before = issuer.token("alice"), len(service.heads)
    strange = stranger.issue("strange", "DNS:orders.internal")
    selfish = authority.issue("server-only", "DNS:orders.internal", purpose="serverAuth")
    late = authority.issue("late", "DNS:orders.internal", days=-3)
    for certificate in (None, strange, selfish, late):
        with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
            ask(server, authority.client(certificate), "/orders", token)
    assert len(service.heads) == before
    told = server.until("all are told", lambda: (text := server.err.read_text()).count("handshake_failed") and text)
    assert "127.0.0.1" in told
    assert ask(server, authority.client(orders), "/orders", token) == 200
    assert ask(server, authority.client(orders), "/thumb", token) == 200
    assert ask(server, authority.client(orders), "/without", token) == 403


def test_facts_of_a_certificate_come_from_the_handshake_alone(run, authority, issuer, orders, service):
    server = run("client_certificates: { ask: 'optional', ca: 'ca.pem' }", "trusted_proxies: ['10.9.9.9'],")
    token = issuer.token("alice")
    pem = orders.pem.read_text().replace("\n", "%0A")
    forged = [f"X-Forwarded-Client-Cert: Cert={pem}", "Client-Cert: :AAAA:", "client_cert: :AAAA:", "Client-Cert-Chain: :AAAA:"]
    assert ask(server, authority.client(), "/orders", token, forged) == 403
    assert ask(server, authority.client(), "/without", token, forged) == 200
    assert not re.search("(?i)client.cert", service.heads[-1])
    assert ask(server, authority.client(orders), "/orders", token) == 200
    mine = authority.issue("mine", "DNS:orders.internal")
    assert ask(server, authority.client(mine), "/orders", token, forged) == 403


def test_of_a_proxys_client_there_is_no_certificate(run, authority, issuer, orders):
    server = run("client_certificates: { ask: 'optional', ca: 'ca.pem' }", "trusted_proxies: ['127.0.0.1'],")
    token = issuer.token("alice")
    assert ask(server, authority.client(orders), "/orders", token) == 200
    assert ask(server, authority.client(orders), "/orders", token, ["X-Forwarded-For: 192.0.2.1"]) == 403


def test_revoked_certificates_are_refused_when_their_list_says_so(run, folder, authority, issuer, orders):
    (folder / "crl.pem").write_text(authority.revocations())
    server = run("client_certificates: { ask: 'required', ca: 'ca.pem', crl: 'crl.pem' }")
    token = issuer.token("alice")
    thief = authority.issue("thief", "DNS:orders.internal,URI:spiffe://example.org/orders,IP:10.1.2.3", subject="/O=Shop/CN=orders")
    assert ask(server, authority.client(thief), "/orders", token) == 200
    (folder / "crl.new").write_text(authority.revocations(thief))
    (folder / "crl.new").rename(folder / "crl.pem")

    def refused():
        try:
            return ask(server, authority.client(thief), "/orders", token) != 200
        except (ssl.SSLError, ConnectionError, AssertionError):
            return True

    server.until("it is refused", refused)
    server.until("it is told why", lambda: "certificate revoked" in server.text())
    assert ask(server, authority.client(orders), "/orders", token) == 200


def test_bound_tokens_are_good_in_the_hands_of_their_client_alone(run, authority, issuer, orders, service):
    routes = """routes: [
      { match: 'GET /bound', access: 'authenticated', certificate_bound: true }, { match: 'GET /any', access: 'authenticated' },
    ],"""
    server = run("client_certificates: { ask: 'optional', ca: 'ca.pem' }", routes)
    other = authority.client(authority.issue("thief2", "DNS:orders.internal"))
    mine, nobody = authority.client(orders), authority.client()
    bound = issuer.token("alice", cnf={"x5t#S256": thumbprint(orders)})
    free = issuer.token("alice")
    assert ask(server, mine, "/bound", bound) == 200 and ask(server, mine, "/any", bound) == 200
    before = len(service.heads)
    for context, path, token in (
        (other, "/bound", bound), (nobody, "/bound", bound), (other, "/any", bound), (nobody, "/any", bound), (mine, "/bound", free),
        (other, "/bound", free), (mine, "/any", issuer.token("alice", cnf={"jkt": "x"})), (mine, "/any", issuer.token("alice", cnf={})),
        (mine, "/any", issuer.token("alice", cnf={"x5t#S256": thumbprint(orders), "jkt": "x"})),
        (mine, "/bound", issuer.token("alice", cnf={"x5t#S256": thumbprint(orders)[:-1]})),
    ):  # fmt: skip
        assert ask(server, context, path, token) == 401, (path, token)
    assert len(service.heads) == before
    assert ask(server, mine, "/any", free) == 200 and ask(server, nobody, "/any", free) == 200
    refused = [record for record in server.records() if record["reason"] == "token_binding"]
    assert len(refused) == 10
    # And the token, remembered from its owner's request, is still no other's.
    assert ask(server, mine, "/bound", bound) == 200 and ask(server, other, "/bound", bound) == 401


def test_plain_http_at_a_port_of_tls_and_tls_at_a_plain_port_are_told_apart(run, authority):
    server = run()
    for line in (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", port(server)), timeout=10) as connection:
            connection.sendall(line)
            said = b""
            while more := connection.recv(65536):
                said += more
        assert said.startswith(b"HTTP/1.1 400 ") and b"This port speaks TLS: ask for https://" in said
    server.until("it is told", lambda: "other_protocol" in server.text() and "this port speaks TLS" in server.text())
    plain = run(certificates=None)
    assert plain.proxy.startswith("http://")
    with pytest.raises(ssl.SSLError):
        connect(plain, authority.client())
    plain.until("it is told", lambda: "other_protocol" in plain.text() and "this port speaks plain HTTP" in plain.text())
    plain.until("its record", lambda: "tls_handshake" in str(plain.records()))


def test_handshakes_are_bounded_in_time_and_number(run, authority, issuer):
    server = run(more="limits: { handshake_timeout: '500ms', handshakes: 3, handshake_rate: 1000 },")
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port(server)), timeout=10) as silent:
        assert silent.recv(1) == b"" and 0.3 < time.monotonic() - began < 5
    with contextlib.ExitStack() as opened:
        silent = [opened.enter_context(socket.create_connection(("127.0.0.1", port(server)), timeout=10)) for _ in range(6)]
        # The oldest make room, and who goes on is served.
        assert ask(server, authority.client(), token=issuer.token("alice")) == 200
        for connection in silent:
            assert connection.recv(1) == b""
    text = requests.get(server.ops + "/metrics", timeout=10).text
    assert re.search(r'limits_reached_total\{limit="handshake_timeout"\} [1-9]', text)
    assert re.search(r'limits_reached_total\{limit="handshakes"\} [1-9]', text)
    assert re.search(r'stockade_connections\{state="client"\} 0', text)


def test_handshakes_beyond_the_rate_wait_and_are_served(run, authority, issuer):
    server = run(more="limits: { handshake_rate: 20 },")
    token, context = issuer.token("alice"), authority.client()
    began = time.monotonic()
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(ask(server, context, token=token))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 16 and time.monotonic() - began > 0.4


def test_a_proxys_greeting_comes_before_tls(run, authority, issuer, service):
    server = run(more="trusted_proxies: ['127.0.0.1'], proxy_protocol: true,")
    token = issuer.token("alice")
    for header in (b"PROXY TCP4 192.0.2.7 127.0.0.1 1 2\r\n", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\7\x7f\0\0\1\0\1\0\2"):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = authority.client().wrap_bio(incoming, outgoing, server_hostname="localhost")
        with socket.create_connection(("127.0.0.1", port(server)), timeout=10) as connection:
            first = header
            while True:
                with contextlib.suppress(ssl.SSLWantReadError):
                    session.do_handshake()
                    break
                # The greeting and the first words of TLS in one piece.
                connection.sendall(first + outgoing.read())
                first = b""
                incoming.write(connection.recv(65536))
            session.write(f"GET /open HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
            connection.sendall(outgoing.read())
            said = b""
            while not said.endswith(b"ok"):
                incoming.write(connection.recv(65536))
                with contextlib.suppress(ssl.SSLWantReadError):
                    said += session.read(65536)
        assert b" 200 " in said and "192.0.2.7" in service.heads[-1]


@pytest.mark.parametrize(
    "tls, spoil, wanted",
    [
        ("", lambda folder: (folder / "api.pem").write_text("nothing"), "tls.certificates[0].certificate: {folder}/api.pem holds no certificate"),
        ("", lambda folder: (folder / "api.key").write_text("nothing"), "tls.certificates[0].key: {folder}/api.key: no usable private key"),
        ("", lambda folder: (folder / "api.key").unlink(), "tls.certificates[0].key: {folder}/api.key cannot be read"),
        ("ciphers: 'NONSENSE'", None, "tls.ciphers: ciphers: no cipher match"),
        ("cipher_suites: 'NONSENSE'", None, "tls.cipher_suites: ciphers: "),
        ("client_certificates: { ask: 'required', ca: 'keys.json' }", None, "tls.client_certificates.ca: trusted certificates: no certificate"),
        (
            "client_certificates: { ask: 'required', ca: 'ca.pem', crl: 'ca.pem' }", None,
            "tls.client_certificates.crl: revocation lists: no revocation list in PEM form found",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_told_with_its_place_and_nothing_starts(run, folder, tls, spoil, wanted):
    if spoil:
        spoil(folder)
    server = run(tls, waits=False)
    assert server.process.wait(20) == 3
    text = server.text()
    assert wanted.format(folder=folder) in text and "stockade.json5:" in text and "^" in text and "Nothing was started" in text
    assert "PRIVATE KEY" not in text


def test_a_key_that_others_can_read_and_an_end_that_is_near_are_warned_of(run, folder, authority, issuer):
    authority.issue("near", "DNS:localhost", days=2).place(folder)
    (folder / "api.key").chmod(0o644)
    server = run()
    text = server.text()
    assert f"{folder}/api.key can be read by others than us (its mode is 644); chmod 600 {folder}/api.key" in text
    assert re.search(r"api.pem: the certificate expires in [12] days?; renew it", text)
    assert ask(server, authority.client(), token=issuer.token("alice")) == 200


def test_what_is_protected_stays_so_in_check_and_show(run, folder):
    run()
    shown = subprocess.run([binary(), "config", "show", "--config", folder / "stockade.json5"], capture_output=True, text=True, timeout=20)
    assert "api.key" in shown.stdout and "PRIVATE KEY" not in shown.stdout


UPSTREAM = "{{ url: 'https://127.0.0.1:{port}', tls: {{ ca: 'ca.pem', {more} }} }}"


class Secure(Accepting):
    """A service that speaks TLS, and keeps what it hears."""

    def __init__(self, certificate, clients=None):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate.pem, certificate.key)
        if clients:
            self.context.load_verify_locations(clients.pem)
            self.context.verify_mode = ssl.CERT_REQUIRED
        self.heard, self.names, self.shown = [], [], []
        self.context.sni_callback = lambda connection, name, context: self.names.append(name)
        super().__init__(patience=10)

    def serve(self, plain):
        with contextlib.suppress(OSError), self.context.wrap_socket(plain, server_side=True) as connection:
            self.shown.append(connection.getpeercert())
            while data := connection.recv(65536):
                self.heard.append(data)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


class Plain(Accepting):
    """A service that does not speak TLS, and says so at once."""

    def __init__(self):
        self.heard = []
        super().__init__()

    def serve(self, connection):
        with contextlib.suppress(OSError), connection:
            self.heard.append(connection.recv(65536))
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def through(server, issuer):
    return requests.get(server.proxy + "/open", headers={"Authorization": "Bearer " + issuer.token("alice")}, timeout=20).status_code


def test_a_service_behind_is_verified_and_shown_our_certificate(run, folder, authority, issuer, orders):
    orders.place(folder, "us")
    behind = Secure(authority.issue("behind", "DNS:api.internal"), clients=authority)
    server = run(
        certificates=None,
        upstream=UPSTREAM.format(port=behind.port, more="certificate: 'us.pem', key: 'us.key', server_name: 'api.internal', minimum_version: '1.3'"),
    )
    assert [through(server, issuer) for _ in range(3)] == [200] * 3
    assert behind.names == ["api.internal"] and len(behind.heard) == 3
    assert ("DNS", "orders.internal") in behind.shown[0]["subjectAltName"]


@pytest.mark.parametrize("flaw", ["expired", "another name", "another authority", "itself", "no TLS"])
def test_a_service_that_is_not_who_it_should_be_is_502_and_hears_nothing(run, authority, stranger, issuer, flaw, tmp_path):
    wanted = {
        "expired": "certificate expired 3 days ago",
        "another name": "name 127.0.0.1 not in certificate (has elsewhere.internal)",
        "another authority": "certificate issued by an authority that is not trusted (/CN=stranger)",
        "itself": "certificate is self-signed and not trusted",
        "no TLS": "the peer does not speak TLS",
    }[flaw]
    if flaw == "no TLS":
        behind = Plain()
        where = behind.port
    else:
        certificate = {
            "expired": lambda: authority.issue("expired", "IP:127.0.0.1", days=-3),
            "another name": lambda: authority.issue("elsewhere", "DNS:elsewhere.internal"),
            "another authority": lambda: stranger.issue("same-name", "IP:127.0.0.1"),
            "itself": lambda: Authority(tmp_path, "self"),
        }[flaw]()
        behind = Secure(certificate)
        where = behind.port
    server = run(certificates=None, upstream=UPSTREAM.format(port=where, more=""))
    assert through(server, issuer) == 502
    server.until("it is told", lambda: wanted in server.text() and f"https://127.0.0.1:{where}" in server.text())
    assert not any(b"HTTP" in heard for heard in behind.heard)
    [record] = server.until("its record", server.records)
    assert record["decision"] == "allow" and record["upstream_error"] == "tls"


def test_certificates_of_a_service_are_judged_by_new_authorities_after_a_reload(run, folder, authority, stranger, issuer):
    behind = Secure(stranger.issue("moved", "IP:127.0.0.1"))
    server = run(certificates=None, upstream=UPSTREAM.format(port=behind.port, more=""))
    assert through(server, issuer) == 502 and behind.heard == []
    (folder / "ca.new").write_bytes(stranger.pem.read_bytes())
    (folder / "ca.new").rename(folder / "ca.pem")
    server.until("it is believed", lambda: through(server, issuer) == 200)
