"""The mask against an oracle that knows only the rules of melodies, on short melodies."""

from functools import cache

import numpy as np
import pytest

from music import grammar, metre
from music.grammar import advance, initial_state, legal
from music.melody import Header, Melody, MelodyError, Note
from music.tokens import (
    DURATION_OF_ID,
    EOS,
    FIRST_BAR,
    FIRST_HOLD,
    FIRST_NOTE,
    FIRST_REST,
    ID,
    VOCABULARY,
    decode,
    encode,
    header_tokens,
)

ONE_PITCH = [i for i, name in enumerate(VOCABULARY) if name.startswith("NOTE_7_")]


def walks(header: Header) -> set[tuple[int, ...]]:
    """Every sequence of one pitch that the mask allows, by trying all."""
    few = np.zeros(len(VOCABULARY), bool)
    few[[*range(FIRST_BAR, FIRST_NOTE), EOS, *ONE_PITCH]] = True
    state = initial_state(1)
    for token in header_tokens(header):
        state = advance(state, np.array([token]))
    done: set[tuple[int, ...]] = set()
    rows = np.array([header_tokens(header)])
    while len(rows):
        row, token = np.nonzero(legal(state) & few)
        assert set(row) == set(range(len(rows))), "a walk is stuck"
        rows = np.concatenate([rows[row], token[:, None]], axis=1)
        state = advance(state[row], token)
        done |= {tuple(map(int, one)) for one in rows[state.done]}
        rows, state = rows[~state.done], state[~state.done]
    return done


@pytest.mark.parametrize(
    ("bar_ticks", "pickup_ticks"), [(7, 0), (8, 0), (9, 0), (10, 0), (10, 3), (10, 4), (10, 7)]
)
def test_what_the_mask_allows_is_every_melody_of_two_short_bars(
    bar_ticks, pickup_ticks, monkeypatch
):
    """Bars are made short, so that all melodies can be counted out at every tick."""
    monkeypatch.setitem(metre.BAR_TICKS, "3/8", bar_ticks)
    meters = grammar._METER_TICKS.copy()
    meters[ID["METER_3/8"] - ID["METER_2/2"]] = bar_ticks
    monkeypatch.setattr("music.grammar._METER_TICKS", meters)
    header = Header("3/8", bars=2, pickup_ticks=pickup_ticks)
    expected = {tuple(map(int, encode(one))) for one in _all_melodies(header)}
    assert walks(header) == expected
    for ids in expected:
        assert encode(decode(ids)).tolist() == list(ids)


def _all_melodies(header: Header) -> list[Melody]:
    """Every melody of one pitch: each bar in every way, then joined in every way."""
    lengths = range(3, 2 * header.bar_ticks + 1)

    @cache
    def fill(at: int) -> list[tuple[tuple[int, bool], ...]]:
        if at == header.end_ticks:
            return [()]
        return [
            ((ticks, sounds), *rest)
            for ticks in lengths
            if at + ticks <= header.end_ticks
            for sounds in (True, False)
            for rest in fill(at + ticks)
            if sounds or not rest or rest[0][1]  # two gaps are one
        ]

    found = []
    for spans in fill(header.start_ticks):
        at, notes = header.start_ticks, []
        for ticks, sounds in spans:
            if sounds:
                notes.append(Note(at, ticks, 7))
            at += ticks
        try:
            found.append(Melody(header, tuple(notes)))
        except MelodyError:
            continue
    return found


def test_kinds_of_tokens_are_what_their_names_say():
    for token in range(FIRST_REST, len(VOCABULARY)):
        kind = VOCABULARY[token].split("_")[0]
        place = (token >= FIRST_HOLD) + (token >= FIRST_NOTE)
        assert kind == ("REST", "HOLD", "NOTE")[place]
        assert DURATION_OF_ID[token] == int(VOCABULARY[token].split("_")[-1])
