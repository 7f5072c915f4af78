"""The grammar of tokens, as a mask over the next token for a whole batch at once.

Every sequence that follows the mask decodes to one complete melody of the requested metre, pickup
and length, and is the one way to write it. Advancing the states of a batch and masking are array
look-ups.

Rules:
  - the six header tokens come first, in order, with a pickup that the metre can have;
  - a duration fits into the rest of the bar, and durations can fill what remains after it;
  - HOLD comes after a sounding note: first in a bar, or where it continues the split of a duration;
  - REST after REST in a bar continues the split of a duration; in the next bar it is free;
  - a rest does not fill the last bar of a melody that has no note yet;
  - BAR and EOS are forced; PAD follows EOS.

A policy that never saw split durations and rests over barlines is asked in the plain grammar:
there HOLD is only the first token of a bar, and no REST follows another.

Letters: B melodies, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from music.durations import DURATIONS_TICKS, continuations, is_sum_of_durations
from music.melody import BAR_COUNTS, PICKUPS_TICKS
from music.metre import BAR_TICKS, MAX_BAR_TICKS, METERS
from music.tokens import (
    ALL_PICKUPS_TICKS,
    BOS,
    DURATION_OF_ID,
    EOS,
    FIRST_BAR,
    FIRST_HOLD,
    FIRST_NOTE,
    FIRST_REST,
    ID,
    PAD,
    PITCHES,
    VOCABULARY,
)

_PHASES = ("bos", "meter", "mode", "style", "bars", "pickup", "notes", "done")
_NOTES, _DONE = _PHASES.index("notes"), _PHASES.index("done")
_NOTHING, _NOTE, _REST, _NO_MORE_REST = range(4)
"""the last event: none yet, a note, a rest, or a rest that no other may follow (plain grammar)"""


@dataclass(slots=True)
class GrammarState:
    """The states of B unfinished melodies; all fields are int64 of shape (B,)."""

    phase: np.ndarray
    meter: np.ndarray
    bars: np.ndarray
    pickup: np.ndarray
    left: np.ndarray
    """BAR tokens still to come"""
    room: np.ndarray
    """ticks left in the current bar"""
    last: np.ndarray
    """last event: 0 none yet, 1 a note, 2 a rest"""
    lasted: np.ndarray
    """ticks that the last event has lasted in the current bar, 0 after its barline"""
    sounded: np.ndarray
    """1 where a note has sounded"""

    def __len__(self) -> int:
        """Number of melodies."""
        return len(self.phase)

    def __getitem__(self, index: np.ndarray | slice) -> GrammarState:
        """The states of some of the melodies."""
        return GrammarState(*(getattr(self, name)[index].copy() for name in self.__slots__))

    @property
    def done(self) -> np.ndarray:
        """Which melodies have ended; bool (B,)."""
        return self.phase == _DONE


def _header_rows() -> np.ndarray:
    """Mask rows for the header phases and the end, then for pickups by metre; bool (rows, V)."""
    size = len(VOCABULARY)
    kinds = np.array([name.split("_")[0] for name in VOCABULARY])
    header = np.zeros((_DONE + 1, size), bool)
    header[0, BOS] = True
    for phase, kind in enumerate(("METER", "MODE", "STYLE", "BARS"), start=1):
        header[phase] = kinds == kind
    header[_DONE, PAD] = True
    pickups = np.zeros((len(METERS), size), bool)
    for row, meter in enumerate(METERS):
        pickups[row, [ID[f"PICKUP_{ticks}"] for ticks in PICKUPS_TICKS[meter]]] = True
    forced = np.zeros((max(BAR_COUNTS) + 1, size), bool)
    forced[np.arange(max(BAR_COUNTS)), FIRST_BAR + np.arange(max(BAR_COUNTS))] = True
    forced[-1, EOS] = True
    return np.concatenate([header, pickups, forced])


def _note_rows() -> tuple[np.ndarray, np.ndarray]:
    """The distinct mask rows between barlines, and the row of each situation.

    What room is left can always be filled by new notes, so no row leads to a dead end. The second
    is int64 by (must sound, last event, ticks it lasted, room); -1 where no melody gets to.
    """
    grid = np.array(DURATIONS_TICKS)
    ticks = [0, *(t for t in range(1, MAX_BAR_TICKS + 1) if is_sum_of_durations(t))]
    fits = {room: np.isin(room - grid, ticks) for room in ticks[1:]}
    goes_on = {lasted: np.isin(grid, continuations(lasted)) for lasted in ticks}
    none = np.zeros(len(grid), bool)
    place = np.full((2, 4, MAX_BAR_TICKS + 1, MAX_BAR_TICKS + 1), -1, np.int64)
    found: dict[bytes, int] = {}
    for last, lasted in product(range(4), ticks):
        if lasted and last in (_NOTHING, _NO_MORE_REST):
            continue
        for room in (room for room in fits if room + lasted <= MAX_BAR_TICKS):
            hold = fits[room] & goes_on[lasted] if last == _NOTE else none
            rest = fits[room]
            if last in (_REST, _NO_MORE_REST):
                rest = rest & goes_on[lasted] if last == _REST else none
            for must_sound in (0, 1):
                sounds = rest & (grid != room) if must_sound else rest
                row = np.concatenate([sounds, hold, fits[room]]).tobytes()
                place[must_sound, last, lasted, room] = found.setdefault(row, len(found))
    rest, hold, note = np.array([np.frombuffer(row, bool) for row in found]).reshape(
        len(found), 3, len(grid)
    ).transpose(1, 0, 2)  # fmt: skip
    table = np.zeros((len(found), len(VOCABULARY)), bool)
    table[:, FIRST_REST:FIRST_HOLD] = rest
    table[:, FIRST_HOLD:FIRST_NOTE] = hold
    table[:, FIRST_NOTE:] = np.tile(note, len(PITCHES))
    return table, place


_HEADER_ROWS = _header_rows()
_NOTE_TABLE, _NOTE_PLACE = _note_rows()
_PICKUP_ROW = _DONE + 1
_BAR_ROW = _PICKUP_ROW + len(METERS)
_EOS_ROW = _BAR_ROW + max(BAR_COUNTS)
MASK_TABLE = np.concatenate([_HEADER_ROWS, _NOTE_TABLE])
"""every distinct mask; bool (rows, V); `mask_rows` gives each state's row"""
_NOTE_ROW = np.where(_NOTE_PLACE < 0, -1, _NOTE_PLACE + len(_HEADER_ROWS)).ravel()
_SIDE = MAX_BAR_TICKS + 1
_METER_TICKS = np.array([BAR_TICKS[meter] for meter in METERS])
_BAR_COUNTS, _PICKUPS = np.array(BAR_COUNTS), np.array(ALL_PICKUPS_TICKS)
_FIRST_METER, _FIRST_BARS = ID[f"METER_{METERS[0]}"], ID[f"BARS_{BAR_COUNTS[0]}"]
_FIRST_PICKUP = ID[f"PICKUP_{ALL_PICKUPS_TICKS[0]}"]


def initial_state(batch: int) -> GrammarState:
    """The states before the first token, BOS."""
    return GrammarState(*(np.zeros(batch, np.int64) for _ in GrammarState.__slots__))


def mask_rows(state: GrammarState, *, plain: bool = False) -> np.ndarray:
    """Row of `MASK_TABLE` for each melody; int64 (B,).

    Args:
        state: the states.
        plain: in the plain grammar; see the module's docstring.
    """
    last, lasted = state.last, state.lasted
    if plain:
        over = (last == _NOTE) & (lasted > 0)  # what may not be held is like nothing at all
        last = np.where(last == _REST, _NO_MORE_REST, np.where(over, _NOTHING, last))
        lasted = np.zeros_like(lasted)
    must_sound = (state.left == 0) & (state.sounded == 0)
    notes = _NOTE_ROW[((must_sound * 4 + last) * _SIDE + lasted) * _SIDE + state.room]
    barline = np.where(state.left > 0, _BAR_ROW + state.left - 1, _EOS_ROW)
    rows = np.where(state.phase == _NOTES, np.where(state.room > 0, notes, barline), state.phase)
    return np.where(state.phase == 5, _PICKUP_ROW + state.meter, rows)


def legal(state: GrammarState, *, plain: bool = False) -> np.ndarray:
    """Which tokens may come next; bool (B, V)."""
    return MASK_TABLE[mask_rows(state, plain=plain)]


def advance(state: GrammarState, ids: np.ndarray) -> GrammarState:
    """The states after one more token; `ids` is int (B,) and must be legal (not checked here).

    See `advance_checked` for tokens from outside.
    """
    ids = np.asarray(ids, np.int64)
    phase = state.phase
    in_notes = phase == _NOTES
    meter = np.where(phase == 1, ids - _FIRST_METER, state.meter)
    bars = np.where(
        phase == 4, _BAR_COUNTS[np.clip(ids - _FIRST_BARS, 0, len(_BAR_COUNTS) - 1)], state.bars
    )
    at_pickup = phase == 5
    pickup = np.where(
        at_pickup, _PICKUPS[np.clip(ids - _FIRST_PICKUP, 0, len(_PICKUPS) - 1)], state.pickup
    )
    is_bar = in_notes & (ids >= FIRST_BAR) & (ids < FIRST_REST)
    is_rest = in_notes & (ids >= FIRST_REST) & (ids < FIRST_HOLD)
    is_hold = in_notes & (ids >= FIRST_HOLD) & (ids < FIRST_NOTE)
    is_note = in_notes & (ids >= FIRST_NOTE)
    left = np.where(at_pickup, bars, state.left) - is_bar
    bar_ticks = _METER_TICKS[meter] - np.where(left == 0, pickup, 0)
    room = np.where(at_pickup, pickup, state.room)
    duration = np.where(in_notes, DURATION_OF_ID[ids], 0)
    room = np.where(is_bar, bar_ticks, room - duration)
    begins = is_bar | is_note | (is_rest & (state.last != _REST))
    lasted = np.where(begins, 0, state.lasted) + duration
    last = np.where(is_rest, _REST, np.where(is_note | is_hold, _NOTE, state.last))
    sounded = np.where(is_note, 1, state.sounded)
    after = np.where(in_notes, np.where(ids == EOS, _DONE, _NOTES), np.minimum(phase + 1, _DONE))
    return GrammarState(after, meter, bars, pickup, left, room, last, lasted, sounded)


def advance_checked(state: GrammarState, ids: np.ndarray) -> GrammarState:
    """As `advance`, for tokens from outside.

    Raises:
        ValueError: names the first illegal token, and some legal ones.
    """
    check_legal(legal(state), ids)
    return advance(state, ids)


def check_legal(legal_BV: np.ndarray, ids: np.ndarray) -> None:
    """Check the next token of each melody against the mask; `ids` is int (B,).

    Raises:
        ValueError: names the first illegal token, and some legal ones.
    """
    ids = np.asarray(ids, np.int64)
    inside = (ids >= 0) & (ids < len(VOCABULARY))
    bad = ~inside | ~legal_BV[np.arange(len(ids)), np.where(inside, ids, 0)]
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        name = VOCABULARY[ids[row]] if inside[row] else str(ids[row])
        instead = [VOCABULARY[i] for i in np.flatnonzero(legal_BV[row])[:6]]
        raise ValueError(
            f"token {name} may not come here; {int(legal_BV[row].sum())} may, such as {instead}"
        )
