"""Tokens: the joint layout, in which a note is one token wherever its duration is on the grid.

A melody is  BOS metre mode style bars pickup | notes of the pickup | BARn notes … BAR1 notes | EOS.
A note is one token: its pitch above the tonic with its duration. `BARn` counts down, so the model
knows how many bars are left. `REST` is a gap. `HOLD` continues a note: over a barline, or with a
duration that one token does not have. Such a note is `NOTE_a HOLD_b …`, and such a gap
`REST_a REST_b …`, split as `music.durations` says.
Encoding is lossless except for the key, which is chosen when rendering:
decode(encode(m), m.tonic_midi) == m; and a melody has one encoding: encode(decode(ids)) == ids.

The vocabulary follows from a rule. It is the same for all policies and does not depend on a corpus.
Only what a style token stands for is a policy's own: `music.styles`. Ids are uint16 in files and
int64 in batches.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from itertools import product

import numpy as np

from music.durations import DURATIONS_TICKS, SPLITS_TICKS
from music.melody import (
    BAR_COUNTS,
    MODES,
    PICKUPS_TICKS,
    PITCH_MAX,
    PITCH_MIN,
    Header,
    Melody,
    MelodyError,
    Note,
    Segment,
    check_notes,
    cut_at_barlines,
)
from music.metre import BAR_TICKS, METERS
from music.styles import SHIPPED_STYLES, STYLE_SLOTS, StyleError, Styles

PITCHES = tuple(range(PITCH_MIN, PITCH_MAX + 1))
ALL_PICKUPS_TICKS = tuple(sorted({ticks for some in PICKUPS_TICKS.values() for ticks in some}))
"""pickups of all metres"""
VOCABULARY: tuple[str, ...] = (
    "PAD",
    "BOS",
    "EOS",
    *(f"METER_{meter}" for meter in METERS),
    *(f"MODE_{mode}" for mode in MODES),
    *(f"STYLE_{slot}" for slot in range(STYLE_SLOTS)),
    *(f"BARS_{bars}" for bars in BAR_COUNTS),
    *(f"PICKUP_{ticks}" for ticks in ALL_PICKUPS_TICKS),
    *(f"BAR_{left}" for left in range(1, max(BAR_COUNTS) + 1)),
    *(f"REST_{ticks}" for ticks in DURATIONS_TICKS),
    *(f"HOLD_{ticks}" for ticks in DURATIONS_TICKS),
    *(f"NOTE_{pitch}_{ticks}" for pitch, ticks in product(PITCHES, DURATIONS_TICKS)),
)
VOCABULARY_HASH = hashlib.sha256("\n".join(VOCABULARY).encode()).hexdigest()[:16]
"""what files of token ids name, so that a reader knows what the ids mean"""
ID = {name: index for index, name in enumerate(VOCABULARY)}
WORD = r"PAD|BOS|EOS|[A-Z]+[^A-Z\s]*|[^A-Z\s]+"
"""one token in a text. A capital begins a word, so a prompt and a completion that somebody joined
without a space (`PICKUP_0BAR_4`) are two words again"""
PAD, BOS, EOS = ID["PAD"], ID["BOS"], ID["EOS"]
FIRST_BAR = ID["BAR_1"]
FIRST_REST = FIRST_BAR + max(BAR_COUNTS)
FIRST_HOLD = FIRST_REST + len(DURATIONS_TICKS)
FIRST_NOTE = FIRST_HOLD + len(DURATIONS_TICKS)
HEADER_LENGTH = 6
"""BOS and the five header fields"""
LARGE_ID = 10**18
"""from here on an id is not printed"""
SHORTEST_TICKS = min(DURATIONS_TICKS)


def longest_of(meters: Iterable[str], bars: int) -> int:
    """Most tokens of a melody in one of these metres: the shortest notes, BAR tokens and ends."""
    ticks = max(BAR_TICKS[meter] for meter in meters)
    return HEADER_LENGTH + bars + bars * ticks // SHORTEST_TICKS + 1


def longest(header: Header) -> int:
    """Most tokens of a melody with this header."""
    return longest_of([header.meter], header.bars)


MAX_LENGTH = longest_of(METERS, max(BAR_COUNTS))
"""most tokens of any melody"""

_PLACE = {ticks: place for place, ticks in enumerate(DURATIONS_TICKS)}
DURATION_OF_ID = np.zeros(len(VOCABULARY), np.int64)
DURATION_OF_ID[FIRST_REST:] = np.tile(DURATIONS_TICKS, 2 + len(PITCHES))
"""ticks that each token lasts; 0 for header, barlines and ends"""


def header_tokens(header: Header, styles: Styles = SHIPPED_STYLES) -> list[int]:
    """The first six ids of a melody with this header; a style that is not known is slot 0."""
    return [
        BOS,
        ID[f"METER_{header.meter}"],
        ID[f"MODE_{header.mode}"],
        ID[f"STYLE_{styles.slot(header.style)}"],
        ID[f"BARS_{header.bars}"],
        ID[f"PICKUP_{header.pickup_ticks}"],
    ]


def encode(melody: Melody, styles: Styles = SHIPPED_STYLES) -> np.ndarray:
    """Melody -> ids, uint16 of shape (T,), from BOS to EOS."""
    ids = [*header_tokens(melody.header, styles), *_body(melody.header, melody.segments()), EOS]
    return np.array(ids, np.uint16)


def encode_motif(
    header: Header, notes: Sequence[Note], styles: Styles = SHIPPED_STYLES
) -> np.ndarray:
    """The first ids of a melody that begins with these notes, uint16, from BOS to the last note.

    Raises:
        MelodyError: when the notes do not fit the header.
    """
    end = notes[-1].end_ticks if notes else header.start_ticks
    check_notes(header, notes, end)
    body = _body(header, cut_at_barlines(header, notes, end))
    return np.array([*header_tokens(header, styles), *body], np.uint16)


def _body(header: Header, segments: Iterable[Segment]) -> list[int]:
    ids: list[int] = []
    bar = -1
    for segment in segments:
        while bar < segment.bar:
            bar += 1
            ids.append(FIRST_BAR + header.bars - bar - 1)
        first, *more = (_PLACE[ticks] for ticks in SPLITS_TICKS[segment.duration_ticks])
        if segment.pitch is None:
            ids += [FIRST_REST + first, *(FIRST_REST + place for place in more)]
        elif segment.held:
            ids += [FIRST_HOLD + first, *(FIRST_HOLD + place for place in more)]
        else:
            ids.append(FIRST_NOTE + (segment.pitch - PITCH_MIN) * len(DURATIONS_TICKS) + first)
            ids += [FIRST_HOLD + place for place in more]
    return ids


def decode_header(ids: Sequence[int] | np.ndarray, styles: Styles = SHIPPED_STYLES) -> Header:
    """The header that the first six ids say.

    Raises:
        MelodyError: when they are not a whole header, or name a style without a label.
    """
    names = [_name(int(i)) for i in ids[:HEADER_LENGTH]]
    kinds = [name.split("_")[0] for name in names]
    if kinds != ["BOS", "METER", "MODE", "STYLE", "BARS", "PICKUP"]:
        raise MelodyError(
            f"header={names} is malformed; give BOS, METER, MODE, STYLE, BARS, PICKUP"
        )
    meter, mode, slot, bars, pickup = (name.split("_", 1)[1] for name in names[1:])
    try:
        style = styles.label(int(slot))
    except StyleError as error:
        raise MelodyError(str(error)) from error
    return Header(meter, mode, style, int(bars), int(pickup))


def to_text(ids: Iterable[int]) -> str:
    """The names of tokens, with a space between two: the text that the tokenizer reads."""
    return " ".join(VOCABULARY[int(token)] for token in ids)


def from_text(text: str) -> list[int]:
    """The ids that a text names; `from_text(to_text(ids)) == ids`.

    Raises:
        MelodyError: for a word that is no token.
    """
    words = re.findall(WORD, text)
    unknown = next((word for word in words if word not in ID), None)
    if unknown is not None:
        raise MelodyError(
            f"{unknown[:40]!r} is no token; write names such as METER_6/8, BAR_8, NOTE_0_12 or "
            "REST_24 (all are in music.tokens.VOCABULARY)"
        )
    return [ID[word] for word in words]


def _name(token: int) -> str:
    if 0 <= token < len(VOCABULARY):
        return VOCABULARY[token]
    return f"id {token}" if abs(token) < LARGE_ID else f"an id of {token.bit_length()} bits"


def decode(
    ids: Sequence[int] | np.ndarray, tonic_midi: int = 62, styles: Styles = SHIPPED_STYLES
) -> Melody:
    """Ids (PAD after EOS is ignored) -> Melody.

    Raises:
        MelodyError: when the ids are not one whole melody in the one way that it is written.
    """
    tokens = [int(i) for i in ids]
    header = decode_header(tokens, styles)
    if EOS not in tokens:
        raise MelodyError(f"{len(tokens)} tokens and no EOS: the melody was cut; give all of it")
    end = tokens.index(EOS)
    after = next((token for token in tokens[end + 1 :] if token != PAD), None)
    if after is not None:
        raise MelodyError(f"{_name(after)} stands after EOS; split the sequence there")
    notes: list[Note] = []
    at = header.start_ticks
    due = header.bars  # number of the next BAR token
    sounding = False
    segment: list[int] = []  # durations of the tokens of this note or rest in this bar
    for token in tokens[HEADER_LENGTH:end]:
        name = _name(token)
        if not FIRST_BAR <= token < len(VOCABULARY):
            raise MelodyError(f"{name} stands at tick {at}; give BAR, NOTE, REST or HOLD there")
        duration = int(DURATION_OF_ID[token])
        if token < FIRST_REST:
            if token != FIRST_BAR + due - 1 or at != (header.bars - due) * header.bar_ticks:
                barline = (header.bars - due) * header.bar_ticks
                wanted = f"BAR_{due} at tick {barline}" if due else "EOS"
                raise MelodyError(f"{name} stands at tick {at}; give {wanted} instead")
            due -= 1
            segment = []
            continue
        if token < FIRST_HOLD:
            segment = [duration] if sounding else [*segment, duration]
            sounding = False
        elif token < FIRST_NOTE:
            if not sounding:
                raise MelodyError(
                    f"{name} at tick {at} continues no note that sounds; give a NOTE or a REST"
                )
            last = notes[-1]
            notes[-1] = Note(last.onset_ticks, last.duration_ticks + duration, last.pitch)
            segment.append(duration)
        else:
            pitch = PITCH_MIN + (token - FIRST_NOTE) // len(DURATIONS_TICKS)
            notes.append(Note(at, duration, pitch))
            sounding = True
            segment = [duration]
        if len(segment) > 1:
            _check_split(segment, name, at)
        at += duration
    if due or at != header.end_ticks:
        raise MelodyError(
            f"the melody stops at tick {at} of {header.end_ticks} with {due} bars to come; "
            "give all of it"
        )
    return Melody(header, tuple(notes), tonic_midi)


def _check_split(segment: list[int], name: str, at: int) -> None:
    wanted = SPLITS_TICKS.get(sum(segment), ())
    if wanted and tuple(segment) != wanted:
        raise MelodyError(
            f"{name} at tick {at} makes {sum(segment)} ticks of {segment}; write them as "
            f"{list(wanted)}"
        )
