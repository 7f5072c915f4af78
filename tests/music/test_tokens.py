"""Tokens: a melody has one encoding, and nothing else decodes."""

import hashlib
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from music.corpora.corpus import load_corpus, load_token_rows
from music.corpora.corpus_checks import SPLITS
from music.earlier_tokens import EARLIER_VOCABULARY, TODAY_OF_EARLIER
from music.melody import Header, Melody, MelodyError, Note
from music.styles import Styles
from music.tokens import (
    BOS,
    DURATION_OF_ID,
    EOS,
    FIRST_BAR,
    FIRST_HOLD,
    FIRST_NOTE,
    FIRST_REST,
    ID,
    PAD,
    VOCABULARY,
    decode,
    decode_header,
    encode,
    encode_motif,
    from_text,
    header_tokens,
    to_text,
)

HEADER = "BOS METER_2/4 MODE_major STYLE_0 BARS_4 PICKUP_0"
WHOLE = f"{HEADER} BAR_4 NOTE_0_48 BAR_3 NOTE_2_48 BAR_2 NOTE_4_48 BAR_1 NOTE_5_48 EOS"


def ids_of(names: str) -> list[int]:
    return [ID[name] for name in names.split()]


def names_of(ids) -> str:
    return " ".join(VOCABULARY[i] for i in ids)


def test_the_vocabulary_stays():
    """Shipped weights and the corpus file mean these ids: a change makes both worthless."""
    assert len(VOCABULARY) == len(set(VOCABULARY)) == 918
    digest = hashlib.sha256("\n".join(VOCABULARY).encode()).hexdigest()
    assert digest == "11ebd47998802040102e5b35fb52c849a8494c2b68d86bf3547db919a65d29ce"
    assert (PAD, BOS, EOS) == (0, 1, 2)
    firsts = [VOCABULARY[i] for i in (FIRST_BAR, FIRST_REST, FIRST_HOLD, FIRST_NOTE)]
    assert firsts == ["BAR_1", "REST_3", "HOLD_3", "NOTE_-12_3"]


@given(st.lists(st.sampled_from(range(len(VOCABULARY))), max_size=30))
def test_text_is_read_back(ids):
    """Also when somebody joined it without spaces, as TRL joins a prompt and a completion."""
    text = to_text(ids)
    assert from_text(text) == ids
    assert from_text(text.replace(" ", "")) == ids
    assert from_text(text.replace(" ", "\n ")) == ids


@pytest.mark.parametrize(
    ("text", "word"),
    [("BOS METER_5/8", "METER_5/8"), ("BAR_8 bar_7", "bar_7"), ("NOTE_0_12xEOS", "NOTE_0_12x"),
     ("BAR_8 NOTE_0_12 ♪", "♪"), ("BAR_", "BAR_")],
)  # fmt: skip
def test_an_unknown_word_is_named(text, word):
    with pytest.raises(MelodyError, match=f"^'{word}' is no token; write names such as METER_6/8"):
        from_text(text)


def test_a_token_lasts_what_its_name_says():
    for name, ticks in zip(VOCABULARY, DURATION_OF_ID, strict=True):
        kind, *fields = name.split("_")
        assert ticks == (int(fields[-1]) if kind in ("NOTE", "REST", "HOLD") else 0), name


GOLDEN = Melody(
    Header("6/8", "dorian", "jig", 4, 12),
    (
        Note(-12, 12, -5),
        Note(0, 36, 0),
        Note(48, 48, 3),  # a rest before it; 24 ticks on each side of the barline
        Note(96, 48, 24),
        Note(144, 132, -12),  # a bar and what the pickup leaves of the last
    ),
    64,
)
GOLDEN_TOKENS = (
    "BOS METER_6/8 MODE_dorian STYLE_2 BARS_4 PICKUP_12 NOTE_-5_12 "
    "BAR_4 NOTE_0_36 REST_12 NOTE_3_24 BAR_3 HOLD_24 NOTE_24_48 "
    "BAR_2 NOTE_-12_72 BAR_1 HOLD_60 EOS"
)


def test_a_pickup_a_rest_and_notes_held_over_barlines_by_hand():
    assert names_of(encode(GOLDEN)) == GOLDEN_TOKENS
    assert encode(GOLDEN).dtype == np.uint16
    assert decode(ids_of(GOLDEN_TOKENS), 64) == GOLDEN


SPLIT = Melody(
    Header("3/4", "locrian", "other", 3, 7),
    (Note(-7, 7, 1), Note(20, 23, 3), Note(60, 40, 4)),  # then a rest over the last barline
)
SPLIT_TOKENS = (
    "BOS METER_3/4 MODE_locrian STYLE_0 BARS_3 PICKUP_7 NOTE_1_4 HOLD_3 "
    "BAR_3 REST_16 REST_4 NOTE_3_16 HOLD_4 HOLD_3 REST_9 REST_8 NOTE_4_12 "
    "BAR_2 HOLD_24 HOLD_4 REST_36 REST_8 BAR_1 REST_48 REST_9 REST_8 EOS"
)


def test_durations_of_several_tokens_by_hand():
    assert names_of(encode(SPLIT)) == SPLIT_TOKENS
    assert decode(ids_of(SPLIT_TOKENS)) == SPLIT


def test_a_style_that_is_not_known_is_slot_0_and_each_policy_has_its_own():
    polka = replace(GOLDEN, header=replace(GOLDEN.header, style="polka"))
    assert names_of(encode(polka)) == GOLDEN_TOKENS.replace("STYLE_2", "STYLE_0")
    ours = Styles(("other", "polka"))
    assert names_of(encode(polka, ours)) == GOLDEN_TOKENS.replace("STYLE_2", "STYLE_1")
    assert decode(encode(polka, ours), 64, ours) == polka


def test_tokens_of_0_1_0_mean_what_their_names_say():
    assert len(EARLIER_VOCABULARY) == 709
    digest = hashlib.sha256("\n".join(EARLIER_VOCABULARY).encode()).hexdigest()
    assert digest == "8fc8a543ee5cb067c82ab082d6efe05dca3055b9ddf1210d8dfe730caa67307c"
    today = [VOCABULARY[i] for i in TODAY_OF_EARLIER]
    moved = {old: new for old, new in zip(EARLIER_VOCABULARY, today, strict=True) if old != new}
    assert moved == {
        "TYPE_reel": "STYLE_1", "TYPE_jig": "STYLE_2", "TYPE_slipjig": "STYLE_3",
        "TYPE_hornpipe": "STYLE_4", "TYPE_strathspey": "STYLE_5", "TYPE_march": "STYLE_6",
        "TYPE_waltz": "STYLE_7", "TYPE_other": "STYLE_0",
    }  # fmt: skip
    assert len(set(today)) == 709


def test_the_key_is_not_in_the_tokens():
    assert decode(encode(GOLDEN)) == replace(GOLDEN, tonic_midi=62)
    with pytest.raises(MelodyError, match="tonic_midi=23"):
        decode(encode(GOLDEN), 23)


def test_padding_after_the_end_is_ignored():
    assert decode([*ids_of(WHOLE), PAD, PAD]) == decode(ids_of(WHOLE))


@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_any_melody_comes_back_as_it_was(data, any_melody):
    melody = data.draw(any_melody)
    assert decode(encode(melody), melody.tonic_midi) == melody


@pytest.mark.slow
def test_every_strain_of_the_corpus_comes_back_as_it_was():
    for split in SPLITS:
        rows = load_token_rows(split)
        strains = load_corpus(split)
        assert len(rows) == len(strains) > 200
        for row, strain in zip(rows, strains, strict=True):
            np.testing.assert_array_equal(encode(strain.melody), row)


def test_random_walks_through_the_grammar_come_back_as_they_were(random_melodies):
    for melody in random_melodies(150, seed=3):
        assert decode(encode(melody)) == melody


MALFORMED = [
    ("", r"header=\[\] is malformed; give BOS, METER"),
    ("BOS METER_2/4 MODE_major", r"header=\['BOS', 'METER_2/4', 'MODE_major'\] is malformed"),
    (WHOLE.replace("BOS ", ""), r"header=\['METER_2/4', .* is malformed"),
    (WHOLE.replace("METER_2/4 MODE_major", "MODE_major METER_2/4"), "is malformed; give BOS"),
    (
        WHOLE.replace("PICKUP_0", "PICKUP_48"),
        r"pickup_ticks=48 is not in 0\.\.47",
    ),
    (WHOLE.replace(" EOS", ""), "14 tokens and no EOS: the melody was cut; give all of it"),
    (WHOLE + " PAD BAR_1", "BAR_1 stands after EOS; split the sequence there"),
    (WHOLE + " EOS", "EOS stands after EOS; split"),
    (WHOLE.replace("NOTE_2_48", "PAD"), "PAD stands at tick 48; give BAR, NOTE, REST or HOLD"),
    (WHOLE.replace("NOTE_2_48", "BOS"), "BOS stands at tick 48; give BAR"),
    (WHOLE.replace("NOTE_2_48", "MODE_minor"), "MODE_minor stands at tick 48"),
    (WHOLE.replace("BAR_4 ", ""), "BAR_3 stands at tick 48; give BAR_4 at tick 0 instead"),
    (WHOLE.replace("BAR_3", "BAR_2"), "BAR_2 stands at tick 48; give BAR_3 at tick 48 instead"),
    (WHOLE.replace("BAR_3", "BAR_4"), "BAR_4 stands at tick 48; give BAR_3 at tick 48 instead"),
    (WHOLE.replace("NOTE_2_48", "NOTE_2_42"), "BAR_2 stands at tick 90; give BAR_2 at tick 96"),
    (WHOLE.replace("NOTE_2_48", "NOTE_2_60"), "BAR_2 stands at tick 108; give BAR_2 at tick 96"),
    (WHOLE.replace("NOTE_2_48 ", ""), "BAR_2 stands at tick 48; give BAR_2 at tick 96"),
    (WHOLE.replace(" EOS", " BAR_1 EOS"), "BAR_1 stands at tick 192; give EOS instead"),
    (
        WHOLE.replace("BAR_1 NOTE_5_48 ", ""),
        "the melody stops at tick 144 of 192 with 1 bars to come; give all of it",
    ),
    (WHOLE.replace("NOTE_5_48", "NOTE_5_24"), "stops at tick 168 of 192 with 0 bars to come"),
    (WHOLE.replace("NOTE_5_48", "NOTE_5_60"), "stops at tick 204 of 192"),
    (
        WHOLE.replace("NOTE_0_48", "HOLD_48"),
        "HOLD_48 at tick 0 continues no note",
    ),
    (WHOLE.replace("NOTE_2_48", "REST_24 HOLD_24"), "HOLD_24 at tick 72 continues no note"),
    (
        WHOLE.replace("NOTE_2_48", "NOTE_2_24 HOLD_24"),
        r"HOLD_24 at tick 72 makes 48 ticks of \[24, 24\]; write them as \[48\]",
    ),
    (
        WHOLE.replace("NOTE_2_48", "HOLD_24 HOLD_24"),
        r"makes 48 ticks of \[24, 24\]; write",
    ),
    (
        WHOLE.replace("NOTE_2_48", "REST_48").replace("NOTE_4_48", "HOLD_48"),
        "HOLD_48 at tick 96 continues no note that sounds",
    ),
    (
        WHOLE.replace("NOTE_2_48", "REST_24 REST_24"),
        r"REST_24 at tick 72 makes 48 ticks of \[24, 24\]; write them as \[48\]",
    ),
    (
        WHOLE.replace("NOTE_2_48", "NOTE_2_12 HOLD_8 NOTE_2_16 NOTE_2_12"),
        r"HOLD_8 at tick 60 makes 20 ticks of \[12, 8\]; write them as \[16, 4\]",
    ),
    (WHOLE.replace("STYLE_0", "STYLE_8"), "STYLE_8 has no label here; give STYLE_0 to STYLE_7"),
    (re.sub("NOTE_._48", "REST_48", WHOLE), r"notes=\(\): a melody has at least one note"),
]


@pytest.mark.parametrize(("names", "says"), MALFORMED)
def test_what_is_not_one_whole_melody_is_refused(names, says):
    with pytest.raises(MelodyError, match=says):
        decode(ids_of(names))


@pytest.mark.parametrize("stranger", [-1, len(VOCABULARY), 10**6])
def test_ids_outside_the_vocabulary_are_refused(stranger):
    ids = ids_of(WHOLE)
    with pytest.raises(MelodyError, match=f"'id {stranger}', .* is malformed"):
        decode([ids[0], stranger, *ids[2:]])
    with pytest.raises(MelodyError, match=f"id {stranger} stands at tick 0; give BAR"):
        decode([*ids[:7], stranger, *ids[8:]])
    with pytest.raises(MelodyError, match=f"id {stranger} stands after EOS"):
        decode([*ids, stranger])


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_no_other_ids_decode_to_a_melody(data, any_melody):
    """Whatever a slip makes of a melody's ids, they are refused or are themselves an encoding."""
    ids = [int(i) for i in encode(data.draw(any_melody))]
    place = data.draw(st.integers(0, len(ids) - 1))
    stranger = data.draw(st.integers(0, len(VOCABULARY) - 1) | st.sampled_from(ids))
    slips = {
        "replace": [*ids[:place], stranger, *ids[place + 1 :]],
        "insert": [*ids[:place], stranger, *ids[place:]],
        "drop": ids[:place] + ids[place + 1 :],
        "swap": [*ids[:place], *ids[place : place + 2][::-1], *ids[place + 2 :]],
        "cut": ids[:place],
    }
    slipped = slips[data.draw(st.sampled_from(sorted(slips)))]
    try:
        melody = decode(slipped)
    except MelodyError:
        return
    assert encode(melody).tolist() == [i for i in slipped if i != PAD]


def test_header_tokens_by_hand():
    header = Header("9/8", "mixolydian", "slipjig", 16, 48)
    ids = ids_of("BOS METER_9/8 MODE_mixolydian STYLE_3 BARS_16 PICKUP_48")
    assert header_tokens(header) == ids
    assert decode_header([*ids, ID["BAR_16"]]) == header


class TestMotif:
    """A motif is how a melody begins; what follows is left open."""

    header = Header("2/4", "major", "other", 4, 12)

    def test_by_hand(self):
        motif = [Note(-12, 12, 7), Note(0, 24, 0), Note(36, 24, 2)]
        assert names_of(encode_motif(self.header, motif)) == (
            "BOS METER_2/4 MODE_major STYLE_0 BARS_4 PICKUP_12 NOTE_7_12 "
            "BAR_4 NOTE_0_24 REST_12 NOTE_2_12 BAR_3 HOLD_12"
        )

    def test_no_notes_are_the_header(self):
        assert encode_motif(self.header, []).tolist() == header_tokens(self.header)

    @settings(deadline=None, max_examples=60)
    @given(data=st.data())
    def test_the_first_notes_of_a_melody_are_the_first_ids_of_its_tokens(self, data, any_melody):
        melody = data.draw(any_melody)
        count = data.draw(st.integers(0, len(melody.notes)))
        motif = encode_motif(melody.header, melody.notes[:count])
        np.testing.assert_array_equal(motif, encode(melody)[: len(motif)])
        assert (motif >= FIRST_NOTE).sum() == count

    @pytest.mark.parametrize(
        ("notes", "says"),
        [
            ([Note(-24, 24, 0)], "onset_ticks=-24 is before tick -12"),
            ([Note(0, 24, 0), Note(12, 24, 0)], "onset_ticks=12 is before tick 24"),
            ([Note(400, 12, 0), Note(0, 24, 0)], "onset_ticks=0 is before tick 412"),
            ([Note(168, 48, 0)], r"the last note ends at tick 216, after the last bar \(180\)"),
            ([Note(-12, 0, 0)], "duration_ticks=0 .* is not positive"),
            ([Note(-12, 5, 0)], "a note of 5 ticks in the pickup is no sum of"),
            ([Note(-12, 12, 0), Note(5, 43, 0)], "a rest of 5 ticks in bar 1"),
            ([Note(-12, 12, 25)], "pitch=25 is not within"),
        ],
    )
    def test_notes_that_no_melody_begins_with_are_refused(self, notes, says):
        with pytest.raises(MelodyError, match=says):
            encode_motif(self.header, notes)
