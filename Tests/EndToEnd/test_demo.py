"""The demo: every line it prints is run and answers as printed; its issuer signs in stock clients and rotates its keys."""

import json
import re
import signal
import subprocess

import boto3
import botocore.exceptions
import pytest
import requests
from cognito import claims, sign_in_client, with_broken_signature
from conftest import demo_process
from processes import CHECKOUT, Running, binary, eventually


def statuses(output):
    return [int(code) for code in re.findall(r"^HTTP/1\.[01] (\d{3})", output, re.MULTILINE)]


def run_line(command):
    done = subprocess.run(["bash", "-c", command], cwd=CHECKOUT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return statuses(done.stdout)[-1], done.stdout


def token(demo, name, *flags):
    command = [binary(), "token", name, "--issuer", demo.info["issuer_url"], *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def ask(demo, method, path, bearer=None):
    headers = {"Authorization": "Bearer " + bearer} if bearer else {}
    return requests.request(method, demo.info["proxy"] + path, headers=headers, timeout=30)


def test_it_is_ready_within_a_second_or_so(demo, report):
    report(f"measured: the demo is ready in {demo.info['ready_ms']} ms")
    assert demo.info["ready_ms"] < 2000


def test_every_line_it_prints_answers_as_printed(demo):
    assert len(demo.info["lines"]) >= 6
    seen = set()
    for line in demo.info["lines"]:
        status, output = run_line(line["command"])
        assert status == line["expect"], f"{line['command']}\n{output}"
        seen.add(status)
        if status >= 400 and '"decision_id"' in output:
            body = json.loads(output.replace("\r\n", "\n").split("\n\n", 1)[1])
            demo.record(body["decision_id"])
    assert {200, 401, 403} <= seen


def test_what_it_prints_for_people_is_the_same_and_works(tmp_path):
    demo = Running([binary(), "demo", "--port", "0"], tmp_path, "people", cwd=CHECKOUT)
    try:
        demo.until("the listing", lambda: "Decisions, as they happen" in demo.out.read_text())
        text = demo.out.read_text()
        assert re.search(r"ready in \d+ ms", text)
        expected = [int(status) for status in re.findall(r"^  # \d+\. .* → (\d{3})$", text, re.MULTILINE)]
        commands = re.findall(r"^  (curl .*)$", text, re.MULTILINE)
        assert len(commands) == len(expected) >= 6
        for command, status in zip(commands, expected):
            assert run_line(command)[0] == status, command
        # Each decision as it happens, in readable lines.
        def decisions():
            return re.findall(r"^\d\d:\d\d:\d\d (?:✓|✗|!|\+|x) *(allow|deny|error) +(\d{3}) ", demo.out.read_text(), re.MULTILINE)

        demo.until("a line for each decision", lambda: len(decisions()) == len(commands))
        assert [int(status) for _, status in decisions()] == expected
    finally:
        demo.process.send_signal(signal.SIGINT)
        assert demo.process.wait(30) == 0


@pytest.mark.parametrize(
    "flag,status,reason",
    [
        ("--expired", 401, "token_expired"), ("--forged", 401, "token_signature"), ("--not-yet", 401, "token_not_yet_valid"),
        ("--other-issuer", 401, "token_issuer"), ("--alg-none", 401, "token_algorithm"), ("--id", 200, "policy_permit"),
    ],
)  # fmt: skip
def test_tokens_for_trying_refusals(demo, flag, status, reason):
    answer = ask(demo, "GET", "/orders/42", token(demo, "alice", flag))
    assert answer.status_code == status
    assert demo.record(answer.headers["X-Stockade-Decision-Id"])["reason"] == reason


def test_an_unheard_of_user_is_an_error_in_words(demo):
    done = subprocess.run(
        [binary(), "token", "nobody-here", "--issuer", demo.info["issuer_url"]], capture_output=True, text=True, timeout=30
    )
    assert done.returncode != 0 and "there are alice, bob" in done.stderr and not done.stdout


class TestStockClients:
    """The issuer is a small Cognito user pool to boto3, unmodified."""

    def sign_in(self, demo, name="alice"):
        return sign_in_client(demo.info["issuer_url"]).initiate_auth(
            ClientId=demo.info["client_ids"][0], AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": name, "PASSWORD": demo.info["password"]},
        )["AuthenticationResult"]  # fmt: skip

    def test_sign_in_and_both_tokens(self, demo):
        tokens = self.sign_in(demo)
        assert tokens["TokenType"] == "Bearer" and tokens["ExpiresIn"] > 0
        assert claims(tokens["AccessToken"])["token_use"] == "access"
        assert claims(tokens["IdToken"])["token_use"] == "id"
        assert claims(tokens["AccessToken"])["iss"] == demo.info["issuer"]
        for kind in ("AccessToken", "IdToken"):
            assert ask(demo, "GET", "/orders/42", tokens[kind]).status_code == 200
            assert ask(demo, "GET", "/orders/42", with_broken_signature(tokens[kind])).status_code == 401

    def test_refresh(self, demo):
        client = sign_in_client(demo.info["issuer_url"])
        fresh = client.initiate_auth(
            ClientId=demo.info["client_ids"][0], AuthFlow="REFRESH_TOKEN_AUTH",
            AuthParameters={"REFRESH_TOKEN": self.sign_in(demo)["RefreshToken"]},
        )["AuthenticationResult"]  # fmt: skip
        assert ask(demo, "GET", "/orders/42", fresh["AccessToken"]).status_code == 200

    def test_a_wrong_password_and_an_unheard_of_user_are_cognito_s_errors(self, demo):
        client = sign_in_client(demo.info["issuer_url"])
        for name, password in (("alice", "wrong"), ("nobody-here", "wrong")):
            with pytest.raises(botocore.exceptions.ClientError) as caught:
                client.initiate_auth(
                    ClientId=demo.info["client_ids"][0], AuthFlow="USER_PASSWORD_AUTH",
                    AuthParameters={"USERNAME": name, "PASSWORD": password},
                )  # fmt: skip
            assert caught.value.response["Error"]["Code"] in ("NotAuthorizedException", "UserNotFoundException")

    def test_discovery_leads_to_the_keys(self, demo):
        where = demo.info["issuer"]
        document = requests.get(where + "/.well-known/openid-configuration", timeout=10).json()
        assert document["issuer"] == demo.info["issuer"]
        keys = requests.get(document["jwks_uri"], timeout=10).json()["keys"]
        assert keys and all(key["kid"] and "d" not in key and "p" not in key for key in keys)

    def test_users_without_the_group_and_machines(self, demo):
        assert ask(demo, "GET", "/orders/42", self.sign_in(demo, "mallory")["AccessToken"]).status_code == 403
        assert boto3.__version__


def test_a_rotated_key_is_learned_and_a_withdrawn_one_is_dead(demo):
    before = token(demo, "alice")
    assert ask(demo, "GET", "/orders/42", before).status_code == 200
    kids = {key["kid"] for key in requests.get(demo.info["jwks_url"], timeout=10).json()["keys"]}
    assert requests.post(demo.info["issuer_url"] + "/rotate", timeout=10).status_code in (200, 204)
    after = token(demo, "alice")
    fresh = {key["kid"] for key in requests.get(demo.info["jwks_url"], timeout=10).json()["keys"]}
    assert fresh > kids, "rotation made no new key, or withdrew the old one"
    # An unknown kid causes a fetch, not more often than once in a few seconds.
    eventually("the new key is known", lambda: ask(demo, "GET", "/orders/42", after).status_code == 200)
    assert ask(demo, "GET", "/orders/42", before).status_code == 200

    assert requests.post(demo.info["issuer_url"] + "/rotate?retire=now", timeout=10).status_code in (200, 204)
    last = token(demo, "alice")
    eventually("the newest key is known", lambda: ask(demo, "GET", "/orders/42", last).status_code == 200)
    # The fetch that brought it showed that the others are gone: their tokens are refused, remembered or not.
    for old in (before, after):
        answer = ask(demo, "GET", "/orders/42", old)
        assert answer.status_code == 401
        assert demo.record(answer.headers["X-Stockade-Decision-Id"])["reason"] == "key_unknown"


def test_a_token_of_another_demo_is_foreign(demo, tmp_path):
    """Same issuer name, same users, other keys: what a stolen name is worth."""
    other = demo_process(tmp_path, "other")
    try:
        foreign = token(other, "carol")
        assert ask(demo, "GET", "/orders/42", foreign).status_code == 401
    finally:
        assert other.end() == 0


def test_a_password_is_made_anew_for_each_demo(demo, tmp_path):
    other = demo_process(tmp_path, "third")
    try:
        assert other.info["password"] != demo.info["password"]
    finally:
        assert other.end() == 0
