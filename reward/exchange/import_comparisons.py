"""Comparisons of an export, into the pool of another store.

A comparison is known by its id. Imported comparisons are queued after the existing ones and keep
their own order; when a part of their plan is here already, they are queued in line with that. Of
campaigns only blind tests are taken up (`reward.exchange.import_blind_tests`).
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from sys import intern
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from reward.exchange.table_row import Row
from reward.store.database import RatingsError
from reward.store.pool import batches, check_pair, check_strategy
from reward.store.schema import PURPOSES, ComparisonRow

MAX_POSITION = 2**30


@dataclass(frozen=True, slots=True)
class ReadComparison:
    """A comparison of a file that is whole by itself."""

    row: Row
    key: UUID
    position: int
    round: int
    melody_a: int
    """its id in the file, as `melody_b`"""
    melody_b: int
    purpose: str
    repeat_of: UUID | None
    strategy: str
    probability: float | None
    campaign: str
    created_at: datetime


@dataclass(slots=True)
class StoredComparison:
    """A comparison as it is in the store, or will be, as far as an import needs it."""

    id: UUID
    position: int
    round: int
    melody_a: int
    melody_b: int
    purpose: str
    repeat_of: UUID | None
    campaign_id: int | None


def read_comparisons(rows: Iterable[Row]) -> list[ReadComparison]:
    """The comparisons that are whole by themselves; the rows of the others are refused."""
    found: list[ReadComparison] = []
    seen: set[UUID] = set()
    for row in rows:
        if row.reasons:
            continue
        key, position = row.uuid("comparison_id"), row.whole("position", high=MAX_POSITION)
        melody_a, melody_b = row.whole("melody_a"), row.whole("melody_b")
        purpose, strategy = row.text("purpose", 1, 16), row.text("strategy", 1, 40)
        number, created_at = row.whole("round"), row.moment("created_at")
        probability = row.fraction("probability")
        repeat_of = None if row.missing("repeat_of") else row.uuid("repeat_of")
        campaign = row.text("campaign", 0, 200)
        if key in seen:
            row.refuse(f"comparison_id={key} stands twice in the file")
        if purpose not in PURPOSES and not row.reasons:
            row.refuse(f"purpose={purpose!r} is not known; choose of {PURPOSES}")
        if not row.reasons:
            try:
                check_strategy(strategy, probability)
            except RatingsError as error:
                row.refuse(str(error))
        if row.reasons or key is None:
            continue
        seen.add(key)
        found.append(
            ReadComparison(
                row,
                key,
                position,
                number,
                melody_a,
                melody_b,
                intern(purpose),
                repeat_of,
                intern(strategy),
                probability,
                campaign,
                created_at,
            )
        )
    return found


def store_comparisons(
    session: Session, comparisons: Sequence[ReadComparison], melody_ids: Mapping[int, int]
) -> tuple[dict[UUID, StoredComparison], int]:
    """The comparisons of the file that can be stored, by id, and how many are new here.

    `melody_ids` gives the store's id of a melody by its id in the file.
    """
    stored = _stored_comparisons(session, [read.key for read in comparisons])
    here = [stored[read.key].position - read.position for read in comparisons if read.key in stored]
    shift = here[0] if here else session.scalar(select(func.max(ComparisonRow.position))) or 0
    found: dict[UUID, StoredComparison] = {}
    added: list[ReadComparison] = []
    # Originals first: a repeat is checked against its own.
    for read in sorted(comparisons, key=lambda read: read.repeat_of is not None):
        comparison = _placed(read, melody_ids, ChainMap(found, stored))
        if comparison is None:
            continue
        before = stored.get(read.key)
        if before is None:
            comparison.position = min(max(0, read.position + shift), MAX_POSITION)
            added.append(read)
        elif (before.melody_a, before.melody_b, before.purpose, before.repeat_of) != (
            comparison.melody_a,
            comparison.melody_b,
            comparison.purpose,
            comparison.repeat_of,
        ):
            read.row.refuse(f"comparison_id={read.key} is another comparison in the store")
            continue
        found[read.key] = before or comparison
    for repeats in (False, True):
        chosen = (read for read in added if (read.repeat_of is not None) == repeats)
        for some in batches(chosen):
            session.add_all(_comparison_row(read, found[read.key]) for read in some)
            session.flush()
    return found, len(added)


def _stored_comparisons(session: Session, keys: Iterable[UUID]) -> dict[UUID, StoredComparison]:
    """Those of the comparisons that are in the store already."""
    columns = (
        *(ComparisonRow.id, ComparisonRow.position, ComparisonRow.round),
        *(ComparisonRow.melody_a, ComparisonRow.melody_b, ComparisonRow.purpose),
        *(ComparisonRow.repeat_of, ComparisonRow.campaign_id),
    )
    found: dict[UUID, StoredComparison] = {}
    for batch in batches(keys):
        for values in session.execute(select(*columns).where(ComparisonRow.id.in_(batch))):
            found[values[0]] = StoredComparison(*values)
    return found


def _placed(
    read: ReadComparison, melody_ids: Mapping[int, int], known: Mapping[UUID, StoredComparison]
) -> StoredComparison | None:
    """The comparison with the store's ids, still without its position; None when it is refused."""
    row = read.row
    pair = (
        _melody_id(row, "melody_a", read.melody_a, melody_ids),
        _melody_id(row, "melody_b", read.melody_b, melody_ids),
    )
    original = None if read.repeat_of is None else known.get(read.repeat_of)
    if read.repeat_of is not None and (original is None or original.repeat_of is not None):
        row.refuse(f"repeat_of={read.repeat_of} is no comparison that came in, or a repeat itself")
    if not row.reasons:
        try:
            check_pair(f"comparison {read.key}", pair, read.purpose, original)
        except RatingsError as error:
            row.refuse(str(error))
    if row.reasons:
        return None
    repeat_of = None if original is None else original.id
    return StoredComparison(read.key, 0, read.round, *pair, read.purpose, repeat_of, None)


def _melody_id(row: Row, name: str, key: int, melody_ids: Mapping[int, int]) -> int:
    if key not in melody_ids and not row.reasons:
        row.refuse(f"{name}={key} is no melody that came in")
    return melody_ids.get(key, -1)


def _comparison_row(read: ReadComparison, placed: StoredComparison) -> ComparisonRow:
    return ComparisonRow(
        id=read.key,
        position=placed.position,
        round=read.round,
        melody_a=placed.melody_a,
        melody_b=placed.melody_b,
        purpose=read.purpose,
        repeat_of=placed.repeat_of,
        strategy=read.strategy,
        probability=read.probability,
        created_at=read.created_at,
    )
