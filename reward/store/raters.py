"""Raters: people by pseudonym, and simulated listeners, which are marked as such.

A person comes back with a token. It is told once, when they are added; the store has only its hash.
"""

from __future__ import annotations

import secrets
import unicodedata
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from reward.store.database import RatingsError, check_text
from reward.store.nicknames import check_readable, skeleton, tidy
from reward.store.schema import RATER_KINDS, AssignmentRow, RaterRow, VoteRow
from reward.store.secret_tokens import hash_of_token


@dataclass(frozen=True, slots=True)
class Rater:
    """Someone who votes, by pseudonym."""

    id: int
    nickname: str
    kind: str
    consent_version: str
    """what they have agreed to"""
    token: str | None = None
    """the secret that lets them come back; None unless they were added just now"""


def add_rater(
    session: Session, nickname: str, *, kind: str, consent_version: str, now: datetime
) -> Rater:
    """A new rater, with a token.

    Raises:
        RatingsError: for a nickname that is taken, looks like one that is, mixes scripts, is empty
            or too long, or for an unknown kind.
    """
    nickname = tidy(nickname)
    check_readable(nickname)
    alike = select(RaterRow.nickname).where(RaterRow.nickname_skeleton == skeleton(nickname))
    taken = session.scalars(alike).first()
    if taken is not None:
        said = "is taken" if taken == nickname else "is taken, or looks like one that is"
        raise RatingsError(
            f"nickname={nickname!r} {said}; choose another, or come in by the link that is theirs"
        )
    return _insert(session, nickname, kind=kind, consent_version=consent_version, now=now)


def _insert(
    session: Session, nickname: str, *, kind: str, consent_version: str, now: datetime
) -> Rater:
    if kind not in RATER_KINDS:
        raise RatingsError(f"kind={kind!r} is not known; choose one of {RATER_KINDS}")
    check_text("consent_version", consent_version, 1, 40)
    token = secrets.token_urlsafe(24)
    row = RaterRow(
        nickname=nickname,
        nickname_skeleton=skeleton(nickname),
        kind=kind,
        consent_version=consent_version,
        token_hash=hash_of_token(token),
        created_at=now,
    )
    session.add(row)
    session.flush()
    return Rater(row.id, row.nickname, row.kind, row.consent_version, token)


def rater_named(
    session: Session, nickname: str, *, kind: str, consent_version: str, now: datetime
) -> Rater:
    """The rater of that nickname, added when there is none.

    For imports and simulated listeners: names that look alike are told apart, as they were where
    they come from.

    Raises:
        RatingsError: for a nickname that is empty, too long, or of a rater of the other kind.
    """
    nickname = tidy(nickname)
    row = _row_named(session, nickname)
    if row is None:
        return _insert(session, nickname, kind=kind, consent_version=consent_version, now=now)
    if row.kind != kind:
        raise RatingsError(
            f"nickname={nickname!r} belongs to a rater of kind {row.kind!r}, not {kind!r}; "
            "choose another nickname"
        )
    return Rater(row.id, row.nickname, row.kind, row.consent_version)


def rater_by_token(session: Session, token: str) -> Rater | None:
    """The rater whom the token belongs to, if any."""
    row = session.scalar(select(RaterRow).where(RaterRow.token_hash == hash_of_token(token)))
    return None if row is None else Rater(row.id, row.nickname, row.kind, row.consent_version)


def renew_consent(session: Session, rater_id: int, consent_version: str) -> None:
    """Remember that a rater has agreed to another version.

    Raises:
        RatingsError: for an unknown rater, or a version that is no short text.
    """
    check_text("consent_version", consent_version, 1, 40)
    get_rater(session, rater_id).consent_version = consent_version


def get_rater(session: Session, rater_id: int) -> RaterRow:
    """The rater's row.

    Raises:
        RatingsError: when there is none.
    """
    rater = session.get(RaterRow, int(rater_id))
    if rater is None:
        raise RatingsError(f"rater {rater_id} is unknown; they may have withdrawn, or add_rater")
    return rater


def is_to_be_told(session: Session, rater_id: int) -> bool:
    """Whether the library would tell the rater origins that it has not told; see `tell_origins`."""
    rater = session.get(RaterRow, int(rater_id))
    newest = _newest_vote(session, rater_id)
    return rater is not None and newest is not None and not _has_been_told(rater, newest)


def tell_origins(session: Session, rater_id: int, *, now: datetime) -> None:
    """Remember that the library tells the rater who wrote what they have rated.

    From now on they cannot take back the votes that they have cast (`reward.store.votes`). To be
    called before the origins are read, so that no vote is taken back in between.

    Raises:
        RatingsError: for an unknown rater.
    """
    rater = get_rater(session, rater_id)
    newest = _newest_vote(session, rater_id)
    if newest is not None and not _has_been_told(rater, newest):
        rater.origins_told_at = max(now, newest)


def _has_been_told(rater: RaterRow, voted_at: datetime) -> bool:
    return rater.origins_told_at is not None and voted_at <= rater.origins_told_at


def _newest_vote(session: Session, rater_id: int) -> datetime | None:
    return session.scalar(
        select(func.max(VoteRow.created_at))
        .join(AssignmentRow, AssignmentRow.id == VoteRow.assignment_id)
        .where(AssignmentRow.rater_id == int(rater_id))
    )


def _row_named(session: Session, tidy: str) -> RaterRow | None:
    """The rater of that nickname; an older version or another program may have stored it as NFD."""
    forms = {tidy, unicodedata.normalize("NFD", tidy)}
    return session.scalar(select(RaterRow).where(RaterRow.nickname.in_(forms)))
