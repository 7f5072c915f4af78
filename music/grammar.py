"""The grammar of tokens, as a mask over the next token for a whole batch at once.

Every sequence that follows the mask decodes to one complete melody of the requested metre, pickup
and length. Advancing the states of a batch and masking are array look-ups.

Rules:
  - the six header tokens come first, in order, with a pickup shorter than the bar;
  - a duration fits into the rest of the bar, and durations can fill what remains after it;
  - HOLD is only the first token of a bar, after a sounding note;
  - two rests never follow each other, so every melody has a note;
  - BAR and EOS are forced; PAD follows EOS.

Letters: B melodies, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from music.melody import BAR_COUNTS, DURATIONS_TICKS, PICKUPS_TICKS
from music.metre import BAR_TICKS, METERS
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
)

MAX_BAR_TICKS = max(BAR_TICKS.values())
_PHASES = ("bos", "meter", "mode", "type", "bars", "pickup", "notes", "done")
_NOTES, _DONE = _PHASES.index("notes"), _PHASES.index("done")


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
    """last event: 0 a rest or none yet, 1 a note, 2 a note followed by a BAR"""
    rested: np.ndarray
    """1 where the last note or rest was a rest"""

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


def _reachable() -> np.ndarray:
    """Whether so many ticks can be filled by durations; bool (MAX_BAR_TICKS + 1,)."""
    filled = np.zeros(MAX_BAR_TICKS + 1, bool)
    filled[0] = True
    for ticks in range(1, MAX_BAR_TICKS + 1):
        filled[ticks] = any(d <= ticks and filled[ticks - d] for d in DURATIONS_TICKS)
    return filled


def _tables() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mask rows for the header phases, for pickups, and for notes by (room, hold, rest allowed)."""
    size = len(VOCABULARY)
    kinds = np.array([name.split("_")[0] for name in VOCABULARY])
    header = np.zeros((_DONE + 1, size), bool)
    header[0, BOS] = True
    for phase, kind in enumerate(("METER", "MODE", "TYPE", "BARS"), start=1):
        header[phase] = kinds == kind
    header[_DONE, PAD] = True
    pickups = np.zeros((len(METERS), size), bool)
    for row, meter in enumerate(METERS):
        for ticks in PICKUPS_TICKS:
            pickups[row, ID[f"PICKUP_{ticks}"]] = ticks < BAR_TICKS[meter]
    reachable = _reachable()
    notes = np.zeros((MAX_BAR_TICKS + 1, 2, 2, size), bool)
    for room in range(1, MAX_BAR_TICKS + 1):
        fits = (room >= DURATION_OF_ID) & (DURATION_OF_ID > 0)
        fits[fits] = reachable[room - DURATION_OF_ID[fits]]
        # A bar's last remainder must not need a second rest: a note can always fill it.
        notes[room, ..., FIRST_NOTE:] = fits[FIRST_NOTE:]
        notes[room, 1, :, FIRST_HOLD:FIRST_NOTE] = fits[FIRST_HOLD:FIRST_NOTE]
        notes[room, :, 1, FIRST_REST:FIRST_HOLD] = fits[FIRST_REST:FIRST_HOLD]
    return header, pickups, notes.reshape(-1, size)


_HEADER_MASK, _PICKUP_MASK, _NOTE_MASK = _tables()
# One table for a single look-up: header rows, pickup rows, BAR rows, EOS, then the note rows.
_BAR_ROW = len(_HEADER_MASK) + len(_PICKUP_MASK)
_EOS_ROW = _BAR_ROW + max(BAR_COUNTS)
_NOTE_ROW = _EOS_ROW + 1
_FORCED = np.zeros((max(BAR_COUNTS) + 1, len(VOCABULARY)), bool)
_FORCED[np.arange(max(BAR_COUNTS)), FIRST_BAR + np.arange(max(BAR_COUNTS))] = True
_FORCED[-1, EOS] = True
MASK_TABLE = np.concatenate([_HEADER_MASK, _PICKUP_MASK, _FORCED, _NOTE_MASK])
"""every distinct mask; bool (rows, V); `mask_rows` gives each state's row"""
_METER_TICKS = np.array([BAR_TICKS[meter] for meter in METERS])
_BAR_COUNTS, _PICKUPS = np.array(BAR_COUNTS), np.array(PICKUPS_TICKS)
_FIRST_METER, _FIRST_BARS = ID[f"METER_{METERS[0]}"], ID[f"BARS_{BAR_COUNTS[0]}"]
_FIRST_PICKUP = ID[f"PICKUP_{PICKUPS_TICKS[0]}"]


def initial_state(batch: int) -> GrammarState:
    """The states before the first token, BOS."""
    return GrammarState(*(np.zeros(batch, np.int64) for _ in GrammarState.__slots__))


def mask_rows(state: GrammarState) -> np.ndarray:
    """Row of `MASK_TABLE` for each melody; int64 (B,)."""
    hold, rest = state.last == 2, state.rested == 0
    notes = _NOTE_ROW + (state.room * 2 + hold) * 2 + rest
    barline = np.where(state.left > 0, _BAR_ROW + state.left - 1, _EOS_ROW)
    rows = np.where(state.phase == _NOTES, np.where(state.room > 0, notes, barline), state.phase)
    return np.where(state.phase == 5, len(_HEADER_MASK) + state.meter, rows)


def legal(state: GrammarState) -> np.ndarray:
    """Which tokens may come next; bool (B, V)."""
    return MASK_TABLE[mask_rows(state)]


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
    is_note = in_notes & (ids >= FIRST_HOLD)
    left = np.where(at_pickup, bars, state.left) - is_bar
    bar_ticks = _METER_TICKS[meter] - np.where(left == 0, pickup, 0)
    room = np.where(at_pickup, pickup, state.room)
    room = np.where(is_bar, bar_ticks, room - np.where(in_notes, DURATION_OF_ID[ids], 0))
    last = np.where(
        is_note, 1, np.where(is_rest, 0, np.where(is_bar & (state.last == 1), 2, state.last))
    )
    rested = np.where(is_note, 0, np.where(is_rest, 1, state.rested))
    after = np.where(in_notes, np.where(ids == EOS, _DONE, _NOTES), np.minimum(phase + 1, _DONE))
    return GrammarState(after, meter, bars, pickup, left, room, last, rested)


def advance_checked(state: GrammarState, ids: np.ndarray) -> GrammarState:
    """As `advance`, for tokens from outside.

    Raises:
        ValueError: names the first illegal token, and some legal ones.
    """
    ids = np.asarray(ids, np.int64)
    allowed = legal(state)
    inside = (ids >= 0) & (ids < len(VOCABULARY))
    bad = ~inside | ~allowed[np.arange(len(ids)), np.where(inside, ids, 0)]
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        name = VOCABULARY[ids[row]] if inside[row] else str(ids[row])
        instead = [VOCABULARY[i] for i in np.flatnonzero(allowed[row])[:6]]
        raise ValueError(
            f"token {name} may not come here; {int(allowed[row].sum())} may, such as {instead}"
        )
    return advance(state, ids)
