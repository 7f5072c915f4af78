"""Reading ABC: golden bars by hand; how other programs read ours is in test_abc_readers."""

from fractions import Fraction

import pytest

from music.formats.abc import AbcError
from music.formats.abc_key import AbcKey, read_key
from music.formats.abc_reader import read_tune
from music.formats.abc_text import decode_text, split_tunes
from music.formats.abc_tokens import read_length

G, A, B = 67, 69, 71
HEADER = "M:4/4\nL:1/8\nK:C"


def bars_of(music: str, header: str = HEADER) -> list[list[tuple[int | None, Fraction]]]:
    """(MIDI number, ticks) of each note, bar by bar."""
    tune = read_tune(f"X:1\n{header}\n{music}\n")
    return [[(note.midi, note.duration_ticks) for note in bar.notes] for bar in tune.bars]


def pitches(music: str, header: str = HEADER) -> list[list[int | None]]:
    return [[midi for midi, _ in bar] for bar in bars_of(music, header)]


def ticks(music: str, header: str = HEADER) -> list[list[Fraction]]:
    return [[duration for _, duration in bar] for bar in bars_of(music, header)]


def test_letters_octaves_and_lengths():
    assert bars_of("C,C c c' | z2 G3/2 A/ B//") == [
        [(48, 12), (60, 12), (72, 12), (84, 12)],
        [(None, 24), (G, 18), (A, 6), (B, 3)],
    ]


def test_an_accidental_lasts_to_the_end_of_the_bar_in_all_octaves():
    assert pitches("^cdec C | c") == [[73, 74, 76, 73, 61], [72]]
    assert pitches("_B =B B | B") == [[70, 71, 71], [71]]
    assert pitches("^^f __e") == [[79, 74]]


def test_a_natural_undoes_the_key():
    assert pitches("f =f f | f", "L:1/8\nK:D") == [[78, 77, 77], [78]]


def test_broken_rhythm_also_over_spaces():
    assert ticks("A>B A >B A> B") == [[18, 6] * 3]
    assert ticks("A<B A>>B A<<B") == [[6, 18, 21, 3, 3, 21]]
    assert ticks("A2>B2") == [[36, 12]]


def test_tuplets():
    assert ticks("(3ABc (3A2B2c2") == [[8, 8, 8, 16, 16, 16]]
    assert ticks("(3:2:2A2B c") == [[16, 8, 12]]
    assert ticks("(3:2:1A/ B") == [[4, 12]]
    assert ticks("(3:2:10ABcdefgabc' A") == [[*[8] * 10, 12]]
    assert ticks("(2AB c", "M:6/8\nL:1/8\nK:C") == [[18, 18, 12]]
    assert ticks("(4ABcd e", "M:6/8\nL:1/8\nK:C") == [[9, 9, 9, 9, 12]]
    # Five in the time of two, but of three in a compound metre.
    assert ticks("(5ABcde") == [[Fraction(24, 5)] * 5]
    assert ticks("(5ABcde", "M:6/8\nL:1/8\nK:C") == [[Fraction(36, 5)] * 5]


def test_a_barline_ends_a_tuplet():
    assert ticks("(3AB | c") == [[8, 8], [12]]


def test_a_tie_carries_its_accidental_over_the_barline():
    tune = read_tune("L:1/8\nK:C\n^f2-|f2 f2|")
    assert [[(n.midi, n.tied) for n in bar.notes] for bar in tune.bars] == [
        [(78, True)],
        [(78, False), (77, False)],
    ]


def test_a_dash_between_pitches_is_an_old_slur():
    tune = read_tune("L:1/8\nK:C\nA-B c-c z-c d-|e")
    assert [[n.tied for n in bar.notes] for bar in tune.bars] == [
        [False, False, True, False, False, False, False],
        [False],
    ]


def test_decorations_grace_notes_words_and_slurs_are_dropped():
    assert bars_of('Hg2 ~a .b "Am"c {de}f !trill!g (ab) uc vd') == [
        [(79, 24), *[(midi, 12) for midi in (81, 83, 72, 77, 79, 81, 83, 72, 74)]]
    ]


def test_comments_and_other_fields_are_dropped():
    assert pitches("cd % ef\nw: la la\nG2 A2 |\n%%staffsep 3\nB") == [[72, 74, G, A], [B]]


def test_a_line_of_music_may_look_like_a_field():
    assert pitches("c |: A |\nG:| c") == [[72], [A], [G], [72]]


def test_a_barline_at_the_end_of_a_line_and_at_the_beginning_of_the_next_is_one():
    """It was read as a double bar, which cut the strain in two."""
    bars = read_tune("X:1\nM:2/4\nL:1/4\nK:C\nc2|\n|d2|\n | e2||\n|f2|\n||g2|]").bars
    assert [bar.left for bar in bars] == ["", "|", "|", "|||", "|||"]


def test_barlines_and_endings():
    tune = read_tune("L:1/4\nK:C\n|:c d|[1 e f:|[2 g a||b c'|1 d:|2 e|]\n")
    assert [(bar.notes[0].midi, bar.left, bar.right, bar.endings) for bar in tune.bars] == [
        (72, "|:", "|", ()),
        (76, "|", ":|", (1,)),
        (79, ":|", "||", (2,)),
        (83, "||", "|", ()),
        (74, "|", ":|", (1,)),
        (76, ":|", "|]", (2,)),
    ]
    bars = read_tune("L:1/4\nK:C\nc|[1,3 d:|[2-4 e:|]").bars
    assert [bar.endings for bar in bars] == [(), (1, 3), (2, 3, 4)]


@pytest.mark.parametrize(
    ("text", "tonic_class", "mode", "altered"),
    [
        ("D", 2, "", {"F": 1, "C": 1}),
        ("Ador", 9, "dor", {"F": 1}),
        ("A dorian", 9, "dor", {"F": 1}),
        ("G Mix", 7, "mix", {}),
        ("Em", 4, "m", {"F": 1}),
        ("E minor", 4, "min", {"F": 1}),
        ("Bb", 10, "", {"B": -1, "E": -1}),
        ("F#m", 6, "m", {"F": 1, "C": 1, "G": 1}),
        ("Dphr", 2, "phr", {"B": -1, "E": -1}),
        ("Flyd", 5, "lyd", {}),
        ("D clef=treble", 2, "", {"F": 1, "C": 1}),
        ("Am clef=bass transpose=-12", 9, "m", {}),
        ("G bass", 7, "", {"F": 1}),
        ("E b baritone", 3, "", {"B": -1, "E": -1, "A": -1}),
        ("Gmix treble-8 octave=1", 7, "mix", {}),
        ('D clef="alto" middle=C name="Violin"', 2, "", {"F": 1, "C": 1}),
        ("D =c", 2, "", {"F": 1, "C": 0}),
        ("Ador ^g _B", 9, "dor", {"F": 1, "G": 1, "B": -1}),
        ("D=c^g", 2, "", {"F": 1, "C": 0, "G": 1}),
        ("D exp _b _e ^f", 2, "", {"B": -1, "E": -1, "F": 1}),
        ("D exp", 2, "", {}),
        ("A m __e", 9, "m", {"E": -2}),
    ],
)
def test_keys(text, tonic_class, mode, altered):
    assert read_key(text) == AbcKey(tonic_class, mode, altered)


def test_unit_length_by_the_metre_when_it_is_missing():
    assert ticks("A", "M:2/4\nK:C") == [[6]]
    assert ticks("A", "M:3/4\nK:C") == [[12]]
    assert ticks("A", "M:C\nK:C") == [[12]]
    assert ticks("A", "M:none\nK:C") == [[12]]


def test_changes_inside_the_tune_are_told():
    steady = read_tune("M:4/4\nL:1/8\nK:C\nA [K:C] B\nM:C\nc\n")
    assert not steady.changes_meter_or_key
    assert read_tune("L:1/8\nK:C\nA [K:D] f").changes_meter_or_key
    assert read_tune("M:4/4\nL:1/8\nK:C\nA\nM:3/4\nB").changes_meter_or_key
    assert ticks("A [L:1/4] A") == [[12, 24]]


def test_one_voice_may_be_named():
    assert pitches("V:1\ncd\nV:1 clef=treble\ne") == [[72, 74, 76]]
    for music in ("V:1\nc\nV:2\ne", "c\nV:2\ne", "[V:1] c [V:2] e"):
        with pytest.raises(AbcError, match="several voices; take one out"):
            bars_of(music)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("X:1\nL:1/8\nABc", "no K: field; add one"),
        ("K:H", "names no key; write for example K:D"),
        ("K:Dhijaz", "unknown mode 'hijaz'; known: "),
        ("K:G#", "8 accidentals; at most 7 can be written"),
        ("L:1/0\nK:C", "L:1/0 is not a ratio"),
        ("L:1e999999999\nK:C", "L:1e999999999 is not a ratio"),
        ("M:1e999999999\nK:C\nc", "M:1e999999999 is not a ratio"),
        ("K:C\nc0", "note length '0' is zero"),
        ("K:C\nc/0", "divides by zero"),
        ("K:C\nc" + "9" * 5000, "is too long; write for example 3/2"),
        ("K:C\nc" + "/" * 5000, "is too long; write for example 3/2"),
        ("K:C\n[!f!]", r"the chord '\[!f!\]' has no notes"),
        ("K:C\nZ33", "a rest of 33 bars in M:4/4 is none of 1 to 32 bars"),
        ("K:C\nZ" + "9" * 5000, "is none of 1 to 32 bars"),
        ("K:C\ncZ", "Z and X are rests of whole bars"),
        ("M:none\nK:C\nZ", "a rest of 1 bars in M:none"),
        ("K:D hijaz", "unknown mode 'hijaz'"),
        ("K:D =h", "unknown mode '=h'"),
        ("K:D octave=up", "octave=up is no small whole number"),
        ("K:D clef=treble\nV:1 clef=wide", "the clef 'wide' is not known"),
        ("K:C perc", "a percussion clef have no pitch"),
        ("K:C\nV:1 score=Bc", "score= changes the pitches and is not read here; take it out"),
        ("K:C\n[I:transpose 2]c", "directive 'transpose 2' changes the pitches"),
        ("%%MIDI  transpose -12\nK:C\nc", "directive 'MIDI transpose -12' changes the pitches"),
        ("I:propagate-accidentals not\nK:C\nc", "'propagate-accidentals not' changes the pitches"),
        ("K:C\nc\n%%abc-include other.abc\nd", "directive 'abc-include other.abc' changes"),
        ("K:C\nab & cd", r"cannot read '& cd' \(column 4 of 'ab & cd'\)"),
        ("K:C\n>c", "'>' has no note before it"),
        ("K:C\nc 2 d", "number '2' stands inside a bar"),
    ],
)
def test_what_cannot_be_read_is_told(text, message):
    with pytest.raises(AbcError, match=message):
        read_tune(text)


@pytest.mark.timeout(60)  # a busy machine is slow; a quadratic reader takes minutes
@pytest.mark.parametrize("sign", ["[", "[a", "(", '"a', "{", "!", "(3", "a>", "|:", "[1", "'", "^"])
def test_hostile_text_is_read_or_refused_in_time(sign):
    message = ""
    try:
        read_tune("K:C\n" + sign * 20_000)
    except AbcError as error:
        message = str(error)
    assert len(message) < 300


def test_lengths_by_hand():
    found = [read_length(text) for text in ("", "3", "/", "//", "3/", "3/2", "/4")]
    halves = Fraction(1, 2)
    assert found == [1, 3, halves, halves**2, 3 * halves, 3 * halves, halves**2]


@pytest.mark.parametrize("letter", [*"ABCDEFGHNORSTWZ", *"bcdrsw", "+"])
def test_a_field_in_the_body_is_no_music(letter):
    assert pitches(f"GA|\n{letter}:a bag of tunes\n{letter}:\nB|") == [[G, A], [B]]


@pytest.mark.parametrize("line", ["", "   ", "\t"])
def test_an_empty_line_ends_a_tune(line):
    assert pitches(f"GA|\n{line}\nAdd a bed\nK:Dhijaz\n>") == [[G, A]]
    assert pitches(f"{line}\nGA|B", f"M:4/4\n{line}\nL:1/8\nK:C") == [[G, A], [B]]


def test_of_several_tunes_the_first_is_read():
    tune = read_tune("X:1\nL:1/8\nK:D\nf|\nX:2\nK:G\nG|\n\nX:3\nK:H\n")
    assert [note.midi for bar in tune.bars for note in bar.notes] == [78]
    assert (tune.tonic_class, tune.changes_meter_or_key, tune.tunes_after) == (2, False, 2)
    assert read_tune("X:1\nK:D\nf|\n").tunes_after == 0


def test_a_block_of_text_is_no_music():
    assert pitches("G|\n%%begintext\nA bed\n%%endtext\nA|\n%%text B\nB|") == [[G], [A], [B]]
    assert pitches("%%beginps\nCAB\n", "%%begintext\nK:X\n%%endtext\nK:C") == []


def test_a_rest_may_last_whole_bars():
    whole = (None, Fraction(96))
    assert bars_of("G8|X|Z2|A8|") == [[(G, 96)], [whole], [whole], [whole], [(A, 96)]]
    assert ticks("Z|", "M:6/8\nK:C") == [[72]]
    assert pitches("G y2 A y") == [[G, A]]


def test_of_a_chord_the_top_note_is_read():
    assert bars_of("[CEG]2 [G2E4] [^Fc]/ | [c'zC]>[GB]") == [
        [(G, 24), (G, 24), (72, 6)],
        [(84, 18), (B, 6)],
    ]
    assert read_tune("K:C\n[CE]2[G]").chords == 1
    assert pitches("[^FC]F|F") == [[66, 66], [65]], "an accidental in a chord lasts too"
    for music in ("[CG]-G|", "[CG-]G|", "[C-G-]2G|"):
        assert read_tune(f"K:C\n{music}").bars[0].notes[0].tied, music


@pytest.mark.parametrize(
    ("fields", "midi", "tonic_class"),
    [
        ("K:D octave=-1", 50, 2),
        ("K:D clef=treble octave=1", 74, 2),
        ("K:D treble-8", 50, 2),
        ("K:D clef=bass", 62, 2),
        ("K:D clef=treble+15", 86, 2),
        ("K:D transpose=-2", 60, 0),
        ("K:D\nV:1 octave=-1", 50, 2),
        ("V:1 octave=-1\nK:D", 50, 2),
        ("V:1 octave=-1\nV:2\nK:D\nV:2", 62, 2),
        ('K:D octave=1\nV:1 nm="D octave=2" octave=-1', 50, 2),
        ("K:D treble-8\nV:1 clef=treble transpose=3", 65, 5),
        ("K:D\nK:treble-8", 50, 2),
    ],
)
def test_octaves_and_transposition_are_applied(fields, midi, tonic_class):
    tune = read_tune(f"L:1/8\n{fields}\nD2-|D2")
    assert [note.midi for bar in tune.bars for note in bar.notes] == [midi, midi]
    assert (tune.tonic_class, tune.changes_meter_or_key) == (tonic_class, False)
    assert tune.bars[0].notes[0].tied


def test_a_change_of_the_signature_is_told():
    for field in ("[K:D =c]", "[K:D transpose=2]", "[V:1 transpose=1]"):
        assert read_tune(f"L:1/8\nK:D\nV:1\nf {field} c").changes_meter_or_key, field
    octaves = read_tune("L:1/8\nK:D\nf [K:D octave=-1] f")
    assert [note.midi for note in octaves.bars[0].notes] == [78, 66]
    assert not octaves.changes_meter_or_key


@pytest.mark.parametrize(
    "data",
    [
        "M:6/8\nK:C\nc".encode("utf-8-sig"),
        "\nM:6/8\nT:Ré\nK:C\nc".encode(),
        "T:Ré\nM:6/8\nK:C\nc".encode("latin-1"),
        "M:6/8\r\nT:Ré\r\nK:C\r\nc".encode("utf-16"),
        b"\xfe\xff" + "M:6/8\nK:C\nc".encode("utf-16-be"),
    ],
)
def test_a_file_is_read_with_a_byte_order_mark_or_without(data):
    tune = read_tune(decode_text(data))
    assert (tune.meter, tune.bars[0].notes[0].midi) == ("6/8", 72)


def test_a_byte_order_mark_in_a_text_is_passed_over():
    assert read_tune("\ufeffM:6/8\nK:C\nc").meter == "6/8"
    (book,) = split_tunes("\ufeffX:1\nK:C\nc")
    assert read_tune(book).bars[0].notes[0].midi == 72


def test_a_book_is_split_at_its_numbers():
    book = "% a book\r\nX:1\r\nK:C\r\nc\r\n\r\nX:2\rK:D\rd\r"
    assert [read_tune(text).bars[0].notes[0].midi for text in split_tunes(book)] == [72, 74]
