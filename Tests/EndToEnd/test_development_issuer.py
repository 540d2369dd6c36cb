"""The demo's issuer as stock clients see it: boto3 signs in by endpoint_url, an OAuth client uses the token endpoint, and what they
get verifies by another library's hand."""

import base64
import hashlib
import hmac
import json

import pytest
import requests
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from cognito import claims, decode, sign_in_client
from processes import Running, binary


class Demo(Running):
    def __init__(self, folder):
        super().__init__([binary(), "demo", "--port", "0", "--json", "--log", "none"], folder, "issuer-demo")
        self.info = json.loads(self.until("it says where it is", lambda: self.out.read_text().partition("\n")[0]))

    def secret(self, api, client):
        return api.describe_user_pool_client(UserPoolId=self.info["pool_id"], ClientId=client)["UserPoolClient"]["ClientSecret"]


@pytest.fixture(scope="module")
def demo(workplace):
    server = Demo(workplace)
    yield server
    assert server.end() == 0, server.text()


@pytest.fixture(scope="module")
def api(demo):
    return sign_in_client(demo.info["issuer_url"])


@pytest.fixture(scope="module")
def password(demo):
    return demo.info["password"]


def number(text):
    return int.from_bytes(decode(text), "big")


def verified(demo, token):
    """The claims of a token, its signature checked with the published key by a library that is not ours."""
    header, payload, signature = token.split(".")
    kid = json.loads(decode(header))["kid"]
    keys = {key["kid"]: key for key in requests.get(demo.info["jwks_url"], timeout=10).json()["keys"]}
    public = rsa.RSAPublicNumbers(number(keys[kid]["e"]), number(keys[kid]["n"])).public_key()
    public.verify(decode(signature), f"{header}.{payload}".encode(), padding.PKCS1v15(), hashes.SHA256())
    return json.loads(decode(payload))


def sign_in(api, user, password, client="demoapp", **more):
    parameters = {"USERNAME": user, "PASSWORD": password, **more}
    return api.initiate_auth(ClientId=client, AuthFlow="USER_PASSWORD_AUTH", AuthParameters=parameters)["AuthenticationResult"]


def secret_hash(secret, user):
    digest = hmac.new(secret.encode(), f"{user}demoserver".encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def test_boto3_signs_in_and_its_tokens_verify(demo, api, password):
    result = sign_in(api, "alice", password)
    assert result["TokenType"] == "Bearer" and result["ExpiresIn"] == 3600
    access, identity = verified(demo, result["AccessToken"]), verified(demo, result["IdToken"])
    assert access["token_use"] == "access" and access["client_id"] == "demoapp" and access["username"] == "alice"
    assert access["iss"] == identity["iss"] == demo.info["issuer"]
    assert identity["token_use"] == "id" and identity["aud"] == "demoapp" and identity["cognito:username"] == "alice"
    assert identity["email_verified"] is True
    assert access["cognito:groups"] == identity["cognito:groups"] == ["viewer"]
    assert access["origin_jti"] == identity["origin_jti"] and access["jti"] != identity["jti"]


def test_boto3_refreshes(demo, api, password):
    first = sign_in(api, "bob", password)
    for flow in ("REFRESH_TOKEN_AUTH", "REFRESH_TOKEN"):
        again = api.initiate_auth(ClientId="demoapp", AuthFlow=flow, AuthParameters={"REFRESH_TOKEN": first["RefreshToken"]})
        again = again["AuthenticationResult"]
        assert "RefreshToken" not in again
        assert verified(demo, again["AccessToken"])["origin_jti"] == claims(first["AccessToken"])["origin_jti"]
        verified(demo, again["IdToken"])


def test_boto3_signs_in_as_a_client_with_secret(demo, api, password):
    secret = demo.secret(api, "demoserver")
    result = sign_in(api, "alice", password, "demoserver", SECRET_HASH=secret_hash(secret, "alice"))
    assert verified(demo, result["IdToken"])["aud"] == "demoserver"
    result = api.admin_initiate_auth(
        UserPoolId=demo.info["pool_id"], ClientId="demoserver", AuthFlow="ADMIN_USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": "carol", "PASSWORD": password, "SECRET_HASH": secret_hash(secret, "carol")},
    )["AuthenticationResult"]  # fmt: skip
    assert verified(demo, result["AccessToken"])["cognito:groups"] == ["admin"]


def test_boto3_reads_the_errors(api, password):
    with pytest.raises(api.exceptions.NotAuthorizedException, match="Incorrect username or password"):
        sign_in(api, "alice", password + "x")
    with pytest.raises(api.exceptions.NotAuthorizedException):
        sign_in(api, "nobody", password)
    with pytest.raises(api.exceptions.ResourceNotFoundException):
        sign_in(api, "alice", password, "unheardof")
    with pytest.raises(api.exceptions.NotAuthorizedException):
        sign_in(api, "alice", password, "demoserver")
    with pytest.raises(api.exceptions.InvalidParameterException):
        api.initiate_auth(ClientId="demoapp", AuthFlow="USER_SRP_AUTH", AuthParameters={"USERNAME": "alice", "SRP_A": "1"})
    with pytest.raises(ClientError, match="UnknownOperation"):
        api.list_users(UserPoolId="us-east-1_Demo00000")


def test_boto3_asks_who_it_is_and_signs_out(api, password):
    result = sign_in(api, "mallory", password)
    user = api.get_user(AccessToken=result["AccessToken"])
    assert user["Username"] == "mallory"
    assert {"Name": "email", "Value": "mallory@example.com"} in user["UserAttributes"]
    with pytest.raises(api.exceptions.NotAuthorizedException):
        api.get_user(AccessToken=result["IdToken"])
    assert "cognito:groups" not in claims(result["AccessToken"])
    api.global_sign_out(AccessToken=result["AccessToken"])
    with pytest.raises(api.exceptions.NotAuthorizedException):
        api.initiate_auth(ClientId="demoapp", AuthFlow="REFRESH_TOKEN_AUTH", AuthParameters={"REFRESH_TOKEN": result["RefreshToken"]})


def test_boto3_revokes_a_refresh_token(api, password):
    token = sign_in(api, "alice", password)["RefreshToken"]
    api.revoke_token(Token=token, ClientId="demoapp")
    with pytest.raises(api.exceptions.NotAuthorizedException):
        api.initiate_auth(ClientId="demoapp", AuthFlow="REFRESH_TOKEN_AUTH", AuthParameters={"REFRESH_TOKEN": token})


def test_a_machine_gets_its_token_by_discovery(demo, api):
    discovery = requests.get(demo.info["issuer"] + "/.well-known/openid-configuration", timeout=10).json()
    assert discovery["issuer"] == demo.info["issuer"] and discovery["jwks_uri"] == demo.info["jwks_url"]
    secret = demo.secret(api, "robot")
    answer = requests.post(discovery["token_endpoint"], {"grant_type": "client_credentials"}, auth=("robot", secret), timeout=10)
    assert answer.status_code == 200
    access = verified(demo, answer.json()["access_token"])
    assert access["sub"] == access["client_id"] == "robot" and access["scope"] == "orders/read"
    assert not {"username", "cognito:groups", "origin_jti", "aud"} & access.keys()
    refused = requests.post(discovery["token_endpoint"], {"grant_type": "client_credentials"}, auth=("robot", "x"), timeout=10)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_client")


def proxied(demo, token):
    answer = requests.get(demo.info["proxy"] + "/orders/42", headers={"Authorization": "Bearer " + token}, timeout=30)
    return answer.status_code


def test_the_proxy_takes_the_tokens_that_boto3_got(demo, api, password):
    result = sign_in(api, "alice", password)
    assert proxied(demo, result["AccessToken"]) == 200
    assert proxied(demo, result["IdToken"]) == 200
    assert proxied(demo, sign_in(api, "mallory", password)["AccessToken"]) == 403


@pytest.mark.parametrize("use", ["access", "id"])
def test_every_kind_of_bad_token_is_refused_by_the_proxy(demo, use):
    def minted(kind):
        query = {"user": "carol", "kind": kind, "use": use}
        return requests.get(demo.info["issuer_url"] + "/token", params=query, timeout=30).text.strip()

    assert proxied(demo, minted("valid")) == 200
    kinds = requests.get(demo.info["issuer_url"] + "/token?user=carol&kind=unheard-of", timeout=10).text
    kinds = kinds.removeprefix("kind is one of ").strip().split(", ")
    assert len(kinds) == 21
    for kind in set(kinds) - {"valid"}:
        assert proxied(demo, minted(kind)) == 401, kind


def test_after_a_rotation_new_tokens_have_new_keys_and_old_ones_verify(demo, api, password):
    before = sign_in(api, "alice", password)["AccessToken"]
    assert requests.post(demo.info["issuer_url"] + "/rotate", timeout=10).status_code == 200
    after = sign_in(api, "alice", password)["AccessToken"]
    assert json.loads(decode(before.split(".")[0]))["kid"] != json.loads(decode(after.split(".")[0]))["kid"]
    verified(demo, before)
    verified(demo, after)


def test_the_proxy_learns_rotated_keys_and_forgets_retired_ones(demo, api, password):
    before = sign_in(api, "carol", password)["AccessToken"]
    demo.until("the keys of now are known", lambda: proxied(demo, before) == 200)
    requests.post(demo.info["issuer_url"] + "/rotate?retire=now", timeout=10).raise_for_status()
    after = sign_in(api, "carol", password)["AccessToken"]
    # The unknown kid makes the proxy ask for the new set, at a bounded rate; with it the old key is gone.
    demo.until("the new keys are known", lambda: proxied(demo, after) == 200)
    assert proxied(demo, before) == 401


def test_a_page_under_another_name_gets_nothing(demo):
    answer = requests.get(demo.info["issuer_url"] + "/token?user=alice", headers={"Host": "evil.example"}, timeout=10)
    assert answer.status_code == 421
