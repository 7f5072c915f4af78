"""What is written is read again by our own readers as an equal melody."""

from dataclasses import replace

import pytest

from music.melody import MODES
from music.metre import METERS
from tests.music.formats.round_trips import (
    FORMATS,
    OWN_STYLES,
    differences,
    main,
    melodies_in_all_keys,
)
from tests.support.scale import scaled


def test_every_format_gives_an_equal_melody_back(tmp_path):
    melodies = melodies_in_all_keys(40, seed=1)
    headers = [melody.header for melody in melodies]
    assert {header.meter for header in headers} == set(METERS)
    assert {header.mode for header in headers} == set(MODES)
    assert {header.style for header in headers} > {"slow reel", "slip jig", "9-8 air"}
    for melody in melodies:
        assert differences(melody, tmp_path) == []


@pytest.mark.slow
def test_of_many_melodies_all_come_back(capsys):
    count = scaled(250)
    assert main(count, seed=10_000) == 0
    equal = dict.fromkeys(FORMATS, count)
    assert str(equal) in capsys.readouterr().out


def test_a_style_of_ones_own_comes_back_from_every_format(tune, tmp_path):
    melody = tune(*[(0, 108)] * 4, meter="9/8")
    for style in OWN_STYLES.labels:
        other = replace(melody, header=replace(melody.header, style=style))
        assert differences(other, tmp_path) == []
