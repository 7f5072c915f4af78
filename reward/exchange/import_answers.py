"""Raters and votes of an export, into another store.

A rater is known by nickname and kind, so a simulated listener stays one, and two people of one
nickname are taken for one. A rater who is new here has no token: that secret is in no export. A
vote is known by its nonce.

Of a rater's votes on a comparison one counts. A vote is refused when another counts already and it
does not supersede that one; an export with superseded votes tells what supersedes what.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from sys import intern
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from reward.exchange.import_comparisons import StoredComparison
from reward.exchange.import_pool import once
from reward.exchange.table_row import Row, shown
from reward.store.database import RatingsError
from reward.store.pool import batches
from reward.store.raters import Rater, rater_named
from reward.store.schema import AssignmentRow, VoteRow, is_current
from reward.store.votes import Answer, make_stale, outcome_for_a, vote_row

Said = tuple[int, UUID, bool, str]
"""rater, comparison, whether a was on the left, outcome"""
SIMULATED_RENDERER = "simulated"
"""what stands in a vote that was given without sound, by a simulated listener"""
BATCH_ROWS = 500


@dataclass(frozen=True, slots=True)
class ReadRater:
    """A rater of a file who is whole by themselves."""

    row: Row
    key: int
    nickname: str
    kind: str
    consent_version: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ReadVote:
    """A vote of a file that is whole by itself."""

    row: Row
    key: int
    supersedes: int | None
    """the key of another vote, which need not be in the file"""
    rater_key: int
    rater_kind: str
    comparison_id: UUID
    left_is_a: bool
    answer: Answer
    set_aside: str | None
    """why it is kept and not counted; None when it counts"""
    issued_at: datetime
    created_at: datetime


@dataclass(slots=True)
class _VoteHere:
    """A vote in the store; its id is None until it is written."""

    id: int | None


def read_raters(rows: Iterable[Row]) -> list[ReadRater]:
    """The raters who are whole by themselves; the rows of the others are refused."""
    found: list[ReadRater] = []
    for key, row in once(rows, "rater_id"):
        nickname, kind = row.text("nickname", 1, 200), row.text("rater_kind", 1, 16)
        consent_version, created_at = row.text("consent_version", 1, 40), row.moment("created_at")
        if not row.reasons:
            found.append(ReadRater(row, key, nickname, kind, consent_version, created_at))
    return found


def store_raters(session: Session, raters: Iterable[ReadRater]) -> tuple[dict[int, Rater], int]:
    """Each rater by their id in the file, and how many are new here."""
    found: dict[int, Rater] = {}
    for read in raters:
        try:
            found[read.key] = rater_named(
                session,
                read.nickname,
                kind=read.kind,
                consent_version=read.consent_version,
                now=read.created_at,
            )
        except RatingsError as error:
            read.row.refuse(str(error))
    return found, sum(rater.token is not None for rater in found.values())


def read_votes(rows: Iterable[Row]) -> list[ReadVote]:
    """The votes that are whole by themselves; the rows of the others are refused."""
    found: list[ReadVote] = []
    for key, row in once(rows, "vote_id"):
        comparison_id, rater_key = row.uuid("comparison_id"), row.whole("rater_id")
        kind = row.text("rater_kind", 1, 16)
        supersedes = None if row.missing("supersedes") else row.whole("supersedes")
        left_is_a = row.truth("left_is_a")
        issued_at, created_at = row.moment("issued_at"), row.moment("created_at")
        set_aside = None if row.missing("set_aside") else row.text("set_aside", 1, 16)
        answer = _answer(row)
        if row.reasons or answer is None or comparison_id is None:
            continue
        said = outcome_for_a(answer.outcome, left_is_a=left_is_a)
        if not row.missing("outcome_a") and row.cells["outcome_a"] != said:
            row.refuse(
                f"outcome={answer.outcome!r} with left_is_a={left_is_a} says {said!r}, and "
                f"outcome_a={shown(row.cells['outcome_a'])}; one of them was changed"
            )
            continue
        found.append(
            ReadVote(
                row,
                key,
                supersedes,
                rater_key,
                intern(kind),
                comparison_id,
                left_is_a,
                answer,
                set_aside,
                issued_at,
                created_at,
            )
        )
    return found


def _answer(row: Row) -> Answer | None:
    reasons = row.nested("reasons", list)
    numbers = {
        name: row.whole(name, default=0)
        for name in ("heard_ms_left", "heard_ms_right", "plays_left", "plays_right", "latency_ms")
    }
    strength = row.whole("strength", low=1, high=2, default=1)
    texts = {
        name: row.text(name) for name in ("outcome", "nonce", "comment", "renderer", "app_version")
    }
    if row.reasons:
        return None
    try:
        return Answer(
            outcome=intern(texts["outcome"]),
            nonce=texts["nonce"],
            strength=strength,
            reasons=reasons,
            comment=texts["comment"],
            renderer=intern(texts["renderer"]),  # all rows have the same few
            app_version=intern(texts["app_version"]),
            **numbers,
        )
    except RatingsError as error:
        row.refuse(str(error))
        return None


def store_votes(
    session: Session,
    votes: Sequence[ReadVote],
    comparisons: Mapping[UUID, StoredComparison],
    raters: Mapping[int, Rater],
) -> int:
    """Store the votes that break no rule; how many are new here."""
    votes = [vote for vote in votes if _has_come_with_what_it_needs(vote, comparisons, raters)]
    here: dict[int, _VoteHere] = {}
    by_nonce = _stored_votes(session, [vote.answer.nonce for vote in votes], here)
    counting = _counting_votes(session, {rater.id for rater in raters.values()}, here)
    by_key: dict[int, _VoteHere] = {}
    waiting: list[tuple[AssignmentRow, ReadVote, _VoteHere, _VoteHere | None]] = []
    reopened: list[tuple[int, UUID]] = []
    added = 0
    for vote in votes:
        nonce, rater_id = vote.answer.nonce, raters[vote.rater_key].id
        said = (rater_id, vote.comparison_id, vote.left_is_a, vote.answer.outcome)
        if nonce in by_nonce:
            said_here, by_key[vote.key] = by_nonce[nonce]
            if said != said_here:
                vote.row.refuse(f"nonce={nonce!r} came with another vote")
            continue
        before = counting.get((rater_id, vote.comparison_id))
        superseded = None if vote.supersedes is None else by_key.get(vote.supersedes)
        if superseded is not before:
            vote.row.refuse(
                f"supersedes={vote.supersedes} is a vote on another comparison"
                if before is None
                else "another vote of this rater on this comparison counts already, and this one "
                "does not supersede it; if it was undone there, export with superseded votes"
            )
            continue
        if len(waiting) >= BATCH_ROWS or (before is not None and before.id is None):
            _write(session, waiting)
        new = _VoteHere(None)
        waiting.append((_assignment(vote, rater_id, reopens=before is not None), vote, new, before))
        if before is not None:
            reopened.append((rater_id, vote.comparison_id))
        counting[rater_id, vote.comparison_id] = by_key[vote.key] = new
        by_nonce[nonce] = (said, new)
        added += 1
    _write(session, waiting)
    for rater_id, comparison_id in reopened:  # a page here may have opened it again too
        make_stale(session, rater_id, comparison_id)
    return added


def _has_come_with_what_it_needs(
    vote: ReadVote, comparisons: Mapping[UUID, StoredComparison], raters: Mapping[int, Rater]
) -> bool:
    """Whether the comparison and the rater of a vote came in; if not, it is refused."""
    if vote.comparison_id not in comparisons:
        vote.row.refuse(f"comparison_id={vote.comparison_id} is no comparison that came in")
    rater = raters.get(vote.rater_key)
    if rater is None:
        vote.row.refuse(f"rater_id={vote.rater_key} is no rater that came in")
    elif vote.rater_kind != rater.kind:
        vote.row.refuse(
            f"rater_kind={vote.rater_kind!r} is not the rater's, {rater.kind!r}; "
            "people's votes and simulated ones are told apart"
        )
    elif rater.kind == "person" and vote.answer.renderer == SIMULATED_RENDERER:
        vote.row.refuse("a simulated listener gave this vote, and it is marked as a person's")
    return not vote.row.reasons


def _write(
    session: Session, waiting: list[tuple[AssignmentRow, ReadVote, _VoteHere, _VoteHere | None]]
) -> None:
    """Write votes with their assignments, and empty the list."""
    session.add_all(assignment for assignment, _, _, _ in waiting)
    session.flush()
    written: list[tuple[VoteRow, _VoteHere]] = []
    for assignment, vote, new, before in waiting:
        row = vote_row(assignment.id, vote.answer, created_at=vote.created_at)
        row.set_aside = vote.set_aside
        row.supersedes = None if before is None else before.id
        written.append((row, new))
    session.add_all(row for row, _ in written)
    session.flush()
    for row, new in written:
        new.id = row.id
    waiting.clear()


def _assignment(vote: ReadVote, rater_id: int, *, reopens: bool) -> AssignmentRow:
    return AssignmentRow(
        id=uuid4(),
        comparison_id=vote.comparison_id,
        rater_id=rater_id,
        left_is_a=vote.left_is_a,
        reopens=reopens,
        issued_at=vote.issued_at,
        expires_at=max(vote.issued_at, vote.created_at),
        closed_at=vote.created_at,
    )


def _stored_votes(
    session: Session, nonces: Sequence[str], here: dict[int, _VoteHere]
) -> dict[str, tuple[Said, _VoteHere]]:
    """The store's votes with one of these nonces; each is put into `here`, by id."""
    columns = (AssignmentRow.rater_id, AssignmentRow.comparison_id, AssignmentRow.left_is_a)
    found: dict[str, tuple[Said, _VoteHere]] = {}
    for batch in batches(nonces):
        query = (
            select(VoteRow.id, VoteRow.nonce, *columns, VoteRow.outcome)
            .join(AssignmentRow, AssignmentRow.id == VoteRow.assignment_id)
            .where(VoteRow.nonce.in_(batch))
        )
        for vote_id, nonce, rater_id, comparison_id, left_is_a, outcome in session.execute(query):
            said = (rater_id, comparison_id, left_is_a, outcome)
            found[nonce] = (said, here.setdefault(vote_id, _VoteHere(vote_id)))
    return found


def _counting_votes(
    session: Session, raters: Iterable[int], here: dict[int, _VoteHere]
) -> dict[tuple[int, UUID], _VoteHere]:
    """These raters' votes that nothing supersedes, by rater and comparison; as `_stored_votes`."""
    found: dict[tuple[int, UUID], _VoteHere] = {}
    for batch in batches(raters):
        query = (
            select(VoteRow.id, AssignmentRow.rater_id, AssignmentRow.comparison_id)
            .join(AssignmentRow, AssignmentRow.id == VoteRow.assignment_id)
            .where(AssignmentRow.rater_id.in_(batch), is_current())
        )
        for vote_id, rater_id, comparison_id in session.execute(query):
            found[rater_id, comparison_id] = here.setdefault(vote_id, _VoteHere(vote_id))
    return found
