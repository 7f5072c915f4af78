"""The grammar: whatever follows the mask is a whole melody, and every melody follows the mask."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from music.corpora.corpus import load_token_rows
from music.corpora.corpus_checks import SPLITS
from music.grammar import (
    MASK_TABLE,
    GrammarState,
    advance,
    advance_checked,
    initial_state,
    legal,
    mask_rows,
)
from music.melody import MODES, PICKUPS_TICKS, Header
from music.metre import METERS
from music.styles import SHIPPED_STYLES
from music.tokens import (
    EOS,
    FIRST_HOLD,
    FIRST_NOTE,
    FIRST_REST,
    ID,
    MAX_LENGTH,
    PAD,
    VOCABULARY,
    decode,
    encode,
    header_tokens,
    longest,
)

HEADERS = [
    Header(meter, MODES[number % 7], SHIPPED_STYLES.labels[number % 8], bars, pickup)
    for number, (meter, bars, pickup) in enumerate(
        (meter, bars, pickup)
        for meter in METERS
        for bars in (2, 3, 16, 32)
        for pickup in PICKUPS_TICKS[meter]
    )
]
"""every metre with every pickup, with modes and styles in turn"""
# Few pitches, so that rests, holds and odd lengths are as likely as notes in a random walk.
FEW = [i for i, name in enumerate(VOCABULARY) if i < FIRST_NOTE or name.startswith("NOTE_7_")]


def choices_of_rows() -> tuple[np.ndarray, np.ndarray]:
    """For each row of the mask table, how many of `FEW` are legal, and which."""
    few = np.zeros(len(VOCABULARY), bool)
    few[FEW] = True
    masks = MASK_TABLE & few
    counts = masks.sum(1)
    choices = np.argsort(~masks, axis=1, kind="stable")[:, : counts.max()]
    return counts, choices


def after(names: str) -> GrammarState:
    """The state of one melody after these tokens."""
    state = initial_state(1)
    for name in names.split():
        state = advance_checked(state, np.array([ID[name]]))
    return state


def allowed(names: str) -> set[str]:
    """What may follow these tokens."""
    return {VOCABULARY[i] for i in np.flatnonzero(legal(after(names))[0])}


def padded(rows: list[np.ndarray]) -> np.ndarray:
    """Rows of ids, int64 (B, T)."""
    batch = np.full((len(rows), max(map(len, rows)) + 1), PAD, np.int64)
    for place, row in enumerate(rows):
        batch[place, : len(row)] = row
    return batch


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.slow), 11])
def test_every_header_walks_at_random_to_a_whole_melody(every):
    """Each is walked once: metre, mode, style, length and pickup are as asked."""
    headers = HEADERS[::every]
    counts, choices = choices_of_rows()
    rng = np.random.default_rng(0)
    beginnings = np.array([header_tokens(header) for header in headers])
    state, columns = initial_state(len(headers)), []
    while not state.done.all():
        if len(columns) < beginnings.shape[1]:
            ids = beginnings[:, len(columns)]
        else:
            rows = mask_rows(state)
            assert counts[rows].min() > 0, "a walk is stuck"
            ids = choices[rows, (rng.random(len(rows)) * counts[rows]).astype(int)]
        columns.append(ids)
        state = advance_checked(state, ids)
    ids = np.array(columns).T
    assert ids.shape[1] <= MAX_LENGTH
    kinds = [ids >= FIRST_NOTE, (ids >= FIRST_HOLD) & (ids < FIRST_NOTE)]
    kinds.append((ids >= FIRST_REST) & (ids < FIRST_HOLD))
    assert min(kind.any(1).mean() for kind in kinds) > 0.5, "the walks are too plain to show much"
    for header, row in zip(headers, ids, strict=True):
        melody = decode(row)
        assert melody.header == header
        assert encode(melody).tolist() == [int(i) for i in row if i != PAD]


@pytest.mark.slow
def test_the_longest_walks_fit_as_counted_by_hand():
    """32 bars of 12/8 in notes and rests of 3 ticks; and what each header can have."""
    headers = HEADERS
    beginnings = np.array([header_tokens(header) for header in headers])
    state, ids = initial_state(len(headers)), []
    while not state.done.all():
        mask = legal(state)
        # Ids of one kind ascend by duration, and rests are the first kind. A rest of 3 ticks may
        # not follow another, so that rests and notes take turns.
        shortest = mask.argmax(1)
        ids.append(beginnings[:, len(ids)] if len(ids) < beginnings.shape[1] else shortest)
        state = advance(state, ids[-1])
    assert len(ids) == 6 + 32 * (1 + 144 // 3) + 1 == MAX_LENGTH
    lengths = (np.array(ids) != PAD).sum(0)
    assert all(n <= longest(header) for n, header in zip(lengths, headers, strict=True))


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_every_melody_is_legal_token_by_token(data, any_melody):
    state = initial_state(1)
    for token in encode(data.draw(any_melody)):
        state = advance_checked(state, np.array([token]))
    assert state.done.all()


def test_every_strain_of_the_corpus_is_legal_token_by_token():
    rows = [row for split in SPLITS for row in load_token_rows(split)]
    ids = padded(rows)
    state = initial_state(len(rows))
    for column in ids.T:
        state = advance_checked(state, column)
    assert state.done.all()


def test_one_melody_is_as_in_a_batch():
    rows = [row[:200] for row in load_token_rows("test")[:12]]
    ids = padded(rows)
    together = initial_state(len(rows))
    alone = [initial_state(1) for _ in rows]
    for column in ids.T:
        mask = legal(together)
        for row, state in enumerate(alone):
            np.testing.assert_array_equal(legal(state)[0], mask[row])
            alone[row] = advance(state, column[row : row + 1])
        together = advance(together, column)
    some = together[np.array([5, 2])]
    assert len(some) == 2
    assert mask_rows(some).tolist() == mask_rows(together)[[5, 2]].tolist()


def test_a_state_is_not_changed_by_what_follows():
    state = after("BOS METER_2/4 MODE_major STYLE_1 BARS_4 PICKUP_0 BAR_4")
    before, copy = legal(state), state[:]
    advance(state, np.array([ID["NOTE_0_48"]]))
    copy.room[:] = 3
    np.testing.assert_array_equal(legal(state), before)


NOTES = "BOS METER_2/4 MODE_major STYLE_1 BARS_4 PICKUP_0 BAR_4"


@pytest.mark.parametrize(
    ("before", "may"),
    [
        ("", {"BOS"}),
        ("BOS", {f"METER_{meter}" for meter in METERS}),
        ("BOS METER_9/8", {f"MODE_{mode}" for mode in MODES}),
        ("BOS METER_9/8 MODE_minor", {f"STYLE_{slot}" for slot in range(32)}),
        ("BOS METER_9/8 MODE_minor STYLE_2", {f"BARS_{bars}" for bars in range(2, 33)}),
        (
            "BOS METER_2/4 MODE_minor STYLE_2 BARS_4",
            {f"PICKUP_{ticks}" for ticks in range(48) if ticks not in (1, 2, 5, 43, 46, 47)},
        ),
        ("BOS METER_3/4 MODE_minor STYLE_2 BARS_8 PICKUP_0", {"BAR_8"}),
        (f"{NOTES} NOTE_0_48", {"BAR_3"}),
        (f"{NOTES} NOTE_0_48 BAR_3 NOTE_0_48 BAR_2 NOTE_0_48 BAR_1 NOTE_0_48", {"EOS"}),
        (f"{NOTES} NOTE_0_48 BAR_3 NOTE_0_48 BAR_2 NOTE_0_48 BAR_1 NOTE_0_48 EOS", {"PAD"}),
        (f"{NOTES} NOTE_0_48 BAR_3 NOTE_0_48 BAR_2 NOTE_0_48 BAR_1 HOLD_48 EOS PAD", {"PAD"}),
    ],
)
def test_what_may_follow_by_hand(before, may):
    assert allowed(before) == may


@pytest.mark.parametrize(
    ("before", "durations", "kinds"),
    [
        # 8 ticks are left: 3, 4 and 8 leave 5, 4 and 0; 5 ticks cannot be filled, nor can 2.
        (f"{NOTES} NOTE_0_36 NOTE_0_4", {4, 8}, {"NOTE", "REST"}),
        (f"{NOTES} NOTE_0_36 REST_4", {4, 8}, {"NOTE"}),
        # Of 7 ticks 3 leave 4 and 4 leave 3; 6 leave 1.
        (f"{NOTES} NOTE_0_30 NOTE_0_8 NOTE_0_3", {3, 4}, {"NOTE", "REST"}),
        # After a barline the last note may be held, unless a rest came between.
        (f"{NOTES} NOTE_0_48 BAR_3 NOTE_0_36", {3, 4, 6, 8, 9, 12}, {"NOTE", "REST", "HOLD"}),
        (f"{NOTES} NOTE_0_48 BAR_3 HOLD_36", {3, 4, 6, 8, 9, 12}, {"NOTE", "REST", "HOLD"}),
    ],
)
def test_durations_fit_what_is_left_of_the_bar(before, durations, kinds):
    may = [name.split("_") for name in allowed(before)]
    assert {name[0] for name in may} == kinds
    for kind in kinds:
        # A HOLD inside a bar goes on as a split does: 39, 40 and 44 ticks are two tokens each.
        wanted = {3, 4, 8} if kind == "HOLD" else durations
        assert {int(name[-1]) for name in may if name[0] == kind} == wanted


def test_hold_and_rest_at_the_beginning_of_a_bar():
    kinds = {
        names: {name.split("_")[0] for name in allowed(f"{NOTES} {names}")}
        for names in ("", "NOTE_0_48 BAR_3", "REST_48 BAR_3", "NOTE_0_24 REST_24 BAR_3")
    }
    assert kinds == {
        "": {"NOTE", "REST"},
        "NOTE_0_48 BAR_3": {"NOTE", "REST", "HOLD"},
        "REST_48 BAR_3": {"NOTE", "REST"},
        "NOTE_0_24 REST_24 BAR_3": {"NOTE", "REST"},
    }
    held_twice = allowed(f"{NOTES} NOTE_0_48 BAR_3 HOLD_48 BAR_2")
    assert {name.split("_")[0] for name in held_twice} == {"NOTE", "REST", "HOLD"}


def test_the_last_bar_is_short_by_the_pickup():
    names = "BOS METER_2/4 MODE_major STYLE_1 BARS_4 PICKUP_12"
    assert max(int(name.split("_")[-1]) for name in allowed(names)) == 12
    names += " NOTE_0_12 BAR_4 NOTE_0_48 BAR_3 NOTE_0_48 BAR_2 NOTE_0_48"
    assert max(int(name.split("_")[-1]) for name in allowed(f"{names} BAR_1")) == 36
    assert allowed(f"{names} BAR_1 NOTE_0_36") == {"EOS"}


@pytest.mark.parametrize(
    ("before", "token", "says"),
    [
        ("", ID["METER_4/4"], r"token METER_4/4 may not come here; 1 may, such as \['BOS'\]"),
        ("BOS METER_2/4", ID["METER_2/4"], r"METER_2/4 may not .*; 7 may, such as \['MODE_major'"),
        (NOTES, ID["HOLD_48"], r"HOLD_48 may not come here; 494 may, such as \['REST_3', 'REST_4'"),
        (NOTES, ID["NOTE_0_60"], "NOTE_0_60 may not come here"),
        (f"{NOTES} NOTE_0_48", EOS, r"EOS may not come here; 1 may, such as \['BAR_3'\]"),
        (f"{NOTES} REST_24", ID["REST_24"], "REST_24 may not come here"),
        (NOTES, PAD, "PAD may not come here"),
        (NOTES, -1, "token -1 may not come here; 494 may"),
        (NOTES, len(VOCABULARY), "token 918 may not come here; 494 may"),
    ],
)
def test_an_illegal_token_is_refused_with_what_may_come(before, token, says):
    with pytest.raises(ValueError, match=says):
        advance_checked(after(before), np.array([token]))


def test_the_first_illegal_token_of_a_batch_is_named():
    state = initial_state(3)
    with pytest.raises(ValueError, match="token EOS may not come here"):
        advance_checked(state, np.array([ID["BOS"], EOS, PAD]))


TWO_BARS = "BOS METER_4/4 MODE_major STYLE_0 BARS_2 PICKUP_0 BAR_2"


def kinds_after(names: str, *, plain: bool = False) -> dict[str, set[int]]:
    """Durations that a REST and a HOLD may have after these tokens."""
    found: dict[str, set[int]] = {"REST": set(), "HOLD": set()}
    for token in np.flatnonzero(legal(after(names), plain=plain)[0]):
        kind, *fields = VOCABULARY[token].split("_")
        if kind in found:
            found[kind].add(int(fields[-1]))
    return found


def test_a_duration_that_is_not_on_the_grid_goes_on_as_its_split_does():
    # After 72: 75, 76, 78, 80, 81, 84, 88 and 90 are two tokens; of 24 left, 24 itself is 96.
    assert kinds_after(f"{TWO_BARS} NOTE_0_72")["HOLD"] == {3, 4, 6, 8, 9, 12, 16, 18}
    assert kinds_after(f"{TWO_BARS} NOTE_0_16 HOLD_4")["HOLD"] == {3}  # 23 ticks
    assert kinds_after(f"{TWO_BARS} NOTE_0_16 HOLD_4 HOLD_3")["HOLD"] == set()
    assert kinds_after(f"{TWO_BARS} REST_72")["REST"] == {3, 4, 6, 8, 9, 12, 16, 18}
    assert kinds_after(f"{TWO_BARS} REST_3")["REST"] == set()
    assert 3 in kinds_after(f"{TWO_BARS} NOTE_0_3")["REST"]  # another segment


def test_a_melody_without_a_note_does_not_rest_to_its_end():
    silent = f"{TWO_BARS} REST_96 BAR_1"
    assert 96 not in kinds_after(silent)["REST"]
    assert 72 in kinds_after(silent)["REST"]
    assert kinds_after(f"{silent} REST_72")["REST"] == {3, 4, 6, 8, 9, 12, 16, 18}
    assert allowed(f"{silent} REST_72 REST_18") >= {"NOTE_0_6", "NOTE_0_3"}
    assert kinds_after(f"{silent} REST_72 REST_18")["REST"] == {3}  # not 4: 2 ticks; not 6
    assert 96 in kinds_after(f"{TWO_BARS} NOTE_0_96 BAR_1")["REST"]


def test_the_plain_grammar_has_no_splits_and_no_rest_after_a_rest():
    """As in version 0.1.0, for policies that were trained on nothing else."""
    whole = f"{TWO_BARS} NOTE_0_72"
    assert kinds_after(whole, plain=True) == {"REST": kinds_after(whole)["REST"], "HOLD": set()}
    assert kinds_after(f"{TWO_BARS} REST_72", plain=True) == {"REST": set(), "HOLD": set()}
    assert kinds_after(f"{TWO_BARS} REST_96 BAR_1", plain=True) == {"REST": set(), "HOLD": set()}
    held = f"{TWO_BARS} NOTE_0_96 BAR_1"
    assert kinds_after(held, plain=True) == kinds_after(held)
