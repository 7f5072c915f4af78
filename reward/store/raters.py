"""Raters: people by pseudonym, and simulated listeners, which are marked as such.

A person comes back with a token. It is told once, when they are added; the store has only its hash.
"""

from __future__ import annotations

import secrets
import unicodedata
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from reward.store.database import RatingsError, check_text
from reward.store.schema import RATER_KINDS, RaterRow
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
        RatingsError: for a nickname that is taken, empty or too long, or an unknown kind.
    """
    nickname = _tidy(nickname)
    if kind not in RATER_KINDS:
        raise RatingsError(f"kind={kind!r} is not known; choose one of {RATER_KINDS}")
    check_text("consent_version", consent_version, 1, 40)
    if _row_named(session, nickname) is not None:
        raise RatingsError(
            f"nickname={nickname!r} is taken; choose another, or come in by the link that is theirs"
        )
    token = secrets.token_urlsafe(24)
    row = RaterRow(
        nickname=nickname,
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

    Raises:
        RatingsError: as `add_rater`, and when the nickname belongs to the other kind.
    """
    row = _row_named(session, _tidy(nickname))
    if row is None:
        return add_rater(session, nickname, kind=kind, consent_version=consent_version, now=now)
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


def is_same_nickname(one: str, other: str) -> bool:
    """Whether both are one nickname; spaces around it and the form of Unicode do not matter."""
    one, other = (unicodedata.normalize("NFC", " ".join(name.split())) for name in (one, other))
    return one == other


def _row_named(session: Session, tidy: str) -> RaterRow | None:
    """The rater of that nickname; an older version or another program may have stored it as NFD."""
    forms = {tidy, unicodedata.normalize("NFD", tidy)}
    return session.scalar(select(RaterRow).where(RaterRow.nickname.in_(forms)))


def _tidy(nickname: str) -> str:
    """One spelling of a nickname, in Unicode's form NFC.

    Raises:
        RatingsError: when nothing readable is left, or too much.
    """
    check_text("nickname", nickname, 1, 200)
    tidy = " ".join(unicodedata.normalize("NFC", nickname).split())
    check_text("nickname", tidy, 1, 40)
    if not tidy.isprintable():
        raise RatingsError(f"nickname={nickname!r} holds characters that do not print; drop them")
    return tidy
