"""The benchmark of real choices: its matching by hand, and a small study with a known answer."""

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest

from music.corpora.corpus import load_corpus
from music.melody import Header
from music.tokens import encode
from reward.profile.feature_scale import FeatureScale
from reward.profile.features import FEATURE_NAMES, feature_matrix

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def module():
    return import_module("real_choices")


@pytest.fixture(scope="module")
def strains():
    header = Header("4/4", "major", "reel", 8)
    return [s.melody for s in load_corpus("train") if s.melody.header == header][:100]


def test_kept_are_those_that_another_book_has_in_any_key(module, strains):
    first, second, third, fourth = strains[:4]
    moved = replace(first, tonic_midi=first.tonic_midi + 2)
    found = module.sort_choices(
        [moved, moved, second, third, fourth], np.array([0, 1, 0, 2, 3]), [encode(first)]
    )
    assert found.kept_M.tolist() == [True, False, False, False, False]  # the second is a copy
    # Of the tune of a kept strain nothing is taken as "not kept".
    assert found.other_M.tolist() == [False, False, False, True, True]
    assert set(found.stratum_M) == {"4/4 reel 8"}


def test_matched_strains_are_of_the_same_metre_style_and_length(module):
    choices = module.Choices(
        melodies=[],
        tune_M=np.arange(8),
        stratum_M=np.array(list("aaaabbbb")),
        kept_M=np.array([1, 0, 0, 0, 1, 1, 1, 0], bool),
        other_M=np.array([0, 1, 1, 0, 0, 0, 0, 1], bool),
    )
    rng = np.random.default_rng(0)
    kept, others = module.match(choices, rng)
    assert len(kept) == len(others) == 2  # one of a, and one of b, which has no more others
    assert choices.kept_M[kept].all()
    assert choices.other_M[others].all()
    pairs = module.pairs_of(choices, kept, others, rng)
    assert len(pairs) == 2  # no pair across strata
    better = np.where(pairs.outcome > 0, pairs.left, pairs.right)
    assert choices.kept_M[better].all()


def test_choices_by_one_feature_are_learnt_and_shuffled_ones_are_not(module, strains, monkeypatch):
    monkeypatch.setattr(module, "SIZES", {100: 2, "all": 1})
    monkeypatch.setattr(module, "RECURRING", (100,))
    features = feature_matrix(strains)
    leaps = features[:, FEATURE_NAMES.index("mean_absolute_interval")]
    kept = leaps > np.median(leaps)
    models = ("profile", "logistic", "trees", "kernel")
    scale = FeatureScale.of(features)
    found = {}
    for name, these in (("known", kept), ("shuffled", np.random.default_rng(0).permutation(kept))):
        choices = module.Choices(
            strains, np.arange(len(strains)), np.repeat("a", len(strains)), these, ~these
        )
        # Shuffled, the rivals would take the time and say nothing more.
        some = models if name == "known" else models[:2]
        done = module.study(choices, scale, matchings=1, seed=0, models=some)
        assert done.recurrence["all"] > 30
        found[name] = module.summary(done, some)
    known, shuffled = found["known"], found["shuffled"]
    for size in module.SIZES:
        assert known[f"agreement_{size}"] > 0.85
    for name in ("logistic_all", "trees_all", "kernel_all"):
        assert known[name] > 0.85
    low, high = known["agreement_all_interval"]
    assert low <= known["agreement_all"] <= high  # a perfect one has no width
    assert known["gain_100_to_all"] == pytest.approx(
        known["agreement_all"] - known["agreement_100"]
    )
    assert known["ece_recurring"] == max(known[f"ece_{size}"] for size in module.RECURRING)
    assert known["falls"] == [
        name for name in known if name.startswith("gain") and np.max(known[name]) < 0
        and name.endswith("interval")
    ]  # fmt: skip
    for name in ("agreement_100", "agreement_all", "logistic_all"):
        assert 0.35 < shuffled[name] < 0.65
