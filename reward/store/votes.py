"""Votes: what a rater answered, and how they take it back.

Every function runs inside one writing session, so nobody else issues or votes meanwhile.

An answer is stored once, however often it is sent. One that comes after its lease has run out is
still an answer to a pair that was heard: it is kept, unless the rater has answered the same
comparison since the pair was shown. Of a rater's votes on a comparison the last counts, the others
are superseded. A vote of a page that claims more listening than can have passed is kept, but set
aside (`reward.store.heard_time`): it counts for nothing.

Once the library has told a rater who wrote what they have rated, these votes stay as they are: they
are not undone, and a page that an undo had opened before supersedes them no more. While such a pair
is on the rater's screen, the library does not tell who wrote it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy import exists, or_, select, update
from sqlalchemy.orm import Session

from reward.store.assignments import (
    Issued,
    Wanted,
    assign,
    check_lease,
    is_open,
    live_assignment,
)
from reward.store.database import RatingsError, check_text
from reward.store.heard_time import is_possible
from reward.store.raters import get_rater
from reward.store.schema import (
    HEARD_TIME,
    OUTCOMES,
    AssignmentRow,
    ComparisonRow,
    VoteRow,
    is_current,
)

MAX_COUNTER = 2**31 - 1
MAX_COMMENT = 2000
MAX_REASONS = 16


class StalePageError(RatingsError):
    """A page shows another pair than the store has live for its rater."""


@dataclass(frozen=True, slots=True)
class VoteReceipt:
    """A vote is stored: now, or before (`duplicate`)."""

    vote_id: int
    duplicate: bool
    set_aside: str | None = None
    """why it is kept but not counted"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a page sends back.

    Raises:
        RatingsError: for a value outside its range.
    """

    outcome: str
    nonce: str
    strength: int = 1
    reasons: Sequence[str] = ()
    comment: str = ""
    heard_ms_left: int = 0
    heard_ms_right: int = 0
    plays_left: int = 0
    plays_right: int = 0
    latency_ms: int = 0
    renderer: str = ""
    app_version: str = ""

    def __post_init__(self) -> None:
        """Check every field."""
        if self.outcome not in OUTCOMES:
            raise RatingsError(f"outcome={self.outcome!r} is not known; choose one of {OUTCOMES}")
        if self.strength not in (1, 2):
            raise RatingsError(f"strength={self.strength!r} is not 1 (better) or 2 (much better)")
        if isinstance(self.reasons, str) or len(self.reasons) > MAX_REASONS:
            raise RatingsError(f"reasons={self.reasons!r} is not a list of at most {MAX_REASONS}")
        for name, value, least, most in (
            ("nonce", self.nonce, 1, 64),
            ("comment", self.comment, 0, MAX_COMMENT),
            ("renderer", self.renderer, 0, 200),
            ("app_version", self.app_version, 0, 80),
            *(("reason", reason, 1, 80) for reason in self.reasons),
        ):
            check_text(name, value, least, most)
        for name in (
            "heard_ms_left",
            "heard_ms_right",
            "plays_left",
            "plays_right",
            "latency_ms",
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or not 0 <= value <= MAX_COUNTER:
                raise RatingsError(f"{name}={value!r} is not a whole number within 0..2**31-1")


def outcome_for_a(outcome: str, *, left_is_a: bool) -> str:
    """What left and right say of melodies a and b: 'a', 'b', or the outcome itself."""
    if outcome == "left":
        return "a" if left_is_a else "b"
    if outcome == "right":
        return "b" if left_is_a else "a"
    return outcome


def vote(
    session: Session,
    assignment_id: UUID,
    answer: Answer,
    *,
    now: datetime,
    from_page: bool = False,
) -> VoteReceipt:
    """Store an answer, once: sent again, it is acknowledged and nothing is stored.

    `from_page` says that it was reported from outside, so that what it claims to have heard is held
    against the time since the pair was issued.

    Raises:
        RatingsError: for an unknown assignment, a nonce that came with another one, or an answer to
            be changed after its rater was told who wrote the pair.
    """
    assignment = session.get(AssignmentRow, assignment_id)
    if assignment is None:
        raise RatingsError(f"assignment {assignment_id} is unknown; reload the page for a new pair")
    same = select(VoteRow).where(
        or_(VoteRow.assignment_id == assignment_id, VoteRow.nonce == answer.nonce)
    )
    for before in session.scalars(same):
        if before.assignment_id == assignment_id:
            return VoteReceipt(before.id, duplicate=True)
        # To say "stored" here would lose this vote.
        raise RatingsError(
            f"nonce={answer.nonce!r} came with another assignment; draw a new one for each answer"
        )
    earlier = _last_vote(session, assignment.rater_id, comparison_id=assignment.comparison_id)
    if earlier is not None and not assignment.reopens:
        return VoteReceipt(earlier.id, duplicate=True)
    if earlier is not None and assignment.closed_at is not None:
        told_at = get_rater(session, assignment.rater_id).origins_told_at
        if told_at is not None and earlier.created_at <= told_at:
            raise RatingsError(
                "the library has told who wrote this pair, so your first answer to it stays; go on "
                "with the next"
            )
    row = vote_row(assignment_id, answer, created_at=now)
    row.supersedes = None if earlier is None else earlier.id
    heard_ms = answer.heard_ms_left + answer.heard_ms_right
    if from_page and not is_possible(session, assignment, heard_ms, now=now):
        row.set_aside = HEARD_TIME
    session.add(row)
    live = live_assignment(session, assignment.rater_id)
    # A late answer may be to a comparison that has been issued anew: that one is answered with it.
    for answered in (assignment, live):
        if answered is not None and answered.comparison_id == assignment.comparison_id:
            answered.closed_at = answered.closed_at or now
    session.flush()
    make_stale(session, assignment.rater_id, assignment.comparison_id)
    return VoteReceipt(row.id, duplicate=False, set_aside=row.set_aside)


def vote_row(assignment_id: UUID, answer: Answer, *, created_at: datetime) -> VoteRow:
    """An answer as a row, which supersedes nothing."""
    return VoteRow(assignment_id=assignment_id, **asdict(answer), created_at=created_at)


def make_stale(session: Session, rater_id: int, comparison_id: UUID) -> None:
    """Let no page that an undo opened before now supersede the newest answer to a comparison."""
    session.execute(
        update(AssignmentRow)
        .where(
            AssignmentRow.rater_id == rater_id,
            AssignmentRow.comparison_id == comparison_id,
            AssignmentRow.reopens,
            ~exists().where(VoteRow.assignment_id == AssignmentRow.id),
        )
        .values(reopens=False)
    )


def undo(
    session: Session,
    rater_id: int,
    *,
    now: datetime,
    lease: timedelta,
    wanted: Wanted,
    shown: UUID | Literal["any"] | None = "any",
) -> Issued | None:
    """Show the rater's last answered wanted comparison again, same sides; None when there is none.

    The old vote counts until the new one supersedes it. Undone again before that, it goes one
    further back. Votes of before the library told the rater who wrote what are not taken back.
    `shown` is what the page shows, None for no pair; its lease may have run out.

    Raises:
        StalePageError: when the live assignment is not the one shown.
        RatingsError: for an unknown rater, or a lease that has no length.
    """
    rater = get_rater(session, rater_id)
    check_lease(now, lease)
    live = live_assignment(session, rater.id)
    if shown != "any":
        is_wanted = live is not None and wanted.has(
            session.get_one(ComparisonRow, live.comparison_id)
        )
        if (live.id if live is not None and is_wanted else None) != shown:
            raise StalePageError("the page shows another pair than the store; reload the page")
    before = None
    if live is not None and live.reopens:
        before = _last_vote(session, rater.id, comparison_id=live.comparison_id)
    told_at = rater.origins_told_at
    last = _last_vote(session, rater.id, before=before, wanted=wanted, told_at=told_at)
    if last is None:
        return None
    if live is not None:
        live.closed_at = now
    voted = session.get_one(AssignmentRow, last.assignment_id)
    comparison = session.get_one(ComparisonRow, voted.comparison_id)
    return assign(session, rater.id, comparison, voted.left_is_a, now, lease, wanted, reopens=True)


def _last_vote(
    session: Session,
    rater_id: int,
    *,
    comparison_id: UUID | None = None,
    before: VoteRow | None = None,
    wanted: Wanted | None = None,
    told_at: datetime | None = None,
) -> VoteRow | None:
    """The rater's newest vote that counts, on one comparison, on any that is wanted, or on any."""
    query = (
        select(VoteRow)
        .join(AssignmentRow, AssignmentRow.id == VoteRow.assignment_id)
        .where(AssignmentRow.rater_id == rater_id, is_current())
        .order_by(VoteRow.id.desc())
        .limit(1)
    )
    if comparison_id is not None:
        query = query.where(AssignmentRow.comparison_id == comparison_id)
    if before is not None:
        query = query.where(VoteRow.id < before.id)
    if told_at is not None:
        query = query.where(VoteRow.created_at > told_at)
    if wanted is not None:
        query = query.join(ComparisonRow, ComparisonRow.id == AssignmentRow.comparison_id).where(
            ComparisonRow.purpose.in_(wanted.purposes), is_open()
        )
        if wanted.campaign_id is not None:
            query = query.where(ComparisonRow.campaign_id == wanted.campaign_id)
    return session.scalar(query)
