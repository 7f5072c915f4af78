"""Who votes how: figures of each rater and of all, people and simulated listeners apart.

Only votes that count are read: what was undone or set aside is left out. "Both are bad" and "skip"
say nothing about which is better and enter nothing but their own counts. All purposes count, the
blind test and traps too, for a rater is as attentive in one as in another.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import pandas as pd

from reward.comparisons.attention import TrapScore, trap_scores
from reward.comparisons.intervals import Share, wilson
from reward.comparisons.krippendorff import Alpha, preference_alpha
from reward.comparisons.preferences import Preferences
from reward.comparisons.reliability import (
    RaterReliability,
    agreement_with_others,
    rater_flags,
    rater_reliability,
    self_agreement,
    side_bias,
)
from reward.store import frames
from reward.store.schema import RATER_KINDS
from reward.store.store import RatingsStore

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True, slots=True)
class RaterStatistics:
    """One rater's votes."""

    rater_id: int
    nickname: str
    kind: str
    votes: int
    set_aside: int
    """votes that are kept but not counted, and in none of the other figures"""
    ties: int
    both_bad: int
    skips: int
    left: Share | None
    """of decided votes; None where there are none, as in all that follow"""
    self_agreement: Share | None
    """on hidden repeats"""
    agreement_with_others: Share | None
    """on the same pairs, others of the same kind"""
    traps_passed: Share | None
    """of traps, those in which the good melody was chosen"""
    reliability: RaterReliability | None
    flags: tuple[str, ...]
    median_seconds: float
    """from the pair's appearance to the answer"""


@dataclass(frozen=True, slots=True)
class KindStatistics:
    """All raters of one kind."""

    kind: str
    raters: int
    votes: int
    ties: int
    left: Share | None
    alpha_nominal: Alpha | None
    """Krippendorff's, between raters on the same pairs; None without such pairs"""
    alpha_ordinal: Alpha | None


@dataclass(frozen=True, slots=True)
class RatingsStatistics:
    """What is in a store."""

    counts: dict[str, int]
    kinds: tuple[KindStatistics, ...]
    """of those kinds that have voted"""
    raters: tuple[RaterStatistics, ...]


def ratings_statistics(store: RatingsStore) -> RatingsStatistics:
    """The figures of a store, all of one moment."""
    with store.reading() as session:
        counts = frames.counts(session)
        every = frames.votes_frame(session, kind=None, current_only=True)
        raters = frames.raters_frame(session)
    counts_not = every["set_aside"].notna()
    votes, set_aside = every.loc[~counts_not], Counter(every.loc[counts_not, "rater_id"].tolist())
    kinds: list[KindStatistics] = []
    people: list[RaterStatistics] = []
    for kind in RATER_KINDS:
        of_kind = votes.loc[votes["rater_kind"] == kind]
        those = raters.loc[raters["rater_kind"] == kind]
        preferences = _preferences(of_kind, those["rater_id"].tolist())
        people += _raters(of_kind, those, preferences, set_aside)
        if len(of_kind):
            kinds.append(_kind(kind, preferences, len(those), len(of_kind)))
    return RatingsStatistics(counts, tuple(kinds), tuple(people))


def _preferences(votes: pd.DataFrame, rater_ids: Sequence[int]) -> Preferences:
    """The votes that say something, of these raters in this order, also those without any."""
    found = Preferences.from_votes(votes, sorted({*votes["melody_a"], *votes["melody_b"]}))
    place = {str(rater_id): index for index, rater_id in enumerate(rater_ids)}
    return Preferences(
        left=found.left,
        right=found.right,
        outcome=found.outcome,
        rater=[place[found.rater_ids[index]] for index in found.rater],  # type: ignore[arg-type]
        weight=found.weight,
        rater_ids=tuple(place),
    )


def _raters(
    votes: pd.DataFrame, raters: pd.DataFrame, preferences: Preferences, set_aside: Counter[int]
) -> list[RaterStatistics]:
    reliabilities = rater_reliability(preferences)
    columns = zip(
        raters.to_dict("records"),
        side_bias(preferences),
        self_agreement(preferences),
        agreement_with_others(preferences),
        reliabilities,
        rater_flags(preferences, reliabilities),
        strict=True,
    )
    found: list[RaterStatistics] = []
    for rater, left, themselves, others, reliability, flags in columns:
        own = votes.loc[votes["rater_id"] == rater["rater_id"]]
        said = own["outcome"].value_counts()
        traps = trap_scores(own).get(str(rater["rater_id"]), TrapScore(0, 0))
        if rater["rater_kind"] == "person":  # a simulated listener need not mind wrong notes
            flags = (*flags, *traps.flags)
        found.append(
            RaterStatistics(
                rater_id=int(rater["rater_id"]),
                nickname=str(rater["nickname"]),
                kind=str(rater["rater_kind"]),
                votes=len(own),
                set_aside=set_aside[rater["rater_id"]],
                ties=int(said.get("tie", 0)),
                both_bad=int(said.get("both_bad", 0)),
                skips=int(said.get("skip", 0)),
                left=left,
                self_agreement=themselves,
                agreement_with_others=others,
                traps_passed=wilson(traps.passed, traps.count),
                reliability=reliability if reliability.votes else None,
                flags=flags,
                median_seconds=float(own["latency_ms"].median()) / 1000 if len(own) else 0.0,
            )
        )
    return found


def _kind(kind: str, preferences: Preferences, raters: int, votes: int) -> KindStatistics:
    decided = preferences[preferences.decided]
    return KindStatistics(
        kind=kind,
        raters=raters,
        votes=votes,
        ties=len(preferences) - len(decided),
        left=wilson(int((decided.outcome == 1).sum()), len(decided)),
        alpha_nominal=preference_alpha(preferences),
        alpha_ordinal=preference_alpha(preferences, level="ordinal"),
    )


def statistics_json(found: RatingsStatistics) -> str:
    """The same as JSON; what is not known is null."""
    return json.dumps(asdict(found), ensure_ascii=False, allow_nan=False, indent=2)


def statistics_table(found: RatingsStatistics) -> list[Table | str]:
    """A table of raters and a few lines about all, for a console without markup."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("rater", "kind"):
        table.add_column(title)
    for title in (
        "votes",
        "ties",
        "left",
        "with themselves",
        "with others",
        "traps",
        "reliability",
        "s/vote",
    ):
        table.add_column(title, justify="right")
    table.add_column("flags", style="red")
    for rater in found.raters:
        shares = (rater.left, rater.self_agreement, rater.agreement_with_others)
        table.add_row(
            rater.nickname,
            rater.kind,
            str(rater.votes),
            str(rater.ties),
            *map(_cell, (*shares, rater.traps_passed, rater.reliability)),
            f"{rater.median_seconds:.1f}",
            ", ".join(rater.flags),
        )
    lines: list[Table | str] = [table] if found.raters else []
    for kind in found.kinds:
        lines.append(
            f"{kind.kind}: {kind.votes} votes of {kind.raters} rater(s), {kind.ties} ties, "
            f"left {_cell(kind.left)}; Krippendorff's alpha nominal {_cell(kind.alpha_nominal)}, "
            f"ordinal {_cell(kind.alpha_ordinal)}"
        )
    set_aside = sum(rater.set_aside for rater in found.raters)
    if set_aside:
        lines.append(
            f"{set_aside} votes not counted: they claim more listening than there was time for"
        )
    lines.append(
        f"{found.counts['melodies']} melodies, {found.counts['comparisons']} comparisons, "
        f"{found.counts['superseded']} votes undone   chance 0.50"
    )
    return lines


def _cell(value: object) -> str:
    return "–" if value is None else str(value)
