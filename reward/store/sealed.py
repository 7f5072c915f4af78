"""Sealed melodies: those of a blind test that has not been revealed.

A blind test compares two policies on melodies that nothing else has touched. Until it is revealed,
its melodies are not paired elsewhere, not used for traps, not learnt from, not shown outside the
test and not scored. This module is the one place that says which melodies those are. The store
keeps the rule when pairs are added and issued, and each vote of a frame says whether it is sealed.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, Select, or_, select, union
from sqlalchemy.orm import Session, aliased

from reward.store.schema import CampaignRow, ComparisonRow


def sealed_melody_ids(session: Session) -> frozenset[int]:
    """Ids of the melodies of blind tests that have not been revealed."""
    return frozenset(sealed_by(session))


def sealed_by(session: Session) -> dict[int, int | None]:
    """The campaign that seals each sealed melody; None for a blind test without a campaign."""
    test = aliased(ComparisonRow)
    pairs = select(test.melody_a, test.melody_b, test.campaign_id).where(_is_unrevealed(test))
    return {
        melody_id: campaign_id
        for a, b, campaign_id in session.execute(pairs)
        for melody_id in (a, b)
    }


def is_sealed() -> ColumnElement[bool]:
    """SQL: a melody of the comparison is sealed."""
    test = aliased(ComparisonRow)
    sides: list[Select[int]] = [
        select(side).where(_is_unrevealed(test)) for side in (test.melody_a, test.melody_b)
    ]
    melodies = union(*sides)
    return ComparisonRow.melody_a.in_(melodies) | ComparisonRow.melody_b.in_(melodies)


def _is_unrevealed(test: type[ComparisonRow]) -> ColumnElement[bool]:
    """SQL: a comparison of a blind test that has not been revealed."""
    revealed = select(CampaignRow.id).where(CampaignRow.revealed_at.is_not(None))
    return (test.purpose == "blind_test") & or_(
        test.campaign_id.is_(None), test.campaign_id.not_in(revealed)
    )
