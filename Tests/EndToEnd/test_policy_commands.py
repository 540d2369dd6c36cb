"""The commands for authors of policies, as they are typed: output, messages and exit codes."""

import json
import subprocess

import pytest

from processes import CHECKOUT, binary

ALICE = ["--principal", 'User::"demo|alice"', "--action", 'Action::"GET"', "--resource", 'Path::"/orders"']


def stockade(*words, text=None, cwd=CHECKOUT):
    return subprocess.run([binary(), *map(str, words)], input=text, capture_output=True, text=True, cwd=cwd, timeout=30)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "a.cedar").write_text('@id("all") permit(principal, action in Action::"read", resource);\n')
    return tmp_path


def test_the_sample_policies_are_sound_and_formatted():
    done = stockade("check", "--deny-warnings")
    assert (done.returncode, done.stderr) == (0, "")
    assert "policies, schema ok" in done.stdout
    done = stockade("format", "--check", *sorted((CHECKOUT / "policies").glob("*.cedar")))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_check_draws_every_mistake_and_exits_3(folder):
    (folder / "policies" / "b.cedar").write_text("permit(principal, action, resource) when { 1 = 1 };\nPermit(principal, action, resource);\n")
    done = stockade("check", cwd=folder)
    assert done.returncode == 3
    assert "policies/b.cedar:1:44: error: '=' is not a valid operator in Cedar\n  1 | permit(" in done.stdout
    assert "help: try using '==' instead" in done.stdout
    assert "policies/b.cedar:2:1: error: invalid policy effect: Permit" in done.stdout
    assert done.stdout.endswith("2 errors\n")


def test_check_of_no_folder_says_so(folder):
    done = stockade("check", "--policies", "nowhere", cwd=folder)
    assert done.returncode == 3 and "nowhere cannot be read" in done.stderr


def test_a_schema_of_another_name_is_not_passed_over(folder):
    (folder / "policies" / "schema.cedarschema.json").write_text("{}")
    done = stockade("check", cwd=folder)
    assert done.returncode == 3
    assert "schema.cedarschema.json is not read: the schema is called schema.cedarschema, or schema.json in JSON" in done.stderr


def test_authorize_takes_what_check_takes(folder):
    (folder / "policies" / "schema.cedarschema").write_text(
        "entity User; entity Path; action GET appliesTo { principal: User, resource: Path, context: { s?: Set<Long> } };"
    )
    policy = "permit(principal, action, resource) when { [principal, resource].contains(principal) };\n"
    (folder / "policies" / "a.cedar").write_text('@id("all") ' + policy)
    done = stockade("authorize", *ALICE, cwd=folder)
    assert done.returncode == 3 and "error: " in done.stdout
    done = stockade("authorize", *ALICE, "--validation", "permissive", cwd=folder)
    assert (done.returncode, done.stdout) == (0, "ALLOW  permitted by all  (a.cedar:1)\n")
    done = stockade("authorize", *ALICE, "--validation", "permissive", "--policy-ids", "position", cwd=folder)
    assert done.stdout == "ALLOW  permitted by a.cedar#0  (a.cedar:1)\n"


def test_a_misspelled_action_is_told_before_its_context(folder):
    (folder / "policies" / "schema.cedarschema").write_text(
        "entity User; entity Path; action GET, read appliesTo { principal: User, resource: Path, context: { ip: ipaddr } };"
    )
    (folder / "policies" / "a.cedar").write_text("permit(principal, action, resource);\n")
    words = ["--principal", 'User::"a"', "--action", 'Action::"GTE"', "--resource", 'Path::"/"', "--context", '{"ip": 1}']
    done = stockade("authorize", *words, cwd=folder)
    assert done.returncode == 3 and "did you mean `Action::\"GET\"`?" in done.stderr


def test_format_prints_checks_and_writes(folder):
    file = folder / "policies" / "a.cedar"
    formatted = '@id("all")\npermit (\n  principal,\n  action in Action::"read",\n  resource\n);\n'
    assert stockade("format", text=file.read_text()).stdout == formatted
    done = stockade("format", "--check", file)
    assert done.returncode == 4 and done.stderr == f"{file}: not formatted\n" and done.stdout == ""
    done = stockade("format", "--write", file)
    assert (done.returncode, done.stdout) == (0, f"{file}\n")
    assert file.read_text() == formatted
    assert stockade("format", "--check", file).returncode == 0
    assert stockade("format", "--write").returncode == 64


def test_format_leaves_a_broken_file_alone(folder):
    file = folder / "policies" / "a.cedar"
    file.write_text("permit(principal,action,resource)")
    done = stockade("format", "--write", file)
    assert done.returncode == 3 and "every policy ends with `;`" in done.stderr
    assert file.read_text() == "permit(principal,action,resource)"


def test_translate_goes_both_ways(folder):
    done = stockade("translate", "--to", "policies-to-json", folder / "policies" / "a.cedar")
    assert done.returncode == 0
    assert json.loads(done.stdout)["staticPolicies"]["policy0"]["annotations"] == {"id": "all"}
    back = stockade("translate", "--to", "policies-to-cedar", text=done.stdout)
    assert back.stdout == stockade("format", folder / "policies" / "a.cedar").stdout
    schema = CHECKOUT / "policies" / "schema.cedarschema"
    done = stockade("translate", "--to", "schema-to-json", schema)
    assert done.returncode == 0 and "entityTypes" in json.loads(done.stdout)[""]
    assert stockade("translate", "--to", "schema-to-cedar", text=done.stdout).returncode == 0
    assert stockade("translate", "--to", "nonsense").returncode == 64


def test_authorize_exits_0_or_2_and_names_the_policy(folder):
    done = stockade("authorize", *ALICE, cwd=folder)
    assert (done.returncode, done.stdout) == (0, "ALLOW  permitted by all  (a.cedar:1)\n")
    done = stockade("authorize", *ALICE[:3], 'Action::"DELETE"', *ALICE[4:], cwd=folder)
    assert (done.returncode, done.stdout) == (2, "DENY  no policy permits this\n")


def test_a_request_may_stand_in_a_file(folder):
    request = {"principal": 'User::"demo|alice"', "action": {"type": "Action", "id": "GET"}, "resource": 'Path::"/orders"', "context": {}}
    (folder / "request.json").write_text(json.dumps(request))
    assert stockade("authorize", "--request", "request.json", cwd=folder).returncode == 0
    assert stockade("authorize", "--request", "request.json", *ALICE, cwd=folder).returncode == 64


def test_an_id_without_quotes_is_explained(folder):
    done = stockade("authorize", "--principal", "User::alice", *ALICE[2:], cwd=folder)
    assert done.returncode == 3 and """in a shell put single quotes around it: 'User::"alice"'""" in done.stderr


def test_explain_tells_of_every_policy(folder):
    (folder / "policies" / "b.cedar").write_text('@id("never") forbid(principal, action == Action::"DELETE", resource);\n')
    done = stockade("explain", *ALICE, cwd=folder)
    assert done.returncode == 0
    assert done.stdout.startswith("ALLOW  permitted by all")
    assert 'not matched: action is not Action::"DELETE"' in done.stdout
