"""The piano roll: where its boxes stand, worked by hand, and what a page may do with it."""

from xml.etree import ElementTree

import pytest

from music.corpora.corpus import load_corpus
from music.melody import Header, Melody, Note
from music.rendering.piano_roll import EDGE, LEFT, RIGHT, ROW, WIDTH, piano_roll_svg

SVG = "{http://www.w3.org/2000/svg}"
# 4 bars of 2/4: 192 ticks in 948 units, 4.9375 a tick. It spans 12 semitones, with one around: 15
# rows of 9 from pitch 13 at the top to -1.
OCTAVE = Melody(
    Header("2/4", "minor", "march", 4, 0),
    (Note(0, 24, 0), Note(24, 48, 12), Note(96, 96, 7)),
    tonic_midi=61,
)
PICTURE = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1000 151" role="img" aria-label="Piano roll: \
4 bars of 2/4 in Db minor" color="currentColor">
<title>Piano roll: 4 bars of 2/4 in Db minor</title>
<path d="M162.5 8V143M399.5 8V143M636.5 8V143M873.5 8V143" stroke="currentColor" \
stroke-width="1" opacity="0.12"/>
<path d="M44 8V143M281 8V143M518 8V143M755 8V143M992 8V143" stroke="currentColor" \
stroke-width="1" opacity="0.4"/>
<path d="M44 129.5H992" stroke="currentColor" stroke-width="1.5" stroke-dasharray="2 6" \
opacity="0.55"/><text x="38" y="129.5" text-anchor="end" dominant-baseline="central" \
font-size="18" fill="currentColor">Db4</text>
<path d="M44 21.5H992" stroke="currentColor" stroke-width="1.5" stroke-dasharray="2 6" \
opacity="0.55"/><text x="38" y="21.5" text-anchor="end" dominant-baseline="central" \
font-size="18" fill="currentColor">Db5</text>
<rect x="44" y="125" width="117" height="9" rx="2" fill="currentColor"/>
<rect x="162.5" y="17" width="235.5" height="9" rx="2" fill="currentColor"/>
<rect x="518" y="62" width="472.5" height="9" rx="2" fill="currentColor"/>
</svg>
"""


def boxes(melody):
    """The picture as a tree, and where each of its notes stands."""
    tree = ElementTree.fromstring(piano_roll_svg(melody))
    names = ("x", "y", "width")
    return tree, [{name: float(box.get(name)) for name in names} for box in tree.iter(f"{SVG}rect")]


def test_a_picture_by_hand():
    assert piano_roll_svg(OCTAVE) == PICTURE


def test_a_pickup_moves_the_first_downbeat_and_not_the_edge():
    starts = (Note(-24, 24, 4), *(Note(at, 72, 5) for at in (0, 72, 144)), Note(216, 48, 7))
    header = Header("3/4", "major", "waltz", 4, 24)
    tree, drawn = boxes(Melody(header, starts))
    unit = (WIDTH - LEFT - RIGHT) / (4 * 72)
    assert drawn[0]["x"] == LEFT
    assert drawn[1]["x"] == round(LEFT + 24 * unit, 2)
    assert "4 bars of 3/4 in D major" in tree.find(SVG + "title").text


@pytest.mark.parametrize(
    ("meter", "pickup_ticks", "faint_lines"),
    [
        ("7/8", 0, 2 * 6),  # eighths
        ("6/4", 0, 2),  # dotted halves
        ("2/2", 0, 2),
        ("3/8", 0, 0),
        ("4/4", 60, 2 + 4),  # two in the pickup; the last bar is shorter
    ],
)
def test_faint_lines_are_the_beats_also_of_a_pickup(meter, pickup_ticks, faint_lines):
    header = Header(meter, "major", "other", 2, pickup_ticks)
    last = header.bar_ticks - pickup_ticks
    tree, _ = boxes(Melody(header, (Note(header.bar_ticks, last, 0),)))
    faint = [path for path in tree.iter(f"{SVG}path") if path.get("opacity") == "0.12"]
    assert sum(path.get("d", "").count("M") for path in faint) == faint_lines
    assert all(path.get("d") for path in tree.iter(f"{SVG}path"))


def test_every_note_of_the_corpus_is_a_box_inside_the_picture():
    for strain in load_corpus("test"):
        melody = strain.melody
        tree, drawn = boxes(melody)
        height = float(tree.get("viewBox").split()[3])
        assert len(drawn) == len(melody.notes)
        heights = {note.pitch: box["y"] for note, box in zip(melody.notes, drawn, strict=True)}
        ordered = [heights[pitch] for pitch in sorted(heights)]
        assert ordered == sorted(ordered, reverse=True), "higher is higher up"
        assert min(ordered) >= EDGE
        assert max(ordered) + ROW <= height - EDGE
        ends = [box["x"] + box["width"] for box in drawn]
        assert all(end < after["x"] for end, after in zip(ends[:-1], drawn[1:], strict=True))
        assert ends[-1] <= WIDTH - RIGHT


def test_a_flat_melody_is_not_drawn_as_a_steep_one():
    header = Header("2/4", "major", "other", 4, 0)
    notes = (Note(0, 48, 0), *(Note(at, 48, 1) for at in (48, 96, 144)))
    _, (low, high, *_) = boxes(Melody(header, notes))
    assert low["y"] - high["y"] == ROW


def test_it_is_deterministic_and_holds_nothing_that_runs_or_loads():
    svg = piano_roll_svg(OCTAVE)
    assert svg == piano_roll_svg(OCTAVE)
    allowed = {SVG + name for name in ("svg", "title", "path", "rect", "text")}
    assert {element.tag for element in ElementTree.fromstring(svg).iter()} == allowed
    assert "href" not in svg
