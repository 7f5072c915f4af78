"""The README: its commands work, its map shows every folder, and links in all documents work."""

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
    "ppo": "--updates 1",
    "evaluate": "--count 256 --best-of 2",
    "demo": "--votes 40 --updates 1",
    "studio": "--no-browser",
}
"""options that make a long command short, and change nothing of what it does"""
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(PROJECT)}
DOCUMENTS = sorted(
    str(path.relative_to(PROJECT))
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/**/*.md", "checkpoints/base/*.md")
    for path in PROJECT.glob(pattern)
)
"""every document of the project, as a path from its root"""
ROOMS_WITH_FOLDERS = ("tastemaker", "rl", "feedback_ui", "env", "reward", "policy", "music")


def folder_map():
    """The lines of 'The folders': path of the folder and what it is; indented ones are inside."""
    block = re.search(r"## The folders\n.*?```text\n(.*?)```", README, re.S)[1]
    outer, found = "", []
    for line in block.splitlines():
        path, _, what = line.strip().partition(" ")
        if line.startswith(" "):
            path = outer + path
        else:
            outer = path
        found.append((path, what.strip()))
    return found


def folders():
    """Each folder at the top of the tree, and in rooms and benchmarks each folder of modules."""
    git = ["git", "-c", "safe.directory=*", "ls-files"]
    done = subprocess.run(git, cwd=PROJECT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git checkout")
    files = [Path(name) for name in done.stdout.splitlines()]
    top = {f"{file.parts[0]}/" for file in files if len(file.parts) > 1}
    inside = {
        f"{file.parts[0]}/{file.parts[1]}/"
        for file in files
        if file.parts[0] in (*ROOMS_WITH_FOLDERS, "benchmarks")
        and len(file.parts) == 3
        and file.suffix == ".py"
    }
    return top | inside


def test_the_map_shows_every_folder_once():
    paths = [path for path, _ in folder_map()]
    assert sorted(paths) == sorted(folders())


def test_each_line_of_the_map_says_what_the_folder_is():
    assert [path for path, what in folder_map() if len(what.split()) < 3] == []


def test_the_readme_can_be_read_in_one_sitting():
    assert len(README.splitlines()) <= 180


def anchors(text):
    """What `#...` in a link may name: the headings, as GitHub writes them."""
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document):
    page = PROJECT / document
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        path, _, anchor = target.partition("#")
        if "://" in target:
            continue
        there = page.parent / path if path else page
        if not there.exists() or (anchor and anchor not in anchors(there.read_text())):
            broken.append(target)
    assert broken == []


def test_each_document_is_listed_once():
    listed = re.findall(r"\]\(([^)#]+)\)", (PROJECT / "docs" / "README.md").read_text())
    pages = [page for page in DOCUMENTS if page.startswith("docs/") and page != "docs/README.md"]
    own = [page for page in listed if not page.startswith("../")]
    assert sorted(own) == sorted(page.removeprefix("docs/") for page in pages)
    assert len(set(listed)) == len(listed)


def test_it_begins_with_the_two_commands():
    assert COMMANDS[:2] == ["make demo", "make studio"]
    assert README.index("make demo") < 700


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("make ")])
def test_make_knows_the_target(command):
    clean = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    done = subprocess.run(
        [*shlex.split(command), "-n"], cwd=PROJECT, env=clean, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert ".venv/bin/" in done.stdout


def typed_in(document):
    """The commands that a document tells a person to type; its continued lines are joined."""
    text = (PROJECT / document).read_text().replace("\\\n", " ")
    blocks = re.findall(r"```console\n(.*?)```", text, re.S)
    return re.findall(r"^\$ (.+)$", "\n".join(blocks), re.M)


@pytest.mark.parametrize("document", [page for page in DOCUMENTS if typed_in(page)])
def test_the_commands_of_a_document_are_there(document):
    for typed in typed_in(document):
        program, name, *arguments = shlex.split(typed, comments=True)
        if program == "tastemaker":
            with cli.commands[name].make_context(name, arguments) as context:
                assert isinstance(context, click.Context)
        elif program == "python":
            assert (PROJECT / name).is_file(), typed
        else:
            assert program in ("make", "torchrun"), typed


def test_no_command_is_of_an_unknown_kind():
    assert {command.split()[0] for command in COMMANDS} <= {"make", "tastemaker"}


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_its_commands_work_one_after_another(tmp_path):
    # In an empty folder, in the README's order: each stands on what the ones before it have made.
    for command in COMMANDS:
        program, name, *arguments = shlex.split(command)
        if program == "make":
            continue  # `make demo` and `make studio` call the last two of these commands
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
