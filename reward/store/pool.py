"""The pool: melodies that can be rated, and the comparisons planned between them.

A melody is known by the sha256 of its tokens, so that one which two policies both write is one row,
with the origin and the key of whoever came first. Tokens are those of `SHIPPED_STYLES`, where a
style that the shipped base does not know is "other"; the header has its label, which counts when
the melody is read. So of two melodies that differ in two such labels only, the first stays.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Protocol, TypeVar
from uuid import UUID, uuid4

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from music.key_choice import in_one_key
from music.melody import Melody
from music.styles import OTHER
from music.tempo import pair_tempos_bpm
from music.tokens import decode, encode
from reward.store.campaigns import campaign_row, check_fits
from reward.store.database import RatingsError
from reward.store.schema import PURPOSES, ComparisonRow, MelodyRow
from reward.store.sealed import sealed_by


@dataclass(frozen=True, slots=True)
class PlannedPair:
    """A comparison to be stored."""

    melody_a: int
    melody_b: int
    purpose: str = "train"
    repeat_of: int | UUID | None = None
    """for a repeat, its original: the place in the plan, or the id of a stored comparison"""


class Compared(Protocol):
    """Two melodies that are compared, by their ids in the store."""

    @property
    def id(self) -> UUID:
        """Of the comparison."""
        ...

    @property
    def melody_a(self) -> int:
        """Id of the one melody."""
        ...

    @property
    def melody_b(self) -> int:
        """Id of the other."""
        ...


T = TypeVar("T")
TOKEN_DTYPE = np.dtype("<u2")
MAX_SEED = 2**63 - 1


@dataclass(frozen=True, slots=True)
class StoredMelody:
    """A melody of the pool and where it came from."""

    id: int
    melody: Melody
    policy_id: str
    step: int
    sampler: str
    seed: int
    features: Mapping[str, float] | None = None
    tempo_bpm: float | None = None
    """beats a minute at which it is heard in its pair; None for what is in no pair"""

    @property
    def tokens(self) -> np.ndarray:
        """Its ids as they are stored, uint16 (T,), from BOS to EOS."""
        return encode(self.melody)


def tokens_to_bytes(melody: Melody) -> bytes:
    """The tokens as little-endian uint16, the same on every machine."""
    return encode(melody).astype(TOKEN_DTYPE).tobytes()


def tokens_from_bytes(stored: bytes) -> np.ndarray:
    """Back to uint16 (T,)."""
    return np.frombuffer(stored, TOKEN_DTYPE).astype(np.uint16)


def melody_from_bytes(stored: bytes, tonic_midi: int, style: str) -> Melody:
    """A melody from its stored tokens, its key, and the label in its stored header.

    Raises:
        MelodyError: for tokens that are no melody, or a style that is no label.
    """
    melody = decode(tokens_from_bytes(stored), tonic_midi)
    if melody.header.style == style:
        return melody
    return replace(melody, header=replace(melody.header, style=style))


def batches(items: Iterable[T], size: int = 500) -> Iterator[list[T]]:
    """Lists of at most `size`: databases limit the number of values in a query."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def add_melodies(
    session: Session,
    melodies: Sequence[Melody],
    *,
    policy_id: str,
    step: int,
    sampler: str,
    seed: int,
    features: Sequence[Mapping[str, float]] | None,
    now: datetime,
) -> list[int]:
    """Put melodies into the pool; their ids, in order, old ones included.

    Raises:
        RatingsError: for a seed that is out of range, a long name, or features of another number.
    """
    check_origin(policy_id, sampler, seed)
    if features is not None and len(features) != len(melodies):
        raise RatingsError(f"{len(features)} features for {len(melodies)} melodies; give one each")
    packed = [tokens_to_bytes(melody) for melody in melodies]
    hashes = [hashlib.sha256(tokens).hexdigest() for tokens in packed]
    ids = _ids_by_hash(session, hashes)
    fresh = {sha: place for place, sha in reversed(list(enumerate(hashes))) if sha not in ids}
    session.add_all(
        MelodyRow(
            sha256=sha,
            tokens=packed[place],
            header=asdict(melodies[place].header),
            tonic_midi=int(melodies[place].tonic_midi),
            policy_id=policy_id,
            step=int(step),
            sampler=sampler,
            seed=int(seed),
            features=None if features is None else plain_features(features[place]),
            created_at=now,
        )
        for sha, place in sorted(fresh.items(), key=lambda item: item[1])
    )
    session.flush()
    ids |= _ids_by_hash(session, fresh)
    return [ids[sha] for sha in hashes]


def check_origin(policy_id: str, sampler: str, seed: int) -> None:
    """Refuse where a melody cannot come from.

    Raises:
        RatingsError: for a name that is empty or too long, or a seed out of range.
    """
    for name, value in (("policy_id", policy_id), ("sampler", sampler)):
        if not 0 < len(value) <= 80:
            raise RatingsError(f"{name}={value[:90]!r} has {len(value)} characters; use 1 to 80")
    if not 0 <= seed <= MAX_SEED:
        raise RatingsError(f"seed={seed} is not within 0..2**63-1; draw a smaller one")


def _ids_by_hash(session: Session, hashes: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for batch in batches(dict.fromkeys(hashes)):
        rows = session.execute(
            select(MelodyRow.sha256, MelodyRow.id).where(MelodyRow.sha256.in_(batch))
        )
        found.update((sha, melody_id) for sha, melody_id in rows)
    return found


def plain_features(features: Mapping[str, float]) -> dict[str, float]:
    """Features as JSON has them.

    Raises:
        RatingsError: for one that is not finite.
    """
    values = {str(name): float(value) for name, value in features.items()}
    try:
        json.dumps(values, allow_nan=False)
    except ValueError as error:
        bad = sorted(name for name, value in values.items() if not np.isfinite(value))
        raise RatingsError(f"feature {bad[0]!r} is not finite; leave it out") from error
    return values


def load_heard_pairs(
    session: Session, pairs: Sequence[tuple[int, int]]
) -> list[tuple[StoredMelody, StoredMelody]]:
    """The two melodies of each pair of ids, as they are heard and shown beside each other.

    They are at one tonic (`music.key_choice.in_one_key`) and at one tempo
    (`music.tempo.pair_tempos_bpm`), because neither is a property of a melody. Where their styles
    differ neither has one: a style may tell which policy wrote the melody. All of it follows from
    the two melodies alone, so a pair sounds the same whenever and to whomever it is played.

    Raises:
        RatingsError: for an id that is not in the pool.
    """
    stored = load_melodies(session, [melody_id for pair in pairs for melody_id in pair])
    heard: list[tuple[StoredMelody, StoredMelody]] = []
    for one, other in zip(stored[::2], stored[1::2], strict=True):
        melodies = in_one_key(one.melody, other.melody)
        if melodies[0].header.style != melodies[1].header.style:
            melodies = _without_style(melodies[0]), _without_style(melodies[1])
        tempos_bpm = pair_tempos_bpm(melodies[0].header, melodies[1].header)
        heard.append(
            (
                replace(one, melody=melodies[0], tempo_bpm=tempos_bpm[0]),
                replace(other, melody=melodies[1], tempo_bpm=tempos_bpm[1]),
            )
        )
    return heard


def _without_style(melody: Melody) -> Melody:
    return replace(melody, header=replace(melody.header, style=OTHER))


def load_melodies(session: Session, ids: Sequence[int]) -> list[StoredMelody]:
    """Melodies in the order of their ids.

    Raises:
        RatingsError: for an id that is not in the pool.
    """
    found: dict[int, StoredMelody] = {}
    for batch in batches(dict.fromkeys(int(melody_id) for melody_id in ids)):
        for row in session.scalars(select(MelodyRow).where(MelodyRow.id.in_(batch))):
            found[row.id] = StoredMelody(
                id=row.id,
                melody=melody_from_bytes(row.tokens, row.tonic_midi, row.header["style"]),
                policy_id=row.policy_id,
                step=row.step,
                sampler=row.sampler,
                seed=row.seed,
                features=row.features,
            )
    _all_known(ids, found)
    return [found[int(melody_id)] for melody_id in ids]


def _all_known(ids: Iterable[int], known: Iterable[int]) -> None:
    missing = sorted({int(melody_id) for melody_id in ids} - set(known))
    if missing:
        raise RatingsError(
            f"melody {missing[0]} is not in the pool ({len(missing)} such); add_melodies gives ids"
        )


def add_plan(
    session: Session,
    plan: Sequence[PlannedPair],
    *,
    round: int,
    strategy: str,
    probability: float | None,
    now: datetime,
    campaign_id: int | None = None,
) -> list[UUID]:
    """Append a plan to what is to be rated, in its order; the ids of its comparisons.

    `repeat_of` of a planned pair is a place in the plan, or the id of an earlier comparison.

    Raises:
        RatingsError: for an unknown melody, purpose or campaign, a melody against itself, a repeat
            of other melodies or without its original, a probability outside (0, 1], melodies of
            other policies than the campaign's, or a melody of a blind test not yet revealed.
    """
    check_strategy(strategy, probability)
    melody_ids = {int(m) for planned in plan for m in (planned.melody_a, planned.melody_b)}
    policy_of: dict[int, str] = {}
    for batch in batches(melody_ids):
        found = session.execute(
            select(MelodyRow.id, MelodyRow.policy_id).where(MelodyRow.id.in_(batch))
        )
        policy_of.update((melody_id, policy_id) for melody_id, policy_id in found)
    _all_known(melody_ids, policy_of)
    if campaign_id is not None:
        campaign = campaign_row(session, campaign_id)
        for planned in plan:
            writers = (policy_of[int(planned.melody_a)], policy_of[int(planned.melody_b)])
            check_fits(campaign, writers, purpose=planned.purpose)
    _refuse_sealed(session, plan, campaign_id)
    position = session.scalar(select(func.max(ComparisonRow.position))) or 0
    rows: list[ComparisonRow] = []
    for place, planned in enumerate(plan):
        pair = (int(planned.melody_a), int(planned.melody_b))
        original = _original(session, planned, rows)
        check_pair(f"pair {place}", pair, planned.purpose, original)
        rows.append(
            ComparisonRow(
                id=uuid4(),
                position=position + 1 + place,
                round=int(round),
                melody_a=pair[0],
                melody_b=pair[1],
                purpose=planned.purpose,
                repeat_of=None if original is None else original.id,
                strategy=strategy,
                probability=None if probability is None else float(probability),
                campaign_id=campaign_id,
                created_at=now,
            )
        )
    # Originals first: their rows must be there when a repeat refers to them.
    session.add_all(row for row in rows if row.repeat_of is None)
    session.flush()
    session.add_all(row for row in rows if row.repeat_of is not None)
    session.flush()
    return [row.id for row in rows]


def _refuse_sealed(session: Session, plan: Sequence[PlannedPair], campaign_id: int | None) -> None:
    """Refuse a melody of a blind test that has not been revealed, but in pairs of that test."""
    sealed = sealed_by(session)
    new: set[int] = set()
    for planned in plan:
        if planned.purpose == "blind_test":
            new |= {int(planned.melody_a), int(planned.melody_b)}
    for planned in plan:
        for melody_id in (int(planned.melody_a), int(planned.melody_b)):
            of_this_test = planned.purpose == "blind_test" and (
                sealed.get(melody_id, campaign_id) == campaign_id
            )
            if (melody_id in sealed or melody_id in new) and not of_this_test:
                raise RatingsError(
                    f"melody {melody_id} is in a blind test that has not been revealed; pair "
                    "others, or end that test first: tastemaker studio, page Blind test"
                )


def check_strategy(strategy: str, probability: float | None) -> None:
    """Refuse how a pair cannot have been chosen.

    Raises:
        RatingsError: for a name that is empty or too long, or a probability outside (0, 1].
    """
    if not 0 < len(strategy) <= 40:
        raise RatingsError(
            f"strategy={strategy[:50]!r} has {len(strategy)} characters; use 1 to 40"
        )
    if probability is not None and not 0 < probability <= 1:
        raise RatingsError(f"probability={probability} is not within (0, 1]; give None if unknown")


def check_pair(
    name: str, pair: tuple[int, int], purpose: str, original: ComparisonRow | Compared | None
) -> None:
    """Refuse a comparison that cannot be; `original` is what it repeats.

    Raises:
        RatingsError: for a melody against itself, an unknown purpose, or a repeat of other melodies
            or without its original.
    """
    if pair[0] == pair[1]:
        raise RatingsError(f"melody {pair[0]} is paired with itself; choose two melodies")
    if purpose not in PURPOSES:
        raise RatingsError(f"purpose={purpose!r} is not known; choose of {PURPOSES}")
    if (purpose == "repeat") != (original is not None):
        raise RatingsError(
            f"{name} has purpose={purpose!r} and "
            f"repeat_of={None if original is None else original.id}; "
            "a repeat names its original, and nothing else does"
        )
    if original is not None and {original.melody_a, original.melody_b} != set(pair):
        raise RatingsError(
            f"{name} repeats comparison {original.id} with melodies {pair}; "
            f"it has {(original.melody_a, original.melody_b)}"
        )


def _original(
    session: Session, planned: PlannedPair, before: Sequence[ComparisonRow]
) -> ComparisonRow | None:
    if planned.repeat_of is None:
        return None
    if isinstance(planned.repeat_of, UUID):
        original = session.get(ComparisonRow, planned.repeat_of)
    else:
        inside = 0 <= planned.repeat_of < len(before)
        original = before[planned.repeat_of] if inside else None
    if original is None or original.repeat_of is not None:
        raise RatingsError(
            f"repeat_of={planned.repeat_of} is not an earlier comparison that is no repeat itself; "
            "give its place in the plan or its id"
        )
    return original
