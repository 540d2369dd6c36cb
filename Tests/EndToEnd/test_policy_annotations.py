"""What policies say of the refusals they make: @status, @deny_message and @audit, on a running proxy."""

import shutil

import pytest
import requests
from conftest import run_flags
from processes import CHECKOUT, Stockade

FORBIDS = """
@id("hidden") @status("404") @deny_message("There is no such order.") @audit
forbid (principal, action, resource in Path::"/orders/42");
@id("plain")
forbid (principal, action, resource in Path::"/orders/43");
"""


@pytest.fixture(scope="module")
def server(workplace, pool, nginx):
    folder = workplace / "annotated"
    shutil.copytree(CHECKOUT / "policies", folder)
    (folder / "forbids.cedar").write_text(FORBIDS)
    server = Stockade(workplace, "annotations", *run_flags(pool, nginx.url, folder))
    server.until("its keys are there", lambda: requests.get(server.ops + "/readyz", timeout=5).status_code == 200)
    yield server
    assert server.end() == 0, server.text()


def ask(server, who, path):
    answer = requests.get(server.proxy + path, headers={"Authorization": "Bearer " + who["AccessToken"]}, timeout=30)
    return answer, server.record(answer.headers["X-Stockade-Decision-Id"])


def test_a_forbid_chooses_the_status_and_the_sentence(server, alice):
    answer, record = ask(server, alice, "/orders/42")
    assert answer.status_code == 404 and answer.json()["detail"] == answer.json()["message"] == "There is no such order."
    assert answer.json()["status"] == 404 and "hidden" not in answer.text
    assert record["status"] == 404 and record["policies"] == ["hidden"] and record["audit"] is True


def test_another_forbid_is_as_ever(server, alice):
    answer, record = ask(server, alice, "/orders/43")
    assert answer.status_code == 403 and answer.json()["detail"] == "You are not allowed to do this."
    assert "audit" not in record
