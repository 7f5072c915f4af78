"""Sittings: how long a rater has been at it without a break.

Listening tests keep a session to 20 to 30 minutes (ITU-T P.808), because ears tire before people
notice. Votes that follow each other within `BREAK` belong to one listening session.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from reward.store.schema import AssignmentRow, VoteRow

BREAK = timedelta(minutes=10)
"""a pause that ends a listening session"""
LONGEST = 500
"""votes looked back over; more than anyone casts in one listening session"""
READ_AT_ONCE = 100
"""votes; more than in most listening sessions"""


@dataclass(frozen=True, slots=True)
class ListeningSession:
    """What a rater has done since their last break."""

    votes: int
    lasted: timedelta
    """from when the first of these pairs was shown until the newest vote"""


def has_voted(session: Session, rater_id: int) -> bool:
    """Whether the rater has cast a vote, on any pair."""
    voted = (
        select(VoteRow.id)
        .join(AssignmentRow, AssignmentRow.id == VoteRow.assignment_id)
        .where(AssignmentRow.rater_id == rater_id)
        .limit(1)
    )
    return session.scalar(voted) is not None


def listening_session(session: Session, rater_id: int, *, now: datetime) -> ListeningSession:
    """The listening session that the rater is in; one of no votes when the last is too long ago."""
    newest_first = (
        select(AssignmentRow.issued_at, VoteRow.created_at)
        .join(VoteRow, VoteRow.assignment_id == AssignmentRow.id)
        .where(AssignmentRow.rater_id == rater_id)
        .order_by(VoteRow.id.desc())
        .limit(LONGEST)
        # After each vote: reading the times of all these votes would take twice as long.
        .execution_options(yield_per=READ_AT_ONCE)
    )
    with session.execute(newest_first) as rows:
        return session_of(((row.issued_at, row.created_at) for row in rows), now=now)


def session_of(
    newest_first: Iterable[tuple[datetime, datetime]], *, now: datetime
) -> ListeningSession:
    """The listening session in votes given as (pair shown, vote cast)."""
    begun, newest, votes = now, now, 0
    for issued_at, created_at in newest_first:
        if begun - created_at > BREAK:
            break
        # A pair that waited through a break was not heard all that time.
        newest = created_at if votes == 0 else newest
        begun, votes = max(issued_at, created_at - BREAK), votes + 1
    return ListeningSession(votes, newest - begun)
