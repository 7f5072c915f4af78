"""From an ABC file to the conditioning: the motif, and the messages about how it was read."""

from pathlib import Path

import pytest

from music.corpora.corpus import load_corpus
from music.corpora.originality import TrainingIndex
from music.formats.abc import AbcError
from music.formats.midi import to_midi
from music.formats.musicxml import to_musicxml
from music.formats.notation import read_melody, to_abc
from music.limits import LimitError
from music.melody import BAR_COUNTS, MelodyError
from policy.compose import Conditioning, compose
from rl import composing
from rl.composing import conditioning_with_motif, motif_moves, save_melodies
from tests.support.small_disk import SIZE_KB

FIELDS = "X:1\nM:4/4\nL:1/8\nK:D\n"
WHOLE_TUNE = (
    "A2|:d2d2A2A2|f2f2A2A2|d2d2A2A2|d4 d2:|\n"
    "B2|g2g2A2A2|d2d2A2A2|[1 f2f2A2A2|d4 d2:|[2 a2a2A2A2|f4 d2|]\n"
)


@pytest.fixture
def motif(tmp_path):
    """Reads a file with this content; returns the conditioning and the messages."""

    def read(content, conditioning=None, **more):
        file = tmp_path / "motif.abc"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        said = []
        asked = conditioning or Conditioning()
        return conditioning_with_motif(asked, file, say=said.append, **more), said

    return read


def pitches(conditioning):
    return [note.pitch for note in conditioning.motif]


def test_a_motif_brings_its_place(motif):
    conditioning, said = motif(FIELDS + "A2|d4 =c2")
    assert (
        conditioning.meter,
        conditioning.mode,
        conditioning.bars,
        conditioning.pickup_ticks,
    ) == ("4/4", "major", 8, 24)
    assert [(n.onset_ticks, n.duration_ticks, n.pitch) for n in conditioning.motif] == [
        (-24, 24, 7), (0, 48, 12), (48, 24, 10),
    ]  # fmt: skip
    assert said == []


@pytest.mark.parametrize(
    ("key", "written", "tonic"),
    [
        ("C", "C2E2G4", 60),
        ("G", "G2B2d4", 67),
        ("Bb", "B2d2f4", 70),
        ("F#", "F2A2c4", 66),
        ("D", "D,,2F,,2A,,4", 38),
        ("G clef=bass", "G,,2B,,2D,4", 43),
    ],
)
def test_a_motif_brings_its_key_and_octave(motif, key, written, tonic):
    conditioning, _ = motif(f"M:4/4\nL:1/8\nK:{key}\n{written}|")
    assert conditioning.motif_tonic_midi == tonic
    assert pitches(conditioning) == [0, 4, 7]


def test_a_motif_that_is_moved_is_told(motif, tune):
    conditioning, _ = motif("M:4/4\nL:1/8\nK:G\nG2B2d4|")

    def told(*tonics):
        melodies = [tune(*[(0, 48)] * 4, tonic_midi=tonic) for tonic in tonics]
        return motif_moves(conditioning, melodies)

    assert told(67) is None
    assert told(62, 62) == "the motif is transposed from G to D"
    assert told(55) == "the motif is moved down by 1 octave, into the range"
    assert told(43) == "the motif is moved down by 2 octaves, into the range"
    assert told(60, 67, 69) == "the motif is transposed from G to the key of each melody"
    assert motif_moves(Conditioning(), []) is None


@pytest.mark.parametrize("key", ["C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B"])
def test_a_motif_of_each_key_comes_back_in_it(tiny_policy, tmp_path, key):
    tune = f"X:1\nM:2/4\nL:1/8\nK:{key}\n{key[0]}2{key[0]}2|"
    (tmp_path / "motif.abc").write_text(tune)
    conditioning = conditioning_with_motif(
        Conditioning(bars=4), tmp_path / "motif.abc", say=lambda _: None
    )
    (melody,) = compose(tiny_policy, 1, conditioning=conditioning)
    fields, _, notes = to_abc(melody).rpartition("\nK:")
    assert "M:2/4" in fields
    assert notes.splitlines()[0] == key
    assert "".join(notes.splitlines()[1].split()).startswith(f"{key[0]}2{key[0]}2|")
    assert read_melody(to_abc(melody)) == melody


def test_of_a_whole_tune_the_first_strain_is_the_motif(motif):
    conditioning, (said,) = motif(FIELDS + WHOLE_TUNE)
    assert (conditioning.bars, conditioning.pickup_ticks, len(conditioning.motif)) == (8, 24, 15)
    assert conditioning.motif[-1].end_ticks == 4 * 96 - 24
    assert said.endswith("motif.abc: its first 4 of 8 bars are taken")


@pytest.mark.parametrize("sign", [":|", ":|\n|:", "::", "||", "|]", ":||:"])
def test_the_bar_before_a_repeat_and_the_pickup_after_it_are_one(motif, sign):
    music = "A2|d2d2A2A2|f2f2A2A2|d2d2A2A2|d4 d2" + sign + "B2|g8|g8|g8|g6|]"
    conditioning, said = motif(FIELDS + music, Conditioning(bars=8))
    assert (conditioning.bars, conditioning.pickup_ticks, len(said)) == (8, 24, 1)
    joined = [(n.onset_ticks, n.pitch) for n in conditioning.motif if 288 <= n.onset_ticks <= 384]
    assert joined == [(288, 12), (336, 12), (360, 9), (384, 17)]


def test_as_much_of_a_tune_as_is_asked(motif):
    conditioning, (said,) = motif(FIELDS + WHOLE_TUNE, Conditioning(bars=8))
    assert conditioning.bars == 8
    assert "motif.abc: it fills all 8 bars, so that the policy has nothing to write; ask" in said
    assert pitches(conditioning)[-6:] == [19, 19, 7, 7, 16, 12], "as played the last time round"
    assert conditioning.motif[-1].end_ticks == 8 * 96 - 24
    conditioning, said = motif(FIELDS + WHOLE_TUNE, Conditioning(bars=4))
    assert conditioning.motif[-1].onset_ticks == 336
    assert "its first 4 of 8 bars" in said[0]
    conditioning, said = motif(FIELDS + WHOLE_TUNE, Conditioning(bars=9))
    assert (conditioning.bars, len(conditioning.motif), said) == (9, 30, [])


@pytest.mark.parametrize(("bars", "conditioning"), [(1, 8), (7, 8), (8, 16), (16, 24), (31, 32)])
def test_bars_are_left_to_write(motif, bars, conditioning):
    assert motif(FIELDS + "d8|" * bars)[0].bars == conditioning


@pytest.mark.parametrize(
    ("known", "bars", "conditioning"),
    [((4, 8, 16), 8, 16), ((4, 8, 16, 20), 16, 20), ((5, 9), 7, 9), ((12, 6), 1, 6)],
)
def test_bars_are_chosen_among_those_that_the_policy_knows(motif, known, bars, conditioning):
    assert motif(FIELDS + "d8|" * bars, known_bars=known)[0].bars == conditioning


@pytest.mark.parametrize(
    ("known", "bars", "conditioning", "taken"),
    [((4, 8, 16), 16, 16, 8), ((4, 8, 16), 40, 16, 8), (BAR_COUNTS, 32, 32, 16), ((2, 3), 9, 3, 1)],
)
@pytest.mark.parametrize("pickup", ["", "A2|"])
def test_of_a_motif_that_fills_a_melody_half_a_melody_is_taken(
    motif, tiny_policy, known, bars, conditioning, taken, pickup
):
    read, (said,) = motif(FIELDS + pickup + "d8|" * bars, known_bars=known)
    assert said.endswith(f"motif.abc: its first {taken} of {bars} bars are taken")
    assert (read.bars, len(read.motif)) == (conditioning, taken + (pickup != ""))
    assert read.motif[-1].end_ticks == taken * 96
    if conditioning == 16:
        (melody,) = compose(tiny_policy, 1, conditioning=read)
        assert melody.notes[: len(read.motif) - 1] == read.motif[:-1]
        assert melody.notes[-1].onset_ticks > taken * 96, "the policy writes the rest"


@pytest.mark.parametrize(
    ("endings", "last"),
    [
        ("[1 A8:|[2 B8:|[3 d8|]", [0, 12]),
        ("[1,2 A8:|[3 d8|]", [0, 12]),
        ("[1 A8:|[2,3 B8|]", [0, 9]),
        ("[1-3 A8:|[4 d8|]", [0, 12]),
        ("|1 A8:|2 B8|]", [0, 9]),
        ("[1 A8:|d8|]", [0, 12]),  # the second is not marked
    ],
)
def test_of_endings_the_last_is_read(motif, endings, last):
    assert pitches(motif(FIELDS + f"|:D8|{endings}")[0]) == last


def test_chords_and_more_tunes_are_told(motif):
    conditioning, said = motif(FIELDS + "[DFA]2E2 [df]4|\n\nX:2\nK:G\nG8|\n")
    assert pitches(conditioning) == [7, 2, 16]
    assert [line.split("motif.abc: ")[1] for line in said] == [
        "its 2 chords are read as their top notes",
        "the first of its 2 tunes is taken",
    ]


def test_a_byte_order_mark_does_not_cost_the_first_field(motif):
    assert motif(b"\xef\xbb\xbfM:6/8\nL:1/8\nK:D\nDEF")[0].meter == "6/8"


@pytest.mark.parametrize(
    ("content", "error", "says"),
    [
        ("K:D\nz8|", AbcError, "has no notes; write some after its K: line"),
        ("K:Dhijaz\nD8|", AbcError, "motif.abc: K:Dhijaz has an unknown mode"),
        ("K:D shift=DF\nD8|", AbcError, "motif.abc: K:D shift=DF: shift= changes the pitches"),
        (bytes(range(128, 256)), AbcError, "motif.abc: the tune has no K: field"),
        ("M:4/4\nL:1/8\nK:D\nD8|D6|D8|", MelodyError, "bar 2 of the motif .* lasts 72 ticks"),
    ],
)
def test_what_is_no_motif_is_told(motif, content, error, says):
    with pytest.raises(error, match=says):
        motif(content)


# --- Files


@pytest.fixture
def index():
    """Melodies are compared with few tunes, which takes no time."""
    return TrainingIndex.from_melodies([strain.melody for strain in load_corpus("test")][:5])


def test_when_a_file_cannot_be_made_none_is_left(tmp_path, random_melodies, monkeypatch, index):
    rendered = iter([b"first"])

    def fails_at_the_second(melody, **_):
        for sound in rendered:
            return sound
        raise OSError("the disk is gone")

    monkeypatch.setattr(composing, "render_wav", fails_at_the_second)
    with pytest.raises(OSError, match="the disk is gone"):
        save_melodies(random_melodies(3), tmp_path / "new" / "composed", index=index, sound=True)
    assert list(tmp_path.iterdir()) == []


def test_on_a_full_disk_the_files_of_before_stay(small_disk, random_melodies, index):
    folder = small_disk / "composed"
    lines = save_melodies(random_melodies(1), folder, index=index, sound=False)
    assert len(lines) == 1
    assert "originality" in lines[0]
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(before) == {"melody-001.abc", "melody-001.mid"}
    many = random_melodies(SIZE_KB // 100, seed=1)
    with pytest.raises(OSError, match="No space left"):  # a melody's sound has some 500 kB
        save_melodies(many, folder, index=index, sound=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_without_the_training_tunes_melodies_are_written_and_not_compared(
    tmp_path, random_melodies
):
    (line,) = save_melodies(random_melodies(1), tmp_path, index=None, sound=False)
    assert line.endswith("notes")
    assert (tmp_path / "melody-001.abc").is_file()


def test_a_motif_of_50_mb_is_refused_before_it_is_read(tmp_path):
    file = tmp_path / "motif.abc"
    with file.open("wb") as opened:
        opened.write(FIELDS.encode())
        opened.truncate(50 * 2**20)
    with pytest.raises(LimitError, match=r"motif\.abc is larger than 4 MiB; give a file with that"):
        conditioning_with_motif(Conditioning(), file, say=print)
    with pytest.raises(LimitError, match="larger than 4 MiB"):
        conditioning_with_motif(Conditioning(), Path("/dev/zero"), say=print)


def test_a_book_of_many_tunes_may_be_named_for_its_first(motif):
    conditioning, said = motif(FIELDS + "d8|e8|f8|d8|]\n\n" + (FIELDS + "A8|\n\n") * 20_000)
    assert len(conditioning.motif) == 4
    assert said[0].endswith("the first of its 20001 tunes is taken")


def test_a_motif_whose_one_tune_is_too_long_is_told_in_a_line(motif):
    with pytest.raises(AbcError, match=r"motif\.abc: the first tune has more than 50,000"):
        motif(FIELDS + "d8|\n" * 20_000)


@pytest.mark.parametrize(
    ("name", "written"),
    [("motif.mid", to_midi), ("motif.musicxml", lambda melody: to_musicxml(melody).encode())],
    ids=["MIDI", "MusicXML"],
)
def test_a_motif_may_be_midi_or_musicxml(tmp_path, name, written):
    melody = next(s.melody for s in load_corpus("test") if s.melody.header.bars == 8)
    (tmp_path / name).write_bytes(written(melody))
    read = conditioning_with_motif(Conditioning(bars=8), tmp_path / name, say=lambda line: None)
    assert read.motif == melody.notes
    assert (read.meter, read.mode) == (melody.header.meter, melody.header.mode)


def test_a_motif_that_is_no_midi_is_refused_with_its_name(tmp_path):
    file = tmp_path / "motif.mid"
    file.write_bytes(b"no MIDI")
    with pytest.raises(AbcError, match=r"motif\.mid.*export it anew"):
        conditioning_with_motif(Conditioning(), file, say=lambda line: None)
