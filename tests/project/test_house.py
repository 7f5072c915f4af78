"""The house itself: its rooms, a command line that answers at once, bad input told in one line."""

import ast
import importlib
import io
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tomllib
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest

from reward.pairs.random_pairs import random_pairs
from reward.store.store import RatingsStore
from tastemaker.__main__ import cli, main
from tests.support.project import PROJECT
from tests.support.small_disk import fill, read_only

ROOMS = ("music", "policy", "env", "reward", "rl", "feedback_ui", "tastemaker")
HEAVY = ("torch", "transformers", "trl", "streamlit", "pandas", "matplotlib", "scipy", "sqlalchemy")


def process(folder, *arguments):
    """The command line as a person calls it, in a process and a working folder of its own."""
    return subprocess.run(
        [sys.executable, "-m", "tastemaker", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=240,
        stdin=subprocess.DEVNULL,
    )


# --- The rooms


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_is_ours(room):
    # `env` and `rl` are names that another distribution may take too.
    assert Path(importlib.import_module(room).__file__).resolve() == PROJECT / room / "__init__.py"


def test_the_wheel_takes_every_room_the_base_policy_and_nothing_else():
    include = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["setuptools"][
        "packages"
    ]
    rooms = [pattern for room in ROOMS for pattern in (room, f"{room}.*")]
    assert sorted(include["find"]["include"]) == sorted([*rooms, "checkpoints.base"])


def test_every_file_has_a_noun_for_a_name():
    vague = {"utils", "util", "helpers", "helper", "common", "misc", "tools"}
    found = [p for room in ROOMS for p in (PROJECT / room).rglob("*.py") if p.stem in vague]
    assert found == []


def folders():
    """Every folder of modules, without the migrations, which are numbered."""
    every = [init.parent for room in ROOMS for init in (PROJECT / room).rglob("__init__.py")]
    return [folder for folder in every if "migrations" not in folder.parts]


@pytest.mark.parametrize("folder", folders(), ids=lambda f: str(f.relative_to(PROJECT)))
def test_a_folder_says_what_it_is_and_what_each_of_its_modules_is(folder):
    said = ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))
    assert said is not None
    title, _, lines = said.partition("\n\n")
    assert title.endswith(".")
    listed = re.findall(r"^(\w+): \w", lines, flags=re.MULTILINE)
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    modules |= {init.parent.name for init in folder.glob("*/__init__.py")}
    assert sorted(listed) == sorted(modules)


def test_a_folder_holds_some_twenty_modules_at_most():
    found = {str(f.relative_to(PROJECT)): len(list(f.glob("*.py"))) - 1 for f in folders()}
    assert {folder: count for folder, count in found.items() if count > 20} == {}


# --- The folder


@pytest.mark.parametrize(
    "name",
    ["LICENSE", "NOTICE", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"],
)
def test_what_a_stranger_looks_for_is_there(name):
    assert len((PROJECT / name).read_text().split()) > 100


def test_the_licence_is_whole():
    text = (PROJECT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_scripts_may_be_run():
    for script in (".ci/run", ".ci/install"):
        assert os.access(PROJECT / script, os.X_OK), script


def test_git_ignores_no_room():
    names = [*(f"{room}/anything.py" for room in ROOMS), "checkpoints/base/model.safetensors"]
    for name in names:
        found = subprocess.run(
            ["git", "-c", "safe.directory=*", "check-ignore", "--no-index", "-q", name], cwd=PROJECT
        )
        if found.returncode == 128:
            pytest.skip("not a git checkout")
        assert found.returncode == 1, f"{name} is ignored"


def test_no_lock_file_names_where_one_machine_got_its_packages():
    locks = ("uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "pylock.toml")
    assert [name for name in locks if (PROJECT / name).exists()] == []


# --- The command line


def test_help_imports_nothing_heavy(tmp_path):
    # What is imported, and not how long it takes: a busy machine must not fail this.
    code = "import sys\nfrom tastemaker.__main__ import main\n"
    code += "sys.argv = ['tastemaker', '--help']\ntry: main()\n"
    code += "finally: print('LOADED', *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, timeout=60
    )
    assert "demo" in done.stdout
    loaded = done.stdout.partition("LOADED ")[2].split()
    assert "click" in loaded
    # Metres and modes come from music/, which at that level is the standard library only.
    not_yet = {*HEAVY, *ROOMS} - {"music", "tastemaker"}
    assert not_yet.intersection(name.partition(".")[0] for name in loaded) == set()


def test_looking_at_jobs_imports_no_torch(tmp_path):
    RatingsStore(str(tmp_path / "ratings.sqlite")).close()
    code = (
        "import sys\nfrom tastemaker.__main__ import main\n"
        "sys.argv = ['tastemaker', 'jobs', '--database', 'ratings.sqlite']"
    )
    code += "\ntry: main()\nfinally: print('LOADED', *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    said, _, loaded = done.stdout.partition("LOADED ")
    assert said.split()[:3] == ["run", "job", "state"], done.stderr
    packages = {name.partition(".")[0] for name in loaded.split()}
    assert "sqlalchemy" in packages
    assert packages.isdisjoint({"torch", "transformers", "pandas", "scipy", "matplotlib"})


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_a_commands_help_is_written(name):
    with redirect_stdout(io.StringIO()) as out, pytest.raises(SystemExit) as stopped:
        cli.commands[name].main(["--help"], prog_name=f"tastemaker {name}")
    assert stopped.value.code == 0
    assert "--help" in out.getvalue()


# --- What a user got wrong: one line that says what, why and the remedy; exit code 2; nothing lost


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """An empty working folder: no runs, no ratings; the base policy is the shipped one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TASTEMAKER_DATABASE", raising=False)
    return tmp_path


@pytest.fixture
def refused(nowhere, monkeypatch, capfd):
    """Calls the command line in this process (torch is imported once) and checks its one line."""

    def call(*arguments, says=()):
        monkeypatch.setattr(sys, "argv", ["tastemaker", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        said = capfd.readouterr().err
        assert stopped.value.code == 2, said
        line = one_line(said)
        assert [word for word in says if word not in line] == [], line

    return call


STAGES = ("loading ", "reading ", "writing ", "measuring ", "learning, ", "comparing ")
"""how lines of progress begin, which may come before"""


def one_line(stderr):
    """The refusal; click puts the usage of the command and a pointer to its help before it."""
    assert "Traceback" not in stderr
    lines = [
        line
        for line in stderr.splitlines()
        if line and not line.startswith(("Usage:", "Try ", *STAGES))
    ]
    assert len(lines) == 1, stderr
    return lines[0]


@pytest.mark.slow
def test_a_refusal_as_a_person_sees_it(tmp_path):
    # A library's own warning beside the line would be seen only here, in a process of its own.
    shutil.copytree(PROJECT / "checkpoints" / "base", tmp_path / "checkpoints" / "base")
    (tmp_path / "checkpoints" / "base" / "config.json").write_text('{"model_type": "gpt2"}')
    done = process(tmp_path, "compose", "--count", "1", "--no-sound")
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert "checkpoints/base" in one_line(done.stderr)


@pytest.mark.parametrize(
    "arguments",
    [
        ("compose", "--policy", "ppo-0007"),
        ("pairs", "--policy", "ppo-0007"),
        ("evaluate", "base", "ppo-0007"),
        ("ppo", "--resume", "ppo-0007"),
        ("ppo", "--reward", "ppo-0007"),
        ("jobs", "watch", "ppo-0007"),
        ("jobs", "stop", "ppo-0007"),
        ("jobs", "resume", "ppo-0007"),
        ("jobs", "logs", "ppo-0007"),
        ("jobs", "compare", "ppo-0007", "ppo-0008"),
    ],
    ids=" ".join,
)
def test_an_unknown_run(nowhere, refused, arguments):
    if arguments[0] == "jobs":
        RatingsStore(str(nowhere / "checkpoints" / "ratings.sqlite")).close()
    refused(*arguments, says=["ppo-0007", "none yet"])
    assert not list(nowhere.glob("checkpoints/runs/*"))


@pytest.mark.parametrize("name", ["../base", "/etc", "A", "", "x" * 65])
def test_a_path_is_no_name_of_a_run(nowhere, refused, name):
    refused("compose", "--policy", name, says=["name of a run"])


def test_a_reward_that_was_never_learnt(nowhere, refused):
    refused("ppo", says=["no reward model", "tastemaker reward"])


@pytest.mark.parametrize("command", ["watch", "stop", "resume", "logs", "compare"])
def test_jobs_where_there_are_none(nowhere, refused, command):
    refused("jobs", command, "ppo-0007", says=["there are no jobs yet", "tastemaker ppo"])
    assert list(nowhere.iterdir()) == []  # looking makes nothing


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--set", "clipp=1"), ["clipp", "clip"]),
        (("--set", "clip"), ["'clip'", "name=value"]),
        (("--set", "epochs=2", "--epochs", "3"), ["epochs is given twice"]),
        (("--resume", "ppo-0007", "--updates", "3"), ["resumed run keeps its settings", "updates"]),
        (("--resume", "ppo-0007", "--reward", "x"), ["resumed run keeps its settings", "spec"]),
        (("--slots", "0"), ["slots"]),
        (("--reward", "nowhere:at_all"), ["nowhere"]),
    ],
)
def test_a_job_that_cannot_be_started(nowhere, refused, arguments, says):
    refused("ppo", *arguments, says=says)
    assert not (nowhere / "checkpoints").exists()


def test_a_reward_without_votes(nowhere, refused):
    (nowhere / "checkpoints").mkdir()
    refused("reward", says=["no decided votes", "tastemaker studio"])


def test_rating_where_nothing_waits(nowhere, refused):
    (nowhere / "checkpoints").mkdir()
    refused("rate", "--simulate", says=["tastemaker pairs"])


@pytest.mark.parametrize("damage", ["cut short", "config garbled", "weights gone"])
def test_a_damaged_base_checkpoint(nowhere, refused, damage):
    base = nowhere / "checkpoints" / "base"
    shutil.copytree(PROJECT / "checkpoints" / "base", base)
    weights = base / "model.safetensors"
    if damage == "cut short":
        weights.write_bytes(weights.read_bytes()[:-1000])
    elif damage == "config garbled":
        (base / "config.json").write_text("{")
    else:
        weights.unlink()
    refused("compose", "--count", 1, "--no-sound", says=["checkpoints/base"])
    assert not (nowhere / "composed").exists()


@pytest.mark.slow
def test_a_locked_database_loses_nothing(nowhere, refused, random_melodies):
    file = nowhere / "ratings.sqlite"
    with RatingsStore(str(file)) as store:
        ids = store.add_melodies(random_melodies(2), policy_id="base", sampler="test", seed=0)
        store.add_comparisons(random_pairs(ids, 1, np.random.default_rng(0)), round=1)
        before = store.counts()
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        refused("rate", "--simulate", "--database", file, says=["ratings.sqlite", "lock"])
    finally:
        holder.execute("ROLLBACK")
        holder.close()
    with RatingsStore(str(file)) as store:
        after = store.counts()
    # The listener may have been entered before the lock was met; votes and pairs are as they were.
    assert {k: v for k, v in after.items() if "rater" not in k} == {
        k: v for k, v in before.items() if "rater" not in k
    }


def test_a_database_that_is_none(nowhere, refused):
    file = nowhere / "ratings.sqlite"
    file.write_text("these are not the votes that you are looking for" * 100)
    before = file.read_bytes()
    refused("reward", "--database", file, says=["ratings.sqlite"])
    assert file.read_bytes() == before


def test_a_database_that_may_only_be_read(nowhere, refused, small_disk, monkeypatch, capfd):
    """What only reads reads it; what would store something says so before any work."""
    file = small_disk / "ratings.sqlite"
    with RatingsStore(str(file)) as store:
        store.add_rater("Ada")
    (nowhere / "votes").mkdir()
    says = ["ratings.sqlite may only be read", "--database PATH"]
    with read_only(small_disk):
        for line in ("pairs", "rate --simulate", "studio --no-browser", "ppo", "reward"):
            refused(*line.split(), "--database", file, says=says)
        assert not (nowhere / "checkpoints" / "runs").exists()
        for line in ("ratings export --format csv", "ratings stats", "jobs"):
            monkeypatch.setattr(sys, "argv", ["tastemaker", *line.split(), "--database", str(file)])
            main()
        assert "Traceback" not in capfd.readouterr().err
    assert "Ada" in (nowhere / "ratings" / "raters.csv").read_text()


@pytest.mark.slow
def test_composing_on_a_full_disk(nowhere, refused, small_disk):
    with fill(small_disk):
        refused(
            *("compose", "--count", 1, "--bars", 4, "--no-sound", "--out", small_disk / "new"),
            says=[f"the disk at {small_disk} is full", "free some space"],
        )
        assert [path.name for path in small_disk.iterdir()] == ["filler"]


@pytest.mark.parametrize(
    "text",
    [
        "X:1\nM:4/4\nL:1/8\nK:D\nD4&F4|",  # two voices
        "X:1\nM:5/8\nL:1/8\nK:D\nDDDDD|]",  # a metre that is not known
        "X:1\nM:4/4\nL:1/8\nK:D\nDDDDDDDDD|]",  # a bar of nine eighths
        "la la la",
        "",
    ],
    ids=["voices", "metre", "bar", "words", "nothing"],
)
def test_a_malformed_motif(nowhere, refused, text):
    (nowhere / "motif.abc").write_text(text)
    refused("compose", "--motif", "motif.abc", "--no-sound")
    assert not (nowhere / "composed").exists()


def test_a_motif_that_is_not_text(nowhere, refused):
    (nowhere / "motif.abc").write_bytes(bytes(range(128, 256)))
    refused("compose", "--motif", "motif.abc", "--no-sound", says=["motif"])


def test_a_motif_that_is_not_there(nowhere, refused):
    refused("compose", "--motif", "motif.abc", says=["motif.abc"])


@pytest.mark.parametrize("pickup", [-1, 500])
def test_a_pickup_that_is_none(nowhere, refused, pickup):
    refused("compose", "--meter", "4/4", "--pickup", pickup, says=[str(pickup)])


@pytest.mark.parametrize("temperature", ["0", "-1", "nan"])
def test_a_temperature_that_is_none(nowhere, refused, temperature):
    refused("compose", "--temperature", temperature, "--no-sound", says=["temperature"])


def test_a_missing_soundfont_is_told_before_anything_is_written(nowhere, refused):
    refused("compose", "--soundfont", "none.sf2", says=["none.sf2"])
    assert not (nowhere / "composed").exists()


@pytest.mark.timeout(60)
def test_a_missing_soundfont_is_told_before_the_demo_begins(nowhere, refused):
    refused("demo", "--votes", 20, "--soundfont", "none.sf2", says=["none.sf2"])
    assert not (nowhere / "demo").exists()


def test_a_demo_is_not_written_over_another(nowhere, refused):
    there = nowhere / "demo" / "ratings.sqlite"
    there.parent.mkdir()
    there.write_text("votes")
    refused("demo", says=["demo", "--out"])
    assert there.read_text() == "votes"


def test_a_meter_that_is_not_known(nowhere, refused):
    refused("compose", "--meter", "5/8", says=["5/8", "6/8"])


def test_an_out_folder_that_is_a_file(nowhere, refused):
    (nowhere / "taken").write_text("mine")
    refused("compose", "--out", "taken", "--no-sound", says=["taken"])
    assert (nowhere / "taken").read_text() == "mine"
