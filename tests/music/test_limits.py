"""How much is read of a file from outside: never more than the limit, whatever the file says."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from music.corpora import corpus_file
from music.limits import LimitError, TableLimits, check_unpacked, read_bytes, size_in_words


def test_a_file_up_to_the_limit_is_read_and_a_larger_one_is_not(tmp_path):
    file = tmp_path / "tune.abc"
    file.write_bytes(b"12345")
    assert read_bytes(file, 5, remedy="cut it") == b"12345"
    with pytest.raises(LimitError, match=r"tune\.abc is larger than 0 KiB; cut it"):
        read_bytes(file, 4, remedy="cut it")


def test_a_device_that_never_ends_is_read_up_to_the_limit():
    """Its size is told as 0, so the size alone says nothing."""
    with pytest.raises(LimitError, match="larger than 1 MiB"):
        read_bytes(Path("/dev/zero"), 2**20, remedy="give a file")


def test_what_unpacks_to_too_much_is_refused_before_it_is_unpacked(tmp_path):
    packed = tmp_path / "strains.npz"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("tokens.npy", bytes(10 * 2**20))
    assert packed.stat().st_size < 20_000
    check_unpacked(packed, 10 * 2**20, remedy="")
    with pytest.raises(LimitError, match=r"unpacks to 10 MiB, and 9 MiB is the most; build less"):
        check_unpacked(packed, 9 * 2**20, remedy="build less")


def test_a_corpus_is_checked_before_it_is_loaded(tmp_path, monkeypatch):
    packed = tmp_path / "strains.npz"
    np.savez_compressed(packed, tokens=np.zeros(2**20, np.uint16))
    monkeypatch.setattr(corpus_file, "UNPACKED_CORPUS_BYTES", 2**20)
    with pytest.raises(LimitError, match="unpacks to 2 MiB"):
        corpus_file.read_corpus(packed)


def test_limits_of_a_table():
    assert TableLimits(size_mib=3).size_bytes == 3 * 2**20
    with pytest.raises(LimitError, match="rows=0"):
        TableLimits(rows=0)


@pytest.mark.parametrize(
    ("size_bytes", "words"),
    [
        (0, "0 KiB"),
        (40_960, "40 KiB"),
        (2**20, "1 MiB"),
        (3_670_016, "3.5 MiB"),
        (2**31, "2,048 MiB"),
    ],
)
def test_sizes_in_words(size_bytes, words):
    assert size_in_words(size_bytes) == words
