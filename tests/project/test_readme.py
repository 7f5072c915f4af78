"""The README: it lists every file, its links lead somewhere, and its commands work."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from fnmatch import fnmatchcase
from pathlib import Path

import click
import pytest

from tastemaker.__main__ import cli
from tests.support.project import PROJECT

README = (PROJECT / "README.md").read_text()
COMMANDS = re.findall(
    r"^\$ (.+)$", "\n".join(re.findall(r"```console\n(.*?)```", README, re.S)), re.M
)
"""what the README tells a person to type, in its order"""
SMALLER = {
    "ppo": "--updates 2",
    "evaluate": "--count 256 --best-of 2",
    "demo": "--votes 40 --updates 1",
    "studio": "--no-browser",
}
"""options that make a long command short, and change nothing of what it does"""
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(PROJECT)}


def listed():
    """Path or pattern, and what it is, of each line of 'Every file'."""
    block = re.search(r"## Every file\n+```text\n(.*?)```", README, re.S)[1]
    return [tuple(line.split(maxsplit=1)) for line in block.splitlines() if line]


def tracked():
    """Files under version control."""
    git = ["git", "-c", "safe.directory=*", "ls-files"]
    done = subprocess.run(git, cwd=PROJECT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git checkout")
    return done.stdout.split()


def test_every_file_has_its_line():
    patterns = [pattern for pattern, _ in listed()]
    missing = [f for f in tracked() if not any(fnmatchcase(f, pattern) for pattern in patterns)]
    assert missing == [], "add a line for each to the README's 'Every file'"


def test_every_line_has_its_file():
    assert [pattern for pattern, _ in listed() if not any(PROJECT.glob(pattern))] == []


def test_a_line_stands_once_and_says_something():
    patterns = [pattern for pattern, _ in listed()]
    assert len(set(patterns)) == len(patterns)
    assert min(len(what.split()) for _, what in listed()) >= 2


def test_a_pattern_hides_no_room():
    # A pattern is for files of one kind in one folder; `music/*` would make this list worthless.
    wide = [p for p, _ in listed() if "*" in p and not p.startswith("checkpoints/base/")]
    assert [pattern for pattern in wide if Path(pattern).name.strip("*") == ""] == []


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/README.md", "docs/log.md"])
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", (PROJECT / page).read_text())
    local = [target for target in targets if "://" not in target]
    assert [t for t in local if not ((PROJECT / page).parent / t).exists()] == []


def test_it_begins_with_the_two_commands():
    assert COMMANDS[:2] == ["make demo", "make test"]
    assert README.index("make demo") < 700


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("make ")])
def test_make_knows_the_target(command):
    clean = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    done = subprocess.run(
        [*shlex.split(command), "-n"], cwd=PROJECT, env=clean, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert ".venv/bin/" in done.stdout


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("tastemaker ")])
def test_the_options_of_a_command_are_there(command):
    _, name, *arguments = shlex.split(command)
    with cli.commands[name].make_context(name, arguments) as context:
        assert isinstance(context, click.Context)


def test_no_command_is_of_an_unknown_kind():
    assert {command.split()[0] for command in COMMANDS} <= {"make", "tastemaker"}


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_its_commands_work_one_after_another(tmp_path):
    # In an empty folder, in the README's order: each stands on what the ones before it have made.
    for command in COMMANDS:
        program, name, *arguments = shlex.split(command)
        if program == "make":
            continue  # .ci/run calls `make test`; of `make demo` the last command is another
        typed = [sys.executable, "-m", "tastemaker", name, *arguments]
        typed += shlex.split(SMALLER.get(name, ""))
        if name == "studio":
            serve(typed, tmp_path)
            continue
        done = subprocess.run(
            typed,
            cwd=tmp_path,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        if name == "taste":
            assert "likes" in done.stdout, command
            continue
        if name == "jobs":
            assert ("done: kept update" if "watch" in arguments else "rules") in done.stdout, (
                command
            )
            continue
        assert any(word in done.stdout for word in ("wrote", "next:", "watch")), command
    assert len(list((tmp_path / "composed").glob("*.abc"))) == 2
    runs = {folder.name for folder in (tmp_path / "checkpoints" / "runs").glob("[!.]*")}
    assert runs == {"reward-0001", "ppo-0001", "rules"}
    for folder in (tmp_path / "another-demo", tmp_path / "checkpoints" / "runs" / "ppo-0001"):
        assert "<audio" in (folder / "report.html").read_text()
        assert (folder / "report.json").stat().st_size > 100


def serve(command, folder):
    """Start the studio, wait until it answers, and stop it as ctrl-c does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (folder / "studio.log").open("w") as log:
        server = subprocess.Popen(
            [*command, "--port", str(port)],
            cwd=folder,
            env=ENVIRONMENT,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        until = time.monotonic() + 240
        while True:
            assert server.poll() is None, (folder / "studio.log").read_text()
            try:
                health = f"http://127.0.0.1:{port}/_stcore/health"
                with urllib.request.urlopen(health, timeout=10) as answer:
                    assert answer.status == 200
                    return
            except (urllib.error.URLError, TimeoutError):
                assert time.monotonic() < until, (folder / "studio.log").read_text()
                time.sleep(0.5)
    finally:
        os.killpg(server.pid, signal.SIGINT)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def test_make_demo_calls_the_program_as_it_is():
    recipe = re.search(r"^demo:.*\n((?:\t.*\n)+)", (PROJECT / "Makefile").read_text(), re.M)[1]
    called = re.search(r"\$\(BIN\)/tastemaker (\S+)(.*)", recipe)
    name, arguments = called[1], shlex.split(called[2])
    with cli.commands[name].make_context(name, arguments) as context:
        assert context.params["out"] == Path("demo")


def test_the_scripts_are_bash():
    for script in (".ci/run", ".ci/install"):
        text = (PROJECT / script).read_text()
        assert "set -euo pipefail" in text
        assert subprocess.run(["bash", "-n", PROJECT / script]).returncode == 0
