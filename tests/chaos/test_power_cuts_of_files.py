"""What a command writes is whole or absent after a power cut, and there once the command has ended.

The commands run in the working folder that version 0.1.0 left (`tests/data/v0_1_0`).
"""

import os
import shutil
import sys

import numpy as np
import pytest

from tests.chaos.disk import read_tree
from tests.chaos.recording import has_strace, record
from tests.support.project import PROJECT
from tests.support.scale import scaled, time_limit_s

CUTS = scaled(100)
COMMANDS = {
    "export": (
        ["ratings", "export", "--database", "ratings.sqlite", "--out", "ratings"],
        "ratings/",
    ),
    "export for TRL": (
        [
            "ratings",
            "export",
            "--database",
            "ratings.sqlite",
            "--out",
            "new",
            "--format",
            "trl",
            "--votes-of",
            "person",
        ],
        "new/",
    ),
    "report": (
        ["evaluate", "base", "finished", "--reward", "music-theory", "--count", "256"],
        "checkpoints/runs/finished/report.",
    ),
}
"""a command and how the files that it writes begin"""


@pytest.mark.slow
@pytest.mark.timeout(time_limit_s(600))
@pytest.mark.parametrize("name", COMMANDS)
def test_a_file_is_whole_or_absent(tmp_path, name):
    has_strace()
    arguments, begins = COMMANDS[name]
    folder = tmp_path / "folder"
    shutil.copytree(PROJECT / "tests" / "data" / "v0_1_0", folder)
    (folder / "export").rename(folder / "ratings")  # an earlier one, with other bytes
    before = read_tree(folder)
    recording = record(
        [sys.executable, "-m", "tastemaker", *arguments],
        folder,
        environment=os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"},
    )
    assert recording.code == 0, recording.said
    disk = recording.disk
    after = disk.whole()
    assert {k: v for k, v in after.items() if not k.endswith("-shm")} == {
        k: v for k, v in read_tree(folder).items() if not k.endswith("-shm")
    }
    written = [path for path in after if path.startswith(begins) and path != begins.rstrip("/")]
    assert len(written) >= 1 + (name == "report"), after.keys()
    changed = [path for path in written if before.get(path) != after[path]]
    assert changed, "the command wrote nothing new"
    chance = np.random.default_rng(int(os.environ.get("TASTEMAKER_CHAOS_SEED", "0")))
    seen = set()
    for _ in range(CUTS):
        cut = disk.draw_cut(chance)
        left = disk.after_power_cut(cut, chance)
        for path in written:
            allowed = [before[path]] if path in before else [None]
            assert left.get(path) in [*allowed, after[path]], f"{path} is torn at cut {cut}"
            seen.add((path, left.get(path) == after[path]))
    for _ in range(20):
        left = disk.after_power_cut(len(disk.changes), chance)
        for path in written:
            assert left.get(path) == after[path], f"{path} is gone after the command has ended"
    assert {(path, is_new) for path in changed for is_new in (True, False)} <= seen
