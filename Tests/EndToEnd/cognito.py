"""A Cognito user pool as stock clients see it: boto3 makes it and signs in, moto serves it."""

import base64
import hashlib
import hmac
import json
import os
import sys

import boto3
import requests
from botocore.config import Config

from processes import Running, free_port, listening

PASSWORD = "Correct-Horse-7"


class Moto(Running):
    def __init__(self, folder):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        server = os.path.join(os.path.dirname(sys.executable), "moto_server")
        super().__init__([server, "-H", "127.0.0.1", "-p", str(self.port)], folder, "moto")
        self.until("moto listens", lambda: listening(self.port))

    def client(self):
        return sign_in_client(self.url)


def sign_in_client(url):
    return boto3.client(
        "cognito-idp", endpoint_url=url, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test",
        config=Config(retries={"max_attempts": 1}),
    )  # fmt: skip


class Pool:
    """A pool, a client with and one without secret, users with a group and one without."""

    def __init__(self, moto, name="shop"):
        self.moto = moto
        self.api = moto.client()
        self.id = self.api.create_user_pool(PoolName=name)["UserPool"]["Id"]
        flows = ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_ADMIN_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]
        public = self.api.create_user_pool_client(
            UserPoolId=self.id, ClientName="app", GenerateSecret=False, ExplicitAuthFlows=flows
        )
        secret = self.api.create_user_pool_client(
            UserPoolId=self.id, ClientName="server", GenerateSecret=True, ExplicitAuthFlows=flows
        )
        self.client_id = public["UserPoolClient"]["ClientId"]
        self.secret_client_id = secret["UserPoolClient"]["ClientId"]
        self.secret = secret["UserPoolClient"]["ClientSecret"]
        self.subjects = {}
        for user in ("alice", "bob", "dave"):
            made = self.api.admin_create_user(
                UserPoolId=self.id, Username=user, MessageAction="SUPPRESS",
                UserAttributes=[{"Name": "email", "Value": f"{user}@example.com"}],
            )  # fmt: skip
            attributes = {a["Name"]: a["Value"] for a in made["User"]["Attributes"]}
            self.subjects[user] = attributes["sub"]
            self.api.admin_set_user_password(UserPoolId=self.id, Username=user, Password=PASSWORD, Permanent=True)
        self.api.create_group(UserPoolId=self.id, GroupName="viewer")
        self.api.admin_add_user_to_group(UserPoolId=self.id, Username="alice", GroupName="viewer")
        # For the uploads: the sample lets editors write.
        self.api.create_group(UserPoolId=self.id, GroupName="editor")
        self.api.admin_add_user_to_group(UserPoolId=self.id, Username="bob", GroupName="editor")

    @property
    def jwks_url(self):
        return f"{self.moto.url}/{self.id}/.well-known/jwks.json"

    def secret_hash(self, user):
        digest = hmac.new(self.secret.encode(), (user + self.secret_client_id).encode(), hashlib.sha256).digest()
        return base64.b64encode(digest).decode()

    def sign_in(self, user):
        """InitiateAuth by the client without secret."""
        return self.api.initiate_auth(
            ClientId=self.client_id, AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": user, "PASSWORD": PASSWORD},
        )["AuthenticationResult"]  # fmt: skip

    def sign_in_as_server(self, user):
        """AdminInitiateAuth by the client with secret."""
        return self.api.admin_initiate_auth(
            UserPoolId=self.id, ClientId=self.secret_client_id, AuthFlow="ADMIN_USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": user, "PASSWORD": PASSWORD, "SECRET_HASH": self.secret_hash(user)},
        )["AuthenticationResult"]  # fmt: skip

    def refresh(self, token):
        return self.api.initiate_auth(
            ClientId=self.client_id, AuthFlow="REFRESH_TOKEN_AUTH", AuthParameters={"REFRESH_TOKEN": token}
        )["AuthenticationResult"]

    def jwks(self):
        return requests.get(self.jwks_url, timeout=10).json()


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def claims(token):
    return json.loads(decode(token.split(".")[1]))


def with_claims(token, **changes):
    """The same header and signature over other claims."""
    header, payload, signature = token.split(".")
    return ".".join((header, encode(json.dumps({**json.loads(decode(payload)), **changes}).encode()), signature))


def with_header(token, **changes):
    header, payload, signature = token.split(".")
    return ".".join((encode(json.dumps({**json.loads(decode(header)), **changes}).encode()), payload, signature))


def with_broken_signature(token):
    header, payload, signature = token.split(".")
    raw = bytearray(decode(signature))
    raw[len(raw) // 2] ^= 1
    return ".".join((header, payload, encode(bytes(raw))))
