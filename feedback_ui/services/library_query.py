"""What is asked of the library: search, filters, order and page, as they stand in the address.

An address is shared, kept and typed by people, so whatever in it is not known is left out, and what
is usual is not written: the bare page is `LibraryQuery()`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from music.melody import BAR_COUNTS, MODES
from music.metre import METERS
from music.styles import StyleError, check_label

MINE = {
    "": "All melodies",
    "rated": "Rated by me",
    "unrated": "Not rated by me",
    "favourites": "My favourites",
    "liked": "Liked by me",
}
"""by what this rater has done"""
SORTS = {
    "newest": "Newest first",
    "votes": "My votes: best first",
    "score": "The group's taste: best first",
    "original": "Most original first",
}
MOST_CHARACTERS = 200
EARLIER_NAMES = {"style": "type"}
"""fields, and what they are called in addresses of version 0.1.0"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryQuery:
    """What is asked; every field is safe to use as it is."""

    q: str = ""
    """notes to look for, or the number of a melody"""
    mine: str = ""
    """one of `MINE`"""
    meter: str = ""
    """one of `music.metre.METERS`, or any; the same for mode, style and bars"""
    mode: str = ""
    style: str = ""
    """the label of a style"""
    bars: str = ""
    policy: str = ""
    """who wrote it; finds only melodies of which that is told"""
    round: str = ""
    """for which round it was paired; the same"""
    sort: str = "newest"
    """one of `SORTS`"""
    page: int = 1
    """counted from 1"""
    melody: str = ""
    """code of the one that is looked at closely"""

    @classmethod
    def from_params(cls, params: Mapping[str, str]) -> LibraryQuery:
        """What an address asks for; the unknown is left out."""
        known = {
            "mine": MINE,
            "meter": METERS,
            "mode": MODES,
            "bars": [str(bars) for bars in BAR_COUNTS],
            "sort": SORTS,
        }
        found: dict[str, str | int] = {}
        for field in fields(cls):
            given = params.get(field.name, params.get(EARLIER_NAMES.get(field.name, ""), ""))
            said = given.strip()[:MOST_CHARACTERS]
            if not said or (field.name in known and said not in known[field.name]):
                continue
            if field.name in ("page", "round"):
                if not (said.isascii() and said.isdigit() and len(said) < 9):
                    continue
                found[field.name] = max(1, int(said)) if field.name == "page" else str(int(said))
            elif field.name != "style" or _is_label(said):
                found[field.name] = said
        return cls(**found)  # pyright: ignore[reportArgumentType]

    def params(self) -> dict[str, str]:
        """What stands in the address: all that is not usual."""
        usual = type(self)()
        return {
            field.name: str(getattr(self, field.name))
            for field in fields(self)
            if getattr(self, field.name) != getattr(usual, field.name)
        }


def _is_label(text: str) -> bool:
    try:
        check_label(text)
    except StyleError:
        return False
    return True
