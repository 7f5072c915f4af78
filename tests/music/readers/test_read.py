import pytest

from music.corpora.corpus import load_corpus
from music.formats.midi import to_midi
from music.formats.musicxml import to_musicxml
from music.formats.notation import to_abc
from music.melody import Header, Melody, Note
from music.readers import REASONS, melodies_of, read_tunes


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("tune.abc", lambda melody: to_abc(melody).encode()),
        ("tune.mid", to_midi),
        ("tune.musicxml", lambda melody: to_musicxml(melody).encode()),
    ],
    ids=["ABC", "MIDI", "MusicXML"],
)
def test_our_own_files_come_back_equal(tmp_path, name, written):
    file = tmp_path / name
    for strain in load_corpus("validation")[:150]:
        file.write_bytes(written(strain.melody))
        tunes, refusals = read_tunes(file)
        melodies, refused = melodies_of(tunes[0])
        assert (refusals, refused) == ([], [])
        (again,) = melodies
        assert (again.notes, again.key) == (strain.melody.notes, strain.melody.key)
        same = [(h.meter, h.bars, h.pickup_ticks) for h in (again.header, strain.melody.header)]
        assert same[0] == same[1]


def test_the_tunes_of_an_abc_book_are_read_one_by_one(tmp_path):
    file = tmp_path / "book.abc"
    file.write_text(
        "X:7\nT:One\nR:reel\nM:4/4\nL:1/4\nK:G\nGABc|GABc|GABc|GABc|]\n\n"
        "X:8\nM:4/4\nL:1/4\nK:G\nGABc|GAB|GABc|GABc|]\n\nX:9\nM:4/4\nK:G\nV:1\nG4|\nV:2\nG4|\n"
    )
    tunes, refusals = read_tunes(file)
    assert [(t.number, t.title, len(t.sections)) for t in tunes] == [
        ("7", "One", 1),
        ("8", "", 2),
        ("9", "", 1),
    ]
    assert [(r.tune, r.bar, r.reason) for r in refusals] == [("8", "2", "bar length")]
    assert melodies_of(tunes[0])[0][0].key == "G major"


def test_an_unknown_ending_is_refused(tmp_path):
    file = tmp_path / "tune.pdf"
    file.write_bytes(b"%PDF")
    tunes, (refusal,) = read_tunes(file)
    assert (tunes, refusal.reason) == ([], "unknown format")
    assert ".musicxml" in str(refusal)
    assert refusal.reason in REASONS


MIDI = to_midi(Melody(Header(bars=2), (Note(0, 96, 0),)))
XML = b"\xef\xbb\xbf<?xml version='1.0'?><score-partwise/>"
ABC = b"T:one\nX:1\nK:C\nCDEF|\n"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.mid", ABC, "looks like ABC: let its name end in .abc"),
        ("a.mid", XML, "looks like MusicXML: let its name end in .musicxml"),
        ("a.mid", b"PK\x03\x04", "looks like a packed score: let its name end in .mxl"),
        ("a.mid", b"RIFF\0\0\0\0RMID", "export it as a .mid"),
        ("a.mid", b"", "the file is empty"),
        ("a.mid", b"no MIDI", "it is no MIDI file; export it anew"),
        ("a.xml", ABC, "looks like ABC: let its name end in .abc"),
        ("a.xml", MIDI, "looks like MIDI: let its name end in .mid"),
        ("a.xml", b"", "the file is empty"),
        ("a.xml", b"<a>\n <b", "no XML from line 2, column 2 on; export it anew"),
        ("a.mxl", b"PK\x03\x04 no zip", "no readable zip file; export it anew"),
        ("a.abc", MIDI, "looks like MIDI: let its name end in .mid"),
        ("a.abc", XML[3:], "looks like MusicXML: let its name end in .musicxml"),
    ],
)
def test_a_file_of_another_kind_is_told_in_plain_words(tmp_path, name, content, says):
    """The refusal was the text of an exception, such as "EOFError" or "MThd not found"."""
    file = tmp_path / name
    file.write_bytes(content)
    tunes, (refusal,) = read_tunes(file)
    assert (tunes, refusal.reason) == ([], "damaged")
    assert says in str(refusal)
    assert "Error" not in str(refusal)
