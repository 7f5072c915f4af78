"""Fields of ABC: mode, style and metre are written so that reading gives them back."""

from dataclasses import replace

import pytest

from music.formats.abc import AbcError
from music.formats.notation import read_melody, to_abc
from music.metre import BAR_TICKS


@pytest.mark.parametrize(
    ("mode", "tonic_midi", "key"),
    [
        ("lydian", 65, "K:Flyd"),
        ("phrygian", 64, "K:Ephr"),
        # music21 does not know `loc`, so the key of the same signature stands there.
        ("locrian", 71, "%%tastemaker-mode loc\nK:C"),
    ],
)
def test_modes_of_the_key_field(tune, mode, tonic_midi, key):
    melody = tune(*[(0, 48)] * 4, mode=mode, tonic_midi=tonic_midi)
    assert f"\n{key}\n" in to_abc(melody)
    assert read_melody(to_abc(melody)) == melody
    assert (
        read_melody(f"M:2/4\nL:1/4\nK:{melody.key.split()[0]}{mode}\nA2|B2|]").header.mode == mode
    )


def test_an_unknown_mode_of_ours_is_told():
    with pytest.raises(AbcError, match="mode 'hij' is not known; write one of"):
        read_melody("%%tastemaker-mode hij\nK:C\nA8|B8|]")


@pytest.mark.parametrize(
    ("meter", "style", "lines"),
    [
        ("9/8", "slipjig", "R:slip jig\n"),
        ("9/8", "jig", "R:jig\n"),
        ("9/8", "other", "R:other\n"),
        ("4/4", "polka", "R:polka\n"),
        # By its words `R:` would be a reel, and a slip jig.
        ("4/4", "slow reel", "R:slow reel\n%%tastemaker-style slow reel\n"),
        ("4/4", "slip jig", "R:slip jig\n%%tastemaker-style slip jig\n"),
    ],
)
def test_the_style_is_written_and_read(tune, meter, style, lines):
    melody = tune(*[(0, BAR_TICKS[meter])] * 2, meter=meter, bars=2)
    melody = replace(melody, header=replace(melody.header, style=style))
    assert f"X:1\n{lines}M:" in to_abc(melody)
    assert read_melody(to_abc(melody)) == melody


@pytest.mark.parametrize(
    ("fields", "style"),
    [
        ("R:Double Jig\n", "jig"),
        ("R: Slow  Air\n", "slow air"),
        ("T:The Cuckoo Reel\n", "reel"),
        ("R:Ländler (slow)\n", "other"),
        ("", "other"),
        ("%%tastemaker-style No Label!\nR:march\n", "march"),
    ],
)
def test_styles_as_people_write_them(fields, style):
    assert read_melody(f"{fields}M:4/4\nL:1/4\nK:C\nc4|c4|]").header.style == style


def test_common_and_cut_time():
    for sign, meter in (("C", "4/4"), ("C|", "2/2")):
        assert read_melody(f"M:{sign}\nL:1/4\nK:C\nc4|c4|]").header.meter == meter
