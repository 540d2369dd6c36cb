import secrets

import pytest
import requests

from cognito import Moto, Pool
from processes import CHECKOUT, Demo, Nginx, Stockade, eventually


REPORTS = []


@pytest.fixture(scope="session")
def report():
    """Notes a line for the closing summary: how many shared cases ran, how far memory grew."""
    return REPORTS.append


def pytest_terminal_summary(terminalreporter):
    for line in REPORTS:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def workplace(tmp_path_factory):
    return tmp_path_factory.mktemp("stockade")


@pytest.fixture(scope="session")
def moto(workplace):
    server = Moto(workplace)
    yield server
    server.end()


@pytest.fixture(scope="session")
def pool(moto):
    return Pool(moto)


@pytest.fixture(scope="session")
def nginx(workplace):
    server = Nginx(workplace)
    yield server
    server.end()


def run_flags(pool, upstream, policies=None):
    return [
        "--to", upstream, "--cognito", pool.id, "--id-prefix", "demo", "--jwks-url", pool.jwks_url,
        "--client-id", pool.client_id, "--client-id", pool.secret_client_id, "--policies", policies or CHECKOUT / "policies",
    ]  # fmt: skip


@pytest.fixture(scope="session")
def stockade(workplace, pool, nginx):
    """Stockade before nginx, trusting the pool."""
    server = Stockade(workplace, "run", *run_flags(pool, nginx.url))
    server.until("its keys are there", lambda: requests.get(server.ops + "/readyz", timeout=5).status_code == 200)
    yield server
    assert server.end() == 0, server.text()


class Answer:
    """A response, its decision record, and whether the service behind saw the request."""

    def __init__(self, response, server, marker):
        self.response = response
        self.status = response.status_code
        self.headers = response.headers
        self.id = response.headers.get("X-Stockade-Decision-Id")
        self.server = server
        self.marker = marker

    @property
    def record(self):
        return self.server.record(self.id)

    def problem(self):
        return self.response.json()


class Asking:
    """Asks through the proxy, with a mark in each query by which the service's access log is searched."""

    def __init__(self, server, nginx):
        self.server = server
        self.nginx = nginx
        self.refused = []
        self.allowed = []

    def __call__(self, method, path, token=None, headers=None, server=None, scheme="Bearer ", session=None, **more):
        server = server or self.server
        marker = secrets.token_hex(8)
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = scheme + token
        response = (session or requests).request(
            method, server.proxy + path, params={"mark": marker}, headers=sent, timeout=30, allow_redirects=False, **more
        )
        answer = Answer(response, server, marker)
        is_ours = response.headers.get("Content-Type", "").startswith("application/problem+json")
        (self.refused if is_ours else self.allowed).append(marker)
        return answer

    def reached_upstream(self, marker):
        return any(marker in line for line in self.nginx.requests())


@pytest.fixture(scope="session")
def ask(stockade, nginx):
    asking = Asking(stockade, nginx)
    yield asking
    # Whatever the tests did: no request that was refused ever reached the service, and all others did.
    assert asking.refused and asking.allowed
    for marker in asking.allowed:
        eventually(f"{marker} was allowed and is forwarded", lambda marker=marker: asking.reached_upstream(marker))
    for marker in asking.refused:
        assert not asking.reached_upstream(marker), f"{marker} was refused and yet forwarded"


@pytest.fixture(scope="session")
def alice(pool):
    return pool.sign_in("alice")


@pytest.fixture(scope="session")
def dave(pool):
    return pool.sign_in("dave")


@pytest.fixture(scope="session")
def bob(pool):
    return pool.sign_in("bob")


def demo_process(folder, name):
    return Demo(folder, name)


@pytest.fixture(scope="session")
def demo(workplace):
    """The demo with its policies and its issuer, on free ports."""
    process = demo_process(workplace, "demo")
    yield process
    assert process.end() == 0, process.text()
