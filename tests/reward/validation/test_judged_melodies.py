"""Files of melodies as features: strains, variants, and files that hold no melody."""

import numpy as np
import pytest

from music.readers import melodies_of, read_tunes
from reward.profile.features import feature_matrix
from reward.validation.judged_melodies import read_melodies
from tests.support.tune_files import abc, music


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "one.abc").write_text(abc(1, music(1, 8)))
    (tmp_path / "two strains.abc").write_text(abc(1, music(2, 8), music(3, 8)))
    (tmp_path / "book.abc").write_text(abc(1, music(4, 8)) + abc(2, music(5, 8)))
    shifted = abc(1, music(2, 8)).replace("K:C", "K:C transpose=5")
    (tmp_path / "variant.abc").write_text(shifted)
    (tmp_path / "words.abc").write_text("no notes\n")
    (tmp_path / "song.mp3").write_bytes(b"ID3")
    return tmp_path


def test_what_is_read_and_what_is_not(folder):
    names = ["one.abc", "two strains.abc", "./one.abc", "book.abc", "variant.abc"]
    bad = ["words.abc", "song.mp3", "gone.mid", ".", "a\x00b.abc", "x" * 500]
    calls = []
    read = read_melodies([*names, *bad], folder, progress=lambda *where: calls.append(where))
    assert read.row_of == dict(zip(names, [0, 1, 0, 2, 3], strict=True))
    assert read.unread.keys() == set(bad)
    assert "no such file" in read.unread["gone.mid"]
    assert "'.mp3' is not read" in read.unread["song.mp3"]
    assert all("\n" not in reason for reason in read.unread.values())
    assert (read.several_tunes, read.several_strains) == (1, 1)
    assert calls[-1] == (len(names) + len(bad),) * 2
    # A strain of the second file stands in the fourth.
    assert read.group_M[1] == read.group_M[3]
    assert len(np.unique(read.group_M)) == 3


def test_of_several_strains_the_mean_is_taken(folder):
    read = read_melodies(["two strains.abc"], folder)
    (tune,), _ = read_tunes(folder / "two strains.abc")
    both = melodies_of(tune)[0]
    assert len(both) == 2
    assert read.features_MF == pytest.approx(feature_matrix(both).mean(axis=0, keepdims=True))


def test_no_melodies_at_all(folder):
    read = read_melodies(["gone.mid"], folder)
    assert len(read.features_MF) == len(read.group_M) == 0


def test_some_of_the_melodies(folder):
    read = read_melodies(["one.abc", "two strains.abc", "book.abc", "variant.abc"], folder)
    some = read.only(["variant.abc", "two strains.abc", "variant.abc"])
    assert some.row_of == {"two strains.abc": 0, "variant.abc": 1}
    assert some.features_MF == pytest.approx(read.features_MF[[1, 3]])
    assert len(np.unique(some.group_M)) == 1
    assert (some.several_tunes, some.several_strains) == (0, 1)
    assert len(read.only([]).features_MF) == 0
