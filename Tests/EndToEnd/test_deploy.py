"""deploy/: what is there for systemd, for containers and for Kubernetes is checked by the tools of each, and says what it should."""

import copy
import fnmatch
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import kubernetes_validate
import pytest
import yaml

from processes import CHECKOUT, binary, eventually, free_port, outside

DEPLOY = CHECKOUT / "deploy"
TOOLS = pathlib.Path(sys.executable).parent


def run(*command, environment=None, **more):
    return subprocess.run(
        list(map(str, command)), env={**outside(), **(environment or {})}, capture_output=True, text=True, timeout=120, check=False, **more
    )


# --- systemd -------------------------------------------------------------------------------------------------------------------

UNITS = ["stockade.service", "stockade.socket", "stockade-ops.socket"]


@pytest.fixture
def machine(tmp_path):
    """A root directory in which the units are installed as their comments say."""
    root = tmp_path / "root"
    installed = root / "etc/systemd/system"
    installed.mkdir(parents=True)
    for name in UNITS:
        shutil.copy(DEPLOY / "systemd" / name, installed)
    (root / "usr/bin").mkdir(parents=True)
    shutil.copy(binary(), root / "usr/bin/stockade")
    # What every system has, and ours refer to.
    usual = root / "usr/lib/systemd/system"
    usual.mkdir(parents=True)
    for pattern in ("*.target", "*.slice", "*.mount"):
        for unit in pathlib.Path("/usr/lib/systemd/system").glob(pattern):
            shutil.copy(unit, usual)
    return root


def verified(root):
    return run("systemd-analyze", "verify", f"--root={root}", "--man=no", *UNITS)


def test_the_units_are_clean(machine):
    done = verified(machine)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "unit,right,wrong", [("stockade.service", "Type=notify", "Tipe=notify"), ("stockade.socket", "ListenStream=8080", "ListenStream=http")]
)
def test_a_mistake_in_a_unit_would_be_found(machine, unit, right, wrong):
    path = machine / "etc/systemd/system" / unit
    assert right in path.read_text()
    path.write_text(path.read_text().replace(right, wrong))
    done = verified(machine)
    assert done.returncode != 0 or done.stderr != ""


def test_the_service_is_exposed_by_at_most_one_point_five(report):
    def exposure(threshold):
        return run("systemd-analyze", "security", "--offline=true", f"--threshold={threshold}", DEPLOY / "systemd/stockade.service")

    done = exposure(15)
    assert done.returncode == 0, done.stdout + done.stderr
    assert exposure(1).returncode != 0, "the threshold is looked at"
    said = re.search(r"Overall exposure level for stockade.service: ([0-9.]+)", done.stdout)
    assert said and float(said[1]) <= 1.5
    report(f"measured: systemd-analyze security: {said[1]}")


def test_the_service_says_what_the_program_does():
    service = (DEPLOY / "systemd/stockade.service").read_text()
    settings = dict(line.split("=", 1) for line in service.splitlines() if "=" in line and not line.startswith("#"))
    assert settings["Type"] == "notify" and int(settings["WatchdogSec"]) > 0 and settings["LoadCredential"].startswith("client-id:")
    for line in (settings["ExecStart"], settings["ExecReload"]):
        assert run(binary(), "help", line.split()[1]).returncode == 0, line
    # systemd's patience must outlast the drain.
    shown = json.loads(run(binary(), "config", "show", "--json", *FLAGS).stdout)["drain"]
    assert int(settings["TimeoutStopSec"]) > seconds(shown["delay"]) + seconds(shown["timeout"])


FLAGS = ["--to", "http://127.0.0.1:3000", "--cognito", "us-east-1_AbC123", "--client-id", "app"]


def seconds(text):
    return int(text.removesuffix("s"))


def test_the_sample_configuration_is_in_order_with_its_credential(tmp_path):
    shutil.copy(DEPLOY / "systemd/stockade.json5", tmp_path)
    (tmp_path / "policies").mkdir()
    shutil.copy(DEPLOY / "kubernetes/base/orders.cedar", tmp_path / "policies")
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials/client-id").write_text("4h57example\n")
    check = [binary(), "check", "--config", tmp_path / "stockade.json5"]
    done = run(*check, environment={"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")})
    assert done.returncode == 0, done.stdout + done.stderr
    # Its places are the names of the socket units.
    names = {(DEPLOY / "systemd" / unit).read_text().split("FileDescriptorName=")[1].split()[0] for unit in UNITS[1:]}
    text = (tmp_path / "stockade.json5").read_text()
    assert names == {"http", "ops"} and set(re.findall(r"'fd:(\w+)'", text)) == names
    # Outside of the service the credential is not there, and that is said with its place.
    done = run(*check)
    assert done.returncode == 3 and re.search(r"stockade\.json5:\d+:\d+: error: .*CREDENTIALS_DIRECTORY", done.stderr), done.stderr


# --- containers ----------------------------------------------------------------------------------------------------------------

DOCKERFILE = DEPLOY / "docker/Dockerfile"


def hadolint(path):
    return run(TOOLS / "hadolint", "--no-color", "--failure-threshold", "style", path)


def test_the_dockerfile_is_linted(tmp_path):
    done = hadolint(DOCKERFILE)
    assert (done.returncode, done.stdout) == (0, "")
    worse = tmp_path / "Dockerfile"
    worse.write_text(DOCKERFILE.read_text().replace("WORKDIR /src", "RUN cd src && sudo apt-get install x"))
    assert hadolint(worse).returncode != 0, "the linter looks"


def instructions():
    """The Dockerfile's instructions, a list for each stage."""
    text = re.sub(r"\\\n", " ", DOCKERFILE.read_text())
    lines = [line.split(None, 1) for line in text.splitlines() if line and not line.startswith("#")]
    stages = []
    for word, rest in lines:
        if word == "FROM":
            stages.append([])
        stages[-1].append((word, rest))
    return stages


def test_the_image_is_built_in_stages_and_runs_as_nobody():
    build, runtime = instructions()
    assert build[0][1].endswith(" AS build")
    version = re.search(r"swift:([0-9.]+)-bookworm", build[0][1])[1]
    assert f"Swift version {version} " in run("swift", "--version").stdout
    assert runtime[0] == ("FROM", "gcr.io/distroless/cc-debian12:nonroot")
    last = dict(runtime)
    uid, gid = map(int, last["USER"].split(":"))
    assert uid > 0 and gid > 0
    # There is no shell: everything is in the form that needs none, and is the file that was copied.
    program = next(rest.split()[-1] for word, rest in runtime if word == "COPY" and "/release/stockade" in rest)
    assert json.loads(last["ENTRYPOINT"]) == [program] and json.loads(last["CMD"]) == ["run"]
    assert json.loads(last["HEALTHCHECK"].split("CMD", 1)[1]) == [program, "health"]


def test_the_build_context_has_the_package_and_nothing_of_a_build(tmp_path):
    kept = [line[1:] for line in (DEPLOY / "docker/Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")]
    for name in kept:
        place = CHECKOUT / name
        if place.is_dir():
            shutil.copytree(place, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(place, tmp_path / name)
    assert not any(fnmatch.fnmatch(name, ".build*") or name == ".git" for name in kept)
    done = run("swift", "package", "--package-path", tmp_path, "describe", "--type", "json")
    assert done.returncode == 0 and any(t["name"] == "stockade" for t in json.loads(done.stdout)["targets"]), done.stderr
    for word, rest in instructions()[0]:
        for script in re.findall(r"\.ci/\w+", rest) if word == "RUN" else []:
            assert os.access(tmp_path / script, os.X_OK), script


def libraries():
    """The loader, and the libraries that the Dockerfile names, where this machine has them."""
    named = next(rest for word, rest in instructions()[0] if word == "ARG" and rest.startswith("LIBRARIES=")).split("=", 1)[1].strip('"').split()
    found = {}
    for line in run("ldd", binary()).stdout.splitlines():
        if match := re.match(r"\s*(\S+) => (/\S+)", line) or re.match(r"\s*(/\S*/(ld-linux\S+)) ", line):
            name, path = (match[1], match[2]) if "=>" in line else (match[2], match[1])
            found[name] = path
    loader = next(path for name, path in found.items() if name.startswith("ld-linux"))
    return named, {name: path for name, path in found.items() if not name.startswith("ld-linux")}, loader


def test_the_libraries_that_the_dockerfile_names_are_all_that_the_binary_needs(tmp_path):
    """No container engine is here; what the image's last stage assumes is tried in an empty root, as its user."""
    named, found, loader = libraries()
    if any(name.startswith("libswift") for name in found):
        pytest.skip("this is a debug build, with a Swift runtime beside it; the release binary has it inside")
    assert sorted(found) == named
    if run("unshare", "--mount", "true").returncode != 0:
        pytest.skip("a mount namespace of its own is not allowed here, and so no root directory with /proc in it")
    root = tmp_path / "image"
    for source, target in [(loader, loader), *((path, path) for path in found.values()), (binary(), "/usr/bin/stockade")]:
        (root / target[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, root / target[1:])
    shutil.copytree(DEPLOY / "kubernetes/base", root / "etc/stockade")
    state = root / "var/lib/stockade"
    state.mkdir(parents=True)
    user, group = map(int, dict(instructions()[1])["USER"].split(":"))
    os.chown(state, user, group)
    (root / "proc").mkdir()
    enter = f'mount --bind /proc "$0/proc" && exec chroot --userspec={user}:{group} "$0" /usr/bin/stockade "$@"'
    inside = ["unshare", "--mount", "sh", "-c", enter, str(root)]
    environment = {"STATE_DIRECTORY": "/var/lib/stockade"}

    def within(*arguments):
        return run(*inside, *arguments, environment=environment)

    assert within("version").stdout.startswith("stockade ")
    done = within("check")
    assert done.returncode == 0, done.stdout + done.stderr
    places = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    flags = ["--listen", places[0], "--ops-listen", places[1]]
    with open(tmp_path / "log", "wb") as log:
        server = subprocess.Popen([*inside, "run", *flags], env={**outside(), **environment}, stdout=log, stderr=log)
    try:
        # It runs, as that user; there is no pool whose keys could be had, and health says just that.
        done = eventually("it answers", lambda: (done := within("health", *flags)).stderr.startswith("{") and done)
        assert done.returncode == 1 and json.loads(done.stderr)["checks"]["listener"] == "ok"
        assert pathlib.Path(f"/proc/{server.pid}").stat().st_uid == user
        assert within("reload").stdout.startswith("reloaded"), (tmp_path / "log").read_text()
    finally:
        server.terminate()
        assert server.wait(30) == 0, (tmp_path / "log").read_text()


# --- Kubernetes ----------------------------------------------------------------------------------------------------------------

FOLDERS = ["base", "overlays/production"]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """What kubectl makes of each folder."""
    place = tmp_path_factory.mktemp("kubernetes") / "kubernetes"
    shutil.copytree(DEPLOY / "kubernetes", place)
    said = run("kubectl", "version", "--client", "--short").stdout + run("kubectl", "version", "--client").stdout
    version = re.search(r"v1\.(\d+)\.", said)
    assert version, said
    if int(version[1]) < 21:
        # Debian 12's kubectl is from before folders could be resources.
        overlay = place / "overlays/production/kustomization.yaml"
        overlay.write_text(overlay.read_text().replace("  - ../../base\n", "bases:\n  - ../../base\n"))
    result = {}
    for folder in FOLDERS:
        done = run("kubectl", "kustomize", place / folder)
        assert done.returncode == 0 and done.stderr == "", done.stderr
        result[folder] = list(yaml.safe_load_all(done.stdout))
    return result


def one(documents, kind):
    found = [document for document in documents if document["kind"] == kind]
    assert len(found) == 1, kind
    return found[0]


# The sidecar needs 1.29, and `sleep` in preStop 1.30; then the newest that the validator knows.
VERSIONS = ["1.30", "1.33", "1.37"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_what_kubectl_renders_is_valid(rendered, folder):
    kinds = sorted(document["kind"] for document in rendered[folder])
    assert kinds == sorted(["ConfigMap", "Deployment", "NetworkPolicy", "Service"] + (["Namespace"] if folder != "base" else []))
    for document in rendered[folder]:
        for version in VERSIONS:
            kubernetes_validate.validate(document, version, strict=True)


def test_the_validator_knows_fields_and_what_the_sidecar_needs(rendered):
    misspelt = copy.deepcopy(one(rendered["base"], "Deployment"))
    misspelt["spec"]["template"]["spec"]["initContainers"][0]["startupProb"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(misspelt, VERSIONS[0], strict=True)
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(one(rendered["base"], "Deployment"), "1.28", strict=True)


# The validator takes any text for these. By the field's name, and the name of what it stands in where that matters.
WORDS = {
    "apiVersion": {"v1", "apps/v1", "networking.k8s.io/v1"},
    "imagePullPolicy": {"Always", "IfNotPresent", "Never"},
    "kind": {"ConfigMap", "Deployment", "Namespace", "NetworkPolicy", "Service"},
    "medium": {"", "Memory"},
    "pod-security.kubernetes.io/enforce": {"privileged", "baseline", "restricted"},
    "policyTypes": {"Ingress", "Egress"},
    "protocol": {"TCP", "UDP", "SCTP"},
    # Of a container among initContainers; a Pod's own is left out, as a Deployment knows only Always.
    "restartPolicy": {"Always"},
    "seccompProfile.type": {"RuntimeDefault", "Localhost", "Unconfined"},
    "spec.type": {"ClusterIP", "NodePort", "LoadBalancer", "ExternalName"},
}
OPTIONAL_WORDS = {
    "scheme": {"HTTP", "HTTPS"},
    "dnsPolicy": {"ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"},
    "operator": {"In", "NotIn", "Exists", "DoesNotExist", "Equal"},
    "effect": {"NoSchedule", "PreferNoSchedule", "NoExecute"},
    "strategy.type": {"Recreate", "RollingUpdate"},
    "concurrencyPolicy": {"Allow", "Forbid", "Replace"},
    "terminationMessagePolicy": {"File", "FallbackToLogsOnError"},
    "externalTrafficPolicy": {"Cluster", "Local"},
    "internalTrafficPolicy": {"Cluster", "Local"},
    "sessionAffinity": {"ClientIP", "None"},
    "fsGroupChangePolicy": {"OnRootMismatch", "Always"},
}


def misused_words(node, parent="", seen=None):
    """Every word that is none of those possible at its place; `seen` gets the places that were looked at."""
    wrong = []
    if isinstance(node, list):
        return [word for each in node for word in misused_words(each, parent, seen)]
    for key, value in node.items() if isinstance(node, dict) else []:
        for place in (key, f"{parent}.{key}"):
            if allowed := WORDS.get(place) or OPTIONAL_WORDS.get(place):
                for word in value if isinstance(value, list) else [value]:
                    if seen is not None:
                        seen.add(place)
                    if word not in allowed:
                        wrong.append(f"{place}: {word}")
        # A configuration's own texts are none of Kubernetes' words.
        if key not in ("data", "matchLabels"):
            wrong += misused_words(value, key, seen)
    return wrong


def test_words_with_a_meaning_are_words_that_kubernetes_knows(rendered):
    seen = set()
    for folder in FOLDERS:
        for document in rendered[folder]:
            assert misused_words(document, seen=seen) == []
    assert seen == set(WORDS), "every word of the table is looked for in vain or found"


@pytest.mark.parametrize(
    "path,word",
    [
        (("initContainers", 0, "restartPolicy"), "Alway"),
        (("initContainers", 0, "imagePullPolicy"), "Sometimes"),
        (("securityContext", "seccompProfile", "type"), "runtimeDefault"),
        (("volumes", 1, "emptyDir", "medium"), "memory"),
    ],
)
def test_a_misspelt_word_would_be_found(rendered, path, word):
    deployment = copy.deepcopy(one(rendered["base"], "Deployment"))
    node = deployment["spec"]["template"]["spec"]
    for step in path[:-1]:
        node = node[step]
    assert path[-1] in node if isinstance(node, dict) else True
    node[path[-1]] = word
    assert len(misused_words(deployment)) == 1


@pytest.mark.parametrize("folder", FOLDERS)
def test_stockade_is_a_native_sidecar_that_is_probed_where_it_listens(rendered, folder, tmp_path):
    pod = one(rendered[folder], "Deployment")["spec"]["template"]["spec"]
    sidecar = pod["initContainers"][0]
    assert (sidecar["name"], sidecar["restartPolicy"], sidecar["args"]) == ("stockade", "Always", ["run"])
    settings = json.loads(run(binary(), "config", "show", "--json", "--config", laid_out(rendered[folder], tmp_path) / "stockade.json5").stdout)
    ops = int(settings["ops"]["listen"].removeprefix(":"))
    paths = {kind: sidecar[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}
    assert paths == {"startup": "/startupz", "liveness": "/livez", "readiness": "/readyz"}
    assert {sidecar[f"{kind}Probe"]["httpGet"]["port"] for kind in ("startup", "liveness", "readiness")} == {ops}
    # The kubelet's patience outlasts the service's last requests and then Stockade's.
    sleep = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] > sleep + seconds(settings["drain"]["timeout"]) + 15
    mounts = {mount["mountPath"]: mount for mount in sidecar["volumeMounts"]}
    assert mounts["/etc/stockade"]["readOnly"] is True and "subPath" not in mounts["/etc/stockade"]
    assert "/var/lib/stockade" in mounts, "the control socket's place, as the image says"


@pytest.mark.parametrize("folder", FOLDERS)
def test_there_is_no_way_round_the_sidecar(rendered, folder, tmp_path):
    documents = rendered[folder]
    template = one(documents, "Deployment")["spec"]["template"]
    pod, labels = template["spec"], template["metadata"]["labels"]
    ports = {port["name"]: port["containerPort"] for port in pod["initContainers"][0]["ports"]}
    assert all("ports" not in container for container in pod["containers"])
    assert not pod.get("hostNetwork")
    service, policy = one(documents, "Service")["spec"], one(documents, "NetworkPolicy")["spec"]
    assert [port["targetPort"] for port in service["ports"]] == [ports["http"]]
    assert service["selector"].items() <= labels.items() and policy["podSelector"]["matchLabels"].items() <= labels.items()
    assert policy["policyTypes"] == ["Ingress"]
    assert {port["port"] for rule in policy["ingress"] for port in rule["ports"]} <= set(ports.values())
    assert all("from" in rule for rule in policy["ingress"] for port in rule["ports"] if port["port"] == ports["ops"])
    settings = json.loads(run(binary(), "config", "show", "--json", "--config", laid_out(documents, tmp_path) / "stockade.json5").stdout)
    assert settings["listen"] == f":{ports['http']}" and settings["ops"]["listen"] == f":{ports['ops']}"
    assert settings["upstream"]["url"].startswith("http://127.0.0.1:")


@pytest.mark.parametrize("folder", FOLDERS)
def test_everything_in_the_pod_is_restricted(rendered, folder):
    """The Pod Security Standard that the namespace enforces, its fields one by one."""
    pod = one(rendered[folder], "Deployment")["spec"]["template"]["spec"]
    context = pod["securityContext"]
    assert context["runAsNonRoot"] is True and context["runAsUser"] > 0 and context["seccompProfile"] == {"type": "RuntimeDefault"}
    user, group = map(int, dict(instructions()[1])["USER"].split(":"))
    assert (context["runAsUser"], context["runAsGroup"]) == (user, group), "the image's user"
    for container in pod["initContainers"] + pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}
        }  # fmt: skip
    assert {next(iter(volume.keys() - {"name"})) for volume in pod["volumes"]} <= {"configMap", "emptyDir"}
    assert pod["automountServiceAccountToken"] is False and pod["enableServiceLinks"] is False


def laid_out(documents, folder):
    """The ConfigMap as the kubelet mounts it: links through `..data`."""
    content = one(documents, "ConfigMap")
    volumes = {volume["name"]: volume for volume in one(documents, "Deployment")["spec"]["template"]["spec"]["volumes"]}
    assert volumes["stockade"]["configMap"]["name"] == content["metadata"]["name"], "the map that the hash is of"
    mount = folder / "etc-stockade"
    (mount / "..1").mkdir(parents=True)
    (mount / "..data").symlink_to("..1")
    for name, text in content["data"].items():
        (mount / "..1" / name).write_text(text)
        (mount / name).symlink_to(f"..data/{name}")
    return mount


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_configuration_and_policies_are_in_order(rendered, folder, tmp_path):
    done = run(binary(), "check", "--config", laid_out(rendered[folder], tmp_path) / "stockade.json5")
    assert done.returncode == 0 and "1 policy" in done.stdout + done.stderr, done.stdout + done.stderr


def test_the_overlay_is_of_its_place(rendered):
    documents = rendered["overlays/production"]
    assert {d["metadata"].get("namespace") for d in documents if d["kind"] != "Namespace"} == {"shop"}
    pod = one(documents, "Deployment")["spec"]["template"]["spec"]
    images = [container["image"] for container in pod["initContainers"] + pod["containers"]]
    # The version that this checkout builds, and never `latest`.
    version = run(binary(), "version").stdout.split()[1]
    assert images[0] == f"registry.example.com/stockade:{version}" and all(":" in image for image in images)
    assert "observe" in one(documents, "ConfigMap")["data"]["stockade.json5"]
