"""Names that the system looks up: in a namespace of its own mounts, where the C library's resolver asks the test's name server."""

import subprocess
import time

import pytest
import requests

from processes import SLOWNESS, eventually
from services import Load, NameServer, Service, start

# Where a name server is by the C library's word: it knows no other port than 53.
PLACE = ("127.0.0.99", 53)


@pytest.fixture
def dns():
    try:
        server = NameServer(PLACE)
    except PermissionError:
        pytest.skip("port 53 is not for this user: the system's resolver was NOT tested")
    yield server
    server.end()


@pytest.fixture
def inside(tmp_path):
    """A command before the program's: what it runs sees these files in place of the system's."""
    files = {
        "resolv.conf": f"nameserver {PLACE[0]}\noptions timeout:1 attempts:1\n",
        "nsswitch.conf": "hosts: files dns\n",
        "hosts": "127.0.0.1 localhost\n127.0.0.1 fixed.test\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    mounts = " && ".join(f"mount --bind {tmp_path / name} /etc/{name}" for name in files)
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", f'{mounts} && exec "$@"', "sh"]
    tried = subprocess.run([*command, "true"], capture_output=True, text=True)
    if tried.returncode != 0:
        pytest.skip(f"no namespace can be made here ({tried.stderr.strip()}): the system's resolver was NOT tested")
    return command


def test_an_answer_of_the_system_holds_as_long_as_its_name_server_says(tmp_path, dns, inside):
    old = Service("old", ("127.0.0.2", 0))
    new = Service("new", ("127.0.0.3", old.address[1]))
    dns.names["orders"] = (["127.0.0.2"], [], 1)
    server = start(tmp_path, "system", f"upstream: 'http://orders.test:{old.address[1]}'", command=inside)
    load = Load(server, pause=0.02)
    eventually("the old one serves", lambda: len(old.requests) > 5)
    dns.names["orders"] = (["127.0.0.3"], [], 300)
    moved = time.monotonic()
    # The old one is still there: nothing but the answer's life, a second and not the usual ten, tells that it is not meant any more.
    eventually("the new one serves", lambda: new.requests)
    assert time.monotonic() - moved < 6 * SLOWNESS
    eventually("nobody is at the old one any more", lambda: old.open_connections() == 0)
    # And what holds for minutes is not asked again.
    asked = len(dns.asked)
    time.sleep(1.6)
    assert len(dns.asked) == asked
    assert load.end().wrong == [] and load.count > 20
    assert server.end() == 0, server.text()
    old.stop()
    new.stop()


def test_a_name_of_the_hosts_file_is_asked_of_no_name_server(tmp_path, dns, inside):
    service = Service("here")
    server = start(tmp_path, "hosts", f"upstream: 'http://fixed.test:{service.address[1]}'", command=inside)
    assert requests.get(server.proxy + "/x", timeout=30).text == "here"
    assert dns.asked == []
    assert server.end() == 0, server.text()
    service.stop()


def test_a_name_that_is_not_there_is_502_and_found_once_it_is(tmp_path, dns, inside):
    service = Service("late")
    server = start(tmp_path, "late", f"upstream: 'http://late.test:{service.address[1]}'", command=inside)
    assert requests.get(server.proxy + "/x", timeout=30).status_code == 502
    dns.names["late"] = (["127.0.0.1"], [], 60)
    eventually("it is found", lambda: requests.get(server.proxy + "/x", timeout=30).status_code == 200)
    assert server.end() == 0, server.text()
    service.stop()
