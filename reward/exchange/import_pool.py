"""Melodies of an export, into the pool of another store.

They are read into records first, and what is wrong with a row is noted in it. A melody is known by
its tokens and keeps the origin that it has here. Its style is the label in the column `style`,
which was `tune_type` in version 0.1.0. Token ids of that version are read too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from sys import intern
from typing import Any

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from music.earlier_tokens import EARLIER_VOCABULARY, TODAY_OF_EARLIER
from music.melody import MelodyError
from music.styles import StyleError, check_label
from music.tokens import VOCABULARY, VOCABULARY_HASH, decode
from reward.exchange.table_row import Row, shown
from reward.store.database import RatingsError, check_text
from reward.store.pool import (
    MAX_SEED,
    TOKEN_DTYPE,
    add_melodies,
    batches,
    check_origin,
    melody_from_bytes,
    plain_features,
    tokens_to_bytes,
)
from reward.store.schema import MelodyRow

MOST_FEATURES = 1000
FEATURE_CHARACTERS = 80
STYLE_COLUMNS = ("style", "tune_type")
"""the column of the style, today and in version 0.1.0"""
_MODE_PLACE = 2
"""of the mode among the tokens of a melody"""
_EARLIER_MODES = frozenset(
    token for token, name in enumerate(EARLIER_VOCABULARY) if name.startswith("MODE_")
)
"""ids that modes had in version 0.1.0, and no mode has today"""


@dataclass(frozen=True, slots=True)
class ReadMelody:
    """A whole melody of a file, packed: a file may have many."""

    row: Row
    key: int
    """its id in the file"""
    tokens: bytes
    tonic_midi: int
    style: str
    origin: tuple[Any, ...]
    """policy_id, step, sampler, seed, created_at"""
    features: bytes | None
    """JSON"""


def once(rows: Iterable[Row], name: str) -> Iterator[tuple[int, Row]]:
    """Rows by their whole-number key; a key that stands twice is refused the second time."""
    seen: set[int] = set()
    for row in rows:
        if row.reasons:
            continue
        key = row.whole(name)
        if not row.reasons and key in seen:
            row.refuse(f"{name}={key} stands twice in the file")
        if not row.reasons:
            seen.add(key)
        yield key, row


def read_melodies(rows: Iterable[Row]) -> list[ReadMelody]:
    """The melodies that are whole; the rows of the others are refused."""
    found: list[ReadMelody] = []
    for key, row in once(rows, "melody_id"):
        policy_id, sampler = row.text("policy_id", 1, 80), row.text("sampler", 1, 80)
        step, seed = row.whole("step"), row.whole("seed", high=MAX_SEED)
        origin = (intern(policy_id), step, intern(sampler), seed, row.moment("created_at"))
        features = None if row.missing("features") else row.nested("features", dict)
        packed = _packed_melody(row)
        if row.reasons or packed is None:
            continue
        try:
            check_origin(policy_id, sampler, seed)
            plain = None if features is None else _packed_features(features)
        except (RatingsError, TypeError, ValueError, OverflowError) as error:
            row.refuse(str(error))
            continue
        found.append(ReadMelody(row, key, *packed, origin, plain))
    return found


def _packed_melody(row: Row) -> tuple[bytes, int, str] | None:
    """Tokens, tonic and style of a melody; None when it is refused."""
    tokens = row.nested("tokens", list)
    tonic_midi = row.whole("tonic_midi", high=127)
    if not all(type(token) is int and 0 <= token < len(VOCABULARY) for token in tokens):
        row.refuse(f"tokens hold something else than whole numbers within 0..{len(VOCABULARY) - 1}")
        return None
    if not row.missing("vocabulary") and row.cells["vocabulary"] != VOCABULARY_HASH:
        row.refuse(
            f"vocabulary={shown(row.cells['vocabulary'])} is not {VOCABULARY_HASH}, so its token "
            "ids mean something else here; import it with the version that exported it, or a newer"
        )
        return None
    ids = np.trim_zeros(np.array(tokens, np.int64), "b")  # what may follow EOS is PAD, which is 0
    named = next((column for column in STYLE_COLUMNS if not row.missing(column)), None)
    try:
        melody = decode(_ids_today(ids), tonic_midi)
    except MelodyError as error:
        row.refuse(f"tokens are no melody: {error}")
        return None
    hashed = hashlib.sha256(ids.astype(TOKEN_DTYPE).tobytes()).hexdigest()
    if not row.missing("sha256") and row.cells["sha256"] != hashed:
        row.refuse("tokens are not those of its sha256: the row was changed; export it anew")
    try:
        style = melody.header.style if named is None else check_label(row.text(named))
    except StyleError as error:
        row.refuse(str(error))
        return None
    labelled = replace(melody, header=replace(melody.header, style=style))
    return tokens_to_bytes(labelled), melody.tonic_midi, intern(style)


def _ids_today(ids: np.ndarray) -> np.ndarray:
    """Token ids of version 0.1.0 as those of today; today's as they are.

    Raises:
        MelodyError: for ids of which some are of that version and others of today.
    """
    if len(ids) <= _MODE_PLACE or int(ids[_MODE_PLACE]) not in _EARLIER_MODES:
        return ids
    if ids.max() >= len(TODAY_OF_EARLIER):
        raise MelodyError(
            f"id {ids.max()} is none of version 0.1.0, of which id {ids[_MODE_PLACE]} for the mode "
            "is; export it anew"
        )
    return TODAY_OF_EARLIER[ids].astype(np.int64)


def _packed_features(features: Mapping[str, Any]) -> bytes:
    """Features as JSON.

    Raises:
        RatingsError: for too many, a name that is no short text, or a value that is not finite.
        TypeError, ValueError, OverflowError: for a value that is no number.
    """
    if len(features) > MOST_FEATURES:
        raise RatingsError(f"features={len(features)} are more than {MOST_FEATURES}; drop some")
    for name in features:
        check_text("feature", name, 1, FEATURE_CHARACTERS)
    return json.dumps(plain_features(features)).encode()


def store_melodies(session: Session, melodies: Iterable[ReadMelody]) -> tuple[dict[int, int], int]:
    """The store's id of each melody by its id in the file, and how many are new here."""
    ids: dict[int, int] = {}
    before = session.scalar(select(func.max(MelodyRow.id))) or 0
    for origin, group in groupby(melodies, key=lambda read: (read.origin, read.features is None)):
        (policy_id, step, sampler, seed, created_at), bare = origin
        for some in batches(group):
            found = add_melodies(
                session,
                [melody_from_bytes(read.tokens, read.tonic_midi, read.style) for read in some],
                policy_id=policy_id,
                step=step,
                sampler=sampler,
                seed=seed,
                features=None if bare else [json.loads(read.features or b"{}") for read in some],
                now=created_at,
            )
            ids.update((read.key, melody_id) for read, melody_id in zip(some, found, strict=True))
    return ids, len({melody_id for melody_id in ids.values() if melody_id > before})
