"""Which votes a reward model may learn from."""

from __future__ import annotations

import pandas as pd

from reward.comparisons.preferences import UNDECIDED_OUTCOMES
from reward.store.schema import RATER_KINDS
from reward.store.store import RatingsError, RatingsStore

TRAINED_PURPOSES = ("train", "repeat")
"""what a reward model may learn from: no traps, and no blind test, which is to judge it"""


def only_kind(store: RatingsStore) -> str:
    """Whose votes there are: 'person' or 'simulated'; both are trained together only when asked.

    Raises:
        RatingsError: when there are votes of both kinds, or none.
    """
    counts = store.counts()
    kinds = [kind for kind in RATER_KINDS if counts[f"votes_{kind}"]]
    if not kinds:
        raise RatingsError("there are no votes yet; collect some: tastemaker studio")
    if len(kinds) > 1:
        raise RatingsError(
            "the store holds votes of people and of simulated listeners, which are not mixed "
            "unasked; choose with --votes-of person, simulated or both"
        )
    return kinds[0]


def learnable(votes: pd.DataFrame) -> pd.DataFrame:
    """The votes of a store's frame to learn from: one melody is better, or both are equal.

    Votes on the melodies of a blind test are left out until it is revealed, and those that were set
    aside always.
    """
    return votes.loc[_is_to_learn_from(votes) & ~votes["sealed"]]


def sealed_count(votes: pd.DataFrame) -> int:
    """How many votes may be learnt from only once a blind test of their melodies is revealed."""
    return int((_is_to_learn_from(votes) & votes["sealed"]).sum())


def _is_to_learn_from(votes: pd.DataFrame) -> pd.Series:
    decided = ~votes["outcome_a"].isin(UNDECIDED_OUTCOMES) & votes["set_aside"].isna()
    return pd.Series(decided & votes["purpose"].isin(TRAINED_PURPOSES), index=votes.index)
