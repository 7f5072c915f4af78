import pytest

from music.corpora.corpus import load_corpus
from music.formats.midi import to_midi
from music.formats.musicxml import to_musicxml
from music.formats.notation import to_abc
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
