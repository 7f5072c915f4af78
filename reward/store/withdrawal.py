"""Withdrawal: a rater leaves and takes what is theirs along; which runs had learnt from it.

A model cannot unlearn a vote. What the store can do is to know which runs used which votes, so that
whoever withdraws is told, and the run's record says how many of its votes are gone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from policy.runs import RUN_NAME
from reward.store.database import RatingsError
from reward.store.favourites import forget_favourites
from reward.store.pool import batches
from reward.store.raters import get_rater
from reward.store.schema import (
    AssignmentRow,
    CampaignGuestRow,
    RaterRow,
    TrainingRow,
    TrainingVoteRow,
    VoteRow,
)


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """What went with a rater, and what stays."""

    nickname: str
    votes: int
    assignments: int
    runs: tuple[str, ...]
    """runs that learnt from their votes; train these anew to be rid of them"""


def record_training(
    session: Session, run_id: str, vote_ids: Iterable[int], *, now: datetime
) -> None:
    """Remember that a run learnt from these votes; again with more, it adds them.

    Raises:
        RatingsError: for a run id that is not ours, or an unknown vote.
    """
    if not RUN_NAME.fullmatch(run_id):
        raise RatingsError(
            f"run_id={run_id!r} is not of the form {RUN_NAME.pattern}; rename the run"
        )
    run = session.get(TrainingRow, run_id)
    if run is None:
        run = TrainingRow(run_id=run_id, votes_used=0, votes_withdrawn=0, recorded_at=now)
        session.add(run)
        session.flush()
    for batch in batches(dict.fromkeys(int(vote_id) for vote_id in vote_ids)):
        known = set(session.scalars(select(VoteRow.id).where(VoteRow.id.in_(batch))))
        missing = sorted(set(batch) - known)
        if missing:
            raise RatingsError(
                f"vote {missing[0]} is unknown ({len(missing)} such); it may have been withdrawn, "
                "so read the votes again"
            )
        before = select(TrainingVoteRow.vote_id).where(
            TrainingVoteRow.run_id == run_id, TrainingVoteRow.vote_id.in_(batch)
        )
        fresh = known - set(session.scalars(before))
        session.add_all(TrainingVoteRow(run_id=run_id, vote_id=vote) for vote in sorted(fresh))
        run.votes_used += len(fresh)
        session.flush()


def withdraw(session: Session, rater_id: int) -> Withdrawal:
    """Remove a rater, their votes, their assignments and their favourites.

    Melodies, comparisons and jobs are nobody's and stay.

    Raises:
        RatingsError: for an unknown rater.
    """
    rater = get_rater(session, rater_id)
    nickname = rater.nickname
    used = runs_trained_on(session, rater.id)
    theirs = select(AssignmentRow.id).where(AssignmentRow.rater_id == rater.id)
    votes = select(VoteRow.id).where(VoteRow.assignment_id.in_(theirs))
    for run_id, count in used.items():
        session.execute(
            update(TrainingRow)
            .where(TrainingRow.run_id == run_id)
            .values(votes_withdrawn=TrainingRow.votes_withdrawn + count)
        )
    counts = [
        session.scalar(select(func.count()).select_from(rows.subquery())) or 0
        for rows in (votes, theirs)
    ]
    session.execute(delete(TrainingVoteRow).where(TrainingVoteRow.vote_id.in_(votes)))
    session.execute(delete(VoteRow).where(VoteRow.assignment_id.in_(theirs)))
    session.execute(delete(AssignmentRow).where(AssignmentRow.rater_id == rater.id))
    session.execute(delete(CampaignGuestRow).where(CampaignGuestRow.rater_id == rater.id))
    forget_favourites(session, rater.id)
    session.execute(delete(RaterRow).where(RaterRow.id == rater.id))
    return Withdrawal(nickname, counts[0], counts[1], tuple(used))


def runs_trained_on(session: Session, rater_id: int) -> dict[str, int]:
    """The runs that have learnt from this rater, by name, and from how many of their votes."""
    used = session.execute(
        select(TrainingVoteRow.run_id, func.count())
        .join(VoteRow, VoteRow.id == TrainingVoteRow.vote_id)
        .join(AssignmentRow, AssignmentRow.id == VoteRow.assignment_id)
        .where(AssignmentRow.rater_id == rater_id)
        .group_by(TrainingVoteRow.run_id)
        .order_by(TrainingVoteRow.run_id)
    )
    return {run_id: count for run_id, count in used}  # noqa: C416  its rows are no pairs to pyright
