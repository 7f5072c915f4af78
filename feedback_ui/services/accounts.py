"""People: what the studio knows of one rater, for that rater; and of all, for an organiser.

What a rater takes along is what they said, when, and how long they listened. It does not say which
pairs were repeats or traps, nor which policy wrote a melody: who rates on is to hear blind.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from reward.comparisons.intervals import Share
from reward.comparisons.preferences import Preferences
from reward.comparisons.rater_statistics import ratings_statistics
from reward.comparisons.reliability import self_agreement, side_bias
from reward.exchange.export import plain_row, write_csv
from reward.pairs.traps import CORRUPTED
from reward.store.campaign_guests import names_of_guest
from reward.store.favourites import favourites
from reward.store.nicknames import is_same_nickname
from reward.store.raters import get_rater
from reward.store.schema import ROUND_PURPOSES
from reward.store.store import Rater, RatingsError, RatingsStore, Withdrawal

OWN_COLUMNS = [
    *("vote_id", "comparison_id", "issued_at", "created_at"),
    *("melody_a", "melody_b", "left_is_a", "outcome", "strength", "reasons", "comment"),
    *("heard_ms_left", "heard_ms_right", "plays_left", "plays_right", "latency_ms"),
    *("renderer", "app_version", "supersedes", "set_aside", "current"),
]


@dataclass(frozen=True, slots=True)
class OwnStatistics:
    """What a rater's votes say of themselves."""

    votes: int
    heard_s: float
    """time that melodies were playing, both sides"""
    ties: int
    both_bad: int
    skips: int
    left: Share | None
    """of decided votes those for the left melody; None of none"""
    self_agreement: Share | None
    """of pairs heard twice, those answered alike; None of none"""
    set_aside: int = 0
    """votes that are kept but not counted, because they claim more listening than there was time
    for; in none of the other figures"""

    @property
    def heard(self) -> str:
        """Such as "1 h 05 min", "12 min" or "40 s"."""
        minutes = int(self.heard_s // 60)
        if minutes < 1:
            return f"{self.heard_s:.0f} s"
        return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def own_statistics(store: RatingsStore, rater_id: int) -> OwnStatistics:
    """The figures of one rater."""
    every = _own(store, rater_id, current_only=True)
    votes = every.loc[every["set_aside"].isna()]
    said = votes["outcome"].tolist()
    heard_ms = [*votes["heard_ms_left"].tolist(), *votes["heard_ms_right"].tolist()]
    preferences = Preferences.from_votes(votes, sorted({*votes["melody_a"], *votes["melody_b"]}))
    someone = bool(preferences.rater_ids)
    return OwnStatistics(
        votes=len(votes),
        heard_s=sum(heard_ms) / 1000,
        ties=said.count("tie"),
        both_bad=said.count("both_bad"),
        skips=said.count("skip"),
        left=side_bias(preferences)[0] if someone else None,
        self_agreement=self_agreement(preferences)[0] if someone else None,
        set_aside=len(every) - len(votes),
    )


def own_votes(store: RatingsStore, rater_id: int) -> pd.DataFrame:
    """All that a rater has said, one row a vote, also what they took back (`current` is false)."""
    return _own(store, rater_id, current_only=False).loc[:, OWN_COLUMNS]


def own_csv(store: RatingsStore, rater_id: int) -> bytes:
    """The same as CSV, safe for spreadsheets as `reward.exchange.export` writes it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "votes.csv"
        write_csv(path, own_votes(store, rater_id))
        return path.read_bytes()


def own_json(store: RatingsStore, rater: Rater) -> bytes:
    """The same as JSON, with what else is stored of the rater."""
    votes = [plain_row(row) for row in own_votes(store, rater.id).to_dict("records")]
    with store.reading() as session:
        kept = sorted(favourites(session, rater.id))
        told_at = get_rater(session, rater.id).origins_told_at
        invited_to = names_of_guest(session, rater.id)
    told = {
        "nickname": rater.nickname,
        "consent_version": rater.consent_version,
        "favourites": kept,
        "invited_to": invited_to,
        "origins_told_at": None if told_at is None else told_at.isoformat(),
        "votes": votes,
    }
    return json.dumps(told, ensure_ascii=False, indent=1).encode()


def withdraw(store: RatingsStore, rater: Rater, typed: str) -> Withdrawal:
    """Remove a rater and all that is theirs, once they have typed their nickname.

    Raises:
        RatingsError: for another word, or a database that cannot be used.
    """
    if not is_same_nickname(typed, rater.nickname):
        raise RatingsError(
            f"{typed!r} is not your nickname; type it as it stands here, or keep your votes"
        )
    return store.withdraw(rater.id)


def farewell(gone: Withdrawal) -> str:
    """What to tell someone who has withdrawn."""
    votes = "1 vote" if gone.votes == 1 else f"{gone.votes} votes"
    told = f"You are removed, with {votes}. Nothing here names you any more."
    if not gone.runs:
        return f"{told} No model had learnt from you."
    return (
        f"{told} A model cannot forget: {', '.join(gone.runs)} learnt from your votes, and only "
        "training anew makes models that did not. Whoever runs this studio sees which these are."
    )


RATER_TITLES = (
    "Rater",
    "Votes",
    "Not counted",
    "Ties",
    "Left side",
    "With themselves",
    "With others",
    "Traps passed",
    "Reliability",
    "Seconds a vote",
    "To look at",
)


def rater_rows(store: RatingsStore) -> list[tuple[str, ...]]:
    """A row a person for an organiser, under `RATER_TITLES`; who has most votes first."""
    people = [rater for rater in ratings_statistics(store).raters if rater.kind == "person"]
    return [
        (
            rater.nickname,
            str(rater.votes),
            str(rater.set_aside),
            str(rater.ties),
            *(
                "–" if value is None else str(value)
                for value in (
                    rater.left,
                    rater.self_agreement,
                    rater.agreement_with_others,
                    rater.traps_passed,
                    rater.reliability,
                )
            ),
            f"{rater.median_seconds:.0f}" if rater.votes else "–",
            ", ".join(rater.flags) or "–",
        )
        for rater in sorted(people, key=lambda rater: (-rater.votes, rater.nickname))
    ]


ROUND_TITLES = ("Round", "Written by", "Chosen by", "Pairs", "Answered", "Votes", "People")


def round_rows(store: RatingsStore) -> list[tuple[str, ...]]:
    """A row a round of pairs to learn from, under `ROUND_TITLES`, for an organiser; newest first.

    Hidden repeats and traps are counted with the pairs; blind tests are elsewhere.
    """
    pairs = store.comparisons_frame()
    pairs = pairs.loc[pairs["purpose"].isin(ROUND_PURPOSES)]
    votes = store.votes_frame(kind="person")
    votes = votes.loc[votes["purpose"].isin(ROUND_PURPOSES) & votes["set_aside"].isna()]
    melodies = store.melodies_frame()
    writer = dict(zip(melodies["melody_id"], melodies["policy_id"], strict=True))
    rows: list[tuple[str, ...]] = []
    for number, some in pairs.groupby("round"):
        said = votes.loc[votes["round"] == number]
        heard = {*some["melody_a"].tolist(), *some["melody_b"].tolist()}
        plain = some.loc[some["purpose"] == "train"]
        rows.append(
            (
                str(number),
                ", ".join(sorted({writer[melody] for melody in heard} - {CORRUPTED})),
                ", ".join(sorted(set(plain["strategy"]))),
                str(len(some)),
                str(said["comparison_id"].nunique()),
                str(len(said)),
                str(said["rater_id"].nunique()),
            )
        )
    return rows[::-1]


def _own(store: RatingsStore, rater_id: int, *, current_only: bool) -> pd.DataFrame:
    votes = store.votes_frame(kind="person", current_only=current_only)
    return votes.loc[votes["rater_id"] == rater_id]
