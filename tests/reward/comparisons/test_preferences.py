"""Comparisons carry the reasons that raters gave for them."""

import numpy as np
import pandas as pd
import pytest

from reward.comparisons.preferences import PreferenceError, Preferences


def frame(**changes) -> pd.DataFrame:
    columns = {
        "melody_a": [10, 20, 10, 30],
        "melody_b": [20, 30, 30, 10],
        "outcome_a": ["a", "skip", "tie", "b"],
        "left_is_a": [True, False, True, False],
        "rater_id": [1, 2, 1, 2],
        "strength": [1, 1, 1, 1],
        "reasons": [["rhythm"], ["no_sound"], [], ["dull", "rhythm"]],
    }
    return pd.DataFrame(columns | changes)


def reasons_of(preferences: Preferences) -> list[list[str]]:
    return [
        [name for name, given in zip(preferences.reason_names, row, strict=True) if given]
        for row in preferences.reasons
    ]


def test_reasons_of_votes_that_count_are_kept():
    got = Preferences.from_votes(frame(), [10, 20, 30])
    assert got.reason_names == ("rhythm", "dull")  # a skip's report is no reason
    assert reasons_of(got) == [["rhythm"], [], ["rhythm", "dull"]]
    assert not got.reasons.flags.writeable


def test_reasons_follow_their_votes():
    got = Preferences.from_votes(frame(), [10, 20, 30])
    assert reasons_of(got[np.array([2, 0])]) == [["rhythm", "dull"], ["rhythm"]]
    assert reasons_of(got[:1]) == [["rhythm"]]
    assert reasons_of(got.swapped()) == reasons_of(got)
    np.testing.assert_array_equal(got.swapped().outcome, -got.outcome)


@pytest.mark.parametrize(
    "votes", [frame().drop(columns="reasons"), frame(reasons=[[]] * 4), frame().iloc[:0]]
)
def test_votes_without_reasons_have_none(votes):
    got = Preferences.from_votes(votes, [10, 20, 30])
    assert got.reason_names == ()
    assert got.reasons.shape == (len(got), 0)


def test_plain_arrays_have_no_reasons_unless_given():
    plain = Preferences.of(np.array([0, 1]), np.array([1, 0]), np.array([1, -1]))
    assert plain.reasons.shape == (2, 0)
    named = Preferences.of(
        np.array([0, 1]), np.array([1, 0]), np.array([1, -1]),
        reasons=np.array([[True], [False]]), reason_names=("ending",),
    )  # fmt: skip
    assert reasons_of(named) == [["ending"], []]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reasons": np.array([[1]])}, "reasons has shape .* and type int64"),
        ({"reasons": np.array([[True, False]])}, "of the 1 reason_names"),
        ({"reasons": np.array([True])}, "of the 1 reason_names"),
        ({"reasons": np.array([[True], [True]])}, "lengths"),
        (
            {"reasons": np.ones((1, 2), bool), "reason_names": ("a", "a")},
            "reason_names=.* has a name twice",
        ),
    ],
)
def test_bad_reasons_are_named(changes, message):
    one = np.array([1])
    with pytest.raises(PreferenceError, match=message):
        Preferences.of(
            one, one, one, **{"reasons": np.array([[True]]), "reason_names": ("rhythm",), **changes}
        )


def test_parts_are_joined_to_the_whole_and_others_are_refused():
    whole = Preferences.of(
        np.array([0, 1, 2]), np.array([1, 2, 0]), np.array([1, 0, -1]),
        rater=np.array([1, 0, 1]), weight=np.array([0.5, 1.0, 2.0]), rater_ids=("ada", "ben"),
        reasons=np.array([[True], [False], [True]]), reason_names=("ending",),
    )  # fmt: skip
    again = Preferences.joined([whole[:1], whole[1:1], whole[1:]])
    for name in Preferences.__slots__:
        assert np.array_equal(getattr(again, name), getattr(whole, name)), name
    plain = Preferences.of(np.array([0]), np.array([1]), np.array([1]))
    with pytest.raises(PreferenceError, match=r"rater_ids=.* do not go together"):
        Preferences.joined([whole, plain])
