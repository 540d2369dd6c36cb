"""Completions in the shells themselves, and the manual page by mandoc: both are made from the table of commands."""

import os
import pty
import re
import select
import subprocess
import time

from processes import binary


def run(*words, **more):
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, **more)


def script(tmp_path, shell):
    path = tmp_path / f"completion.{shell}"
    path.write_text(run(binary(), "completion", shell).stdout)
    return path


def commands():
    overview = run(binary(), "help").stdout.split("Commands:\n")[1].split("\n\n")[0]
    return [line.split()[0] for line in overview.splitlines()]


def flags(command):
    return re.findall(r"^  (--[a-z-]+)", run(binary(), "help", command).stdout, re.MULTILINE)


def bash(path, *words):
    line = " ".join(f"'{word}'" for word in words)
    done = run("bash", "-c", f"source {path}; COMP_WORDS=({line}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _stockade; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
    assert done.stderr == ""
    return done.stdout.split()


def test_bash_completes_commands_and_their_flags(tmp_path):
    path = script(tmp_path, "bash")
    assert bash(path, "stockade", "") == commands()
    assert bash(path, "stockade", "re") == ["reload"]
    for command in commands():
        assert bash(path, "stockade", command, "--") == flags(command)


def test_fish_completes_commands_and_their_flags(tmp_path):
    path = script(tmp_path, "fish")

    def complete(text):
        done = run("fish", "--no-config", "-c", f"source {path}; complete -C '{text}'")
        assert done.stderr == ""
        return {line.split("\t")[0] for line in done.stdout.splitlines()}

    assert complete("stockade ") >= set(commands())
    for command in commands():
        assert complete(f"stockade {command} --") == set(flags(command)), command


def test_zsh_completes_what_is_typed(tmp_path):
    """In a shell with a terminal: what follows the tab is what zsh makes of it."""
    path = script(tmp_path, "zsh")
    ours, theirs = pty.openpty()
    shell = subprocess.Popen(
        ["zsh", "-f", "-i"], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env={"PATH": os.environ["PATH"], "TERM": "dumb", "PS1": "ready> ", "HOME": str(tmp_path)},
    )  # fmt: skip
    os.close(theirs)
    seen = b""

    def expect(text):
        nonlocal seen
        end = time.monotonic() + 30
        while text not in seen:
            assert select.select([ours], [], [], max(end - time.monotonic(), 0))[0], (text, seen)
            seen += os.read(ours, 4096)
        seen = b""

    try:
        os.write(ours, f"autoload -Uz compinit; compinit -u -d {tmp_path}/dump; source {path}; echo is-$((40 + 2))\n".encode())
        expect(b"is-42")
        for typed, completed in [("stockade relo", "ad"), ("stockade run --ready", "-file"), ("stockade help comp", "letion")]:
            os.write(ours, f"{typed}\t".encode())
            expect((typed + completed).encode())
            os.write(ours, b"\x15")
    finally:
        shell.kill()
        shell.wait()
        os.close(ours)


def test_zsh_reads_the_script_and_completes(tmp_path):
    path = script(tmp_path, "zsh")
    assert run("zsh", "-n", str(path)).stderr == ""
    done = run("zsh", "-f", "-c", f"autoload -Uz compinit && compinit -u -d {tmp_path}/dump && source {path} && whence -w _stockade && print $_comps[stockade]")
    assert done.stderr == "" and done.stdout.split() == ["_stockade:", "function", "_stockade"]


def test_an_unknown_shell_is_refused_with_the_known_ones():
    done = run(binary(), "completion", "tcsh")
    assert done.returncode == 64 and "bash, zsh or fish" in done.stderr


def test_the_manual_page_is_clean_and_names_everything(tmp_path):
    page = tmp_path / "stockade.1"
    page.write_text(run(binary(), "man").stdout)
    assert run("mandoc", "-Tlint", "-Wwarning", str(page)).stdout == ""
    text = run("mandoc", "-Tutf8", "-O", "width=200", str(page)).stdout.replace("\b", "")
    text = re.sub(r"(.)\x08\1", r"\1", text)
    for command in commands():
        for flag in flags(command):
            # mandoc overstrikes bold text: every character stands twice.
            assert flag in re.sub(r"(.)\1", r"\1", text) or flag in text or flag == "--help", (command, flag)
