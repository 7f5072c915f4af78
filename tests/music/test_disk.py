"""The disk under a path: its errors name it, and say what to do."""

import errno
import os
from pathlib import Path

import pytest

from music.disk import disk_of, is_full, os_error_line, os_error_reason
from music.files import append_line, whole_files, whole_folder, write_whole
from tests.support.small_disk import fill


def test_the_disk_of_a_path_that_is_not_there_yet(tmp_path):
    disk = disk_of(tmp_path)
    assert disk.is_mount()
    assert tmp_path.is_relative_to(disk)
    assert disk_of(tmp_path / "not" / "yet") == disk
    assert disk_of(Path("relative.txt")) == disk_of(Path.cwd())
    assert not is_full(tmp_path / "not" / "yet")


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (errno.ENOSPC, "is full (No space left on device); free some space on it"),
        (errno.EDQUOT, "used up"),
        (errno.EROFS, "may only be read"),
        (errno.EIO, "has failed"),
        (errno.EFBIG, "ulimit -f"),
        (errno.EACCES, "Permission denied; check the path, its permissions and the disk"),
    ],
)
def test_an_error_names_the_file_and_the_disk(tmp_path, code, says):
    error = OSError(code, os.strerror(code), str(tmp_path / "a.txt"))
    line = os_error_line(error)
    assert line.startswith(f"{tmp_path / 'a.txt'}: ")
    assert says in line
    if code in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO):
        assert f"the disk at {disk_of(tmp_path)} " in line
    nameless = OSError(code, os.strerror(code))
    assert says in os_error_line(nameless)
    assert os_error_reason(nameless, tmp_path) == os_error_reason(error)


def test_what_pyarrow_says_of_a_full_disk_is_understood(tmp_path):
    said = "[Errno 28] Error writing bytes to file. Detail: [errno 28] No space left on device"
    assert f"the disk at {disk_of(tmp_path)} is full" in os_error_reason(OSError(said), tmp_path)


def test_a_write_to_a_full_disk_names_it_and_leaves_the_old_file(small_disk):
    path = small_disk / "a.txt"
    write_whole(path, "old")
    with fill(small_disk):
        assert is_full(path)
        with pytest.raises(OSError, match="No space left") as caught:
            write_whole(path, "new" * 100_000)
        assert os_error_line(caught.value).startswith(f"{path}: the disk at {small_disk} is full")
    assert path.read_text() == "old"
    assert [file.name for file in small_disk.iterdir()] == ["a.txt"]
    write_whole(path, "new")


def test_a_line_and_a_folder_on_a_full_disk_name_it(small_disk):
    append_line(small_disk / "log.jsonl", "first")

    def write_folder():
        with whole_folder(small_disk / "step") as draft:
            (draft / "weights").write_bytes(b"0" * 100_000)

    with fill(small_disk):
        with pytest.raises(OSError, match="No space left") as caught:
            append_line(small_disk / "log.jsonl", "x" * 100_000)
        assert os_error_line(caught.value).startswith(f"{small_disk}/log.jsonl: the disk at")
        with pytest.raises(OSError, match="No space left") as caught:
            write_folder()
        assert os_error_line(caught.value).startswith(f"{small_disk}/step")
    assert {path.name for path in small_disk.iterdir()} == {"log.jsonl"}


def test_several_files_on_a_full_disk_are_none(small_disk):
    folder = small_disk / "some" / "folder"

    def write():
        with whole_files(folder) as draft:
            (draft / "a.txt").write_text("small")
            (draft / "b.txt").write_text("large" * 400_000)

    with pytest.raises(OSError, match="No space left") as caught:
        write()
    assert f"the disk at {small_disk} is full" in os_error_line(caught.value)
    assert list(small_disk.iterdir()) == [], "nor the folders that were made for them"
