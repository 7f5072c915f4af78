"""Terminals that cannot show a character, and working folders that are gone."""

import os
import subprocess
import sys

import pytest

from reward.store.store import RatingsStore
from tests.support.project import PROJECT


def process(folder, *words, **variables):
    return subprocess.run(
        [sys.executable, "-m", "tastemaker", *map(str, words)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PROJECT), **variables},
        capture_output=True,
        timeout=240,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_what_a_terminal_cannot_show_is_a_question_mark(tmp_path, encoding):
    with RatingsStore(tmp_path / "ratings.sqlite") as store:
        store.add_rater("Jürgen – Łódź")
    words = ("ratings", "stats", "--database", "ratings.sqlite")
    done = process(tmp_path, *words, PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    shown = "Jürgen – Łódź".encode(encoding, "replace").decode(encoding)
    assert shown in done.stdout.decode(encoding)
    done = process(tmp_path, "jobs", "watch", "Łódź", *words[2:], PYTHONIOENCODING=encoding)
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


GONE = """
import os, sys
folder = sys.argv[1]
os.chdir(folder)
before = sys.argv[2] == "before"
if before:
    os.rmdir(folder)
import reward.store.store
def opened(self, *given):
    os.rmdir(folder)
    open("checkpoints/anything")
if not before:
    reward.store.store.RatingsStore.__init__ = opened
sys.argv = ["tastemaker", "ratings", "stats", "--database", "postgresql://nowhere/x"]
if not before:
    sys.argv = ["tastemaker", "rate", "--simulate"]
from tastemaker.__main__ import main
main()
"""


@pytest.mark.parametrize("when", ["before", "while"])
@pytest.mark.slow
def test_a_working_folder_that_was_removed_is_told_in_one_line(tmp_path, when):
    folder = tmp_path / "gone"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", GONE, folder, when],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.stderr.splitlines() == [
        "tastemaker: the working folder was removed; change to a folder that exists and try again"
    ]
    assert done.returncode == 2
