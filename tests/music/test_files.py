"""Files: whole or not at all, whatever fails and whoever else writes."""

import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from music import files
from music.files import append_line, make_folder, whole_file, whole_files, whole_folder, write_whole
from tests.support.project import PROJECT


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "votes.csv"
    path.write_text("old")

    def fail():
        with whole_file(path) as temporary:
            temporary.write_text("ne")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fail()
    assert path.read_text() == "old"
    with whole_file(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old", "the name changes only at the end"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_text_is_written_whole_or_not_at_all(tmp_path):
    write_whole(tmp_path / "a.txt", "old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(tmp_path / "a.txt", "new \ud800")
    assert (tmp_path / "a.txt").read_text() == "old"


@pytest.mark.parametrize("call", ["fsync", "open"])
def test_a_disk_that_fails_is_told_and_leaves_no_draft(tmp_path, monkeypatch, call):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, call, fail)
    with pytest.raises(OSError, match="No space left"):
        write_whole(tmp_path / "a.txt", "new")
    assert {path.name for path in tmp_path.iterdir()} <= {"a.txt"}


def test_threads_that_write_one_path_do_not_mix(tmp_path):
    path, texts = tmp_path / "a.txt", [letter * 100_000 for letter in "abcdefgh"]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda text: write_whole(path, text), texts))
    assert path.read_text() in texts
    assert list(tmp_path.iterdir()) == [path]


def test_others_may_read_what_the_users_mask_lets_them(tmp_path):
    before = os.umask(0o022)
    try:
        write_whole(tmp_path / "a.txt", b"all")
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o644


def test_several_files_come_together_or_not_at_all(tmp_path):
    folder = tmp_path / "made" / "for them"
    with whole_files(folder) as draft:
        (draft / "a.txt").write_text("old a")
        (draft / "b.txt").write_text("old b")
        assert {path.name for path in folder.iterdir()} == {draft.name}

    def fail():
        with whole_files(folder) as draft:
            (draft / "a.txt").write_text("new a")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fail()
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        "a.txt": "old a",
        "b.txt": "old b",
    }


def test_a_folder_that_was_made_for_files_that_failed_is_gone(tmp_path):
    def fail():
        with whole_files(tmp_path / "made" / "in vain"):
            raise RuntimeError("at once")

    with pytest.raises(RuntimeError, match="at once"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_the_way_of_one_file_keeps_all_old(tmp_path):
    (tmp_path / "b.txt").mkdir()
    (tmp_path / "a.txt").write_text("old")

    def write():
        with whole_files(tmp_path) as draft:
            (draft / "a.txt").write_text("new")
            (draft / "b.txt").write_text("new")

    with pytest.raises(IsADirectoryError) as caught:
        write()
    assert caught.value.filename == str(tmp_path / "b.txt")
    assert (tmp_path / "a.txt").read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"a.txt", "b.txt"}


def test_an_error_names_the_file_that_was_asked_for(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(NotADirectoryError) as caught:
        write_whole(tmp_path / "file" / "a.txt", "new")
    assert caught.value.filename == str(tmp_path / "file" / "a.txt")
    with pytest.raises(NotADirectoryError) as caught, whole_files(tmp_path / "file"):
        pass
    assert caught.value.filename == str(tmp_path / "file")


class Disk:
    """What a power cut would leave: the content of each file, and of each folder, when synced."""

    def __init__(self, monkeypatch):
        self.files: dict[str, bytes] = {}
        self.names: dict[str, set[str]] = {}
        self.synced: list[str] = []
        monkeypatch.setattr(files.os, "fsync", self._fsync)

    def _fsync(self, handle):
        path = Path(f"/proc/self/fd/{handle}").readlink()
        self.synced.append(path.name)
        if path.is_dir():
            self.names[str(path)] = {inside.name for inside in path.iterdir()}
        else:
            self.files[path.name] = path.read_bytes()


needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="no /proc/self/fd")


@pytest.fixture
def disk(monkeypatch):
    return Disk(monkeypatch)


@needs_proc
def test_content_is_synced_before_its_name(tmp_path, disk):
    write_whole(tmp_path / "a.txt", "all")
    content, name = disk.synced
    assert disk.files[content] == b"all"
    assert content != "a.txt"
    assert name == tmp_path.name
    assert disk.names[str(tmp_path)] == {"a.txt"}


@needs_proc
def test_a_line_is_synced_and_so_is_the_name_of_a_new_file(tmp_path, disk):
    append_line(tmp_path / "log", "one")
    assert disk.files["log"] == b"one\n"
    assert disk.names[str(tmp_path)] == {"log"}
    append_line(tmp_path / "log", "two")
    assert disk.files["log"] == b"one\ntwo\n"
    assert disk.synced == ["log", tmp_path.name, "log"], "one sync a line"


@needs_proc
def test_all_in_a_folder_is_synced_before_its_name(tmp_path, disk):
    with whole_folder(tmp_path / "deep" / "folder") as draft:
        (draft / "inside").mkdir()
        (draft / "a").write_text("A")
        (draft / "inside" / "b").write_text("B")
        assert not (tmp_path / "deep" / "folder").exists()
    assert (tmp_path / "deep" / "folder" / "inside" / "b").read_text() == "B"
    assert disk.files == {"a": b"A", "b": b"B"}
    assert disk.names[str(tmp_path)] == {"deep"}
    assert disk.names[str(tmp_path / "deep")] == {"folder"}
    assert {"a", "inside"} in disk.names.values()
    assert disk.synced[-1] == "deep"


@needs_proc
def test_every_folder_that_is_made_has_its_name_synced(tmp_path, disk):
    make_folder(tmp_path / "a" / "b" / "c")
    assert disk.names == {
        str(tmp_path): {"a"}, str(tmp_path / "a"): {"b"}, str(tmp_path / "a" / "b"): {"c"},
    }  # fmt: skip
    disk.names.clear()
    make_folder(tmp_path / "a" / "b")
    assert disk.names == {}


def test_a_folder_that_fails_leaves_the_old_one_and_no_draft(tmp_path):
    for content in ("old", "older"):
        with whole_folder(tmp_path / "x") as draft:
            (draft / "a").write_text(content)

    def fail():
        with whole_folder(tmp_path / "x") as draft:
            (draft / "a").write_text("new")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fail()
    assert (tmp_path / "x" / "a").read_text() == "older"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


WRITES = re.compile(r"\.(write_text|write_bytes|rename|replace)\(|open\([^)]*[\"'][wax]")
ELSEWHERE = {
    "music/files.py": "the routine itself",
    "music/rendering/sound.py": "a WAV file in memory",
    "music/corpora/build.py": "into drafts of whole_files",
    "music/corpora/corpus_file.py": "into a draft of whole_file",
    "music/corpora/remark_tables.py": "into a draft of whole_files",
    "policy/checkpoint.py": "into drafts that whole_folder or replace publish",
    "rl/jobs/progress.py": "samples, into a draft of whole_folder",
    "rl/jobs/queue.py": "job.log, for people",
    "rl/runs/fine_tuning.py": "the lock, which is empty",
    "rl/composing.py": "into a draft of whole_files",
    "reward/exchange/export.py": "into a draft of whole_files",
    "reward/exchange/refused_rows.py": "into a draft of exported_file",
    "reward/training/base_scale.py": "into a draft of whole_file",
}


def test_nothing_that_a_run_relies_on_is_written_elsewhere():
    found = set()
    for room in ("music", "policy", "env", "reward", "rl"):
        for file in (PROJECT / room).rglob("*.py"):
            for line in file.read_text().splitlines():
                match = WRITES.search(line)
                # A text's replace has two arguments, and that of a time a name.
                other = match is not None and ".replace(" in match[0] and re.search("[,=]", line)
                if match is not None and not other:
                    found.add(str(file.relative_to(PROJECT)))
    assert found <= ELSEWHERE.keys()
    assert "music/files.py" in found
