"""The catalogue: all melodies of the pool, and what one rater has heard and is still to hear.

What a rater may be told of a melody follows from these sets of melodies:

- *judged*: of comparisons that the rater has answered with an opinion that counts. A skip tells
  nothing, nor does a vote that was set aside: either can be had without listening;
- *waiting*: of comparisons that the rater has not answered, or has reopened. A hidden repeat
  waits too, even one that will not be shown any more because its original came late: better a
  melody too few is told of than one too many;
- *corrupted*: the bad melody of a trap. Raters are never told which these are;
- *sealed*: of blind tests, until they are revealed (`reward.store.sealed`). Nobody sees these here.

A melody is never changed and never leaves the pool, so what was read once stays true, and only
newer ones have to be read. To decode one takes longer than to read it, so that is left for when its
notes are asked for.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from functools import cached_property

import numpy as np
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from music.earlier_tokens import TODAY_OF_EARLIER
from music.melody import Header, Melody
from music.tokens import VOCABULARY, decode_header
from reward.store.assignments import is_open
from reward.store.pool import TOKEN_DTYPE, melody_from_bytes, tokens_from_bytes
from reward.store.schema import AssignmentRow, ComparisonRow, MelodyRow, VoteRow, is_current
from reward.store.votes import outcome_for_a

_UNKNOWN = len(TODAY_OF_EARLIER)
_EARLIER_OF_TODAY = np.full(len(VOCABULARY), _UNKNOWN)
_EARLIER_OF_TODAY[TODAY_OF_EARLIER] = np.arange(_UNKNOWN)


@dataclass(frozen=True, kw_only=True)  # no slots: the melody is kept once it was decoded
class CatalogueEntry:
    """A melody of the pool, by the name that tells nothing, where it came from, and since when."""

    id: int
    sha256: str
    tokens: bytes
    """as they are stored, BOS to EOS"""
    style: str
    tonic_midi: int
    policy_id: str
    step: int
    sampler: str
    seed: int
    created_at: datetime

    @cached_property
    def header(self) -> Header:
        """Metre, mode, style, bars and pickup."""
        return replace(decode_header(tokens_from_bytes(self.tokens)), style=self.style)

    @property
    def earlier_sha256(self) -> str | None:
        """The hash by which version 0.1.0 knew it; None of what that version could not have."""
        ids = _EARLIER_OF_TODAY[tokens_from_bytes(self.tokens)]
        known = (ids != _UNKNOWN).all()
        return hashlib.sha256(ids.astype(TOKEN_DTYPE).tobytes()).hexdigest() if known else None

    @cached_property
    def melody(self) -> Melody:
        """With its notes."""
        return melody_from_bytes(self.tokens, self.tonic_midi, self.style)


@dataclass(slots=True)
class Verdicts:
    """How often one rater's current votes were for and against a melody."""

    preferred: int = 0
    passed_over: int = 0
    tied: int = 0
    """ties, both bad; skips and votes that were set aside are not counted"""

    @property
    def balance(self) -> int:
        """Preferred minus passed over."""
        return self.preferred - self.passed_over

    @property
    def heard(self) -> int:
        """Comparisons that the rater has judged it in."""
        return self.preferred + self.passed_over + self.tied


@dataclass(frozen=True, slots=True)
class Listening:
    """What one rater has heard and is still to hear, as ids of melodies."""

    answered: frozenset[int] = frozenset()
    """of comparisons that they have answered, also by a skip"""
    judged: frozenset[int] = frozenset()
    waiting: frozenset[int] = frozenset()
    verdicts: dict[int, Verdicts] = field(default_factory=dict)


def entries_after(session: Session, melody_id: int) -> list[CatalogueEntry]:
    """Melodies with a higher id, in the order in which they came; 0 for all."""
    names = [column.name for column in fields(CatalogueEntry) if column.name != "style"]
    columns = [getattr(MelodyRow, name) for name in names]
    rows = session.execute(
        select(MelodyRow.header, *columns)
        .where(MelodyRow.id > int(melody_id))
        .order_by(MelodyRow.id)
    )
    return [
        CatalogueEntry(style=header["style"], **dict(zip(names, values, strict=True)))
        for header, *values in rows
    ]


def rounds(session: Session) -> dict[int, frozenset[int]]:
    """The rounds for which each melody was paired, by its id; unpaired ones are left out."""
    found: dict[int, set[int]] = defaultdict(set)
    for side in (ComparisonRow.melody_a, ComparisonRow.melody_b):
        for melody_id, number in session.execute(select(side, ComparisonRow.round).distinct()):
            found[melody_id].add(number)
    return {melody_id: frozenset(numbers) for melody_id, numbers in found.items()}


def listening(session: Session, rater_id: int) -> Listening:
    """What this rater has heard, is still to hear, and has said."""
    theirs = AssignmentRow.rater_id == int(rater_id)
    pair = (ComparisonRow.melody_a, ComparisonRow.melody_b)
    voted = (
        select(*pair, VoteRow.outcome, VoteRow.set_aside, AssignmentRow.left_is_a)
        .join(AssignmentRow, AssignmentRow.comparison_id == ComparisonRow.id)
        .join(VoteRow, VoteRow.assignment_id == AssignmentRow.id)
        .where(theirs, is_current())
    )
    answered: set[int] = set()
    judged: set[int] = set()
    verdicts: dict[int, Verdicts] = defaultdict(Verdicts)
    for a, b, outcome, set_aside, left_is_a in session.execute(voted):
        answered |= {a, b}
        if outcome == "skip" or set_aside is not None:
            continue
        judged |= {a, b}
        said = outcome_for_a(outcome, left_is_a=left_is_a)
        if said in ("a", "b"):
            better, other = (a, b) if said == "a" else (b, a)
            verdicts[better].preferred += 1
            verdicts[other].passed_over += 1
        else:
            verdicts[a].tied += 1
            verdicts[b].tied += 1
    done = (
        select(AssignmentRow.comparison_id)
        .join(VoteRow, VoteRow.assignment_id == AssignmentRow.id)
        .where(theirs)
    )
    live = select(AssignmentRow.comparison_id).where(theirs, AssignmentRow.closed_at.is_(None))
    to_come = ComparisonRow.id.not_in(done) & is_open()
    open_pairs = select(*pair).where(or_(to_come, ComparisonRow.id.in_(live)))
    waiting = {melody_id for both in session.execute(open_pairs) for melody_id in both}
    return Listening(frozenset(answered), frozenset(judged), frozenset(waiting), dict(verdicts))
