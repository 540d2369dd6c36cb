"""An issuer of one's own: its keys in a file, its tokens made at will."""

import json
import time

from joserfc import jwt
from joserfc.jwk import RSAKey


class Issuer:
    def __init__(self, url="https://login.example.com", kid="first"):
        self.url = url
        self.rotate(kid)

    def rotate(self, kid):
        self.kid = kid
        self.key = RSAKey.generate_key(2048, {"kid": kid, "use": "sig", "alg": "RS256"})

    def key_set(self, private=False):
        return json.dumps({"keys": [self.key.as_dict(private=private)]})

    def token(self, subject, **claims):
        now = int(time.time())
        claims = {"iss": self.url, "sub": subject, "aud": "orders", "iat": now, "exp": now + 600, **claims}
        return jwt.encode({"alg": "RS256", "kid": self.kid, "typ": "at+jwt"}, claims, self.key)
