"""An identity provider whose keys and manners a test chooses: it rotates, withdraws, hangs, lies and dies."""

import base64
import contextlib
import http.server
import json
import secrets
import socket
import threading
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from processes import free_port


def encode(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def number(value, length=None):
    return encode(value.to_bytes(length or (value.bit_length() + 7) // 8, "big"))


class Key:
    """A signing key with its name."""

    def __init__(self, kid=None, algorithm="ES256"):
        self.kid = kid or secrets.token_hex(8)
        self.algorithm = algorithm
        self.private = (
            ec.generate_private_key(ec.SECP256R1()) if algorithm == "ES256" else rsa.generate_private_key(65537, 2048)
        )

    @property
    def jwk(self):
        numbers = self.private.public_key().public_numbers()
        usual = {"kid": self.kid, "alg": self.algorithm, "use": "sig"}
        if self.algorithm == "ES256":
            return {**usual, "kty": "EC", "crv": "P-256", "x": number(numbers.x, 32), "y": number(numbers.y, 32)}
        return {**usual, "kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}

    def sign(self, claims, kid=None, **header):
        """A compact JWS; the header's members may be replaced, and `kid` may name another key."""
        header = {"alg": self.algorithm, "kid": kid or self.kid, **header}
        text = f"{encode(json.dumps(header).encode())}.{encode(json.dumps(claims).encode())}"
        if self.algorithm == "ES256":
            r, s = utils.decode_dss_signature(self.private.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
            signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        else:
            signature = self.private.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{text}.{encode(signature)}"


class Provider:
    """Serves its keys on loopback. `answer` is a function of the handler, for other answers than the keys."""

    issuer = "https://login.example"

    def __init__(self, client="app"):
        self.client = client
        self.keys = [Key()]
        self.answer = None
        # When each answer began, and the names of the keys in it.
        self.served = []
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/jwks"
        self.server = None
        self.start()

    def start(self):
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                keys = list(provider.keys)
                provider.served.append((time.monotonic(), [key.kid for key in keys], self.path))
                with contextlib.suppress(ConnectionError, BrokenPipeError):
                    (provider.answer or Provider.usual)(self, keys)

            def do_POST(self):
                self.content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.do_GET()

            def reply(self, status, body, **fields):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                for name, value in fields.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = Server(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def die(self):
        """Nothing listens any more, and what was connected is cut."""
        self.server.shutdown()
        self.server.server_close()
        self.server.cut()

    end = die

    @staticmethod
    def usual(handler, keys):
        handler.reply(200, Provider.document(keys))

    @staticmethod
    def document(keys):
        return json.dumps({"keys": [key.jwk for key in keys]}).encode()

    def rotate(self, withdrawing=False):
        """A new key that signs from now on; the one before stays for a while, or is withdrawn."""
        key = Key()
        self.keys = [key] if withdrawing else [key, *self.keys[:1]]
        return key

    def claims(self, subject="alice", **more):
        now = int(time.time())
        return {
            "iss": self.issuer, "aud": self.client, "sub": subject, "iat": now, "exp": now + 600, "jti": secrets.token_hex(8),
            "scope": "read", "client_id": self.client, **more,
        }  # fmt: skip

    def token(self, subject="alice", key=None, kid=None, header=None, **more):
        return (key or self.keys[0]).sign(self.claims(subject, **more), kid=kid, **(header or {}))


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, *arguments):
        self.connections = []
        super().__init__(*arguments)

    def get_request(self):
        connection, address = super().get_request()
        self.connections.append(connection)
        return connection, address

    def cut(self):
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request, client_address):
        pass
