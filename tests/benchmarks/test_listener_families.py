"""Families of hard listeners: what each of them likes, and that no two are alike."""

import numpy as np
import pytest
from listener_families import (
    FAMILIES,
    OWN_SHARE,
    family_parts,
    family_taste,
    opposite,
    rarity_bits,
)

from music.note_table import note_table
from reward.listeners.note_tastes import best_agreement
from reward.listeners.simulated import ListenerError, SimulatedListener
from reward.profile.features import feature_matrix

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def some(real_melodies):
    return real_melodies[:200]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_member_is_the_same_again_and_unlike_the_next(family, some):
    first = family_taste(family, 0, some)(some)
    assert first.shape == (len(some),)
    assert np.isfinite(first).all()
    np.testing.assert_array_equal(first, family_taste(family, 0, some)(some))
    others = [family_taste(family, seed, some)(some) for seed in range(1, 5)]
    assert min(np.corrcoef(first, other)[0, 1] for other in others) < 0.995


@pytest.mark.parametrize("family", FAMILIES)
def test_a_member_votes_as_reliably_as_a_person(family, some):
    listener = SimulatedListener(family_taste(family, 1, some), seed=1).calibrate(some)
    rng = np.random.default_rng(0)
    one, other = rng.integers(len(some), size=(2, 3000))
    left, right = [some[i] for i in one], [some[i] for i in other]
    meant = np.sign(listener.true_utility(left) - listener.true_utility(right))
    said = listener.choose(left, right)
    assert (said == meant)[meant != 0].mean() == pytest.approx(0.72, abs=0.03)
    assert listener.name.startswith("simulated-")


def test_melodies_are_judged_one_by_one(some):
    taste = family_taste("linear", 3, some)
    np.testing.assert_allclose(taste(some[:5]), [taste([one])[0] for one in some[:5]])


def test_threshold_hates_a_leap_over_an_octave(tune, some):
    taste = family_taste("threshold", 2, some)
    within = tune(*[(p, 24) for p in (0, 12, 0, 4, 7, 4, 2, 0)])
    beyond = tune(*[(p, 24) for p in (0, 14, 0, 4, 7, 4, 2, 0)])
    one, other = taste([within, beyond])
    assert one - other >= 1.0  # -2 for the leap; of three other limits at most one lies between


def test_structural_wants_the_first_bar_again(tune, some):
    taste = family_taste("structural", 0, some)
    again = tune(*[(p, 24) for p in (0, 4, 7, 9, 0, 4, 5, 0)])
    never = tune(*[(p, 24) for p in (0, 4, 7, 9, 2, 5, 5, 0)])
    one, other = taste([again, never])
    assert one > other + 1.0


def test_interaction_is_not_a_sum_of_its_parts(some):
    """A line through the yardsticks explains a linear taste wholly, and this one not."""
    from music.descriptors.yardsticks import yardstick_values

    table = np.nan_to_num(np.stack(list(yardstick_values(some).values()), axis=1))
    table = np.hstack([table[:, :40], np.ones((len(some), 1))])
    for family, low, high in (("interaction", 0.0, 0.97), ("rhythmic", 0.0, 0.99)):
        utility = family_taste(family, 0, some)(some)
        left_over = utility - table @ np.linalg.lstsq(table, utility, rcond=None)[0]
        assert low <= 1 - left_over.var() / utility.var() < high


def test_rare_steps_are_rarer_than_common_ones(tune):
    common = tune(*[(p, 12) for p in (0, 2, 4, 5, 7, 5, 4, 2, 0, 2, 4, 5, 7, 5, 4, 0)])
    rare = tune(*[(p, 12) for p in (0, 11, 1, 13, 2, 14, 3, 15, 4, 16, 5, 17, 6, 18, 7, 19)])
    few, many = rarity_bits(note_table([common, rare]))
    assert many > few + 2


def test_two_camps_disagree_on_everything(some):
    taste = family_taste("sparse", 4, some)
    np.testing.assert_array_equal(opposite(taste)(some), -taste(some))


def test_mode_minds_the_third_and_pace_the_time(tune, some):
    major, minor, fast = (
        tune(*[(pitch, ticks) for pitch in pitches], bars=bars)
        for pitches, ticks, bars in (
            ((0, 4, 7, 4, 0, 4, 7, 0), 24, 4),
            ((0, 3, 7, 3, 0, 3, 7, 0), 24, 4),
            ((0, 4, 7, 4, 0, 4, 7, 0), 12, 2),
        )
    )
    gaps = np.array(
        [np.diff(family_taste("mode", seed, some)([major, minor])) for seed in range(9)]
    )
    assert (abs(gaps) > 0.5).all()
    assert (gaps > 0).any()
    assert (gaps < 0).any()
    first = [family_parts("pace", seed, some)[0] for seed in range(9)]
    faster = [np.diff(part.weight * part.measure(note_table([major, fast])))[0] for part in first]
    assert max(faster) > 0.5
    assert min(faster) < -0.5


def test_nobody_agrees_with_unexplained_more_than_its_ceiling(some, real_melodies):
    """Even who knows the explained half to the last digit."""
    parts = family_parts("unexplained", 5, some)
    assert [part.about for part in parts][-1] == ()
    table = note_table(real_melodies)
    utility = [part.weight * part.measure(table) for part in parts]
    known, whole = np.sum(utility[:-1], axis=0), np.sum(utility, axis=0)
    one, other = np.triu_indices(len(whole), 1)
    agrees = np.sign(known[one] - known[other]) == np.sign(whole[one] - whole[other])
    assert agrees.mean() == pytest.approx(best_agreement(OWN_SHARE), abs=0.03)
    assert abs(np.corrcoef(feature_matrix(real_melodies).T, utility[-1])[-1, :-1]).max() < 0.25


def test_an_unknown_family_is_named(some):
    with pytest.raises(ListenerError, match="family='loud' is not known; choose one of"):
        family_taste("loud", 0, some)
