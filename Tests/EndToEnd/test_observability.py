"""A real Prometheus scrapes real proxies that do everything the dashboard and the alerts speak of; promtool judges the rest."""

import contextlib
import json
import os
import re
import subprocess
import threading
import time

import pytest
import requests
import yaml

from collector import Collector
from processes import CHECKOUT, Running, Stockade, binary, eventually, free_port
from provider import Key, Provider
from test_entity_data import Source, order
from test_remote_engine import KEYS, Stub

DEPLOY = CHECKOUT / "deploy" / "observability"
POLICIES = """
@id("readers") permit (principal, action == Action::"read", resource);
@id("no-archive") forbid (principal, action, resource == Order::"archived");
@id("careless") permit (principal, action == Action::"write", resource) when { principal.nothing };
@id("owners") permit (principal, action == Action::"change", resource is Order) when { resource has owner && resource.owner == principal };
@id("no-seven") @mode("shadow") forbid (principal, action, resource == Order::"7");
"""
ALERTS = yaml.safe_load((DEPLOY / "alerts.yaml").read_text())["groups"][0]["rules"]
DASHBOARD = json.loads((DEPLOY / "dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def promtool(*arguments, **more):
    return subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=120, cwd=DEPLOY, **more)


def test_promtool_accepts_the_rules_and_each_alert_fires_on_what_it_is_for():
    for arguments in (("check", "rules", "alerts.yaml"), ("check", "config", "prometheus.yml"), ("test", "rules", "alerts.test.yaml")):
        done = promtool(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
    cases = yaml.safe_load((DEPLOY / "alerts.test.yaml").read_text())["tests"]
    fired = {case["alertname"] for test in cases for case in test["alert_rule_test"] if case["exp_alerts"]}
    assert fired == {rule["alert"] for rule in ALERTS}


def test_each_alert_has_its_place_in_the_runbook():
    text = (DEPLOY / "runbook.md").read_text()
    headings = re.findall("^## (.+)$", text, re.M)
    assert headings == [rule["alert"] for rule in ALERTS]
    sections = dict(zip(headings, re.split("^## .+$", text, flags=re.M)[1:]))
    for rule in ALERTS:
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["runbook_url"] == f"runbook.md#{rule['alert'].lower()}"
        assert rule["annotations"]["summary"] and rule["annotations"]["description"].endswith(".")
        section = sections[rule["alert"]]
        assert "**Means:**" in section and ("**Do:**" in section or "do:**" in section), rule["alert"]
        assert set(re.findall(r"\]\(#(\w+)\)", section)) <= {name.lower() for name in headings}
    titles = {panel["title"] for panel in PANELS}
    assert {name for name in re.findall('"([A-Z][^"\n]{3,60})"', text)} <= titles


def names(expression):
    return set(re.findall(r"\b((?:stockade|process)_[a-z_]+)", expression))


def test_the_dashboard_can_be_read():
    assert len({panel["title"] for panel in PANELS}) == len(PANELS) > 35
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    taken = {}
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"], "two panels in one place"
    for panel in PANELS:
        defaults = panel["fieldConfig"]["defaults"]
        assert panel["description"].endswith(".") and defaults["thresholds"]["steps"] and panel["datasource"]["uid"] == "${datasource}"
        assert defaults["unit"] in ("short", "none", "s", "bytes", "reqps", "cps", "percentunit"), panel["title"]
        expressions = " ".join(target["expr"] for target in panel["targets"])
        # The unit is that of what is shown.
        assert ("_seconds" in expressions and "process_cpu" not in expressions) == (defaults["unit"] == "s"), panel["title"]
        assert ("_bytes" in expressions) == (defaults["unit"] == "bytes"), panel["title"]
        assert all(target["legendFormat"] for target in panel["targets"])
    # What an alert speaks of can be looked at.
    shown = set().union(*(names(target["expr"]) for panel in PANELS for target in panel["targets"]))
    assert set().union(*(names(rule["expr"]) for rule in ALERTS)) <= shown
    documented = set(re.findall("^\\| `([a-z_]+)`", (DEPLOY / "metrics.md").read_text(), re.M))
    assert {re.sub("_bucket$", "", name) for name in shown} <= documented


class Prometheus(Running):
    """Debian's Prometheus, which scrapes twice a second."""

    def __init__(self, folder, targets):
        port = free_port()
        configuration = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
        configuration["global"] = {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"}
        configuration["rule_files"] = [str(DEPLOY / "alerts.yaml")]
        (job,) = configuration["scrape_configs"]
        job["static_configs"] = [{"targets": targets}]
        path = folder / "prometheus.yml"
        path.write_text(yaml.safe_dump(configuration))
        super().__init__(
            [
                "prometheus", f"--config.file={path}", f"--storage.tsdb.path={folder}/tsdb", f"--web.listen-address=127.0.0.1:{port}",
                "--enable-feature=exemplar-storage", "--log.level=warn",
            ],
            folder, "prometheus",
        )  # fmt: skip
        self.url = f"http://127.0.0.1:{port}/api/v1"
        self.until("it answers", lambda: self.answers())

    def answers(self):
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(self.url + "/status/runtimeinfo", timeout=5).status_code == 200

    def query(self, expression):
        """The series that an expression returns, but those that are no number."""
        answer = requests.get(self.url + "/query", params={"query": expression}, timeout=10).json()
        assert answer["status"] == "success", (expression, answer)
        return [series for series in answer["data"]["result"] if series["value"][1] != "NaN"]


class Fleet:
    """Three proxies: one with local policies and everything beside them, one that asks elsewhere and observes, one for development."""

    def __init__(self, folder, nginx):
        self.folder = folder
        self.nginx = nginx
        self.provider, self.stub, self.source, self.collector = Provider(), Stub(), Source(), Collector()
        self.source.answer = self.entities
        (folder / "policies").mkdir()
        self.policy = folder / "policies" / "policy.cedar"
        self.policy.write_text(POLICIES)
        remote = f"verified_permissions: {{ policy_store: 'PS1', endpoint: '{self.stub.url}', attempts: 1"
        provider = self.provider
        issuer = f"issuer: '{provider.issuer}', client_ids: ['app'], id_prefix: 'demo', jwks_url: '{provider.url}'"
        self.main = self.start(
            "main",
            f"""{{ upstream: '{nginx.url}', policies: 'policies', compare: {{ {remote} }} }},
              issuers: {{ main: {{ {issuer}, jwks: {{ refresh: '1s', min_interval: '100ms' }} }} }},
              traces: {{ endpoint: '{self.collector.url}', sample: 'always_on' }},
              routes: [
                {{ match: 'GET /orders/{{id}}', action: 'read', resource: {{ type: 'Order', id: '{{id}}' }} }},
                {{ match: 'GET /watched/{{id}}', action: 'watch', resource: {{ type: 'Order', id: '{{id}}' }}, mode: 'observe' }},
                {{ match: 'PATCH /orders/{{id}}', action: 'change', resource: {{ type: 'Order', id: '{{id}}' }},
                  entities: {{ url: '{self.source.url}/orders/{{id}}', timeout: '300ms', cache: '1s' }} }},
                {{ match: 'GET /broken', access: 'public', upstream: 'http://127.0.0.1:{free_port()}' }},
                {{ match: '* /orders/{{id}}', action: 'write', resource: {{ type: 'Order', id: '{{id}}' }} }},
              ] }}""",
        )
        reader, self.pipe = os.pipe()
        self.reader = reader
        self.remote = self.start(
            "remote",
            f"""{{ upstream: '{nginx.url}', mode: 'observe', engine: {{ {remote}, timeout: '200ms', cache: '1s' }} }},
              issuers: {{ main: {{ {issuer} }} }}, log: {{ decisions: {{ to: 'stdout', queue: 10 }} }} }}""",
            log="stdout", stdout=self.pipe,
        )  # fmt: skip
        self.development = self.start(
            "development",
            f"""{{ upstream: '{nginx.url}', policies: 'policies', development: true,
              issuers: {{ lost: {{ issuer: 'http://127.0.0.1:1/demo', client_ids: ['app'], jwks_url: 'http://127.0.0.1:{free_port()}/' }} }} }}""",
        )
        self.servers = [self.main, self.remote, self.development]
        self.main.until("it is ready", lambda: requests.get(self.main.ops + "/readyz", timeout=5).status_code == 200)
        self.is_over = threading.Event()
        self.trouble = None
        self.driver = threading.Thread(target=self.drive)
        self.driver.start()

    def start(self, name, text, **more):
        path = self.folder / f"{name}.json5"
        path.write_text(text)
        return Stockade(self.folder, name, "--config", path, environment=KEYS, **more)

    def entities(self, path):
        name = path.rsplit("/", 1)[1]
        if name.startswith("slow"):
            time.sleep(0.03)
        if name == "failing":
            return 500, "text/plain", ""
        return (404, "text/plain", "") if name == "absent" else (200, "application/json", order(name, "demo|alice"))

    def drive(self):
        try:
            while not self.is_over.is_set():
                self.round()
        except Exception as problem:  # noqa: BLE001: told by the fixture, not lost with the thread
            self.trouble = problem

    def round(self):
        key = self.provider.keys[0]
        good = self.provider.token(key=key)

        def ask(server, path, token=good, method="GET", **headers):
            if token:
                headers["Authorization"] = f"Bearer {token}"
            with contextlib.suppress(requests.ConnectionError):
                requests.request(method, server.proxy + path, headers=headers, timeout=10)

        stranger = Key()
        for _ in range(3):
            for path in ("/orders/42", "/orders/7", "/orders/archived", "/orders/500", "/watched/1", "/nowhere"):
                ask(self.main, path)
            ask(self.main, "/orders/42", token=None)
            ask(self.main, "/orders/42", method="PUT")
            for _ in range(3):
                ask(self.main, "/broken", token=None)
            ask(self.main, "/orders/a%2fb")
            for path in ("mine", "absent", "failing", f"slow-{time.monotonic_ns()}"):
                ask(self.main, f"/orders/{path}", method="PATCH")
            for _ in range(3):
                ask(self.main, "/orders/42", token=key.sign(self.provider.claims())[:-6] + "AAAAAA")
            ask(self.main, "/orders/42", token=self.provider.token(key=stranger))
            for path in ("/orders/42", "/500", "/orders/42"):
                ask(self.remote, path)
        ask(self.remote, "/slow")
        with contextlib.suppress(requests.ConnectionError):
            ask(self.development, "/", token=None)

    def end(self):
        self.is_over.set()
        self.driver.join(60)
        os.close(self.reader)
        os.close(self.pipe)
        for server in self.servers:
            if server.is_alive():
                server.end()
        self.collector.end()
        with contextlib.suppress(OSError):
            self.provider.end()
        assert self.trouble is None


@pytest.fixture(scope="module")
def fleet(tmp_path_factory, nginx):
    fleet = Fleet(tmp_path_factory.mktemp("fleet"), nginx)
    yield fleet
    fleet.end()


@pytest.fixture(scope="module")
def prometheus(fleet, tmp_path_factory):
    server = Prometheus(tmp_path_factory.mktemp("prometheus"), [server.ops.removeprefix("http://") for server in fleet.servers])
    yield server
    server.end()


def filled_in(expression):
    return expression.replace("$__rate_interval", "1m").replace("$job", ".*").replace("$instance", ".*")


def test_prometheus_scrapes_it_with_exemplars_and_promtool_finds_nothing_to_mend(fleet, prometheus):
    eventually("all are up", lambda: len(prometheus.query("up == 1")) == 3)
    assert len(prometheus.query("stockade_build_info")) == 3
    # It asks for OpenMetrics, or there would be none.
    def exemplars():
        found = requests.get(
            prometheus.url + "/query_exemplars", params={"query": "stockade_request_duration_seconds_bucket", "start": time.time() - 60, "end": time.time()},
            timeout=10,
        ).json()["data"]  # fmt: skip
        return {each["labels"]["trace_id"] for series in found for each in series["exemplars"]}

    def led_to_a_trace():
        return exemplars() & {span.trace for span in fleet.collector.spans}

    eventually("exemplars lead to traces that the collector has", led_to_a_trace)
    for server in fleet.servers:
        text = requests.get(server.ops + "/metrics", timeout=5).text
        done = promtool("check", "metrics", input=text)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_no_panel_is_empty(fleet, prometheus):
    eventually("it was scraped twice", lambda: prometheus.query("count_over_time(stockade_build_info[1m]) > 2"))
    fleet.policy.write_text(POLICIES + "// A change, and so a reload.\n")
    reloads = DASHBOARD["annotations"]["list"][0]["expr"]
    eventually("the reload is marked", lambda: prometheus.query(filled_in(reloads)))
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            metric, label = re.fullmatch(r"label_values\(([^,]+(?:\{.*\})?), (\w+)\)", variable["query"]["query"]).groups()
            assert {series["metric"][label] for series in prometheus.query(filled_in(metric))}
    for panel in PANELS:
        for target in panel["targets"]:
            found = eventually(
                f"{panel['title']} shows something: {target['expr']}", lambda t=target: prometheus.query(filled_in(t["expr"])), patience=60
            )
            # Every name in a legend is there to be read.
            for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
                assert all(series["metric"].get(label) for series in found), (panel["title"], label)
            legends = [re.sub(r"\{\{(\w+)\}\}", lambda m, s=series: s["metric"][m[1]], target["legendFormat"]) for series in found]
            assert len(set(legends)) == len(legends), (panel["title"], legends)


# What needs half a day, a day, or the machine at its limits: promtool plays those.
PLAYED = {"StockadeKeysExpire", "StockadeDenialsUnusual", "StockadeDescriptorsScarce", "StockadeConnectionsScarce"}


def test_every_alert_finds_what_it_looks_at_and_those_that_can_be_provoked_fire(fleet, prometheus):
    eventually("it was scraped twice", lambda: prometheus.query("count_over_time(stockade_build_info[1m]) > 2"))
    # The issuer dies, a policy is broken, the collector wants nothing more, a proxy is killed.
    fleet.collector.statuses = [400] * 10_000
    fleet.policy.write_text("permit (principal, action, resource")
    fleet.provider.die()
    eventually("its keys are missing", lambda: prometheus.query('stockade_jwks_keys{issuer="lost"} == 0'))
    eventually("it is known to trust anyone", lambda: prometheus.query("stockade_dev_mode == 1"))
    missing = dict((rule["alert"], rule["expr"]) for rule in ALERTS)
    found = {}

    def look():
        for name, expression in list(missing.items()):
            if name in PLAYED or prometheus.query(expression):
                found[name] = prometheus.query(re.sub(r" (>|<|==) ", r" \1 bool ", expression))
                del missing[name]
            elif name == "StockadeDown" and fleet.development.is_alive() and len(missing) < 4:
                fleet.development.process.kill()
        return not missing

    try:
        eventually("every alert has its case", look, patience=90)
    except AssertionError:
        raise AssertionError(f"these never fired: {missing}") from None
    # An expression compares numbers that are there, also where it is not fulfilled.
    assert all(found.values()), {name for name, series in found.items() if not series}
    rules = requests.get(prometheus.url + "/rules", timeout=10).json()["data"]["groups"][0]["rules"]
    assert {rule["name"]: rule["health"] for rule in rules} == {rule["alert"]: "ok" for rule in ALERTS}
    eventually(
        "Prometheus itself raises those that wait for nothing",
        lambda: {"StockadePolicyErrors", "StockadeDecisionsLost"} <= firing(prometheus),
    )


def firing(prometheus):
    alerts = requests.get(prometheus.url + "/alerts", timeout=10).json()["data"]["alerts"]
    return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}


def test_the_commands_of_the_runbook_run(fleet):
    commands = set(re.findall("`(stockade (?:logs|config|check)[^`]*)`", (DEPLOY / "runbook.md").read_text()))
    assert len(commands) > 8
    eventually("there are records", lambda: len(fleet.main.records()) > 20)
    path = fleet.folder / "main.json5"
    for command in commands:
        words = command.replace("FILE", str(fleet.main.log)).replace("NAME", "main").split()[1:]
        if words[0] != "logs":
            words += ["--config", str(path)]
        done = subprocess.run([binary(), *words], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 or words[0] == "check", (command, done.stdout, done.stderr)
        assert done.returncode != 64, (command, done.stderr)
