"""The ratings store: people, melodies, comparisons and votes, kept in one database.

    store = RatingsStore("ratings.sqlite")
    ids = store.add_melodies(melodies, policy_id="base", sampler="t=1.0", seed=7)
    store.add_comparisons(random_pairs(ids, 40, rng), round=1)
    pair = store.issue(rater.id)
    store.vote(pair.assignment_id, Answer(outcome="left", nonce=nonce))

One store may be used by many threads; processes open one each. Every method is one transaction:
when it returns, what it stored is on disk. Simulated listeners are raters of another `kind`, and
every frame of votes says so. Errors are `RatingsError`, one line each.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path
from random import Random, SystemRandom
from typing import Literal, Self
from uuid import UUID

import pandas as pd
from sqlalchemy.orm import Session

from music.melody import Melody
from reward.store import assignments, frames, listening_sessions, pool, raters, votes, withdrawal
from reward.store.assignments import Issued, Wanted
from reward.store.database import Database, RatingsError, database_time, parse_url
from reward.store.listening_sessions import ListeningSession
from reward.store.pool import PlannedPair, StoredMelody
from reward.store.raters import Rater
from reward.store.schema import PURPOSES
from reward.store.sealed import sealed_melody_ids
from reward.store.votes import Answer, VoteReceipt
from reward.store.withdrawal import Withdrawal

__all__ = [
    "Issued",
    "Rater",
    "RatingsError",
    "RatingsStore",
    "StoredMelody",
    "VoteReceipt",
    "Withdrawal",
    "open_ratings",
]

LEASE = timedelta(minutes=30)


def open_ratings(url_or_path: str | Path) -> RatingsStore:
    """The store, to look at what is in it.

    Raises:
        RatingsError: when it is a file that is not there, which is then not made either.
    """
    url = parse_url(url_or_path)
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).is_file():
        raise RatingsError(
            f"there are no ratings yet, nor the database {url.database}; collect some: "
            "tastemaker studio"
        )
    return RatingsStore(url_or_path)


class RatingsStore:
    """An open ratings database; brings an older one to the newest schema.

    Args:
        url_or_path: an SQLite file, which is made when it is not there, or a `postgresql://` URL.
        lock_timeout_s: how long to wait for other writers.
        rng: decides the sides; the system's chance unless a test wants to repeat it.

    Raises:
        RatingsError: when it is locked, corrupt, out of reach, not ours, or of a newer schema.
    """

    def __init__(
        self,
        url_or_path: str | Path,
        *,
        lock_timeout_s: float = 5.0,
        rng: Random | None = None,
    ) -> None:
        self._database = Database(url_or_path, lock_timeout_s=lock_timeout_s)
        self._rng = rng or SystemRandom()

    def __enter__(self) -> Self:
        """The store itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    @property
    def name(self) -> str:
        """The file, or the URL without its password."""
        return self._database.name

    def close(self) -> None:
        """Close all connections."""
        self._database.close()

    def check_writable(self) -> None:
        """Refuse a file that may only be read (`ReadOnlyError`), before work that is to be kept."""
        self._database.check_writable()

    def reading(self) -> AbstractContextManager[Session]:
        """A session for the tables that have no method here, such as jobs."""
        return self._database.reading()

    def writing(self) -> AbstractContextManager[Session]:
        """The same for a change: one writer at a time, committed at the end. Not to be nested."""
        return self._database.writing()

    # People

    def add_rater(
        self, nickname: str, *, kind: str = "person", consent_version: str = "1"
    ) -> Rater:
        """A new rater, with the token that they come back with.

        Raises:
            RatingsError: for a nickname that is taken, looks like one that is, mixes scripts, is
                empty or too long, or for an unknown kind.
        """
        with self.writing() as session:
            return raters.add_rater(
                session,
                nickname,
                kind=kind,
                consent_version=consent_version,
                now=database_time(session),
            )

    def rater_named(
        self, nickname: str, *, kind: str = "person", consent_version: str = "1"
    ) -> Rater:
        """The rater of that nickname, added when there is none (only then with a token).

        Names that look alike are told apart here.

        Raises:
            RatingsError: for a nickname that is empty, too long, or of a rater of the other kind.
        """
        with self.writing() as session:
            return raters.rater_named(
                session,
                nickname,
                kind=kind,
                consent_version=consent_version,
                now=database_time(session),
            )

    def rater_by_token(self, token: str) -> Rater | None:
        """The rater whom the token belongs to, if any."""
        with self.reading() as session:
            return raters.rater_by_token(session, token)

    def renew_consent(self, rater_id: int, consent_version: str) -> None:
        """Remember that a rater has agreed to another version of what they consent to.

        Raises:
            RatingsError: for an unknown rater, or a version that is no short text.
        """
        with self.writing() as session:
            raters.renew_consent(session, rater_id, consent_version)

    def tell_origins(self, rater_id: int) -> None:
        """Remember that a rater is told who wrote what they have rated; see `raters.tell_origins`.

        Writes only when there is something new to tell.

        Raises:
            RatingsError: for an unknown rater.
        """
        with self.reading() as session:
            if not raters.is_to_be_told(session, rater_id):
                return
        with self.writing() as session:
            raters.tell_origins(session, rater_id, now=database_time(session))

    def runs_trained_on(self, rater_id: int) -> dict[str, int]:
        """The runs that have learnt from this rater, by name, and from how many of their votes."""
        with self.reading() as session:
            return withdrawal.runs_trained_on(session, rater_id)

    def withdraw(self, rater_id: int) -> Withdrawal:
        """Remove a rater with their votes and assignments; see `Withdrawal` for what cannot be.

        Raises:
            RatingsError: for an unknown rater.
        """
        with self.writing() as session:
            gone = withdrawal.withdraw(session, rater_id)
        self._database.forget_deleted()
        return gone

    # Melodies and comparisons

    def add_melodies(
        self,
        melodies: Sequence[Melody],
        *,
        policy_id: str,
        step: int = 0,
        sampler: str,
        seed: int,
        features: Sequence[Mapping[str, float]] | None = None,
    ) -> list[int]:
        """Put melodies into the pool; their ids, in order. The same tokens keep their first id.

        Raises:
            RatingsError: for a name or seed out of range, or features of another number.
        """
        with self.writing() as session:
            return pool.add_melodies(
                session,
                melodies,
                policy_id=policy_id,
                step=step,
                sampler=sampler,
                seed=seed,
                features=features,
                now=database_time(session),
            )

    def melody(self, melody_id: int) -> StoredMelody:
        """One melody of the pool; `RatingsError` for an unknown id."""
        return self.melodies([melody_id])[0]

    def melodies(self, ids: Sequence[int]) -> list[StoredMelody]:
        """Melodies of the pool, in the order of their ids; `RatingsError` for an unknown id."""
        with self.reading() as session:
            return pool.load_melodies(session, ids)

    def sealed_melody_ids(self) -> frozenset[int]:
        """Ids of the melodies of blind tests not yet revealed; see `reward.store.sealed`."""
        with self.reading() as session:
            return sealed_melody_ids(session)

    def add_comparisons(
        self,
        pairs: Sequence[tuple[int, int]],
        *,
        round: int,
        purpose: str = "train",
        strategy: str = "random",
        probability: float | None = None,
        repeat_of: Sequence[UUID] | None = None,
    ) -> list[UUID]:
        """Append pairs to what is to be rated; `repeat_of` names the original of each repeat.

        Raises:
            RatingsError: as `add_plan`, and when `repeat_of` has another length.
        """
        originals: Sequence[UUID | None] = [None] * len(pairs) if repeat_of is None else repeat_of
        if len(originals) != len(pairs):
            raise RatingsError(
                f"{len(originals)} originals for {len(pairs)} repeats; name one each"
            )
        plan = [PlannedPair(*pair, purpose, of) for pair, of in zip(pairs, originals, strict=True)]
        return self.add_plan(plan, round=round, strategy=strategy, probability=probability)

    def add_plan(
        self,
        plan: Sequence[PlannedPair],
        *,
        round: int,
        strategy: str = "random",
        probability: float | None = None,
        campaign_id: int | None = None,
    ) -> list[UUID]:
        """Append a plan, such as `pairing.with_repeats` makes; the ids of its comparisons.

        Raises:
            RatingsError: for an unknown melody, purpose or campaign, a melody against itself, a
                repeat that does not match its original, a probability outside (0, 1], melodies of
                other policies than the campaign's, or a melody of a blind test not yet revealed.
        """
        with self.writing() as session:
            return pool.add_plan(
                session,
                plan,
                round=round,
                strategy=strategy,
                probability=probability,
                campaign_id=campaign_id,
                now=database_time(session),
            )

    # Voting

    def issue(
        self,
        rater_id: int,
        *,
        now: datetime | None = None,
        lease: timedelta = LEASE,
        purposes: Collection[str] = PURPOSES,
        campaign_id: int | None = None,
    ) -> Issued | None:
        """The pair that this rater hears now; None when they have answered all.

        A live one is shown again as it was, so that a reload or a restart changes nothing.
        `purposes` and `campaign_id` narrow the choice, say to one blind test; a live pair of
        another is let go. A campaign that is closed has no pairs.

        Raises:
            RatingsError: for an unknown rater or purpose, or a lease without length.
        """
        with self.writing() as session:
            return assignments.issue(
                session,
                rater_id,
                now=now or database_time(session),
                lease=lease,
                rng=self._rng,
                wanted=Wanted(purposes, campaign_id),
            )

    def vote(
        self,
        assignment_id: UUID,
        answer: Answer,
        *,
        now: datetime | None = None,
        from_page: bool = False,
    ) -> VoteReceipt:
        """Store an answer, once, if sent again.

        `from_page` says that it was reported from outside: one that claims more listening than can
        have passed since the pair was issued is kept, but not counted.

        Raises:
            RatingsError: for an unknown assignment, a nonce that came with another assignment, or a
                second thought after the rater was told who wrote the pair.
        """
        with self.writing() as session:
            return votes.vote(
                session,
                assignment_id,
                answer,
                now=now or database_time(session),
                from_page=from_page,
            )

    def undo(
        self,
        rater_id: int,
        *,
        now: datetime | None = None,
        lease: timedelta = LEASE,
        purposes: Collection[str] = PURPOSES,
        campaign_id: int | None = None,
        shown: UUID | Literal["any"] | None = "any",
    ) -> Issued | None:
        """Show this rater's last answered pair again; their next vote on it supersedes the old one.

        Called again before that vote, it goes one further back. None when there is nothing (more).
        `purposes` and `campaign_id` are those of `issue`, for a page that shows no others. `shown`
        is the assignment on the page, None for no pair: a repeated click then does nothing.

        Raises:
            StalePageError: when the rater's live assignment is not the one shown.
            RatingsError: for an unknown rater or purpose, or a lease without length.
        """
        with self.writing() as session:
            return votes.undo(
                session,
                rater_id,
                now=now or database_time(session),
                lease=lease,
                wanted=Wanted(purposes, campaign_id),
                shown=shown,
            )

    def coming(
        self,
        rater_id: int,
        *,
        count: int,
        purposes: Collection[str] = PURPOSES,
        campaign_id: int | None = None,
    ) -> list[StoredMelody]:
        """Melodies that this rater will probably hear next; see `assignments.coming`."""
        wanted = Wanted(purposes, campaign_id)
        with self.reading() as session:
            return assignments.coming(
                session, rater_id, now=database_time(session), wanted=wanted, count=count
            )

    def shown(self, rater_id: int, assignment_id: UUID) -> tuple[StoredMelody, StoredMelody]:
        """What this rater hears or heard, left and right; `RatingsError` if it is not theirs."""
        with self.reading() as session:
            return assignments.shown(session, rater_id, assignment_id)

    def has_voted(self, rater_id: int) -> bool:
        """Whether this rater has cast a vote."""
        with self.reading() as session:
            return listening_sessions.has_voted(session, rater_id)

    def listening_session(self, rater_id: int, *, now: datetime | None = None) -> ListeningSession:
        """How long this rater has been at it without a break."""
        with self.reading() as session:
            return listening_sessions.listening_session(
                session, rater_id, now=now or database_time(session)
            )

    def record_training(self, run_id: str, vote_ids: Iterable[int]) -> None:
        """Remember that a run learnt from these votes; again with more, it adds them.

        Raises:
            RatingsError: for a run id that is not the name of a run, or an unknown vote.
        """
        with self.writing() as session:
            withdrawal.record_training(session, run_id, vote_ids, now=database_time(session))

    # Reading

    def votes_frame(self, *, kind: str | None = None, current_only: bool = True) -> pd.DataFrame:
        """One row a vote (`frames.VOTE_COLUMNS`); superseded ones only without `current_only`."""
        with self.reading() as session:
            return frames.votes_frame(session, kind=kind, current_only=current_only)

    def melodies_frame(self) -> pd.DataFrame:
        """One row a melody (`frames.MELODY_COLUMNS`)."""
        with self.reading() as session:
            return frames.melodies_frame(session)

    def comparisons_frame(self) -> pd.DataFrame:
        """One row a comparison (`frames.COMPARISON_COLUMNS`)."""
        with self.reading() as session:
            return frames.comparisons_frame(session)

    def raters_frame(self) -> pd.DataFrame:
        """One row a rater (`frames.RATER_COLUMNS`)."""
        with self.reading() as session:
            return frames.raters_frame(session)

    def counts(self) -> dict[str, int]:
        """How much there is: raters and current votes of each kind, melodies, comparisons."""
        with self.reading() as session:
            return frames.counts(session)
