"""Observed comparisons: who heard which two melodies, on which side, and what they said.

A comparison names two rows of a feature matrix (or two melodies of a list), LEFT and RIGHT as they
were shown, because people lean to a side. An outcome is +1 (left is better), 0 (a tie) or -1
(right is better), so to swap the sides is to negate it. "Both are bad" and "skip" say nothing
about which is better and never enter. Which purposes are taken (training, repeats, blind test) is
the caller's choice.

Letters: N comparisons, M items (rows of the feature matrix), R raters, K reasons.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

LEFT, TIE, RIGHT = 1, 0, -1
VOTE_OUTCOMES = ("a", "b", "tie", "both_bad", "skip")
UNDECIDED_OUTCOMES = ("both_bad", "skip")
_OUTCOME_OF_A = {"a": 1, "tie": 0, "b": -1}


class PreferenceError(ValueError):
    """Comparisons that break a rule; the message gives the value, the rule and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Preferences:
    """N comparisons of M items by R raters; all arrays but `reasons` have shape (N,).

    Raises:
        PreferenceError: for arrays of unequal length, rows below 0, other outcomes, raters without
            a name, weights that are not positive and finite, or reasons without a name.
    """

    left: np.ndarray
    """int64, row of the item on the left"""
    right: np.ndarray
    """int64, row of the item on the right"""
    outcome: np.ndarray
    """int64, `LEFT` (+1), `TIE` (0) or `RIGHT` (-1)"""
    rater: np.ndarray
    """int64, index into `rater_ids`"""
    weight: np.ndarray
    """float64, how many votes this one counts for"""
    rater_ids: tuple[str, ...] = ("rater",)
    reasons: np.ndarray = field(default_factory=partial(np.zeros, (0, 0), bool))
    """bool (N, K), which of `reason_names` the rater gave; left out, none of them"""
    reason_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Turn the arrays into their types and check them."""
        for name, kind in (
            ("left", np.int64),
            ("right", np.int64),
            ("outcome", np.int64),
            ("rater", np.int64),
            ("weight", np.float64),
        ):
            given = np.asarray(getattr(self, name))
            value = given.astype(kind)
            if value.ndim != 1 or not np.array_equal(value, given):
                raise PreferenceError(
                    f"{name} has shape {given.shape} and type {given.dtype}; it is a flat array of "
                    f"{np.dtype(kind).name}, one entry a comparison"
                )
            value.flags.writeable = False
            object.__setattr__(self, name, value)
        reasons = np.array(self.reasons)
        if reasons.shape == (0, 0):
            reasons = np.zeros((len(self.left), len(self.reason_names)), bool)
        if reasons.dtype != bool or reasons.shape[1:] != (len(self.reason_names),):
            raise PreferenceError(
                f"reasons has shape {reasons.shape} and type {reasons.dtype}; it is true or false "
                f"for each comparison and each of the {len(self.reason_names)} reason_names"
            )
        reasons.flags.writeable = False
        object.__setattr__(self, "reasons", reasons)
        named = ("rater_ids", "reason_names")
        lengths = {name: len(getattr(self, name)) for name in self.__slots__ if name not in named}
        if len(set(lengths.values())) > 1:
            raise PreferenceError(
                f"the arrays have lengths {lengths}; give each comparison one entry"
            )
        for field_name in named:
            names = getattr(self, field_name)
            if len(set(names)) != len(names):
                raise PreferenceError(f"{field_name}={names} has a name twice; name each once")
        for name, low, high in (
            ("left", 0, np.inf),
            ("right", 0, np.inf),
            ("outcome", RIGHT, LEFT),
            ("rater", 0, len(self.rater_ids) - 1),
        ):
            values = getattr(self, name)
            bad = np.flatnonzero((values < low) | (values > high))
            if len(bad):
                raise PreferenceError(
                    f"{name}[{bad[0]}]={values[bad[0]]} is not within {low}..{high}; "
                    "leave that comparison out or name its row"
                )
        bad = np.flatnonzero(~((self.weight > 0) & np.isfinite(self.weight)))
        if len(bad):
            raise PreferenceError(
                f"weight[{bad[0]}]={self.weight[bad[0]]} is not positive and finite; "
                "leave comparisons of no weight out"
            )

    def __len__(self) -> int:
        """Number of comparisons."""
        return len(self.outcome)

    def __getitem__(self, index: np.ndarray | slice) -> Preferences:
        """Some of the comparisons; the raters keep their indices."""
        return Preferences(
            left=self.left[index],
            right=self.right[index],
            outcome=self.outcome[index],
            rater=self.rater[index],
            weight=self.weight[index],
            rater_ids=self.rater_ids,
            reasons=self.reasons[index],
            reason_names=self.reason_names,
        )

    @classmethod
    def of(
        cls,
        left: np.ndarray,
        right: np.ndarray,
        outcome: np.ndarray,
        *,
        rater: np.ndarray | None = None,
        weight: np.ndarray | None = None,
        rater_ids: tuple[str, ...] = ("rater",),
        reasons: np.ndarray | None = None,
        reason_names: tuple[str, ...] = (),
    ) -> Preferences:
        """Comparisons from plain arrays of (N,); by default all of one rater and of weight 1.

        `reasons`, if any were given, is bool (N, K).
        """
        count = len(outcome)
        return cls(
            left=left,
            right=right,
            outcome=outcome,
            rater=np.zeros(count, np.int64) if rater is None else rater,
            weight=np.ones(count) if weight is None else weight,
            rater_ids=rater_ids,
            reasons=np.zeros((0, 0), bool) if reasons is None else reasons,
            reason_names=reason_names,
        )

    @classmethod
    def none(cls) -> Preferences:
        """No comparisons at all: what is learnt from them is the prior."""
        nothing = np.zeros(0, np.int64)
        return cls.of(nothing, nothing, nothing)

    @classmethod
    def from_votes(
        cls,
        votes: pd.DataFrame,
        items: Sequence[Hashable],
        *,
        strength_weights: tuple[float, float] = (0.7, 1.3),
    ) -> Preferences:
        """Comparisons from the ratings store's frame of votes.

        `votes` has the columns melody_a, melody_b, outcome_a (one of `VOTE_OUTCOMES`, told of a and
        b whatever the side), left_is_a, rater_id and strength (1 or 2), and may have reasons, lists
        of names; `items` are the melodies' ids in the order of the feature matrix's rows. Votes
        that the store marks as superseded (`current` is false) are left out. Raters and reasons are
        in the order of their first vote that counts.

        `strength_weights` are what votes of strength 1 and 2 count for, beside the mean of the
        rater's own: who never says "much better" loses nothing. On listeners of 72 % who call the
        larger half of the differences that they perceive strong, these won .014 ± .004 of
        noise-free agreement at 100 votes and .009 ± .004 at 200, and lost .004 and .005 if
        strengths were noise. A cumulative logit with a threshold on the gap (which is how those
        listeners answer) won .022 and .018 and lost .027 and .032; adjacent categories, a graded
        Davidson, .012 and .013, and lost .021 and .019.

        Raises:
            PreferenceError: for a missing column, an unknown outcome or strength, or a vote on a
                melody that is not among `items`.
        """
        columns = ("melody_a", "melody_b", "outcome_a", "left_is_a", "rater_id", "strength")
        missing = [name for name in columns if name not in votes.columns]
        if missing:
            raise PreferenceError(f"the votes lack the columns {missing}; give {list(columns)}")
        unknown = set(votes["outcome_a"]) - set(VOTE_OUTCOMES)
        if unknown:
            raise PreferenceError(
                f"outcomes {sorted(map(str, unknown))} are not known; they are {VOTE_OUTCOMES}"
            )
        counts = ~votes["outcome_a"].isin(UNDECIDED_OUTCOMES).to_numpy(bool)
        if "current" in votes.columns:
            counts &= votes["current"].to_numpy(bool)
        kept = {name: votes[name].to_numpy()[counts].tolist() for name in columns}
        row_of = {item: row for row, item in enumerate(items)}
        strangers = {*kept["melody_a"], *kept["melody_b"]} - row_of.keys()
        if strangers:
            raise PreferenceError(
                f"{len(strangers)} voted melodies, such as {next(iter(strangers))!r}, are not "
                f"among the {len(row_of)} items; compute features for every voted melody"
            )
        strength = np.array(kept["strength"], np.int64)
        if not np.isin(strength, (1, 2)).all():
            raise PreferenceError(f"strengths {sorted(set(strength.tolist()))} are not all 1 or 2")
        a = np.array([row_of[item] for item in kept["melody_a"]], np.int64)
        b = np.array([row_of[item] for item in kept["melody_b"]], np.int64)
        left_is_a = np.array(kept["left_is_a"], bool)
        a_wins = np.array([_OUTCOME_OF_A[outcome] for outcome in kept["outcome_a"]], np.int64)
        raters = [str(rater) for rater in kept["rater_id"]]
        rater_ids = tuple(dict.fromkeys(raters))
        index_of = {rater: index for index, rater in enumerate(rater_ids)}
        rater_N = np.array([index_of[rater] for rater in raters], np.int64)
        stated: list[Sequence[str]] = [()] * len(raters)
        if "reasons" in votes.columns:
            stated = votes["reasons"].to_numpy()[counts].tolist()
        reason_names = tuple(dict.fromkeys(name for names in stated for name in names))
        weight_N = np.where(strength == 2, strength_weights[1], strength_weights[0])
        votes_R = np.bincount(rater_N, minlength=len(rater_ids))
        total_R = np.bincount(rater_N, weight_N, len(rater_ids))
        return cls(
            left=np.where(left_is_a, a, b),
            right=np.where(left_is_a, b, a),
            outcome=np.where(left_is_a, a_wins, -a_wins),
            rater=rater_N,
            weight=weight_N / (total_R / np.maximum(votes_R, 1))[rater_N],
            rater_ids=rater_ids,
            reasons=np.array(
                [[name in names for name in reason_names] for names in stated], bool
            ).reshape(len(stated), len(reason_names)),
            reason_names=reason_names,
        )

    @classmethod
    def joined(cls, parts: Sequence[Preferences]) -> Preferences:
        """The comparisons of one or more parts one after the other.

        Raises:
            PreferenceError: for parts whose raters or reasons have other names.
        """
        names = {name: getattr(parts[0], name) for name in ("rater_ids", "reason_names")}
        for part in parts:
            for name, expected in names.items():
                if getattr(part, name) != expected:
                    raise PreferenceError(
                        f"{name}={getattr(part, name)} of one part and {expected} of another do "
                        "not go together; join parts of the same comparisons"
                    )
        arrays = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in cls.__slots__
            if name not in names
        }
        return cls(**arrays, **names)

    def swapped(self) -> Preferences:
        """The same comparisons as if each had been shown the other way round."""
        return Preferences(
            left=self.right,
            right=self.left,
            outcome=-self.outcome,
            rater=self.rater,
            weight=self.weight,
            rater_ids=self.rater_ids,
            reasons=self.reasons,
            reason_names=self.reason_names,
        )

    @property
    def decided(self) -> np.ndarray:
        """Which comparisons are not ties; bool (N,)."""
        return self.outcome != TIE

    @property
    def verdict(self) -> np.ndarray:
        """The outcome as said of the pair's item of lower row: +1 better, 0 tie, -1; int64 (N,)."""
        return np.where(self.left <= self.right, self.outcome, -self.outcome)

    @property
    def pair_ids(self) -> np.ndarray:
        """Both rows of the unordered pair in one number, the same in any selection; int64 (N,)."""
        low, high = np.minimum(self.left, self.right), np.maximum(self.left, self.right)
        return low << 32 | high

    @property
    def pair(self) -> np.ndarray:
        """Number of the unordered pair of items, int64 (N,); a repeat has its original's."""
        return np.unique(self.pair_ids, return_inverse=True)[1].reshape(-1).astype(np.int64)
