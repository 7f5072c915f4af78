"""Who hears a campaign: its guests, and each as many comparisons as count of one rater."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from reward.store.campaigns import campaign_row
from reward.store.schema import (
    AssignmentRow,
    CampaignGuestRow,
    CampaignRow,
    ComparisonRow,
    VoteRow,
    is_current,
)

SAYS_WHICH = ("left", "right", "tie")
"""outcomes that say which is better, or that both are equal"""


def admit(session: Session, campaign_id: int, rater_id: int, *, now: datetime) -> None:
    """Make a rater a guest of the campaign, for good; again, nothing changes.

    Raises:
        RatingsError: for an unknown campaign.
    """
    row = campaign_row(session, campaign_id)
    if not is_guest(session, row.id, rater_id):
        session.add(CampaignGuestRow(campaign_id=row.id, rater_id=rater_id, created_at=now))


def is_guest(session: Session, campaign_id: int, rater_id: int) -> bool:
    """Whether the rater came by an invitation once."""
    return session.get(CampaignGuestRow, (int(campaign_id), int(rater_id))) is not None


def names_of_guest(session: Session, rater_id: int) -> list[str]:
    """Names of the campaigns that the rater is a guest of."""
    query = (
        select(CampaignRow.name)
        .join(CampaignGuestRow, CampaignGuestRow.campaign_id == CampaignRow.id)
        .where(CampaignGuestRow.rater_id == int(rater_id))
        .order_by(CampaignRow.id)
    )
    return list(session.scalars(query))


def has_given_share(session: Session, campaign: CampaignRow, rater_id: int) -> bool:
    """Whether as many votes of the rater are in as count of one rater."""
    if campaign.votes_per_rater is None:
        return False
    given = (
        select(func.count())
        .select_from(AssignmentRow)
        .join(ComparisonRow, ComparisonRow.id == AssignmentRow.comparison_id)
        .join(VoteRow, VoteRow.assignment_id == AssignmentRow.id)
        .where(
            AssignmentRow.rater_id == int(rater_id),
            ComparisonRow.campaign_id == campaign.id,
            VoteRow.outcome.in_(SAYS_WHICH),
            VoteRow.set_aside.is_(None),
            is_current(),
        )
    )
    return (session.scalar(given) or 0) >= campaign.votes_per_rater
