"""The grammar: whatever follows the mask is a whole melody, and every melody follows the mask."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from music.corpora.corpus import SPLITS, load_token_rows
from music.grammar import (
    MASK_TABLE,
    GrammarState,
    advance,
    advance_checked,
    initial_state,
    legal,
    mask_rows,
)
from music.melody import BAR_COUNTS, MODES, PICKUPS_TICKS, TUNE_TYPES, Header
from music.metre import BAR_TICKS, METERS
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
)

HEADERS = [
    Header(meter, mode, tune_type, bars, pickup)
    for meter, mode, tune_type, bars, pickup in product(
        METERS, MODES, TUNE_TYPES, BAR_COUNTS, PICKUPS_TICKS
    )
    if pickup < BAR_TICKS[meter]
]
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


def test_every_header_walks_at_random_to_a_whole_melody():
    """All 3264 headers, each walked once: metre, mode, type, length and pickup are as asked."""
    assert len(HEADERS) == 4 * 8 * 3 * (7 + 6 + 7 + 7 + 7)
    counts, choices = choices_of_rows()
    rng = np.random.default_rng(0)
    beginnings = np.array([header_tokens(header) for header in HEADERS])
    state, columns = initial_state(len(HEADERS)), []
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
    for header, row in zip(HEADERS, ids, strict=True):
        assert decode(row).header == header


@pytest.mark.parametrize(
    ("shortest_notes", "tokens"),
    [
        (True, 6 + 16 * (1 + 108 // 3) + 1),  # 16 bars of 9/8 in notes and rests of 3 ticks
        (False, 6 + 1 + 16 * (1 + 1) + 1 + 1),  # one note each; 102 ticks after a pickup are two
    ],
)
def test_the_longest_walks_fit_as_counted_by_hand(shortest_notes, tokens):
    headers = [h for h in HEADERS if (h.mode, h.tune_type) == ("major", "other")]
    beginnings = np.array([header_tokens(header) for header in headers])
    state, ids = initial_state(len(headers)), []
    while not state.done.all():
        mask = legal(state)
        # Among notes, rests and holds of one pitch the legal ids ascend by duration.
        first, last = mask.argmax(1), mask.shape[1] - 1 - mask[:, ::-1].argmax(1)
        chosen = first if shortest_notes else last
        ids.append(beginnings[:, len(ids)] if len(ids) < beginnings.shape[1] else chosen)
        state = advance(state, ids[-1])
    assert len(ids) == tokens <= MAX_LENGTH


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
    state = after("BOS METER_2/4 MODE_major TYPE_reel BARS_4 PICKUP_0 BAR_4")
    before, copy = legal(state), state[:]
    advance(state, np.array([ID["NOTE_0_48"]]))
    copy.room[:] = 3
    np.testing.assert_array_equal(legal(state), before)


NOTES = "BOS METER_2/4 MODE_major TYPE_reel BARS_4 PICKUP_0 BAR_4"


@pytest.mark.parametrize(
    ("before", "may"),
    [
        ("", {"BOS"}),
        ("BOS", {f"METER_{meter}" for meter in METERS}),
        ("BOS METER_9/8", {f"MODE_{mode}" for mode in MODES}),
        ("BOS METER_9/8 MODE_minor", {f"TYPE_{tune_type}" for tune_type in TUNE_TYPES}),
        ("BOS METER_9/8 MODE_minor TYPE_jig", {"BARS_4", "BARS_8", "BARS_16"}),
        (
            "BOS METER_2/4 MODE_minor TYPE_jig BARS_4",
            {f"PICKUP_{ticks}" for ticks in (0, 6, 12, 18, 24, 36)},  # 48 would fill the bar
        ),
        ("BOS METER_3/4 MODE_minor TYPE_jig BARS_8 PICKUP_0", {"BAR_8"}),
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
        (f"{NOTES} NOTE_0_48 BAR_3 NOTE_0_36", {3, 4, 6, 8, 9, 12}, {"NOTE", "REST"}),
        (f"{NOTES} NOTE_0_48 BAR_3 HOLD_36", {3, 4, 6, 8, 9, 12}, {"NOTE", "REST"}),
    ],
)
def test_durations_fit_what_is_left_of_the_bar(before, durations, kinds):
    may = [name.split("_") for name in allowed(before)]
    assert {name[0] for name in may} == kinds
    for kind in kinds:
        assert {int(name[-1]) for name in may if name[0] == kind} == durations


def test_hold_and_rest_at_the_beginning_of_a_bar():
    kinds = {
        names: {name.split("_")[0] for name in allowed(f"{NOTES} {names}")}
        for names in ("", "NOTE_0_48 BAR_3", "REST_48 BAR_3", "NOTE_0_24 REST_24 BAR_3")
    }
    assert kinds == {
        "": {"NOTE", "REST"},
        "NOTE_0_48 BAR_3": {"NOTE", "REST", "HOLD"},
        "REST_48 BAR_3": {"NOTE"},
        "NOTE_0_24 REST_24 BAR_3": {"NOTE"},
    }
    held_twice = allowed(f"{NOTES} NOTE_0_48 BAR_3 HOLD_48 BAR_2")
    assert {name.split("_")[0] for name in held_twice} == {"NOTE", "REST", "HOLD"}


def test_the_last_bar_is_short_by_the_pickup():
    names = "BOS METER_2/4 MODE_major TYPE_reel BARS_4 PICKUP_12"
    assert max(int(name.split("_")[-1]) for name in allowed(names)) == 12
    names += " NOTE_0_12 BAR_4 NOTE_0_48 BAR_3 NOTE_0_48 BAR_2 NOTE_0_48"
    assert max(int(name.split("_")[-1]) for name in allowed(f"{names} BAR_1")) == 36
    assert allowed(f"{names} BAR_1 NOTE_0_36") == {"EOS"}


@pytest.mark.parametrize(
    ("before", "token", "says"),
    [
        ("", ID["METER_4/4"], r"token METER_4/4 may not come here; 1 may, such as \['BOS'\]"),
        ("BOS METER_2/4", ID["METER_2/4"], r"METER_2/4 may not .*; 4 may, such as \['MODE_major'"),
        (NOTES, ID["HOLD_48"], r"HOLD_48 may not come here; 494 may, such as \['REST_3', 'REST_4'"),
        (NOTES, ID["NOTE_0_60"], "NOTE_0_60 may not come here"),
        (f"{NOTES} NOTE_0_48", EOS, r"EOS may not come here; 1 may, such as \['BAR_3'\]"),
        (f"{NOTES} REST_24", ID["REST_24"], "REST_24 may not come here"),
        (NOTES, PAD, "PAD may not come here"),
        (NOTES, -1, "token -1 may not come here; 494 may"),
        (NOTES, len(VOCABULARY), "token 709 may not come here; 494 may"),
    ],
)
def test_an_illegal_token_is_refused_with_what_may_come(before, token, says):
    with pytest.raises(ValueError, match=says):
        advance_checked(after(before), np.array([token]))


def test_the_first_illegal_token_of_a_batch_is_named():
    state = initial_state(3)
    with pytest.raises(ValueError, match="token EOS may not come here"):
        advance_checked(state, np.array([ID["BOS"], EOS, PAD]))
