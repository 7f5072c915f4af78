"""Melodies and comparisons of an export, into the pool of another store.

Every function notes in a row what is wrong with it and goes on with the next. A melody is known by
its tokens and keeps the origin that it has here; a comparison is known by its id. Imported
comparisons are queued after the existing ones and keep their own order; when a part of their plan
is here already, they are queued in line with that. Of campaigns only blind tests are taken up
(`reward.exchange.import_blind_tests`).
"""

from __future__ import annotations

import hashlib
from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from music.melody import Melody, MelodyError
from music.tokens import VOCABULARY, decode
from reward.exchange.table_files import Row
from reward.store.database import RatingsError
from reward.store.pool import (
    MAX_SEED,
    add_melodies,
    batches,
    check_origin,
    check_pair,
    check_strategy,
    plain_features,
    tokens_to_bytes,
)
from reward.store.schema import ComparisonRow, MelodyRow

MAX_POSITION = 2**30


@dataclass(frozen=True, slots=True)
class ReadMelody:
    """A whole melody of a file."""

    row: Row
    key: int
    """its id in the file"""
    melody: Melody
    origin: tuple[Any, ...]
    """policy_id, step, sampler, seed, created_at"""
    features: Mapping[str, float] | None


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
        origin = (policy_id, step, sampler, seed, row.moment("created_at"))
        features = None if row.missing("features") else row.nested("features", dict)
        melody = _melody(row)
        if row.reasons or melody is None:
            continue
        try:
            check_origin(policy_id, sampler, seed)
            plain = None if features is None else plain_features(features)
        except (RatingsError, TypeError, ValueError) as error:
            row.refuse(str(error))
            continue
        found.append(ReadMelody(row, key, melody, origin, plain))
    return found


def _melody(row: Row) -> Melody | None:
    tokens = row.nested("tokens", list)
    tonic_midi = row.whole("tonic_midi", high=127)
    if not all(type(token) is int and 0 <= token < len(VOCABULARY) for token in tokens):
        row.refuse(f"tokens hold something else than whole numbers within 0..{len(VOCABULARY) - 1}")
        return None
    try:
        melody = decode(np.array(tokens, np.int64), tonic_midi)
    except MelodyError as error:
        row.refuse(f"tokens are no melody: {error}")
        return None
    sha256 = hashlib.sha256(tokens_to_bytes(melody)).hexdigest()
    if not row.missing("sha256") and row.cells["sha256"] != sha256:
        row.refuse("tokens are not those of its sha256: the row was changed; export it anew")
    return melody


def store_melodies(session: Session, melodies: Iterable[ReadMelody]) -> tuple[dict[int, int], int]:
    """The store's id of each melody by its id in the file, and how many are new here."""
    ids: dict[int, int] = {}
    before = session.scalar(select(func.max(MelodyRow.id))) or 0
    for origin, group in groupby(melodies, key=lambda read: (read.origin, read.features is None)):
        (policy_id, step, sampler, seed, created_at), bare = origin
        some = list(group)
        found = add_melodies(
            session,
            [read.melody for read in some],
            policy_id=policy_id,
            step=step,
            sampler=sampler,
            seed=seed,
            features=None if bare else [read.features or {} for read in some],
            now=created_at,
        )
        ids.update((read.key, melody_id) for read, melody_id in zip(some, found, strict=True))
    return ids, len({melody_id for melody_id in ids.values() if melody_id > before})


def store_comparisons(
    session: Session, rows: Sequence[Row], melody_ids: Mapping[int, int]
) -> tuple[dict[UUID, ComparisonRow], int]:
    """The comparisons of the file that are whole, by id, and how many are new here.

    `melody_ids` gives the store's id of a melody by its id in the file.
    """
    asked: list[tuple[UUID, int, Row]] = []
    for row in rows:
        key, position = row.uuid("comparison_id"), row.whole("position", high=MAX_POSITION)
        if key is not None and not row.reasons:
            asked.append((key, position, row))
    stored: dict[UUID, ComparisonRow] = {}
    for batch in batches(key for key, _, _ in asked):
        query = select(ComparisonRow).where(ComparisonRow.id.in_(batch))
        stored.update((row.id, row) for row in session.scalars(query))
    here = [(stored[key].position - position) for key, position, _ in asked if key in stored]
    shift = here[0] if here else session.scalar(select(func.max(ComparisonRow.position))) or 0
    found: dict[UUID, ComparisonRow] = {}
    added: list[ComparisonRow] = []
    # Originals first: a repeat is checked against its own.
    for key, position, row in sorted(asked, key=lambda some: not some[2].missing("repeat_of")):
        if key in found:
            row.refuse(f"comparison_id={key} stands twice in the file")
            continue
        comparison = _comparison(row, key, melody_ids, ChainMap(found, stored))
        if comparison is None:
            continue
        before = stored.get(key)
        if before is None:
            comparison.position = max(0, position + shift)
            added.append(comparison)
        elif (before.melody_a, before.melody_b, before.purpose, before.repeat_of) != (
            comparison.melody_a,
            comparison.melody_b,
            comparison.purpose,
            comparison.repeat_of,
        ):
            row.refuse(f"comparison_id={key} is another comparison in the store")
            continue
        found[key] = before or comparison
    for repeats in (False, True):
        session.add_all(row for row in added if (row.repeat_of is not None) == repeats)
        session.flush()
    return found, len(added)


def _comparison(
    row: Row,
    key: UUID,
    melody_ids: Mapping[int, int],
    known: Mapping[UUID, ComparisonRow],
) -> ComparisonRow | None:
    """The comparison that a row tells, not yet in the session; None when it is refused."""
    pair = (_melody_id(row, "melody_a", melody_ids), _melody_id(row, "melody_b", melody_ids))
    purpose, strategy = row.text("purpose", 1, 16), row.text("strategy", 1, 40)
    number, created_at = row.whole("round"), row.moment("created_at")
    probability = row.fraction("probability")
    original = None
    if not row.missing("repeat_of"):
        repeated = row.uuid("repeat_of")
        original = None if repeated is None else known.get(repeated)
        if repeated is not None and (original is None or original.repeat_of is not None):
            row.refuse(f"repeat_of={repeated} is no comparison that came in, or a repeat itself")
    if not row.reasons:
        try:
            check_strategy(strategy, probability)
            check_pair(f"comparison {key}", pair, purpose, original)
        except RatingsError as error:
            row.refuse(str(error))
    if row.reasons:
        return None
    return ComparisonRow(
        id=key,
        round=number,
        melody_a=pair[0],
        melody_b=pair[1],
        purpose=purpose,
        repeat_of=None if original is None else original.id,
        strategy=strategy,
        probability=probability,
        created_at=created_at,
    )


def _melody_id(row: Row, name: str, melody_ids: Mapping[int, int]) -> int:
    key = row.whole(name)
    if key not in melody_ids and not row.reasons:
        row.refuse(f"{name}={key} is no melody that came in")
    return melody_ids.get(key, -1)
