"""Campaigns: comparisons that belong together, and who is invited to them.

A blind test is a campaign of two policies. Until it is revealed nobody is told which policy does
better; once it is closed its comparisons are not shown any more. It may be for guests only, and
limit how many votes of one rater count, so that nobody decides it alone.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from itertools import count

from sqlalchemy import select
from sqlalchemy.orm import Session

from reward.store.database import RatingsError, check_text
from reward.store.schema import CAMPAIGN_PURPOSES, CampaignRow
from reward.store.secret_tokens import hash_of_token

MOST_VOTES_WANTED = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """The two policies of a blind test.

    Raises:
        RatingsError: for a policy against itself.
    """

    a: str
    b: str
    """their names"""
    a_id: str
    b_id: str
    """the `policy_id` of their melodies"""

    def __post_init__(self) -> None:
        """Refuse the same policy twice."""
        if self.a_id == self.b_id:
            raise RatingsError(
                f"{self.a!r} and {self.b!r} are the same policy; choose two that differ"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """A campaign as it is in the store."""

    id: int
    name: str
    purpose: str
    policies: Policies | None
    """of a blind test"""
    round: int
    votes_wanted: int
    votes_per_rater: int | None
    """votes of one rater that count at most; None for any number"""
    invite_only: bool
    """only who came by an invitation hears its comparisons"""
    has_invite: bool
    created_at: datetime
    closed_at: datetime | None
    revealed_at: datetime | None


def create_campaign(
    session: Session,
    name: str,
    *,
    purpose: str,
    votes_wanted: int,
    now: datetime,
    policies: Policies | None = None,
    round: int = 1,
    votes_per_rater: int | None = None,
    invite_only: bool = False,
) -> Campaign:
    """A new campaign, still without comparisons.

    Raises:
        RatingsError: for a name that is taken, empty or does not print, an unknown purpose, a
            number of votes out of range, or policies where none belong.
    """
    name = free_name(session, name)
    if purpose not in CAMPAIGN_PURPOSES:
        raise RatingsError(f"purpose={purpose!r} is not known; choose of {CAMPAIGN_PURPOSES}")
    if not 1 <= votes_wanted <= MOST_VOTES_WANTED:
        raise RatingsError(
            f"votes_wanted={votes_wanted} is not within 1..{MOST_VOTES_WANTED}; 200 is usual"
        )
    if (policies is not None) != (purpose == "blind_test"):
        raise RatingsError(
            f"purpose={purpose!r} with policies={policies}; a blind test has two, others none"
        )
    _check_votes_per_rater(votes_per_rater)
    row = CampaignRow(
        name=name,
        purpose=purpose,
        policy_a=policies and policies.a,
        policy_b=policies and policies.b,
        policy_a_id=policies and policies.a_id,
        policy_b_id=policies and policies.b_id,
        round=round,
        votes_wanted=votes_wanted,
        votes_per_rater=votes_per_rater,
        invite_only=invite_only,
        created_at=now,
    )
    session.add(row)
    session.flush()
    return _campaign(row)


def free_name(session: Session, name: str) -> str:
    """The name in one spelling.

    Raises:
        RatingsError: when it is taken, empty, too long or does not print.
    """
    check_text("name", name, 1, 200)
    tidy = " ".join(name.split())
    check_text("name", tidy, 1, 80)
    if not tidy.isprintable():
        raise RatingsError(f"name={name!r} holds characters that do not print; drop them")
    if session.scalar(select(CampaignRow.id).where(CampaignRow.name == tidy)) is not None:
        raise RatingsError(f"name={tidy!r} is taken by another campaign; choose another")
    return tidy


def default_name(session: Session) -> str:
    """A free name for a blind test that tells raters nothing of its policies."""
    taken = set(session.scalars(select(CampaignRow.name)))
    return next(name for n in count(1) if (name := f"Blind test {n}") not in taken)


def list_campaigns(session: Session, *, purpose: str | None = None) -> list[Campaign]:
    """All of them, the newest first; of one purpose if asked."""
    query = select(CampaignRow).order_by(CampaignRow.id.desc())
    if purpose is not None:
        query = query.where(CampaignRow.purpose == purpose)
    return [_campaign(row) for row in session.scalars(query)]


def get_campaign(session: Session, campaign_id: int) -> Campaign:
    """One campaign.

    Raises:
        RatingsError: when there is none.
    """
    return _campaign(campaign_row(session, campaign_id))


def invite(session: Session, campaign_id: int) -> str:
    """A new token that leads to the campaign; the one before leads nowhere from now on.

    Raises:
        RatingsError: for an unknown campaign.
    """
    token = secrets.token_urlsafe(16)
    campaign_row(session, campaign_id).invite_token_hash = hash_of_token(token)
    return token


def campaign_by_invite(session: Session, token: str) -> Campaign | None:
    """The campaign that the token leads to, if any."""
    row = session.scalar(
        select(CampaignRow).where(CampaignRow.invite_token_hash == hash_of_token(token))
    )
    return None if row is None else _campaign(row)


def change_rules(
    session: Session, campaign_id: int, *, votes_per_rater: int | None, invite_only: bool
) -> Campaign:
    """Say anew how many votes of one rater count, and whether it is for guests only.

    Raises:
        RatingsError: for an unknown campaign, or a number out of range.
    """
    _check_votes_per_rater(votes_per_rater)
    row = campaign_row(session, campaign_id)
    row.votes_per_rater, row.invite_only = votes_per_rater, invite_only
    return _campaign(row)


def reveal_campaign(session: Session, campaign_id: int, *, now: datetime) -> Campaign:
    """Show its comparisons no more, and let people see the result; again, the first moment stays.

    Raises:
        RatingsError: for an unknown campaign.
    """
    row = campaign_row(session, campaign_id)
    row.closed_at = row.closed_at or now
    row.revealed_at = row.revealed_at or now
    return _campaign(row)


def check_fits(campaign: CampaignRow, writers: tuple[str, str], *, purpose: str) -> None:
    """Refuse a comparison that cannot be a campaign's.

    Args:
        campaign: its row.
        writers: the `policy_id` of both melodies.
        purpose: the comparison's.

    Raises:
        RatingsError: for a purpose or policies of others.
    """
    if (purpose == "blind_test") != (campaign.purpose == "blind_test"):
        raise RatingsError(
            f"a comparison of purpose {purpose!r} is not for the campaign {campaign.name!r} of "
            f"purpose {campaign.purpose!r}; give it to another, or to none"
        )
    policies = {campaign.policy_a_id, campaign.policy_b_id}
    if campaign.purpose == "blind_test" and set(writers) != policies:
        raise RatingsError(
            f"melodies of the policies {writers} are not for {campaign.name!r}, which compares "
            f"{campaign.policy_a_id!r} with {campaign.policy_b_id!r}; pair one of each"
        )


def campaign_row(session: Session, campaign_id: int) -> CampaignRow:
    """The campaign's row.

    Raises:
        RatingsError: when there is none.
    """
    row = session.get(CampaignRow, int(campaign_id))
    if row is None:
        raise RatingsError(f"campaign {campaign_id} is unknown; list_campaigns names those there")
    return row


def _check_votes_per_rater(votes_per_rater: int | None) -> None:
    if votes_per_rater is not None and not 1 <= votes_per_rater <= MOST_VOTES_WANTED:
        raise RatingsError(
            f"votes_per_rater={votes_per_rater} is not within 1..{MOST_VOTES_WANTED}; a quarter of "
            "the votes wanted is usual, and None is no limit"
        )


def _campaign(row: CampaignRow) -> Campaign:
    policies = None
    if row.policy_a and row.policy_b and row.policy_a_id and row.policy_b_id:
        policies = Policies(
            a=row.policy_a, b=row.policy_b, a_id=row.policy_a_id, b_id=row.policy_b_id
        )
    return Campaign(
        id=row.id,
        name=row.name,
        purpose=row.purpose,
        policies=policies,
        round=row.round,
        votes_wanted=row.votes_wanted,
        votes_per_rater=row.votes_per_rater,
        invite_only=row.invite_only,
        has_invite=row.invite_token_hash is not None,
        created_at=row.created_at,
        closed_at=row.closed_at,
        revealed_at=row.revealed_at,
    )
