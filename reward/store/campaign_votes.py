"""What people have said in a campaign, and which of it counts.

Of people only, the last that each said of a comparison; and of several people on one comparison the
first that says something: two votes on one pair of melodies are no two witnesses of the policies.
Where the campaign limits the votes of one rater, the first so many that say something count. Which
these are does not depend on what they say, so the stopping rule of a blind test holds. A vote that
was set aside does not count. A vote that comes after the campaign was closed stays in the store,
but is none of the campaign's.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from reward.store.campaigns import campaign_row
from reward.store.schema import AssignmentRow, ComparisonRow, MelodyRow, RaterRow, VoteRow
from reward.store.votes import outcome_for_a


@dataclass(frozen=True, slots=True)
class Said:
    """A vote of a campaign, without which melody or policy it was for."""

    rater: str
    """nickname"""
    outcome: str
    """'a' or 'b', the campaign's policies (of a training campaign, the comparison's melodies), or
    'tie', 'both_bad', 'skip'"""
    counts: bool
    """it is the first on its comparison to say which is better, or that both are equal"""
    set_aside: bool = False
    """it claims what cannot be, so it says nothing"""
    beyond_share: bool = False
    """as many votes of this rater as count had come before"""


def campaign_votes(session: Session, campaign_id: int) -> list[Said]:
    """What people have said in a campaign, in the order of their votes.

    Raises:
        RatingsError: for an unknown campaign.
    """
    campaign = campaign_row(session, campaign_id)
    query = (
        select(
            VoteRow.id,
            VoteRow.supersedes,
            VoteRow.outcome,
            VoteRow.set_aside,
            VoteRow.created_at,
            AssignmentRow.left_is_a,
            AssignmentRow.comparison_id,
            RaterRow.nickname,
            MelodyRow.policy_id,
        )
        .join(AssignmentRow, AssignmentRow.id == VoteRow.assignment_id)
        .join(RaterRow, RaterRow.id == AssignmentRow.rater_id)
        .join(ComparisonRow, ComparisonRow.id == AssignmentRow.comparison_id)
        .join(MelodyRow, MelodyRow.id == ComparisonRow.melody_a)
        .where(ComparisonRow.campaign_id == campaign.id, RaterRow.kind == "person")
        .order_by(VoteRow.id)
    )
    closed_at = campaign.closed_at
    in_time = [
        row for row in session.execute(query) if closed_at is None or row.created_at <= closed_at
    ]
    # Here and not by `is_current`: what was taken back in time is gone, and nothing after.
    taken_back = {row.supersedes for row in in_time}
    said: list[Said] = []
    counted: set[UUID] = set()
    given = Counter[str]()
    most = campaign.votes_per_rater
    for row in in_time:
        if row.id in taken_back:
            continue
        outcome = outcome_for_a(row.outcome, left_is_a=row.left_is_a)
        if campaign.policy_a_id is not None and row.policy_id != campaign.policy_a_id:
            outcome = {"a": "b", "b": "a"}.get(outcome, outcome)
        says_which = outcome in ("a", "b", "tie") and row.set_aside is None
        beyond_share = says_which and most is not None and given[row.nickname] >= most
        given[row.nickname] += says_which
        counts = says_which and not beyond_share and row.comparison_id not in counted
        if counts:
            counted.add(row.comparison_id)
        said.append(
            Said(
                row.nickname,
                outcome,
                counts,
                set_aside=row.set_aside is not None,
                beyond_share=beyond_share,
            )
        )
    return said
