"""Favourites: the melodies that a rater keeps at hand. They are no votes, and no model learns them.

They are the rater's own: nobody else is shown them, and they go when the rater withdraws.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from reward.store.database import RatingsError
from reward.store.raters import get_rater
from reward.store.schema import FavouriteRow, MelodyRow


def favourites(session: Session, rater_id: int) -> frozenset[int]:
    """Ids of the melodies that this rater keeps."""
    kept = select(FavouriteRow.melody_id).where(FavouriteRow.rater_id == int(rater_id))
    return frozenset(session.scalars(kept))


def set_favourite(
    session: Session, rater_id: int, melody_id: int, *, kept: bool, now: datetime
) -> None:
    """Keep a melody, or let it go; what is so already stays so, with its first date.

    Raises:
        RatingsError: for an unknown rater or melody.
    """
    rater = get_rater(session, rater_id)
    if session.get(MelodyRow, int(melody_id)) is None:
        raise RatingsError(f"melody {melody_id} is not in the pool; reload the page")
    row = session.get(FavouriteRow, (rater.id, int(melody_id)))
    if kept and row is None:
        session.add(FavouriteRow(rater_id=rater.id, melody_id=int(melody_id), created_at=now))
    elif not kept and row is not None:
        session.delete(row)
    session.flush()


def forget_favourites(session: Session, rater_id: int) -> None:
    """Let go of all that a rater keeps."""
    session.execute(delete(FavouriteRow).where(FavouriteRow.rater_id == int(rater_id)))
