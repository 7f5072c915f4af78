"""Styles of a corpus of one's own: from an option, from folders, from what the files say."""

from dataclasses import replace

import pytest

from music.corpora.catalogue import open_corpus
from music.corpora.file_reading import label_of
from music.formats.midi import to_midi
from music.formats.musicxml import to_musicxml
from music.formats.notation import read_melody, to_abc
from tests.support.tune_files import HEAD, abc, built, music


@pytest.mark.parametrize(
    ("options", "styles"),
    [
        ({}, {"mine": 19}),
        ({"style": "tango"}, {"tango": 19}),
        ({"style_from": "folder"}, {"reels": 12, "jigs": 5, "other": 2}),
        ({"style_from": "field"}, {"other": 14, "slipjig": 5}),
    ],
)
def test_styles(folder, root, options, styles):
    card, _ = built(folder, root, **options)
    assert card["styles"] == styles == open_corpus("mine", root).styles
    assert card["style_bits"] == (0 if len(styles) == 1 else pytest.approx(card["style_bits"]))
    assert (card["style_bits"] > 0.8) == (len(styles) > 1)


@pytest.mark.parametrize(
    ("head", "label"),
    [
        ("R:Slip Jig\n", "slipjig"), ("R:double jig\n", "jig"), ("R:my-tunes\n", "my-tunes"),
        ("R:Valse (musette)\n", "valse musette"), ("", "other"), ("T:The Bird's Reel\n", "reel"),
        ("R:jig\n%%tastemaker-style slow air\n", "slow air"),
        ("R:air\n%%tastemaker-style No label!\n", "air"),
    ],
)  # fmt: skip
def test_the_style_of_a_field_is_that_of_all_readers(tmp_path, root, head, label):
    (tmp_path / "a.abc").write_text(abc(1, music(1), head=head))
    card, _ = built(tmp_path / "a.abc", root, style_from="field")
    assert card["styles"] == {label: 1}
    if label != "valse musette":  # which is no label as it is written
        assert read_melody((tmp_path / "a.abc").read_text()).header.style == label


def test_a_style_may_depend_on_the_metre_of_a_part(tmp_path, root):
    parts = f"{music(1)}||\n[M:9/8] CDE FGA Bcd|efg agf edc|BAG FED CDE|GFE DCB, C3|]\n"
    (tmp_path / "a.abc").write_text(f"X:1\nT:A jig\nR:double jig\n{HEAD}{parts}")
    card, _ = built(tmp_path / "a.abc", root, style_from="field")
    assert card["styles"] == {"jig": 1, "slipjig": 1}
    assert (card["tunes_kept"], card["strains"]) == (1, 2)


def test_of_many_styles_the_commonest_stay(tmp_path, root):
    for number in range(40):
        place = tmp_path / "tunes" / f"Region Nº {number}"
        place.mkdir(parents=True)
        strains = [music(10 * number + n) for n in range(2 if number < 31 else 1)]
        (place / "a.abc").write_text(abc(1, *strains))
    card, _ = built(tmp_path / "tunes", root, style_from="folder")
    assert len(card["styles"]) == 32
    assert (card["styles"]["other"], card["styles_joined"]) == (9, 9)
    assert card["styles"]["region no 4"] == 2


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Reels", "reels"), ("Ångström/Élan", "angstrom elan"), ("", "other"), ("日本", "other"),
        ("--", "other"), ("x" * 40, "x" * 32), ("a " * 20, "a a a a a a a a a a a a a a a a"),
        ("Slip Jig (9/8)", "slip jig 9 8"), ("Slip-Jig", "slipjig"), ("My-Tunes", "my-tunes"),
        ("- x -", "x"), ("_reels_", "reels"),
    ],
)  # fmt: skip
def test_a_text_as_a_label(text, label):
    assert label_of(text) == label


@pytest.mark.parametrize("ending", ["abc", "mid", "musicxml"])
def test_the_style_that_our_files_name_is_kept_on_request(tmp_path, root, ending, tune):
    melody = tune(*((pitch, 24) for pitch in (0, 2, 4, 5, 7, 9, 11, 12)))
    melody = replace(melody, header=replace(melody.header, style="slow air"))
    write = {"abc": to_abc, "mid": to_midi, "musicxml": to_musicxml}[ending]
    written = write(melody)
    content = written if isinstance(written, bytes) else written.encode()
    (tmp_path / f"a.{ending}").write_bytes(content)
    card, _ = built(tmp_path / f"a.{ending}", root, style_from="field")
    assert card["styles"] == {"slow air": 1}
    assert built(tmp_path / f"a.{ending}", root)[0]["styles"] == {"mine": 1}
