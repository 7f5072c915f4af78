"""Files: whole or not at all, whatever fails and whoever else writes."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from music import files
from music.files import whole_file, whole_files, write_whole


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
