"""The disk that loses power, and the recording: first by hand, then against a real folder."""

import sys

import numpy as np
import pytest

from tests.chaos.disk import ROOT, Disk, Sync, read_tree, write_tree
from tests.chaos.recording import RecordingError, record

PROGRAM = """
import os, shutil, sys, threading
sys.path.insert(0, {project!r})
from pathlib import Path
from music.files import write_whole

def work(name):
    folder = Path(name)
    folder.mkdir()
    (folder / "a").write_text("first, which is longer")
    (folder / "a").write_text("second")
    with (folder / "a").open("a") as file:
        for line in range(5):
            file.write(f"line {{line}}\\n")
            file.flush()
            os.fsync(file.fileno())
    write_whole(folder / "b", b"x" * 3000)
    write_whole(folder / "b", b"y" * 2000)
    handle = os.open(folder / "b", os.O_RDWR)
    os.pwrite(handle, b"zz", 5000)
    os.ftruncate(handle, 5001)
    os.close(handle)
    os.link(folder / "a", folder / "c")
    (folder / "a").unlink()
    (folder / "gone").mkdir()
    (folder / "gone" / "x").write_text("x")
    shutil.rmtree(folder / "gone")
    (folder / "inner").mkdir()
    (folder / "inner").rename(folder / "moved")
    here = os.open(folder, os.O_RDONLY)
    os.mkdir("from here", dir_fd=here)
    os.close(here)

threads = [threading.Thread(target=work, args=(f"{{n}}",)) for n in range(3)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
if os.fork() == 0:
    os.chdir("0")
    Path("child").write_text("of a fork")
    os._exit(0)
os.wait()
"""


@pytest.fixture
def chance():
    return np.random.default_rng(0)


def outcomes(disk, chance, cut=None):
    """What may be left, over many draws."""
    cut = len(disk.changes) if cut is None else cut
    return {tuple(sorted(disk.after_power_cut(cut, chance).items(), key=str)) for _ in range(300)}


def test_what_is_synced_stays_and_what_is_not_may_be_torn(tmp_path, chance):
    (tmp_path / "log").write_bytes(b"old\n")
    disk = Disk(tmp_path)
    file = disk.names[ROOT]["log"]
    disk.write(file, None, b"new\n")
    left = {dict(tree)["log"] for tree in outcomes(disk, chance)}
    assert {b"old\n", b"old\nnew\n", b"old\nne", b"old\n\0\0\0\0"} <= left
    assert all(content.startswith(b"old\n") for content in left)
    disk.changes.append(Sync(file, len(disk.changes)))
    disk.write(file, None, b"more")
    assert all(dict(tree)["log"].startswith(b"old\nnew\n") for tree in outcomes(disk, chance))
    assert all(dict(tree)["log"].startswith(b"old\n") for tree in outcomes(disk, chance, cut=1))


def test_a_rename_without_a_sync_of_the_file_may_leave_an_empty_one(tmp_path, chance):
    (tmp_path / "result").write_bytes(b"old")
    disk = Disk(tmp_path)
    draft = disk.create(ROOT, "draft")
    disk.write(draft, 0, b"new")
    disk.rename_to([(ROOT, "draft", draft, False), (ROOT, "result", draft, True)])
    left = {dict(tree).get("result") for tree in outcomes(disk, chance)}
    assert {b"old", b"new", b""} <= left


def test_a_whole_file_is_old_or_new_and_new_after_the_sync_of_its_folder(tmp_path, chance):
    (tmp_path / "result").write_bytes(b"old")
    disk = Disk(tmp_path)
    draft = disk.create(ROOT, "draft")
    disk.write(draft, 0, b"new")
    disk.changes.append(Sync(draft, len(disk.changes)))
    disk.rename_to([(ROOT, "draft", draft, False), (ROOT, "result", draft, True)])
    assert {dict(tree).get("result") for tree in outcomes(disk, chance)} == {b"old", b"new"}
    disk.changes.append(Sync(ROOT, len(disk.changes)))
    assert {dict(tree).get("result") for tree in outcomes(disk, chance)} == {b"new"}


def test_the_recording_of_a_program_gives_the_folder_that_it_left(tmp_path, chance):
    from tests.support.project import PROJECT

    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "before").write_text("there")
    code = PROGRAM.format(project=str(PROJECT))
    recording = record([sys.executable, "-c", code], folder)
    assert recording.code == 0, recording.said
    there = read_tree(folder)
    assert there["0/child"] == b"of a fork"
    assert recording.disk.whole() == there
    assert len(recording.disk.changes) > 100
    (copy := tmp_path / "copy").mkdir()
    write_tree(recording.disk.whole(), copy)
    assert read_tree(copy) == there
    write_tree(recording.disk.after_power_cut(0, chance), copy)
    assert read_tree(copy) == {"before": b"there"}


def test_a_write_that_cannot_be_followed_is_an_error(tmp_path):
    code = "import os\nos.symlink('a', 'b')"
    with pytest.raises(RecordingError, match="symlink"):
        record([sys.executable, "-c", code], tmp_path)
    (tmp_path / "b").unlink()
    code = "import mmap\nf = open('c', 'wb+')\nf.truncate(10)\nmmap.mmap(f.fileno(), 10)[0] = 1"
    with pytest.raises(RecordingError, match="through memory"):
        record([sys.executable, "-c", code], tmp_path)
