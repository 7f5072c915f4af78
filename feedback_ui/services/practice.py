"""The practice pair: two plain tunes of our own that show how rating works; nothing is stored.

One walks up and down a scale, the other leaps about, so that anyone hears a difference.
"""

from __future__ import annotations

from uuid import UUID

from feedback_ui.services.session import Pair, StudioSession
from music.melody import TICKS_PER_QUARTER, Header, Melody, Note

PRACTICE_ID = UUID(int=0)
"""assignment of the practice pair; the store has none of this id, so an answer cannot land there"""
_HEADER = Header("4/4", "major", "other", 4, 0)
_WALK = (0, 2, 4, 5, 7, 9, 11, 12, 12, 11, 9, 7, 5, 4, 2, 0)
_LEAPS = (0, 7, 4, 12, 5, 0, 9, 2, 7, 12, 4, 11, 2, 9, 7, 0)


def _quarters(pitches: tuple[int, ...]) -> Melody:
    notes = (Note(at * TICKS_PER_QUARTER, TICKS_PER_QUARTER, p) for at, p in enumerate(pitches))
    return Melody(_HEADER, tuple(notes))


WALKING, LEAPING = _quarters(_WALK), _quarters(_LEAPS)


def practice_pair(studio: StudioSession) -> Pair:
    """The pair that everyone begins with.

    Raises:
        SoundfontError: when it cannot be rendered.
    """
    left, right = studio.clip(WALKING), studio.clip(LEAPING)
    return Pair(PRACTICE_ID, left, right, votes_cast=0, total=0, reopened=False)


def is_practice(payload: object) -> bool:
    """Whether a page answered the practice pair, also one from before a restart."""
    return isinstance(payload, dict) and payload.get("assignment_id") == str(PRACTICE_ID)
