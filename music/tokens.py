"""Tokens: the joint layout, in which one note is one token.

A melody is  BOS metre mode type bars pickup | notes of the pickup | BARn notes … BAR1 notes | EOS.
A note is one token, its pitch above the tonic and its duration together. `BARn` counts down, so the
model knows how far the end is. `REST` is a gap, `HOLD` goes on with the note before the barline.
Encoding is lossless but for the key, which is chosen when rendering: decode(encode(m), m.tonic_midi) == m.

Ids are uint16 in files and int64 in batches. The vocabulary is a rule, not a count of a corpus.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product

import numpy as np

from music.melody import (
    BAR_COUNTS,
    DURATIONS_TICKS,
    METERS,
    MODES,
    PICKUPS_TICKS,
    PITCH_MAX,
    PITCH_MIN,
    TUNE_TYPES,
    Header,
    Melody,
    MelodyError,
    Note,
    Segment,
    cut_at_barlines,
)

PITCHES = tuple(range(PITCH_MIN, PITCH_MAX + 1))
VOCABULARY: tuple[str, ...] = (
    "PAD",
    "BOS",
    "EOS",
    *(f"METER_{meter}" for meter in METERS),
    *(f"MODE_{mode}" for mode in MODES),
    *(f"TYPE_{tune_type}" for tune_type in TUNE_TYPES),
    *(f"BARS_{bars}" for bars in BAR_COUNTS),
    *(f"PICKUP_{ticks}" for ticks in PICKUPS_TICKS),
    *(f"BAR_{left}" for left in range(1, max(BAR_COUNTS) + 1)),
    *(f"REST_{ticks}" for ticks in DURATIONS_TICKS),
    *(f"HOLD_{ticks}" for ticks in DURATIONS_TICKS),
    *(f"NOTE_{pitch}_{ticks}" for pitch, ticks in product(PITCHES, DURATIONS_TICKS)),
)
ID = {name: index for index, name in enumerate(VOCABULARY)}
PAD, BOS, EOS = ID["PAD"], ID["BOS"], ID["EOS"]
FIRST_BAR, FIRST_REST, FIRST_HOLD = ID["BAR_1"], ID[f"REST_{DURATIONS_TICKS[0]}"], ID[f"HOLD_{DURATIONS_TICKS[0]}"]
FIRST_NOTE = FIRST_HOLD + len(DURATIONS_TICKS)
HEADER_LENGTH = 6
"""BOS and the five header fields"""
MAX_LENGTH = 640
"""longest sequence that is kept: 16 bars of 9/8 in sixteenths, with room"""

DURATION_OF_ID = np.zeros(len(VOCABULARY), np.int64)
DURATION_OF_ID[FIRST_REST:] = np.tile(DURATIONS_TICKS, 2 + len(PITCHES))
"""ticks that each token lasts; 0 for header, barlines and ends"""


def header_tokens(header: Header) -> list[int]:
    """The first six ids of a melody with this header."""
    return [
        BOS,
        ID[f"METER_{header.meter}"],
        ID[f"MODE_{header.mode}"],
        ID[f"TYPE_{header.tune_type}"],
        ID[f"BARS_{header.bars}"],
        ID[f"PICKUP_{header.pickup_ticks}"],
    ]


def encode(melody: Melody) -> np.ndarray:
    """Melody -> ids, uint16 of shape (T,), from BOS to EOS."""
    ids = [*header_tokens(melody.header), *_body(melody.header, melody.segments()), EOS]
    return np.array(ids, np.uint16)


def encode_motif(header: Header, notes: Sequence[Note]) -> np.ndarray:
    """The first ids of a melody that begins with these notes, uint16, from BOS to the last note.

    Raises:
        MelodyError: when the notes do not fit the header.
    """
    end = notes[-1].end_ticks if notes else header.start_ticks
    if any(note.onset_ticks < header.start_ticks for note in notes) or end > header.end_ticks:
        raise MelodyError(
            f"the motif spans ticks {notes[0].onset_ticks} to {end}, outside the melody's "
            f"{header.start_ticks} to {header.end_ticks}; move it, or ask for more bars or pickup"
        )
    body = _body(header, cut_at_barlines(header, notes, end))
    return np.array([*header_tokens(header), *body], np.uint16)


def _body(header: Header, segments: Iterable[Segment]) -> list[int]:
    ids: list[int] = []
    bar = -1
    for segment in segments:
        while bar < segment.bar:
            bar += 1
            ids.append(FIRST_BAR + header.bars - bar - 1)
        if segment.duration_ticks not in DURATIONS_TICKS or (
            segment.pitch is not None and not PITCH_MIN <= segment.pitch <= PITCH_MAX
        ):
            raise MelodyError(
                f"a note or rest of pitch {segment.pitch} and {segment.duration_ticks} ticks has no "
                f"token; pitches are {PITCH_MIN}..{PITCH_MAX}, durations {list(DURATIONS_TICKS)}"
            )
        place = DURATIONS_TICKS.index(segment.duration_ticks)
        if segment.pitch is None:
            ids.append(FIRST_REST + place)
        elif segment.held:
            ids.append(FIRST_HOLD + place)
        else:
            ids.append(FIRST_NOTE + (segment.pitch - PITCH_MIN) * len(DURATIONS_TICKS) + place)
    return ids


def decode_header(ids: Sequence[int] | np.ndarray) -> Header:
    """The header that the first six ids say.

    Raises:
        MelodyError: when they are not a whole header.
    """
    names = [VOCABULARY[i] if 0 <= i < len(VOCABULARY) else str(i) for i in map(int, ids[:HEADER_LENGTH])]
    kinds = [name.split("_")[0] for name in names]
    if kinds != ["BOS", "METER", "MODE", "TYPE", "BARS", "PICKUP"]:
        raise MelodyError(f"header {names} is malformed; it is BOS, metre, mode, type, bars, pickup")
    values = [name.split("_", 1)[1] for name in names[1:]]
    return Header(values[0], values[1], values[2], int(values[3]), int(values[4]))


def decode(ids: Sequence[int] | np.ndarray, tonic_midi: int = 62) -> Melody:
    """Ids (PAD after EOS is ignored) -> Melody.

    Raises:
        MelodyError: when the ids are not one whole melody.
    """
    tokens = [int(i) for i in ids]
    header = decode_header(tokens)
    if EOS not in tokens:
        raise MelodyError(f"the melody has no EOS within {len(tokens)} tokens; it was cut")
    end = tokens.index(EOS)
    if any(token != PAD for token in tokens[end + 1 :]):
        raise MelodyError("there are tokens after EOS; split the sequence there")
    notes: list[Note] = []
    at = header.start_ticks
    due = header.bars  # number of the next BAR token
    sounding = False
    for token in tokens[HEADER_LENGTH:end]:
        duration = int(DURATION_OF_ID[token])
        if token < FIRST_BAR:
            raise MelodyError(f"{VOCABULARY[token]} stands inside the melody; it belongs to the header")
        if token < FIRST_REST:
            left = token - FIRST_BAR + 1
            if left != due or at != (header.bars - due) * header.bar_ticks:
                raise MelodyError(f"BAR_{left} stands at tick {at}; due is BAR_{due} on its barline")
            due -= 1
        elif token < FIRST_HOLD:
            sounding = False
        elif token < FIRST_NOTE:
            if not sounding:
                raise MelodyError(f"HOLD at tick {at} has no note to hold")
            notes[-1] = Note(notes[-1].onset_ticks, notes[-1].duration_ticks + duration, notes[-1].pitch)
        else:
            pitch = PITCH_MIN + (token - FIRST_NOTE) // len(DURATIONS_TICKS)
            notes.append(Note(at, duration, pitch))
            sounding = True
        at += duration
    if due or at != header.end_ticks:
        raise MelodyError(f"the melody stops at tick {at} of {header.end_ticks} with {due} bars to come")
    return Melody(header, tuple(notes), tonic_midi)
