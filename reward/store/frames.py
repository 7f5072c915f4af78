"""The store as pandas frames: one row a vote, a melody, a comparison, a rater.

Columns and their types are the same for an empty store. Ids of comparisons are text; `tokens` and
`reasons` are lists, `features` a mapping or None; moments are UTC. `vocabulary` says what the ids
of `tokens` mean (`music.tokens.VOCABULARY_HASH`). Nothing here tells who a rater is but the
pseudonym.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from music.tokens import VOCABULARY_HASH
from reward.store.database import RatingsError
from reward.store.pool import tokens_from_bytes
from reward.store.schema import (
    RATER_KINDS,
    AssignmentRow,
    CampaignRow,
    ComparisonRow,
    MelodyRow,
    RaterRow,
    VoteRow,
    is_current,
)
from reward.store.sealed import is_sealed
from reward.store.votes import outcome_for_a

MOMENT = "datetime64[us, UTC]"
VOTE_FIELDS = (
    "outcome strength reasons comment heard_ms_left heard_ms_right plays_left plays_right "
    "latency_ms nonce renderer app_version supersedes set_aside created_at"
)
COMPARISON_FIELDS = "round purpose repeat_of strategy probability melody_a melody_b"
VOTE_COLUMNS: Mapping[str, str] = {
    "vote_id": "int64",
    "comparison_id": "str",
    "rater_id": "int64",
    "rater_kind": "str",
    "round": "int64",
    "purpose": "str",
    "repeat_of": "str",
    "strategy": "str",
    "probability": "float64",
    "melody_a": "int64",
    "melody_b": "int64",
    "outcome": "str",
    "outcome_a": "str",
    "left_is_a": "bool",
    "strength": "int64",
    "reasons": "object",
    "comment": "str",
    "heard_ms_left": "int64",
    "heard_ms_right": "int64",
    "plays_left": "int64",
    "plays_right": "int64",
    "latency_ms": "int64",
    "nonce": "str",
    "renderer": "str",
    "app_version": "str",
    "supersedes": "Int64",
    "set_aside": "str",
    "current": "bool",
    "sealed": "bool",
    "issued_at": MOMENT,
    "created_at": MOMENT,
}
MELODY_COLUMNS: Mapping[str, str] = {
    "melody_id": "int64",
    "sha256": "str",
    "meter": "str",
    "mode": "str",
    "style": "str",
    "bars": "int64",
    "pickup_ticks": "int64",
    "tonic_midi": "int64",
    "policy_id": "str",
    "step": "int64",
    "sampler": "str",
    "seed": "int64",
    "tokens": "object",
    "vocabulary": "str",
    "features": "object",
    "created_at": MOMENT,
}
COMPARISON_COLUMNS: Mapping[str, str] = {
    "comparison_id": "str",
    "position": "int64",
    "round": "int64",
    "melody_a": "int64",
    "melody_b": "int64",
    "purpose": "str",
    "repeat_of": "str",
    "strategy": "str",
    "probability": "float64",
    "campaign": "str",
    "created_at": MOMENT,
}
RATER_COLUMNS: Mapping[str, str] = {
    "rater_id": "int64",
    "nickname": "str",
    "rater_kind": "str",
    "consent_version": "str",
    "votes": "int64",
    "created_at": MOMENT,
}


def votes_frame(session: Session, *, kind: str | None, current_only: bool) -> pd.DataFrame:
    """One row a vote, oldest first; `kind` keeps the votes of people or of simulated listeners.

    `outcome_a` is what the vote says of melodies a and b: 'a', 'b', 'tie', 'both_bad' or 'skip'.
    `sealed` votes are on a melody of a blind test that has not been revealed: not to learn from.
    `set_aside` says why a vote is kept but not counted; it is missing for the others.

    Raises:
        RatingsError: for an unknown kind.
    """
    query = (
        select(
            VoteRow.id.label("vote_id"),
            *(getattr(VoteRow, name) for name in VOTE_FIELDS.split()),
            is_current().label("current"),
            is_sealed().label("sealed"),
            AssignmentRow.rater_id,
            AssignmentRow.left_is_a,
            AssignmentRow.issued_at,
            RaterRow.kind.label("rater_kind"),
            ComparisonRow.id.label("comparison_id"),
            *(getattr(ComparisonRow, name) for name in COMPARISON_FIELDS.split()),
        )
        .join(AssignmentRow, AssignmentRow.id == VoteRow.assignment_id)
        .join(ComparisonRow, ComparisonRow.id == AssignmentRow.comparison_id)
        .join(RaterRow, RaterRow.id == AssignmentRow.rater_id)
        .order_by(VoteRow.id)
    )
    if kind is not None:
        if kind not in RATER_KINDS:
            raise RatingsError(f"kind={kind!r} is not known; choose one of {RATER_KINDS}, or None")
        query = query.where(RaterRow.kind == kind)
    if current_only:
        query = query.where(is_current())
    rows = [
        {**row, "outcome_a": outcome_for_a(row["outcome"], left_is_a=row["left_is_a"])}
        for row in session.execute(query).mappings()
    ]
    return _frame(rows, VOTE_COLUMNS)


def melodies_frame(session: Session) -> pd.DataFrame:
    """One row a melody, by id."""
    query = select(MelodyRow.__table__).order_by(MelodyRow.id)
    rows = [
        {
            **row,
            **row["header"],
            "melody_id": row["id"],
            "tokens": tokens_from_bytes(row["tokens"]).tolist(),
            "vocabulary": VOCABULARY_HASH,
        }
        for row in session.execute(query).mappings()
    ]
    return _frame(rows, MELODY_COLUMNS)


def comparisons_frame(session: Session) -> pd.DataFrame:
    """One row a comparison, in the order of the plan, with the name of its campaign if any."""
    query = (
        select(
            ComparisonRow.id.label("comparison_id"),
            ComparisonRow.position,
            *(getattr(ComparisonRow, name) for name in COMPARISON_FIELDS.split()),
            CampaignRow.name.label("campaign"),
            ComparisonRow.created_at,
        )
        .outerjoin(CampaignRow, CampaignRow.id == ComparisonRow.campaign_id)
        .order_by(ComparisonRow.position, ComparisonRow.id)
    )
    rows = session.execute(query).mappings().all()
    return _frame(rows, COMPARISON_COLUMNS)


def raters_frame(session: Session) -> pd.DataFrame:
    """One row a rater, with the number of comparisons that they have answered."""
    voted = (
        select(func.count(AssignmentRow.comparison_id.distinct()))
        .join(VoteRow, VoteRow.assignment_id == AssignmentRow.id)
        .where(AssignmentRow.rater_id == RaterRow.id)
        .scalar_subquery()
    )
    query = select(
        RaterRow.id.label("rater_id"),
        RaterRow.nickname,
        RaterRow.kind.label("rater_kind"),
        RaterRow.consent_version,
        voted.label("votes"),
        RaterRow.created_at,
    ).order_by(RaterRow.id)
    rows = session.execute(query).mappings().all()
    return _frame(rows, RATER_COLUMNS)


def counts(session: Session) -> dict[str, int]:
    """How much there is: raters and current votes of each kind, melodies, comparisons."""

    def rows(query: Select[int]) -> int:
        return session.scalar(select(func.count()).select_from(query.subquery())) or 0

    by_rater = (
        select(VoteRow.id)
        .join(AssignmentRow, AssignmentRow.id == VoteRow.assignment_id)
        .join(RaterRow, RaterRow.id == AssignmentRow.rater_id)
    )
    found = {
        "melodies": rows(select(MelodyRow.id)),
        "comparisons": rows(select(ComparisonRow.position)),
        "superseded": rows(by_rater.where(~is_current())),
    }
    for kind in RATER_KINDS:
        found[f"raters_{kind}"] = rows(select(RaterRow.id).where(RaterRow.kind == kind))
        found[f"votes_{kind}"] = rows(by_rater.where(RaterRow.kind == kind, is_current()))
    return found


def _frame(rows: Sequence[Mapping[Any, Any]], columns: Mapping[str, str]) -> pd.DataFrame:
    series: dict[str, pd.Series] = {}
    for name, dtype in columns.items():
        values = [row[name] for row in rows]
        if dtype == "str":  # ids too; a missing one stays missing
            values = [None if value is None else str(value) for value in values]
        series[name] = pd.Series(values, dtype=dtype)
    return pd.DataFrame(series)
