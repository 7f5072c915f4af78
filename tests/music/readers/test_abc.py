import pytest

from music.readers import abc_book, melodies_of, read_tunes


def read(tmp_path, text, *, part=None):
    file = tmp_path / "tunes.abc"
    file.write_text(text)
    return read_tunes(file, part=part)


def decisions(tune):
    return [notice.reason for notice in tune.notices]


def tune(body, *, meter="4/4", key="C", head=""):
    return f"X:1\n{head}M:{meter}\nL:1/4\nK:{key}\n{body}\n"


def bars(count, bar="CDEF"):
    return "|".join([bar] * count)


def test_a_change_of_key_and_metre_cuts(tmp_path):
    body = f"{bars(4)}|]\nK:Amin\n{bars(4, 'AGEA')}|]\nM:3/4\n{bars(4, 'ABc')}|]"
    (read_tune,), refusals = read(tmp_path, tune(body))
    found = [(s.meter, s.mode, s.tonic_class, len(s.bars)) for s in read_tune.sections]
    assert found == [("4/4", "major", 0, 4), ("4/4", "minor", 9, 4), ("3/4", "minor", 9, 4)]
    assert (refusals, decisions(read_tune)) == ([], ["cut"])
    melodies, refused = melodies_of(read_tune)
    assert ([m.key for m in melodies], refused) == (["C major", "A minor", "A minor"], [])


def test_a_change_inside_a_bar_divides_it(tmp_path):
    body = f"{bars(3)}|CDE[K:G]G|{bars(3, 'GABc')}|GAB|]"
    (read_tune,), refusals = read(tmp_path, tune(body))
    melodies, refused = melodies_of(read_tune)
    assert (refusals, refused) == ([], [])
    assert [(m.key, m.header.bars, m.header.pickup_ticks) for m in melodies] == [
        ("C major", 4, 0),
        ("G major", 4, 24),
    ]


def test_a_change_before_a_barline_keeps_the_double_bar(tmp_path):
    (read_tune,), _ = read(tmp_path, tune(f"{bars(4)}[K:G]:|{bars(4, 'GABc')}|]"))
    assert [len(s.bars) for s in read_tune.sections] == [4, 4]
    assert read_tune.sections[0].bars[-1].right == ":|"


def test_a_unit_length_that_is_not_written_stays_where_the_metre_changes(tmp_path):
    body = "X:1\nM:2/4\nK:C\nC2D2E2F2|C2D2E2F2|\nM:3/4\nC4D4E4|C4D4E4|\n"
    (read_tune,), refusals = read(tmp_path, body)
    assert ([s.meter for s in read_tune.sections], refusals) == (["2/4", "3/4"], [])


def test_a_part_without_a_metre_is_refused_and_the_rest_kept(tmp_path):
    (read_tune,), refusals = read(tmp_path, tune(f"{bars(4)}|]\nM:none\nCDEFGABc|"))
    assert [r.reason for r in refusals] == ["no metre"]
    assert len(melodies_of(read_tune)[0]) == 1


VOICES = """X:1
M:4/4
L:1/4
V:1 name="Second"
V:2 name="Descant"
K:C
[V:1] C,4 | C,4 | C,4 | C,4 |]
[V:2] CDEF | CDEF | CDEF | CDEF |]
"""


def test_of_several_voices_that_of_the_melody_is_taken_and_said(tmp_path):
    (read_tune,), refusals = read(tmp_path, VOICES)
    assert (refusals, decisions(read_tune)) == ([], ["voice taken"])
    assert "'Descant'" in str(read_tune.notices[0])
    assert [n.pitch for n in melodies_of(read_tune)[0][0].notes][:4] == [0, 2, 4, 5]


def test_of_voices_without_such_a_name_the_highest_busy_one_is_taken(tmp_path):
    text = VOICES.replace('name="Descant"', "").replace('name="Second"', "")
    text += "[V:3] c'4 |]\n"
    (read_tune,), _ = read(tmp_path, text)
    assert "'2'" in str(read_tune.notices[0])


@pytest.mark.parametrize("part", ["second", "1"])
def test_the_voice_that_is_named_is_taken(tmp_path, part):
    (read_tune,), _ = read(tmp_path, VOICES, part=part)
    assert {n.midi for bar in read_tune.sections[0].bars for n in bar.notes} == {48}


def test_a_voice_that_is_not_there_is_refused(tmp_path):
    tunes, refusals = read(tmp_path, VOICES, part="oboe")
    assert (tunes, [r.reason for r in refusals]) == ([], ["no such part"])


def test_too_many_voices_are_refused(tmp_path):
    text = tune("\n".join(f"V:{k}\nCDEF|" for k in range(40)))
    tunes, refusals = read(tmp_path, text)
    assert (tunes, [r.reason for r in refusals]) == ([], ["several voices"])


def test_voices_on_lines_of_their_own_are_read(tmp_path):
    body = f"V:1\n{bars(4)}|]\nV:2\n{bars(4, 'C,4')}|]\nV:1\n{bars(4, 'GAGF')}|]"
    (read_tune,), refusals = read(tmp_path, tune(body))
    assert (refusals, len(read_tune.sections[0].bars)) == ([], 8)


def test_missing_barlines_are_put_where_a_note_begins(tmp_path):
    (read_tune,), refusals = read(tmp_path, tune(f"{bars(3)}|CDEFGABc|{bars(3)}|]"))
    assert (refusals, decisions(read_tune)) == ([], ["bars repaired"])
    assert melodies_of(read_tune)[0][0].header.bars == 8


def test_a_bar_of_two_with_a_note_across_its_middle_is_refused(tmp_path):
    (read_tune,), refusals = read(tmp_path, tune(f"{bars(3)}|CDEF2ABc|{bars(3)}|]"))
    assert [(r.reason, r.bar) for r in refusals] == [("bar length", "4")]
    assert [m.header.bars for m in melodies_of(read_tune)[0]] == [3, 3]


@pytest.mark.parametrize(
    ("meter", "unit", "bar", "read_as", "ticks"),
    [
        ("4/2", "1/2", "CDEF", "4/4", 24),
        ("4/1", "1/1", "CDEF", "4/4", 24),
        ("3/1", "1/1", "CDE", "3/2", 48),
        ("6/16", "1/16", "CDEFGA", "6/8", 12),
        ("5/8", "1/8", "CDEFG", "5/4", 24),
    ],
)
def test_a_metre_of_other_note_values_is_read_in_ours(tmp_path, meter, unit, bar, read_as, ticks):
    text = f"X:1\nM:{meter}\nL:{unit}\nK:C\n{bars(4, bar)}|]\n"
    (read_tune,), refusals = read(tmp_path, text)
    melodies, refused = melodies_of(read_tune)
    assert (refusals, refused, decisions(read_tune)) == ([], [], ["note values changed"])
    assert melodies[0].header.meter == read_as
    assert {n.duration_ticks for n in melodies[0].notes} == {ticks}
    assert read_tune.sections[0].meter == meter


def test_a_metre_that_no_melody_has_is_refused(tmp_path):
    (read_tune,), _ = read(tmp_path, tune(bars(4, "C11/2"), meter="11/8"))
    assert [r.reason for r in melodies_of(read_tune)[1]] == ["metre or mode"]


def test_all_modes_are_read(tmp_path):
    for written, mode in (
        ("Cphr", "phrygian"), ("Clyd", "lydian"), ("Cloc", "locrian"), ("Cm ^b", "minor"),
    ):  # fmt: skip
        (read_tune,), refusals = read(tmp_path, tune(f"{bars(4)}|]", key=written))
        assert (refusals, melodies_of(read_tune)[0][0].header.mode) == ([], mode)


def test_a_low_tune_is_read_at_a_low_tonic(tmp_path):
    (read_tune,), _ = read(tmp_path, tune(f"{bars(4, 'C,,D,,E,,F,,')}|]"))
    (melody,), refused = melodies_of(read_tune)
    assert (refused, melody.tonic_midi + melody.notes[0].pitch) == ([], 36)


def test_a_number_that_comes_twice_gets_its_place(tmp_path):
    text = tune(f"{bars(4)}|]") + "\n" + tune(f"{bars(4)}|]")
    tunes, _ = read(tmp_path, text)
    assert [one.number for one in tunes] == ["1", "1 (tune 2 of the file)"]


def test_a_style_is_the_one_that_is_given(tmp_path):
    (read_tune,), _ = read(tmp_path, tune(f"{bars(4)}|]", head="R:reel\n"))
    assert melodies_of(read_tune)[0][0].header.style == "reel"
    assert melodies_of(read_tune, style="polska")[0][0].header.style == "polska"


def test_a_rest_before_a_strain_begins_is_a_pickup(tmp_path):
    """It was read as a bar of silence."""
    (read_one,), _ = read(tmp_path, tune(f"{bars(4)}||z|{bars(3)}|E3|]"))
    melodies, _ = melodies_of(read_one)
    assert melodies[1].header.pickup_ticks == 24
    assert melodies[1].notes[0].onset_ticks == 0


@pytest.mark.parametrize("limit", ["ABC_BOOK_TUNES", "ABC_BOOK_SYMBOLS"])
def test_a_book_is_read_up_to_its_limit(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(abc_book, limit, 2 if limit == "ABC_BOOK_TUNES" else 50)
    book = "\n".join(tune(f"{bars(4)}|]").replace("X:1", f"X:{k}") for k in range(1, 6))
    tunes, refusals = read(tmp_path, book)
    assert 1 < len(tunes) < 5
    assert [(r.reason, r.tune) for r in refusals] == [("too large", str(len(tunes) + 1))]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_a_book_is_read_in_any_encoding(tmp_path, encoding, newline):
    text = "".join(tune(f"{bars(4)}|]", head=f"T:Grün {k}\n") + "\n" for k in range(3))
    file = tmp_path / "book.abc"
    file.write_bytes(text.replace("\n", newline).encode(encoding))
    tunes, refusals = read_tunes(file)
    assert ([t.title for t in tunes], refusals) == (["Grün 0", "Grün 1", "Grün 2"], [])


def header_and_tune(header, *, own="", newline="\n", encoding="utf-8"):
    text = f"{header}\nX:1\n{own}K:C\n{bars(4)}|]\n\nX:2\n{own}K:C\n{bars(4)}|]\n"
    return text.replace("\n", newline).encode(encoding)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_the_header_of_a_file_holds_for_all_its_tunes(tmp_path, encoding, newline):
    """It was left out: with `L:1/4` in it, all notes were read at half their length."""
    file = tmp_path / "book.abc"
    header = "% a book\n%%papersize A4\nM:4/4\nL:1/4\nR:reel\nZ:Ann\nH:long\n"
    file.write_bytes(header_and_tune(header, newline=newline, encoding=encoding))
    tunes, refusals = read_tunes(file)
    assert ([one.number for one in tunes], refusals) == (["1", "2"], [])
    for one in tunes:
        (melody,), refused = melodies_of(one)
        assert ({n.duration_ticks for n in melody.notes}, refused) == ({24}, [])
        assert (melody.header.style, one.fields["Z"]) == ("reel", ["Ann"])


def test_a_tune_has_its_own_fields_instead_of_those_of_the_file(tmp_path):
    file = tmp_path / "book.abc"
    file.write_bytes(header_and_tune("R:jig\nL:1/16\nM:3/8\n", own="R:reel\nM:4/4\nL:1/4\n"))
    for one in read_tunes(file)[0]:
        (melody,), _ = melodies_of(one)
        assert (melody.header.meter, melody.header.style) == ("4/4", "reel")
        assert {n.duration_ticks for n in melody.notes} == {24}


def test_text_after_the_header_of_a_file_is_none(tmp_path):
    own = "M:4/4\n"
    for text in ("\nL:1/16\n", "A book of tunes\nL:1/16\n", "%%begintext\nL:1/16\n%%endtext\n"):
        file = tmp_path / "book.abc"
        file.write_bytes(header_and_tune(f"L:1/4\n{text}", own=own))
        (melody,), _ = melodies_of(read_tunes(file)[0][0])
        assert {n.duration_ticks for n in melody.notes} == {24}


def test_a_directive_of_the_file_that_changes_pitches_is_refused(tmp_path):
    file = tmp_path / "book.abc"
    file.write_bytes(header_and_tune("%%transpose 2\n", own="M:4/4\nL:1/4\n"))
    tunes, refusals = read_tunes(file)
    assert (tunes, [(r.tune, r.reason) for r in refusals]) == (
        [],
        [("1", "damaged"), ("2", "damaged")],
    )


def test_a_header_that_is_too_long_is_refused(tmp_path):
    file = tmp_path / "book.abc"
    file.write_bytes(header_and_tune("Z:Ann\n" * 1000))
    tunes, refusals = read_tunes(file)
    assert (tunes, [r.reason for r in refusals]) == ([], ["too large"])


def test_a_first_tune_without_a_number_is_read(tmp_path):
    text = tune(f"{bars(4)}|]")
    tunes, refusals = read(tmp_path, text.removeprefix("X:1\n") + "\n" + text)
    assert ([one.number for one in tunes], refusals) == (["1", "1 (tune 2 of the file)"], [])


@pytest.mark.parametrize(
    "after",
    [
        "GABc|GABc|GABc|GABc|]",
        "T:Two\nM:4/4\nK:C\nGABc|GABc|",
        "Some prose.\n\n% a comment\n|:GABc|[1 GABc:|[2 GAG2|]",
        '"Am"z4|(3GAB {c}d2 !trill!e|',
    ],
)
def test_music_after_the_end_of_a_tune_is_refused(tmp_path, after):
    """It was left out, and nothing was said."""
    (read_tune,), (refusal,) = read(tmp_path, tune(f"{bars(4)}|]\n\n{after}"))
    assert len(read_tune.sections[0].bars) == 4
    assert (refusal.tune, refusal.reason) == ("1", "damaged")
    assert "empty line" in str(refusal)


def test_music_after_the_end_of_a_tune_of_voices_is_refused(tmp_path):
    _, refusals = read(tmp_path, VOICES + "\n[V:2] CDEF | CDEF |]\n")
    assert [r.reason for r in refusals] == ["damaged"]


@pytest.mark.parametrize(
    "after",
    [
        "A bag of tunes, begged by Abe.",
        "see | page 3?\nw:a|b",
        "N:a|b\n% GABc|GABc|\n%%text GABc|",
        "|",
        "X:2\nM:4/4\nL:1/4\nK:C\nCDEF|CDEF|",
    ],
)
def test_prose_after_a_tune_is_none_of_its_music(tmp_path, after):
    assert read(tmp_path, tune(f"{bars(4)}|]\n\n{after}"))[1] == []


@pytest.mark.parametrize("line", ["", "%%text C|", "w:la|la", "% C|"])
def test_an_empty_line_before_the_first_note_ends_no_tune(tmp_path, line):
    (read_tune,), refusals = read(tmp_path, tune(f"{line}\n\n{bars(4)}|]"))
    assert (len(read_tune.sections[0].bars), refusals) == (4, [])


@pytest.mark.parametrize(
    ("meter", "unit", "bar", "read_as"),
    [
        ("(3+2+2)/8", "1/8", "CDEFGAB", "7/8"),
        ("3+2/8", "1/8", "CDEFG", "5/8"),
        ("2 + 2 / 4", "1/4", "CDEF", "4/4"),
    ],
)
def test_the_parts_of_a_metre_are_added(tmp_path, meter, unit, bar, read_as):
    """The tune was refused as one without bars."""
    text = f"X:1\nM:{meter}\nL:{unit}\nK:C\n{bars(4, bar)}|\n[M:{meter}]{bars(4, bar)}|]\n"
    (read_tune,), refusals = read(tmp_path, text)
    assert ([(s.meter, len(s.bars)) for s in read_tune.sections], refusals) == ([(read_as, 8)], [])


@pytest.mark.parametrize("key", ["none", "", "None clef=treble", "clef=treble"])
def test_the_key_of_a_tune_that_names_none_is_found_and_said(tmp_path, key):
    (read_tune,), refusals = read(tmp_path, tune(bars(4, "GBdG"), key=key))
    assert (refusals, decisions(read_tune)) == ([], ["key found"])
    (melody,), _ = melodies_of(read_tune)
    assert (melody.key, [n.pitch for n in melody.notes][:4]) == ("G major", [0, 4, 7, 0])


def test_no_key_in_the_middle_of_a_tune_takes_its_sharps_away(tmp_path):
    text = tune(f"{bars(4, 'FGAB')}|\nK:none\n{bars(4, 'FGAB')}|", key="G")
    (read_tune,), _ = read(tmp_path, text)
    firsts = [section.bars[0].notes[0].midi for section in read_tune.sections]
    assert firsts == [66, 65]


@pytest.mark.parametrize("key", ["HP", "Hp"])
def test_pipe_music_is_in_a_mixolydian(tmp_path, key):
    (read_tune,), _ = read(tmp_path, tune(bars(4, "cfga"), key=key))
    (melody,), _ = melodies_of(read_tune)
    sounding = [melody.tonic_midi + n.pitch for n in melody.notes[:4]]
    assert (melody.key, [midi % 12 for midi in sounding]) == ("A mixolydian", [1, 6, 7, 9])


def test_a_book_may_end_with_a_number(tmp_path):
    """It ended with an IndexError."""
    tunes, refusals = read(tmp_path, tune(f"{bars(4)}|]") + "\nX:")
    assert ([one.number for one in tunes], [r.tune for r in refusals]) == (["1"], ["2"])
