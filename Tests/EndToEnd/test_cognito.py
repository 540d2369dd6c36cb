"""A Cognito user pool, an unmodified service, and Stockade between: who is let through, who is not, and what is said."""

import json

import pytest
import requests

from cognito import claims, encode, with_broken_signature, with_claims, with_header
from conftest import run_flags
from processes import Stockade, eventually


def assert_refused(answer, status, reason):
    assert answer.status == status
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    problem = answer.problem()
    # RFC 9457 members, the decision's name, and what AWS clients look for.
    assert problem["status"] == status
    assert problem["title"]
    assert problem["message"]
    assert answer.id and answer.id in json.dumps(problem)
    text = json.dumps(problem)
    for hidden in ("orders", "viewer", "editor", "archive", "no_permit", "policy_forbid", "kid", "User::", "demo|"):
        assert hidden not in text, f"{hidden!r} is told to the client: {text}"
    if status == 401:
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    else:
        assert "WWW-Authenticate" not in answer.headers
    record = answer.record
    assert record["reason"] == reason
    assert record["decision"] == ("deny" if status != 503 else "error")
    assert record["enforced"] is True
    assert record["status"] == status
    return record


class TestAllowed:
    @pytest.mark.parametrize("kind", ["AccessToken", "IdToken"])
    def test_a_viewer_reads_with_either_token(self, ask, alice, pool, kind):
        answer = ask("GET", "/orders/42", alice[kind])
        assert (answer.status, answer.response.text) == (200, "order 42\n")
        record = answer.record
        assert record["decision"] == "allow" and record["reason"] == "policy_permit"
        assert record["policies"] == ["viewers-read-orders"]
        assert record["principal"] == f'User::"demo|{pool.subjects["alice"]}"'
        assert record["action"] == 'Action::"GET"'
        assert record["resource"] == 'Path::"/orders/42"'
        assert record["http"]["path"] == "/orders/42"
        assert record["token"]["use"] == {"AccessToken": "access", "IdToken": "id"}[kind]
        assert record["token"]["client_id"] == pool.client_id
        assert record["status"] == 200
        assert record["errors"] == 0

    def test_tokens_of_the_client_with_secret(self, ask, pool):
        tokens = pool.sign_in_as_server("alice")
        assert ask("GET", "/orders/42", tokens["AccessToken"]).status == 200
        answer = ask("GET", "/orders/42", tokens["IdToken"])
        assert answer.status == 200
        assert answer.record["token"]["client_id"] == pool.secret_client_id

    def test_refreshed_tokens(self, ask, pool, alice):
        tokens = pool.refresh(alice["RefreshToken"])
        assert ask("GET", "/orders/42", tokens["AccessToken"]).status == 200
        assert ask("GET", "/orders/42", tokens["IdToken"]).status == 200

    @pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER ", ""])
    def test_the_raw_token_as_amplify_sends_it_and_any_case_of_the_scheme(self, ask, alice, scheme):
        assert ask("GET", "/orders/42", alice["IdToken"], scheme=scheme).status == 200

    def test_the_same_token_again_over_one_connection(self, ask, alice):
        with requests.Session() as session:
            for _ in range(20):
                assert ask("GET", "/orders/42", alice["AccessToken"], session=session).status == 200

    def test_the_service_learns_who_asks_and_cannot_be_lied_to(self, ask, nginx, bob, pool):
        forged = {
            "X-Stockade-Principal": "root", "x-stockade-principal ".strip(): "root", "X_Stockade_Principal": "root",
            "X-Stockade-Groups": "admin",
        }  # fmt: skip
        answer = ask("PUT", "/orders/uploads/whoami", bob["AccessToken"], headers=forged, data=b"x")
        assert answer.status in (201, 204)
        # nginx notes a request after it has answered.
        line = eventually("the request is noted", lambda: next((line for line in nginx.requests() if answer.marker in line), None))
        assert f'principal="demo|{pool.subjects["bob"]}"' in line
        assert "root" not in line

    def test_a_head_request_has_no_body(self, ask, alice):
        answer = ask("HEAD", "/orders/42", alice["AccessToken"])
        assert (answer.status, answer.response.content) == (200, b"")
        assert answer.headers["Content-Length"] == "9"

    def test_the_service_s_own_errors_pass(self, ask, alice):
        assert ask("GET", "/orders/unheard-of", alice["AccessToken"]).status == 404


class TestRefusedByPolicy:
    def test_a_user_without_the_group(self, ask, dave):
        record = assert_refused(ask("GET", "/orders/42", dave["AccessToken"]), 403, "no_permit")
        assert record["policies"] == []

    def test_a_viewer_may_not_change(self, ask, alice):
        assert_refused(ask("PUT", "/orders/uploads/x", alice["IdToken"], data=b"x"), 403, "no_permit")
        assert_refused(ask("DELETE", "/orders/42", alice["AccessToken"]), 403, "no_permit")

    def test_an_editor_may_not_touch_the_archive(self, ask, bob):
        record = assert_refused(ask("PUT", "/orders/archive/7", bob["AccessToken"], data=b"x"), 403, "policy_forbid")
        assert record["policies"] == ["archive-is-final"]

    def test_a_path_that_only_looks_alike(self, ask, alice):
        assert_refused(ask("GET", "/orders-archive/1", alice["AccessToken"]), 403, "no_permit")


class TestRefusedTokens:
    def test_no_token(self, ask):
        answer = ask("GET", "/orders/42")
        assert_refused(answer, 401, "no_token")
        # RFC 6750 section 3.1: without credentials no error code.
        assert "error=" not in answer.headers["WWW-Authenticate"]

    @pytest.mark.parametrize(
        "spoil,reason",
        [
            (lambda t: with_broken_signature(t), "token_signature"),
            (lambda t: with_claims(t, sub="someone-else"), "token_signature"),
            (lambda t: with_claims(t, **{"cognito:groups": ["viewer", "admin"]}), "token_signature"),
            (lambda t: with_claims(t, exp=4102444800), "token_signature"),
            (lambda t: with_claims(t, iss="https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Other"), "token_issuer"),
            (lambda t: with_header(t, kid="unheard-of"), "key_unknown"),
            (lambda t: with_header(t, alg="HS256"), "token_algorithm"),
            (lambda t: with_header(t, alg="none").rsplit(".", 1)[0] + ".", "token_algorithm"),
            (lambda t: with_header(t, alg="PS256"), None),
            (lambda t: t.rsplit(".", 1)[0], "token_malformed"),
            (lambda t: t + ".", "token_malformed"),
            (lambda t: t[:-1] + "=", "token_malformed"),
            (lambda t: "e30.e30.e30", None),
            (lambda t: "not-a-token", "token_malformed"),
        ],
    )
    def test_a_tampered_or_malformed_token(self, ask, alice, spoil, reason):
        token = spoil(alice["AccessToken"])
        answer = ask("GET", "/orders/42", token)
        assert answer.status == 401
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
        assert_refused(answer, 401, reason or answer.record["reason"])
        assert answer.record["reason"].startswith(("token_", "key_"))

    def test_an_expired_token_by_the_product_s_own_clock(self, ask, workplace, pool, nginx, alice):
        later = Stockade(workplace, "later", *run_flags(pool, nginx.url), "--clock-offset", 2 * 24 * 3600)
        try:
            answer = ask("GET", "/orders/42", alice["AccessToken"], server=later)
            record = assert_refused(answer, 401, "token_expired")
            assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
            assert "exp" in record["detail"]
        finally:
            assert later.end() == 0

    def test_a_token_not_yet_valid_by_the_product_s_own_clock(self, ask, workplace, pool, nginx, alice):
        earlier = Stockade(workplace, "earlier", *run_flags(pool, nginx.url), "--clock-offset", -3600)
        try:
            assert_refused(ask("GET", "/orders/42", alice["AccessToken"], server=earlier), 401, "token_not_yet_valid")
        finally:
            assert earlier.end() == 0

    def test_a_token_of_another_pool(self, ask, moto):
        from cognito import Pool

        foreign = Pool(moto, "elsewhere").sign_in("alice")
        assert_refused(ask("GET", "/orders/42", foreign["AccessToken"]), 401, "token_issuer")

    def test_a_token_for_another_client_of_the_same_pool(self, ask, workplace, pool, nginx, alice):
        flags = run_flags(pool, nginx.url)
        second = flags.index("--client-id")
        only_server = flags[:second] + flags[second + 2 :]
        narrow = Stockade(workplace, "narrow", *only_server)
        try:
            for kind in ("AccessToken", "IdToken"):
                assert_refused(ask("GET", "/orders/42", alice[kind], server=narrow), 401, "token_audience")
        finally:
            assert narrow.end() == 0

    def test_two_credentials_are_nobody_s(self, stockade, nginx, alice, bob):
        import http.client
        import urllib.parse

        where = urllib.parse.urlsplit(stockade.proxy)
        before = len(nginx.requests())
        connection = http.client.HTTPConnection(where.hostname, where.port, timeout=10)
        connection.putrequest("GET", "/orders/42")
        connection.putheader("Authorization", "Bearer " + alice["AccessToken"])
        connection.putheader("Authorization", "Bearer " + bob["AccessToken"])
        connection.endheaders()
        response = connection.getresponse()
        assert response.status == 400
        identifier = response.getheader("X-Stockade-Decision-Id")
        assert stockade.record(identifier)["reason"] == "multiple_credentials"
        assert len(nginx.requests()) == before


class TestRefusedForms:
    @pytest.mark.parametrize(
        "target",
        ["/orders/../invoices/1", "/orders/%2e%2e/invoices/1", "/orders/%2E./42", "/orders//42", "/orders/%2f42", "/orders%5c42",
         "/orders/./42", "/orders/%00", "/orders/%ff"],
    )  # fmt: skip
    def test_a_target_that_can_be_read_in_two_ways(self, stockade, nginx, alice, target):
        import http.client
        import urllib.parse

        where = urllib.parse.urlsplit(stockade.proxy)
        before = len(nginx.requests())
        connection = http.client.HTTPConnection(where.hostname, where.port, timeout=10)
        connection.request("GET", target, headers={"Authorization": "Bearer " + alice["AccessToken"]})
        response = connection.getresponse()
        assert response.status == 400
        assert stockade.record(response.getheader("X-Stockade-Decision-Id"))["reason"] == "path_ambiguous"
        assert len(nginx.requests()) == before


class TestTheLog:
    def test_it_never_holds_a_credential_a_cookie_or_a_query(self, ask, stockade, alice):
        secret = "hunter2-in-a-query"
        answer = ask("GET", "/orders/42", alice["AccessToken"], headers={"Cookie": "session=hunter3"})
        ask("GET", "/orders/42", with_broken_signature(alice["IdToken"]))
        requests.get(stockade.proxy + "/orders/42?password=" + secret, timeout=10)
        assert answer.record
        everything = stockade.log.read_text() + stockade.text()
        for hidden in (secret, "hunter3", answer.marker, "mark=", alice["AccessToken"][-40:], alice["IdToken"].split(".")[1][:40]):
            assert hidden not in everything

    def test_what_a_client_sends_cannot_forge_a_line(self, ask, stockade):
        answer = ask("GET", "/orders/42", headers={"User-Agent": 'x","decision":"allow\u0085'.encode("latin-1", "replace")})
        assert answer.record["decision"] == "deny"
        assert answer.record["http"]["user_agent"].startswith('x","decision":"allow')

    def test_what_was_promised_of_the_schema(self, ask, alice):
        record = ask("GET", "/orders/42", alice["AccessToken"]).record
        assert record["v"] == 1 and record["type"] == "decision"
        assert record["time"].endswith("Z") and len(record["time"]) == 24
        assert len(record["id"]) == 26
        assert record["client"]["ip"] == "127.0.0.1"
        assert record["token"]["alg"] == "RS256"
        assert 0 < record["token"]["expires_in_s"] <= 24 * 3600
        assert record["policy_set"]
        assert isinstance(record["authz_us"], int) and isinstance(record["total_us"], int)


def test_claims_reach_the_tests_as_the_pool_issued_them(alice):
    access = claims(alice["AccessToken"])
    assert access["token_use"] == "access" and access["cognito:groups"] == ["viewer"]
    assert claims(alice["IdToken"])["token_use"] == "id"
    assert encode(b"\xff\xfe") == "__4"
