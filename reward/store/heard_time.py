"""Heard time: how much listening a vote may claim.

A page reports how long its rater heard each side. The server cannot see what comes out of a
loudspeaker, but it knows when it issued the pair, and one plays after the other: what a rater
claims to have heard since a moment is at most the time that has passed since then. That holds for
one pair, and for all pairs together that were on this rater's screens meanwhile, so that nobody
listens to several at once.

A vote that claims more is kept, but set aside (`HEARD_TIME`). Times are by the database's clock.
When the sound was fetched is not known here: the pair was issued earlier.

Limits: who lets a pair play unheard, or waits as long, is not found out by this; traps and hidden
repeats are for that.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from reward.store.schema import AssignmentRow, VoteRow

TOGETHER = timedelta(minutes=10)
"""pairs issued this long before one are held together with it"""
SLACK_MS = 250
"""for rounding, and for clocks that are set"""
SLACK_SHARE = 0.01
"""for a sound card's clock that runs fast"""


def is_possible(
    session: Session, assignment: AssignmentRow, heard_ms: int, *, now: datetime
) -> bool:
    """Whether the rater can have heard so much (both sides) of this pair by now.

    Votes that are set aside do not stand in the way of honest ones.
    """
    pairs = (
        select(AssignmentRow.issued_at, VoteRow.heard_ms_left + VoteRow.heard_ms_right)
        .join(VoteRow, VoteRow.assignment_id == AssignmentRow.id)
        .where(
            AssignmentRow.rater_id == assignment.rater_id,
            AssignmentRow.issued_at > assignment.issued_at - TOGETHER,
            VoteRow.set_aside.is_(None),
        )
        .order_by(AssignmentRow.issued_at.desc())
    )
    others = [(issued_at, ms) for issued_at, ms in session.execute(pairs)]
    return fits(assignment.issued_at, heard_ms, others, now=now)


def fits(
    issued_at: datetime,
    heard_ms: int,
    others: Iterable[tuple[datetime, int]],
    *,
    now: datetime,
) -> bool:
    """Whether a pair's listening fits into the time since it was issued, beside that of others.

    Args:
        issued_at: when the pair was issued.
        heard_ms: what is claimed to have been heard of it, both sides.
        others: the rater's other pairs, as (issued at, heard ms), the newest first.
        now: when the vote came.
    """
    total_ms, since = heard_ms, issued_at
    for other_at, other_ms in others:
        if other_at < since and total_ms > _most_ms(since, now):
            return False
        total_ms, since = total_ms + other_ms, min(since, other_at)
    return total_ms <= _most_ms(since, now)


def _most_ms(since: datetime, now: datetime) -> float:
    passed_ms = max(0.0, (now - since) / timedelta(milliseconds=1))
    return SLACK_MS + (1 + SLACK_SHARE) * passed_ms
