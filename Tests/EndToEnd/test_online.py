"""`check --online`: what it says of issuers and services that are there, gone, slow, or something else."""

import contextlib
import http.server
import json
import socket
import ssl
import subprocess
import threading
import time

import pytest
from processes import binary, free_port, outside


def check(folder, *words, **variables):
    return subprocess.run(
        [binary(), "check", "--online", *map(str, words)], cwd=folder, env=outside() | variables, capture_output=True, text=True, timeout=60, check=False
    )


def configure(folder, upstream, issuers, more=""):
    (folder / "policies").mkdir(exist_ok=True)
    (folder / "policies" / "a.cedar").write_text('@id("a")\npermit (principal, action, resource);\n')
    (folder / "stockade.json5").write_text(
        f"{{ upstream: {json.dumps(upstream)}, issuers: {json.dumps(issuers)}, policies: 'policies/', development: true, {more} }}"
    )


def steps(done):
    """`{(subject, step): step}` of a run with --json."""
    return {(step["subject"], step["step"]): step for step in json.loads(done.stdout)["online"]}


class Web:
    """A server on loopback that answers each path with what it is given, over TLS if it is given a certificate."""

    def __init__(self, certificate=None):
        self.answers = {}
        self.asked = []
        answers, asked = self.answers, self.asked

        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.path)
                status, headers, body = answers.get(self.path.split("?")[0], (404, {}, b""))
                with contextlib.suppress(ConnectionError):
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            do_HEAD = do_OPTIONS = do_POST = do_GET

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.server.handle_error = lambda *_: None
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def end(self):
        self.server.shutdown()
        self.server.server_close()


@contextlib.contextmanager
def web(certificate=None):
    server = Web(certificate)
    try:
        yield server
    finally:
        server.end()


@contextlib.contextmanager
def silent():
    """A port that accepts and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        yield listener.getsockname()[1]


def certificate(folder, name, names, days="30"):
    key, pem = folder / f"{name}.key", folder / f"{name}.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", pem,
         "-days", days, "-subj", "/CN=test", "-addext", f"subjectAltName={names}"],
        check=True, capture_output=True,
    )  # fmt: skip
    return pem, key


@pytest.fixture
def keys(pool):
    """The pool's key set as moto serves it."""
    import requests

    return requests.get(pool.jwks_url, timeout=10).content


def test_what_is_there_is_ok(tmp_path, pool, nginx):
    configure(tmp_path, nginx.url, {"main": {"cognito": pool.id, "client_ids": ["app"], "jwks_url": pool.jwks_url + "?key=s3cret"}})
    seen = len(nginx.requests())
    done = check(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()[-4:]
    assert lines[0].startswith("ok      issuer main  TCP        127.0.0.1:") and "accepts connections" in lines[0]
    assert lines[1].startswith(f"ok      issuer main  keys       {pool.jwks_url} has 1 usable key (dummy RS256); ")
    assert lines[2].startswith("ok      upstream     TCP        127.0.0.1:") and lines[2].endswith(" ms)")
    assert lines[3] == "online: 3 ok, 0 failed"
    assert "s3cret" not in done.stdout + done.stderr
    # Nothing was asked of the service.
    assert len(nginx.requests()) == seen
    done = check(tmp_path, "--json")
    assert done.returncode == 0
    assert {step["status"] for step in steps(done).values()} == {"ok"}
    assert all(isinstance(step["millis"], int) for step in steps(done).values())


def test_discovery_leads_to_the_keys_and_must_be_about_this_issuer(tmp_path, keys):
    with web() as server:
        right, wrong = server.url + "/right", server.url + "/wrong"
        document = {"issuer": right, "jwks_uri": server.url + "/keys"}
        headers = {"Cache-Control": "public, max-age=900"}
        server.answers["/keys"] = (200, headers, keys)
        for path in ("/right", "/wrong"):
            server.answers[path + "/.well-known/openid-configuration"] = (200, {}, json.dumps(document).encode())
        configure(
            tmp_path, server.url,
            {"right": {"issuer": right, "client_ids": ["app"]}, "wrong": {"issuer": wrong, "client_ids": ["app"]}},
        )  # fmt: skip
        done = check(tmp_path, "--json")
        found = steps(done)
        assert done.returncode == 1
        assert found["issuer right", "discovery"]["status"] == "ok"
        assert "dummy RS256" in found["issuer right", "keys"]["detail"] and "Cache-Control: public, max-age=900" in found["issuer right", "keys"]["detail"]
        bad = found["issuer wrong", "discovery"]
        assert bad["status"] == "failed" and f'is about "{right}", and tokens must say "{wrong}"' in bad["detail"]
        assert ("issuer wrong", "keys") not in found
        # The service at the same address was connected to and asked nothing.
        assert set(server.asked) == {"/keys", "/right/.well-known/openid-configuration", "/wrong/.well-known/openid-configuration"}


@pytest.mark.parametrize(
    ("answer", "expected", "help_"),
    [
        ((200, {"Content-Type": "text/html"}, b"\n<html>Sign in</html>"), "is no key set: not JSON: unexpected `<`", "a web page is there"),
        ((302, {"Location": "https://elsewhere.example/"}, b""), "answered 302", "redirects are not followed"),
        ((404, {}, b""), "answered 404", "is it the right address?"),
        ((200, {}, b"{}"), "is no key set: has no member keys", "is it the right address?"),
        ((200, {}, b'{"keys": []}'), "has no key that could be used: it is empty", "is it this issuer's key set"),
        ((200, {}, b'{"keys": [{"kty": "RSA", "kid": "weak", "n": "AQAB", "e": "AQAB"}]}'), '"weak" is left out', "is it this issuer's key set"),
        ((200, {}, b'{"stockade_development": true, "keys": [{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}'),
         "has no key that could be used: none of 1 fits RS256", "are `algorithms` those"),
    ],
)  # fmt: skip
def test_what_is_no_key_set_is_said(tmp_path, answer, expected, help_):
    with web() as server:
        server.answers["/keys"] = answer
        configure(tmp_path, server.url, {"main": {"cognito": "us-east-1_AbC123", "client_ids": ["app"], "jwks_url": server.url + "/keys"}})
        done = check(tmp_path, "--json")
        assert done.returncode == 1
        step = steps(done)["issuer main", "keys"]
        assert step["status"] == "failed" and expected in step["detail"] and help_ in step["help"], step
        assert server.url + "/keys" in step["detail"]


def test_what_is_not_there_is_told_apart(tmp_path):
    port = free_port()
    configure(
        tmp_path, f"http://127.0.0.1:{port}",
        {
            "gone": {"cognito": "us-east-1_AbC123", "client_ids": ["app"], "jwks_url": f"http://127.0.0.1:{port}/keys"},
            "nameless": {"issuer": "https://no-such-host.invalid", "client_ids": ["app"]},
            "metadata": {"issuer": "https://b.example", "jwks_url": "http://169.254.169.254/keys", "allow_insecure_jwks": True, "client_ids": ["app"]},
        },
        more=f"routes: [{{ match: 'GET /a', upstream: 'unix:{tmp_path}/no.sock' }}]",
    )  # fmt: skip
    done = check(tmp_path, "--json")
    assert done.returncode == 1
    found = {subject: step for (subject, _), step in steps(done).items()}
    for subject, what, detail in [
        ("issuer gone", "TCP", "Connection refused"), ("issuer nameless", "DNS", "cannot resolve no-such-host.invalid"),
        ("issuer metadata", "TCP", "link-local"), ("upstream", "TCP", "Connection refused"),
        (f"unix:{tmp_path}/no.sock", "TCP", "No such file"),
    ]:  # fmt: skip
        step = found[subject]
        assert (step["step"], step["status"]) == (what, "failed") and detail in step["detail"], step
        assert step["help"]


def test_a_certificate_that_is_not_believed_is_explained(tmp_path, keys):
    ours, other = certificate(tmp_path, "ours", "IP:127.0.0.1"), certificate(tmp_path, "other", "DNS:elsewhere.example")
    with web(ours) as good, web(other) as named, web() as plain:
        for server in (good, named):
            server.answers["/keys"] = (200, {}, keys)

        def configured(server):
            return {"cognito": "us-east-1_AbC123", "client_ids": ["app"], "jwks_url": server.url + "/keys"}

        configure(tmp_path, plain.url.replace("http:", "https:"), {"main": configured(good)})
        done = check(tmp_path, "--json")
        assert done.returncode == 1
        tls = steps(done)["issuer main", "TLS"]
        assert "self" in tls["detail"] and "SSL_CERT_FILE" in tls["help"]
        assert "TLS 1.2 or 1.3" in steps(done)["upstream", "TLS"]["help"]
        # Trusted, it goes on to the keys.
        done = check(tmp_path, "--json", SSL_CERT_FILE=str(ours[0]))
        assert "speaks TLSv1.3" in steps(done)["issuer main", "TLS"]["detail"]
        assert steps(done)["issuer main", "keys"]["status"] == "ok"
        configure(tmp_path, plain.url, {"main": configured(named)})
        done = check(tmp_path, "--json", SSL_CERT_FILE=str(other[0]))
        tls = steps(done)["issuer main", "TLS"]
        assert tls["status"] == "failed" and "elsewhere.example" in tls["detail"] and "as its certificate does" in tls["help"]


def test_all_are_tried_at_once_and_none_longer_than_the_timeout(tmp_path):
    with silent() as port:
        issuers = {
            f"slow{number}": {"issuer": f"https://slow{number}.example", "client_ids": ["app"], "id_prefix": f"p{number}", "jwks_url": f"http://127.0.0.1:{port}/keys?{number}"}
            for number in range(5)
        }
        configure(tmp_path, f"https://127.0.0.1:{port}", issuers)
        began = time.monotonic()
        done = check(tmp_path, "--timeout", "700ms")
        assert time.monotonic() - began < 5
        assert done.returncode == 1
        assert done.stdout.count("no answer within 700 ms") == 6
        assert "failed  upstream      TLS" in done.stdout
        assert done.stdout.endswith("online: 5 ok, 6 failed\n")


def test_flags_that_make_no_sense_are_refused(tmp_path):
    configure(tmp_path, "http://127.0.0.1:1", {"main": {"cognito": "us-east-1_AbC123", "client_ids": ["app"]}})
    done = check(tmp_path, "--timeout", "5")
    assert done.returncode == 64 and "write a time with its unit" in done.stderr
    (tmp_path / "stockade.json5").unlink()
    done = check(tmp_path, "--json")
    assert done.returncode == 3 and "--online checks a configuration, and there is none" in done.stderr
    assert json.loads(done.stdout)["exit"] == 3


def test_what_signs_the_requests_of_routes_is_told_and_no_secret(tmp_path, pool, nginx):
    own = '{ match: "GET /files/{id}", access: "authenticated", sign: { service: "execute-api" } }'
    mine = '{ match: "GET /mine/{id}", access: "authenticated", sign: { service: "s3", credentials: "identity_pool", identity_pool: "us-east-1:1" } }'
    issuers = {"main": {"cognito": pool.id, "client_ids": ["app"], "jwks_url": pool.jwks_url}}
    configure(tmp_path, nginx.url, issuers, f"routes: [{own}, {mine}]")
    keys = {"AWS_ACCESS_KEY_ID": "AKIDOWN", "AWS_SECRET_ACCESS_KEY": "hush", "AWS_REGION": "us-east-1"}
    # Where callers' sessions come from is connected to: one would need a caller's token.
    there, gone = pool.jwks_url.split("/us-east-1_")[0], f"http://127.0.0.1:{free_port()}"
    done = check(tmp_path, "--json", AWS_ENDPOINT_URL_COGNITO_IDENTITY=there, **keys)
    assert done.returncode == 0, done.stdout + done.stderr
    assert steps(done)["sign execute-api", "credentials"]["detail"] == "keys of the environment"
    assert steps(done)["sign s3", "TCP"]["status"] == "ok"
    assert "hush" not in done.stdout + done.stderr
    done = check(tmp_path, "--json", AWS_ENDPOINT_URL_COGNITO_IDENTITY=gone, **keys)
    assert done.returncode != 0 and steps(done)["sign s3", "TCP"]["status"] == "failed"
    # Without any source the chain ends at the instance's metadata, which nobody serves here.
    done = check(tmp_path, "--json", AWS_ENDPOINT_URL_COGNITO_IDENTITY=there, AWS_REGION="us-east-1", AWS_EC2_METADATA_DISABLED="true")
    failed = steps(done)["sign execute-api", "credentials"]
    assert done.returncode != 0 and failed["status"] == "failed" and "instance metadata is turned off" in failed["detail"], failed
