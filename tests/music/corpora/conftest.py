"""A folder of tunes to build corpora of, and a folder to build them in."""

import pytest

from tests.support.tune_files import abc, music


@pytest.fixture
def folder(tmp_path):
    """Twelve tunes in three files, one of them with a bar too long; a broken file, and no tune."""
    place = tmp_path / "tunes"
    for name in ("reels", "jigs"):
        (place / name).mkdir(parents=True)
    tunes = [abc(n, music(n), music(100 + n), head="Z:Transcribed by A. Nyone\n") for n in range(6)]
    (place / "reels" / "a.abc").write_text("".join(tunes))
    tunes = [abc(n, music(n), head="R:Slip Jig\n") for n in range(10, 15)]
    (place / "jigs" / "b.abc").write_text("".join(tunes))
    (place / "c.abc").write_text(abc(1, f"{music(20)}|CDEFGAB|{music(21)}") + "X:2\nK:C\nz4|\n")
    (place / "broken.mid").write_bytes(b"no MIDI")
    (place / "notes.txt").write_text("no tune")
    return place


@pytest.fixture
def root(tmp_path):
    return tmp_path / "corpora"
