"""The library: every melody of the pool, found, ordered, kept, and told of as far as one may be.

Blinding. Who wrote a melody would sway a vote, so a `LibraryMelody` has its `origin` only where it
may be told: to an organiser, or to a rater who has judged a comparison of it; and never while a
pair with it still waits for who is looking. A skip is no judgement. Raters are never told which
melody was corrupted for a trap. What would give the origin away goes with it: rounds, dates,
likeness to the training tunes, a style that only one policy may know, the group's score, the
filters on these, and the order in which melodies came. The others stand in the order of their
codes, which are hashes. An organiser who rates is a rater; one who does not sign in sees all. Once
the library has told a rater anything, the votes that they have cast stay as they are
(`reward.store.votes`).
Melodies of a blind test come to nobody until it is revealed, and their scores neither.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from feedback_ui.services.library_query import LibraryQuery
from feedback_ui.services.pool_cache import CODE_DIGITS, Pool, PoolCache
from feedback_ui.services.profiles import LEAST_VOTES, PERSON, LearntTastes
from feedback_ui.services.reference_corpus import RealTunes, ReferenceCorpora
from music.corpora.tune_search import TuneSearchError, find_tunes, read_pattern
from music.melody import MODES, Header, Melody
from music.messages import one_line
from music.metre import METERS
from music.styles import OTHER, SHIPPED_STYLES
from reward.store.catalogue import CatalogueEntry, Listening, Verdicts, listening, rounds
from reward.store.favourites import favourites, set_favourite
from reward.store.store import RatingsError, RatingsStore

PAGE_SIZE = 12
SHOWN_DIGITS = 6
_CODE = re.compile(r"#\s*([0-9a-f]{3,64})", re.IGNORECASE)
_ID = re.compile(r"id\s*[:=]?\s*(\d{1,9})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who is looking: a rater, an organiser, or both."""

    rater_id: int | None
    organiser: bool


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a melody comes from."""

    melody_id: int
    policy_id: str
    step: int
    sampler: str
    seed: int
    created_at: datetime
    rounds: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LibraryMelody:
    """A melody as the page may show it."""

    code: str
    """what it is called in addresses; a hash, so that it tells nothing"""
    melody: Melody
    favourite: bool
    verdicts: Verdicts | None
    """what who is looking has said of it; None when they have not judged it"""
    origin: Origin | None
    """None where it may not be told"""

    @property
    def short_code(self) -> str:
        """What it is called on the page."""
        return self.code[:SHOWN_DIGITS]


@dataclass(frozen=True, slots=True)
class Found:
    """One page of what was asked for."""

    melodies: tuple[LibraryMelody, ...]
    total: int
    page: int
    pages: int
    pool: int
    """melodies that can be shown"""
    withheld: int
    """of these, the ones of which the origin may not be told"""
    sealed: int
    """melodies of a blind test that has not been revealed: they are not shown"""
    looked_for: str
    """the search in words; empty without one"""
    trouble: str
    """why the search, or the order, could not be followed; empty if it was"""


@dataclass(frozen=True, slots=True)
class Choices:
    """What the filters offer: what the library holds. Of origins, only what may be told."""

    meters: tuple[str, ...]
    modes: tuple[str, ...]
    styles: tuple[str, ...]
    bars: tuple[int, ...]
    policies: tuple[str, ...]
    rounds: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Sight:
    """What one visitor may see now."""

    pool: Pool
    heard: Listening
    kept: frozenset[int]
    rounds: Mapping[int, frozenset[int]]
    told: np.ndarray
    """whether the origin may be told; bool (N,)"""
    visible: np.ndarray
    """whether it may be shown: it is in no blind test that goes on; bool (N,)"""

    def header(self, place: int) -> Header:
        """The header of a melody, as it may be shown.

        A style that the base policy does not know would tell which policy wrote it.
        """
        header = self.pool.entries[place].header
        if self.told[place] or header.style in SHIPPED_STYLES.labels:
            return header
        return replace(header, style=OTHER)


class MelodyLibrary:
    """The library over one ratings store; safe to share between the threads of a server.

    Args:
        store: an open ratings store.
        melodies: its melodies.
        tastes: what was learnt from its votes.
        references: what melodies are compared with, by their policies.
    """

    def __init__(
        self,
        store: RatingsStore,
        melodies: PoolCache,
        tastes: LearntTastes,
        references: ReferenceCorpora,
    ) -> None:
        self._store, self._melodies, self._tastes = store, melodies, tastes
        self._references = references

    # What is asked for

    def find(self, query: LibraryQuery, visitor: Visitor) -> Found:
        """One page of the melodies that the query asks for.

        Raises:
            RatingsError: when the database cannot be used.
        """
        sight = self._sight(visitor)
        wanted, looked_for, trouble = self._search(query, sight)
        wanted &= self._filtered(query, sight) & sight.visible
        by, order_trouble = self._order(query.sort, sight)
        # Best first; the unknown last; then those that may be told by age, the others by code.
        age = np.arange(len(wanted))
        places = sorted(
            np.flatnonzero(wanted),
            key=lambda n: (
                -by[n],
                (0, -int(age[n]), "") if sight.told[n] else (1, 0, sight.pool.entries[n].sha256),
            ),
        )
        pages = max(1, -(-len(places) // PAGE_SIZE))
        page = min(query.page, pages)
        shown = places[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]
        return Found(
            tuple(self._shown(int(place), sight) for place in shown),
            total=len(places),
            page=page,
            pages=pages,
            pool=int(sight.visible.sum()),
            withheld=int((sight.visible & ~sight.told).sum()),
            sealed=int((~sight.visible).sum()),
            looked_for=looked_for,
            trouble=trouble or order_trouble,
        )

    def melody(self, code: str, visitor: Visitor) -> LibraryMelody | None:
        """The melody of that code; None when there is none.

        Raises:
            RatingsError: when the database cannot be read.
        """
        sight = self._sight(visitor)
        place = sight.pool.by_code.get(code.lower()[:CODE_DIGITS])
        return None if place is None or not sight.visible[place] else self._shown(place, sight)

    def choices(self, visitor: Visitor) -> Choices:
        """What the filters offer this visitor.

        Raises:
            RatingsError: when the database cannot be read.
        """
        sight = self._sight(visitor)
        headers = {sight.header(int(place)) for place in np.flatnonzero(sight.visible)}
        told = [sight.pool.entries[place] for place in np.flatnonzero(sight.told)]
        return Choices(
            tuple(sorted({header.meter for header in headers}, key=METERS.index)),
            tuple(sorted({header.mode for header in headers}, key=MODES.index)),
            tuple(sorted({header.style for header in headers})),
            tuple(sorted({header.bars for header in headers})),
            tuple(sorted({entry.policy_id for entry in told})),
            tuple(sorted({n for entry in told for n in sight.rounds.get(entry.id, ())})),
        )

    def keep(self, code: str, rater_id: int, *, kept: bool) -> None:
        """Keep a melody as a favourite of a rater, or let it go.

        Raises:
            RatingsError: for an unknown rater or melody, or a database that cannot be written.
        """
        pool = self._melodies.pool()
        place = pool.by_code.get(code)
        melody_id = None if place is None else pool.entries[place].id
        if melody_id is None or melody_id in pool.sealed:
            raise RatingsError(f"there is no melody #{code} here; reload the page")
        with self._store.writing() as session:
            set_favourite(session, rater_id, melody_id, kept=kept, now=datetime.now(UTC))

    def group_score(self, melody: LibraryMelody) -> tuple[float, float] | None:
        """The group's score of a melody, and the share of the pool that it beats.

        None where the origin may not be told, and below `LEAST_VOTES`. A score is in standard
        deviations of the pool, from its mean.
        """
        learnt = self._tastes.of(PERSON) if melody.origin is not None else None
        if melody.origin is None or learnt is None:
            return None
        row = learnt.pool.row_of.get(melody.origin.melody_id)
        if row is None:  # it came, or was sealed, this moment
            return None
        scores = learnt.score_M
        score = scores[row]
        return float(score), float((scores < score).mean())

    def real_tunes(self, melody: LibraryMelody) -> RealTunes:
        """What a melody is compared with: the tunes of the corpora of its policy.

        Where the origin may not be told, those of every policy in the library, so that the
        comparison does not tell it either.

        Raises:
            RatingsError: when the database cannot be read.
            LimitError: when the file of a corpus is too large.
        """
        if melody.origin is not None:
            return self._references.of([melody.origin.policy_id])
        pool = self._melodies.pool()
        return self._references.of(
            entry.policy_id for entry in pool.entries if entry.id not in pool.sealed
        )

    # How

    def _sight(self, visitor: Visitor) -> _Sight:
        if visitor.rater_id is not None:
            self._store.tell_origins(visitor.rater_id)
        pool = self._melodies.pool()
        with self._store.reading() as session:
            paired = rounds(session)
            heard, kept = Listening(), frozenset[int]()
            if visitor.rater_id is not None:
                heard = listening(session, visitor.rater_id)
                kept = favourites(session, visitor.rater_id)
        visible = np.ones(len(pool.entries), bool)
        visible[_places(pool, pool.sealed)] = False
        told = np.full(len(pool.entries), visitor.organiser)
        if visitor.rater_id is not None:
            if not visitor.organiser:
                told[_places(pool, heard.judged)] = True
            told[_places(pool, heard.waiting)] = False
            told &= ~pool.corrupted
        return _Sight(pool, heard, kept, paired, told & visible, visible)

    def _shown(self, place: int, sight: _Sight) -> LibraryMelody:
        entry = sight.pool.entries[place]
        origin = None
        if sight.told[place]:
            origin = Origin(
                *(entry.id, entry.policy_id, entry.step, entry.sampler, entry.seed),
                entry.created_at,
                tuple(sorted(sight.rounds.get(entry.id, ()))),
            )
        return LibraryMelody(
            entry.sha256[:CODE_DIGITS],
            replace(entry.melody, header=sight.header(place)),
            entry.id in sight.kept,
            sight.heard.verdicts.get(entry.id),
            origin,
        )

    def _search(self, query: LibraryQuery, sight: _Sight) -> tuple[np.ndarray, str, str]:
        """Which melodies the search finds; what it looks for, in words; what is wrong with it."""
        entries = sight.pool.entries
        everything = np.ones(len(entries), bool)
        if not query.q:
            return everything, "", ""
        if code := _CODE.fullmatch(query.q):
            start = code[1].lower()
            found = np.array([entry.sha256.startswith(start) for entry in entries], bool)
            return found, f"has the number #{start}", ""
        if number := _ID.fullmatch(query.q):
            # The store's own number tells when it came.
            ids = np.array([entry.id for entry in entries], int)
            return (ids == int(number[1])) & sight.told, f"has the id {int(number[1])}", ""
        try:
            pattern = read_pattern(query.q)
        except TuneSearchError as error:
            return everything, "", one_line(error)
        melodies = [entry.melody for entry in entries]
        return (
            find_tunes(pattern, melodies, self._melodies.table(sight.pool)),
            pattern.in_words(),
            "",
        )

    def _filtered(self, query: LibraryQuery, sight: _Sight) -> np.ndarray:
        heard = sight.heard
        mine: dict[str, Callable[[int], bool]] = {
            "rated": lambda n: n in heard.answered,
            "unrated": lambda n: n not in heard.answered,
            "favourites": lambda n: n in sight.kept,
            "liked": lambda n: n in heard.verdicts and heard.verdicts[n].balance > 0,
        }
        is_mine = mine.get(query.mine, lambda _: True)

        def wanted(place: int, entry: CatalogueEntry, told: bool) -> bool:
            header = sight.header(place)
            return (
                query.meter in ("", header.meter)
                and query.mode in ("", header.mode)
                and query.style in ("", header.style)
                and query.bars in ("", str(header.bars))
                and is_mine(entry.id)
                and (not query.policy or (told and query.policy == entry.policy_id))
                and (
                    not query.round or (told and int(query.round) in sight.rounds.get(entry.id, ()))
                )
            )

        rows = enumerate(zip(sight.pool.entries, sight.told, strict=True))
        return np.array([wanted(n, entry, bool(told)) for n, (entry, told) in rows], bool)

    def _order(self, sort: str, sight: _Sight) -> tuple[np.ndarray, str]:
        """What melodies are ordered by, the higher the earlier, (N,); and why not, if not."""
        count = len(sight.pool.entries)
        last = np.full(count, -np.inf)
        if sort == "votes":
            for melody_id, said in sight.heard.verdicts.items():
                last[sight.pool.place[melody_id]] = said.balance
            return last, ""
        if sort == "score":
            learnt = self._tastes.of(PERSON)
            if learnt is None:
                return last, (
                    f"The group's taste is not known yet: it needs {LEAST_VOTES} answers and more. "
                    "Newest first instead."
                )
            for place, entry in enumerate(sight.pool.entries):
                row = learnt.pool.row_of.get(entry.id)
                if row is not None and sight.told[place]:
                    last[place] = learnt.score_M[row]
            return last, ""
        if sort == "original":
            original = self._melodies.originalities(sight.pool, self._references)
            return np.where(sight.told & ~np.isnan(original), original, -np.inf), ""
        return np.zeros(count), ""


def _places(pool: Pool, ids: frozenset[int]) -> list[int]:
    # One that came this moment may not be in the catalogue yet.
    return [pool.place[melody_id] for melody_id in ids if melody_id in pool.place]
