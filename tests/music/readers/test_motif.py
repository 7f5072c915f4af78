"""The first tune of a file as a motif: what `corpus build` reads of it is read here as well."""

import pytest

from music.formats.abc import AbcError
from music.formats.abc_melody import MODE_OF_ABC
from music.readers import read_tunes
from music.readers.motif import read_motif
from tests.music.readers.test_abc import VOICES, bars, tune

HEADER = "M:3/4\nL:1/4\n\nX:1\nK:D\nDEF|DEF|\n"


@pytest.mark.parametrize(
    "text",
    [
        VOICES,
        VOICES.replace('"Descant"', '"Melody"'),
        HEADER,
        tune(bars(4, "GABG"), key="none"),
        tune(bars(4, "CDE"), meter="(1+2)/4"),
        tune(f"{bars(4)}|]\nM:3/4\nK:G\nGAB|GAB|"),
        tune(f"{bars(2)}|]") + "\n" + tune(bars(3)),
    ],
    ids=[
        "voices",
        "voice of the melody",
        "header of the file",
        "no key",
        "sum",
        "change",
        "two tunes",
    ],
)
def test_a_motif_is_read_as_a_corpus_reads_it(tmp_path, text):
    """A tune with a voice called Melody was refused, and one whose key changes."""
    file = tmp_path / "tune.abc"
    file.write_text(text)
    read, _ = read_motif(file)
    section = read_tunes(file)[0][0].sections[0]
    assert [bar.notes for bar in read.bars] == [bar.notes for bar in section.bars]
    assert (read.meter, read.tonic_class) == (section.meter, section.tonic_class)
    assert MODE_OF_ABC[read.mode] == section.mode
    assert not read.changes_meter_or_key


def said(tmp_path, text):
    file = tmp_path / "tune.abc"
    file.write_text(text)
    tune_read, lines = read_motif(file)
    assert all(line.startswith(f"the motif {file}: ") for line in lines)
    return tune_read, [line.removeprefix(f"the motif {file}: ") for line in lines]


def test_what_is_left_out_of_a_motif_is_told(tmp_path):
    assert said(tmp_path, VOICES)[1][0].startswith("voice 2 of 2, 'Descant', is taken")
    assert "G major" in said(tmp_path, tune(bars(4, "GABG"), key="none"))[1][0]
    changed = tune(f"{bars(4)}|]\nM:3/4\nGAB|GAB|")
    assert "4 of its 6 bars" in said(tmp_path, changed)[1][0]
    assert "empty line" in said(tmp_path, tune(f"{bars(4)}|]\n\n{bars(4)}"))[1][0]
    two, lines = said(tmp_path, tune(bars(4)) + "\n" + tune(bars(4)))
    assert (two.tunes_after, lines) == (1, [])


def test_too_many_voices_are_no_motif(tmp_path):
    file = tmp_path / "tune.abc"
    file.write_text(tune("\n".join(f"V:{k}\nCDEF|" for k in range(40))))
    with pytest.raises(AbcError, match=r"tune\.abc: the tune has 40 voices"):
        read_motif(file)
