"""Assignments: which pair a rater hears next, and on which sides.

Every function runs inside one writing session, so nobody else issues or votes meanwhile.

A rater has at most one *live* assignment. It ends by a vote, by an undo, or when its lease has run
out and the rater asks again.

A rater hears next, in this order: a hidden repeat that is due (as many of their votes lie between
as places lie between the two in the plan); then, of the comparisons new to them, the one that
fewest other raters of their kind have answered or are hearing; then the order of the plan. A repeat
is never early, so one whose original came late to a rater may not come to them at all. Comparisons
of a campaign that is closed come to nobody; nor do other pairs with a melody of a blind test, until
that is revealed (`reward.store.sealed`). Those of a campaign by invitation come to its guests.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from random import Random
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Select, bindparam, case, func, or_, select
from sqlalchemy.orm import Session, aliased

from reward.store.campaign_guests import has_given_share, is_guest
from reward.store.campaigns import campaign_row
from reward.store.database import RatingsError
from reward.store.pool import StoredMelody, load_heard_pairs
from reward.store.raters import get_rater
from reward.store.schema import (
    PURPOSES,
    AssignmentRow,
    CampaignGuestRow,
    CampaignRow,
    ComparisonRow,
    RaterRow,
    UtcDateTime,
    VoteRow,
)
from reward.store.sealed import is_sealed


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which comparisons a page asks for.

    Raises:
        RatingsError: for an unknown purpose.
    """

    purposes: Collection[str] = PURPOSES
    campaign_id: int | None = None
    """only those of this campaign; by default also those of none"""

    def __post_init__(self) -> None:
        """Check the purposes."""
        if not set(self.purposes) <= set(PURPOSES):
            raise RatingsError(
                f"purposes={sorted(self.purposes)} are not all known; choose of {PURPOSES}"
            )

    @property
    def values(self) -> dict[str, object]:
        """What the statements below ask for."""
        narrowed = {} if self.campaign_id is None else {"campaign_id": self.campaign_id}
        return {"wanted": tuple(self.purposes), **narrowed}

    def has(self, comparison: ComparisonRow) -> bool:
        """Whether it is among them."""
        return comparison.purpose in self.purposes and (
            self.campaign_id in (None, comparison.campaign_id)
        )


@dataclass(frozen=True, slots=True)
class Issued:
    """A pair on a rater's screen; it does not say which side is which, so it may go to the page."""

    assignment_id: UUID
    comparison_id: UUID
    left: StoredMelody
    right: StoredMelody
    expires_at: datetime
    votes_cast: int
    """comparisons that this rater has answered"""
    remaining: int
    """comparisons new to this rater, this one included, hidden repeats too"""
    reopened: bool
    """shown again by an undo"""


def issue(
    session: Session,
    rater_id: int,
    *,
    now: datetime,
    lease: timedelta,
    rng: Random,
    wanted: Wanted,
) -> Issued | None:
    """The rater's live pair, or the next one; None when they have answered all.

    A live one that is not wanted, or of a campaign that has been closed, is let go. None, too, when
    as many votes of the rater are in as count for the campaign.

    Raises:
        RatingsError: for an unknown rater or campaign, a campaign that the rater was not invited
            to, or a lease that has no length.
    """
    rater = get_rater(session, rater_id)
    check_lease(now, lease)
    campaign = None if wanted.campaign_id is None else campaign_row(session, wanted.campaign_id)
    if (
        campaign is not None
        and campaign.invite_only
        and not is_guest(session, campaign.id, rater.id)
    ):
        raise RatingsError(
            f"{campaign.name!r} is for those who were invited; open its invitation first"
        )
    live = live_assignment(session, rater.id)
    if live is not None:
        comparison = session.get_one(ComparisonRow, live.comparison_id)
        if live.expires_at > now and wanted.has(comparison) and _may_be_heard(session, comparison):
            return _shown(session, live, comparison, wanted)
        live.closed_at = now
    if campaign is not None and has_given_share(session, campaign, rater.id):
        return None
    asked = {"rater_id": rater.id, "kind": rater.kind, "now": now, **wanted.values}
    narrowed = wanted.campaign_id is not None
    comparison = session.scalar(_due_repeat(narrowed), asked) or session.scalar(
        _least_rated(narrowed), asked
    )
    if comparison is None:
        return None
    left_is_a = _side_of_a(session, rater.id, comparison, rng)
    return assign(session, rater.id, comparison, left_is_a, now, lease, wanted)


def check_lease(now: datetime, lease: timedelta) -> None:
    """Refuse a moment without a time zone, and a lease without length.

    Raises:
        RatingsError: for either.
    """
    if now.tzinfo is None:
        raise RatingsError(f"now={now.isoformat()} has no time zone; use datetime.now(UTC)")
    if lease <= timedelta(0):
        raise RatingsError(f"lease={lease} has no length; give the time to hear two melodies")


def live_assignment(session: Session, rater_id: int) -> AssignmentRow | None:
    """The assignment that waits for the rater's answer."""
    return session.scalar(
        select(AssignmentRow).where(
            AssignmentRow.rater_id == rater_id, AssignmentRow.closed_at.is_(None)
        )
    )


@cache
def _answered() -> Select[UUID]:
    """SQL: the comparisons that rater `:rater_id` has answered."""
    return (
        select(AssignmentRow.comparison_id)
        .join(VoteRow, VoteRow.assignment_id == AssignmentRow.id)
        .where(AssignmentRow.rater_id == bindparam("rater_id"))
    )


@cache
def _progress(narrowed: bool) -> Select[int, int]:
    """SQL: how many wanted comparisons there are or were for the rater, and how many answered."""
    is_answered = ComparisonRow.id.in_(_answered())
    return select(func.count(), func.coalesce(func.sum(case((is_answered, 1), else_=0)), 0)).where(
        _is_wanted(narrowed), or_(is_answered, is_open() & _is_invited())
    )


@cache
def _due_repeat(narrowed: bool) -> Select[ComparisonRow]:
    """SQL: the first repeat whose original lies as many votes back as the plan has places."""
    original = aliased(ComparisonRow)
    # The rater's votes as 1, 2, 3, …, so that a difference counts the votes in between.
    cast = (
        select(
            AssignmentRow.comparison_id,
            func.row_number().over(order_by=VoteRow.id).label("ordinal"),
        )
        .join(VoteRow, VoteRow.assignment_id == AssignmentRow.id)
        .where(AssignmentRow.rater_id == bindparam("rater_id"))
        .subquery()
    )
    newest = (
        select(cast.c.comparison_id, func.max(cast.c.ordinal).label("ordinal"))
        .group_by(cast.c.comparison_id)
        .subquery()
    )
    votes = select(func.count()).select_from(cast).scalar_subquery()
    return (
        select(ComparisonRow)
        .join(original, original.id == ComparisonRow.repeat_of)
        .join(newest, newest.c.comparison_id == original.id)
        .where(
            _is_wanted(narrowed),
            is_open(),
            _is_invited(),
            ComparisonRow.id.not_in(_answered()),
            votes - newest.c.ordinal >= ComparisonRow.position - original.position - 1,
        )
        .order_by(ComparisonRow.position, ComparisonRow.id)
        .limit(1)
    )


@cache
def _least_rated(narrowed: bool) -> Select[ComparisonRow]:
    """SQL: the next comparison that is new to the rater and that fewest others of `:kind` have."""
    hearing = AssignmentRow.closed_at.is_(None) & (
        AssignmentRow.expires_at > bindparam("now", type_=UtcDateTime)
    )
    others = (
        select(
            AssignmentRow.comparison_id,
            func.count(AssignmentRow.rater_id.distinct()).label("raters"),
        )
        .join(RaterRow, RaterRow.id == AssignmentRow.rater_id)
        .outerjoin(VoteRow, VoteRow.assignment_id == AssignmentRow.id)
        .where(
            RaterRow.id != bindparam("rater_id"),
            RaterRow.kind == bindparam("kind"),
            (VoteRow.id.is_not(None) & VoteRow.set_aside.is_(None)) | hearing,
        )
        .group_by(AssignmentRow.comparison_id)
        .subquery()
    )
    return (
        select(ComparisonRow)
        .outerjoin(others, others.c.comparison_id == ComparisonRow.id)
        .where(
            _is_wanted(narrowed),
            is_open(),
            _is_invited(),
            ComparisonRow.purpose != "repeat",
            ComparisonRow.id.not_in(_answered()),
        )
        .order_by(func.coalesce(others.c.raters, 0), ComparisonRow.position, ComparisonRow.id)
        .limit(1)
    )


def _is_wanted(narrowed: bool) -> ColumnElement[bool]:
    """SQL: of the `:wanted` purposes and, when narrowed, of campaign `:campaign_id`."""
    of_purpose = ComparisonRow.purpose.in_(bindparam("wanted", expanding=True))
    if not narrowed:
        return of_purpose
    return of_purpose & (ComparisonRow.campaign_id == bindparam("campaign_id"))


def is_open() -> ColumnElement[bool]:
    """SQL: may be shown now: not of a closed campaign, nor with the melody of another's blind test.

    A melody stands in one blind test at most, so a pair of a blind test is sealed by its own.
    """
    closed = select(CampaignRow.id).where(CampaignRow.closed_at.is_not(None))
    goes_on = ComparisonRow.campaign_id.is_(None) | ComparisonRow.campaign_id.not_in(closed)
    return goes_on & ((ComparisonRow.purpose == "blind_test") | ~is_sealed())


def _is_invited() -> ColumnElement[bool]:
    """SQL: of no campaign by invitation, or of one that rater `:rater_id` is a guest of."""
    guest_of = select(CampaignGuestRow.campaign_id).where(
        CampaignGuestRow.rater_id == bindparam("rater_id")
    )
    others = select(CampaignRow.id).where(CampaignRow.invite_only, CampaignRow.id.not_in(guest_of))
    return ComparisonRow.campaign_id.is_(None) | ComparisonRow.campaign_id.not_in(others)


def _may_be_heard(session: Session, comparison: ComparisonRow) -> bool:
    found = select(ComparisonRow.id).where(ComparisonRow.id == comparison.id, is_open())
    return session.scalar(found) is not None


def _side_of_a(session: Session, rater_id: int, comparison: ComparisonRow, rng: Random) -> bool:
    """Whether melody a goes left: as this rater saw it, swapped for a repeat, else by chance."""
    shown = (
        select(AssignmentRow)
        .where(AssignmentRow.rater_id == rater_id)
        .order_by(AssignmentRow.issued_at.desc())
        .limit(1)
    )
    before = session.scalar(shown.where(AssignmentRow.comparison_id == comparison.id))
    if before is not None:
        return before.left_is_a
    if comparison.repeat_of is not None:
        first = session.scalar(shown.where(AssignmentRow.comparison_id == comparison.repeat_of))
        original = session.get_one(ComparisonRow, comparison.repeat_of)
        if first is not None:
            was_left = original.melody_a if first.left_is_a else original.melody_b
            return comparison.melody_a != was_left
    return rng.random() < 0.5


def assign(
    session: Session,
    rater_id: int,
    comparison: ComparisonRow,
    left_is_a: bool,
    now: datetime,
    lease: timedelta,
    wanted: Wanted,
    *,
    reopens: bool = False,
) -> Issued:
    """Put a comparison on the rater's screen; the one that was live must be closed."""
    session.flush()  # the one that was live is closed before the next is opened
    assignment = AssignmentRow(
        id=uuid4(),
        comparison_id=comparison.id,
        rater_id=rater_id,
        left_is_a=left_is_a,
        reopens=reopens,
        issued_at=now,
        expires_at=now + lease,
        closed_at=None,
    )
    session.add(assignment)
    session.flush()
    return _shown(session, assignment, comparison, wanted)


def _shown(
    session: Session,
    assignment: AssignmentRow,
    comparison: ComparisonRow,
    wanted: Wanted,
) -> Issued:
    ((a, b),) = load_heard_pairs(session, [(comparison.melody_a, comparison.melody_b)])
    left, right = (a, b) if assignment.left_is_a else (b, a)
    asked = {"rater_id": assignment.rater_id, **wanted.values}
    narrowed = wanted.campaign_id is not None
    comparisons, answered = session.execute(_progress(narrowed), asked).one()
    return Issued(
        assignment_id=assignment.id,
        comparison_id=comparison.id,
        left=left,
        right=right,
        expires_at=assignment.expires_at,
        votes_cast=answered,
        remaining=comparisons - answered,
        reopened=assignment.reopens,
    )


def coming(
    session: Session, rater_id: int, *, now: datetime, wanted: Wanted, count: int
) -> list[StoredMelody]:
    """Melodies that this rater will probably hear next, at the keys and tempos of their pairs.

    Those of the next `count` comparisons if nobody else votes meanwhile and no repeat is due.
    """
    asked = {
        "rater_id": rater_id,
        "kind": get_rater(session, rater_id).kind,
        "now": now,
        **wanted.values,
    }
    statement = _least_rated(wanted.campaign_id is not None).limit(count)
    rows = session.scalars(statement, asked)
    pairs = load_heard_pairs(session, [(row.melody_a, row.melody_b) for row in rows])
    sides = [side for pair in pairs for side in pair]
    return list({(side.melody, side.tempo_bpm): side for side in sides}.values())


def shown(
    session: Session, rater_id: int, assignment_id: UUID
) -> tuple[StoredMelody, StoredMelody]:
    """The melodies, left and right, of an assignment of this rater's, live or answered.

    They are in the one key and at the one tempo in which the rater hears or heard them.

    Raises:
        RatingsError: when there is none, or it is another rater's.
    """
    assignment = session.get(AssignmentRow, assignment_id)
    if assignment is None or assignment.rater_id != rater_id:
        raise RatingsError(f"assignment {assignment_id} is unknown; reload the page for a new pair")
    comparison = session.get_one(ComparisonRow, assignment.comparison_id)
    ((a, b),) = load_heard_pairs(session, [(comparison.melody_a, comparison.melody_b)])
    return (a, b) if assignment.left_is_a else (b, a)
