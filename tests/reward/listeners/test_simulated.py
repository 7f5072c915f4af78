"""Simulated listeners: as reliable, biased, undecided and fickle as asked; sane tastes."""

import numpy as np
import pytest

from music.descriptors.yardsticks import YARDSTICKS
from reward.comparisons.preferences import LEFT, RIGHT, TIE
from reward.listeners.simulated import ListenerError, SimulatedListener
from reward.listeners.tastes import TASTES, Taste, Term
from reward.profile.features import feature_matrix


def ramp(items: np.ndarray) -> np.ndarray:
    """A utility of numbers: the number."""
    return np.asarray(items, float)


def square(items: np.ndarray) -> np.ndarray:
    return np.asarray(items, float) ** 2


@pytest.fixture(scope="module")
def numbers() -> np.ndarray:
    return np.random.default_rng(0).normal(5.0, 3.0, size=800)


def pairs(items, count, seed=1):
    left, right = np.random.default_rng(seed).integers(len(items), size=(2, count))
    apart = left != right
    return items[left[apart]], items[right[apart]]


def measured(listener, left, right) -> tuple[float, float]:
    """Share of decided answers that are the noise-free choice, and share of ties."""
    truth = np.sign(listener.true_utility(left) - listener.true_utility(right))
    got = listener.choose(left, right)
    decided = got != TIE
    return float((got == truth)[decided].mean()), float(1 - decided.mean())


# Calibration


def test_two_items_by_hand():
    """One pair, 2 standard deviations apart: log-odds of log 4 need a temperature of 2 / log 4."""
    listener = SimulatedListener(ramp, reliability=0.8).calibrate(np.array([1.0, 9.0]))
    np.testing.assert_allclose(listener.true_utility(np.array([1.0, 9.0])), [-1.0, 1.0])
    assert listener.temperature == pytest.approx(2 / np.log(4), rel=1e-4)


@pytest.mark.parametrize("reliability", [0.55, 0.72, 0.9])
@pytest.mark.parametrize(("side_bias", "tie_rate"), [(0.0, 0.0), (0.8, 0.0), (0.3, 0.25)])
def test_reliability_and_ties_are_as_asked(numbers, reliability, side_bias, tie_rate):
    listener = SimulatedListener(ramp, reliability, side_bias, tie_rate, seed=3).calibrate(numbers)
    right_share, tie_share = measured(listener, *pairs(numbers, 60_000))
    assert right_share == pytest.approx(reliability, abs=0.01)
    assert tie_share == pytest.approx(tie_rate, abs=0.01)


def test_the_named_tastes_are_as_reliable_on_tunes(real_melodies):
    melodies = real_melodies[:300]
    left, right = np.random.default_rng(2).integers(300, size=(2, 30_000))
    for taste in TASTES:
        listener = SimulatedListener(taste, side_bias=0.3, tie_rate=0.1).calibrate(melodies)
        utility = listener.true_utility(melodies)
        assert utility.mean() == pytest.approx(0, abs=1e-9)
        assert utility.std() == pytest.approx(1, abs=1e-9)
        stand_in = SimulatedListener(
            lambda rows, utility=utility: utility[rows], side_bias=0.3, tie_rate=0.1
        ).calibrate(np.arange(300))
        right_share, tie_share = measured(stand_in, left, right)
        assert right_share == pytest.approx(0.72, abs=0.01)
        assert tie_share == pytest.approx(0.1, abs=0.01)


def test_ceiling_is_what_the_noise_free_choice_reaches(numbers):
    listener = SimulatedListener(ramp, 0.72, seed=4).calibrate(numbers)
    close = pairs(np.sort(numbers)[350:450], 40_000)
    wide = pairs(numbers, 40_000)
    assert listener.ceiling(*wide) == pytest.approx(0.72, abs=0.01)
    assert listener.ceiling(*close) < 0.6
    assert measured(listener, *close)[0] == pytest.approx(listener.ceiling(*close), abs=0.01)


def test_side_bias_is_log_odds_between_equals(numbers):
    listener = SimulatedListener(ramp, side_bias=np.log(3), seed=5).calibrate(numbers)
    same = np.full(20_000, 5.0)
    assert (listener.choose(same, same) == LEFT).mean() == pytest.approx(0.75, abs=0.01)


def test_no_noise_gives_the_better_one(numbers):
    listener = SimulatedListener(ramp, reliability=1.0).calibrate(numbers)
    left, right = pairs(numbers, 1000)
    np.testing.assert_array_equal(listener.choose(left, right), np.where(left > right, LEFT, RIGHT))


def test_side_does_not_matter_without_bias(numbers):
    listener = SimulatedListener(ramp, tie_rate=0.2, seed=6).calibrate(numbers)
    left, right = pairs(numbers, 40_000)
    share = (listener.choose(left, right) == LEFT).mean()
    swapped = (listener.choose(right, left) == RIGHT).mean()
    assert share == pytest.approx(swapped, abs=0.01)


# Determinism


def test_equal_seeds_answer_equally(numbers):
    left, right = pairs(numbers, 500)
    one, same, other = (
        SimulatedListener(ramp, tie_rate=0.1, seed=seed).calibrate(numbers).choose(left, right)
        for seed in (7, 7, 8)
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).mean() > 0.1


def test_batches_do_not_matter(numbers):
    left, right = pairs(numbers, 300)
    keywords = {"tie_rate": 0.1, "drift": 0.5, "drift_taste": square, "seed": 9}
    whole = SimulatedListener(ramp, **keywords).calibrate(numbers)
    parts = SimulatedListener(ramp, **keywords).calibrate(numbers)
    got = [parts.choose(left[a:b], right[a:b]) for a, b in ((0, 1), (1, 1), (1, 120), (120, 300))]
    np.testing.assert_array_equal(whole.choose(left, right), np.concatenate(got))
    assert parts.votes == whole.votes == len(left)


# Drift


def test_taste_turns_by_the_angle_and_stops_at_a_right_angle(numbers):
    listener = SimulatedListener(ramp, drift=0.4, drift_taste=square).calibrate(numbers)
    first = listener.true_utility(numbers)
    for at_vote, angle in ((0, 0.0), (100, 0.4), (250, 1.0), (10_000, np.pi / 2)):
        then = listener.true_utility(numbers, at_vote=at_vote)
        assert np.corrcoef(first, then)[0, 1] == pytest.approx(np.cos(angle), abs=1e-6)
        assert then.std() == pytest.approx(1.0, abs=1e-6)
    listener.choose(numbers[:250], numbers[250:500])
    np.testing.assert_array_equal(
        listener.true_utility(numbers), listener.true_utility(numbers, at_vote=250)
    )


def test_drift_shows_in_the_votes(numbers):
    listener = SimulatedListener(ramp, 0.9, drift=0.8, drift_taste=square, seed=1)
    listener.calibrate(numbers)
    left, right = pairs(numbers, 6000)
    start = listener.true_utility(left) - listener.true_utility(right)
    answers = listener.choose(left, right)
    early, late = (
        ((answers * np.sign(start)) > 0)[part].mean() for part in (slice(0, 40), slice(2000, None))
    )
    assert early > 0.8
    assert late < 0.65  # a right angle away from where it began


def test_without_drift_nothing_changes(real_melodies):
    listener = SimulatedListener("calm").calibrate(real_melodies[:60])
    before = listener.true_utility(real_melodies[:60])
    listener.choose(real_melodies[:30], real_melodies[30:60])
    np.testing.assert_array_equal(listener.true_utility(real_melodies[:60]), before)


# Tastes


def test_every_term_names_a_yardstick_and_a_kind():
    for taste in TASTES.values():
        for term in (t for row in (*taste.terms, *taste.products) for t in row[1:]):
            assert term.yardstick in YARDSTICKS
            assert term.kind in ("more", "less", "near")
            assert term.width > 0


def test_terms_by_hand(tune):
    # Two bars of 4/4 in quarters: 8 notes in 8 beats make 1 note a beat.
    melody = tune(*[(pitch, 24) for pitch in (0, 2, 4, 5, 7, 5, 4, 2)])
    for kind, centre, expected in (
        ("more", 1.0, 0.0),
        ("more", 0.5, np.tanh(1.0)),
        ("less", 0.5, -np.tanh(1.0)),
        ("near", 1.0, 1.0),
        ("near", 0.5, 2 * np.exp(-0.5) - 1),
    ):
        assert Term("notes_per_beat", kind, centre, 0.5)([melody])[0] == pytest.approx(expected)


def test_utilities_are_bounded_and_finite_on_the_oddest_melodies(random_melodies, real_melodies):
    odd = random_melodies(200)
    for taste in TASTES.values():
        weights = [abs(row[0]) for row in (*taste.terms, *taste.products)]
        utility = taste(odd)
        assert np.isfinite(utility).all()
        # Decency adds at most 2.5.
        assert np.abs(utility).max() <= sum(weights) + 2.5


def test_nobody_wants_degenerate_tunes(tune, real_melodies):
    one_note = tune(*[(0, 12)] * 16)
    silence = tune((0, 48), *[(None, 24), (0, 24)] * 3)
    frantic = tune(*[(pitch, 3) for pitch in (0, 1, 2, 3) * 16])
    for taste in TASTES.values():
        usual = np.quantile(taste(real_melodies[:400]), 0.5)
        for melody in (one_note, silence, frantic):
            assert taste([melody])[0] < usual, (taste.name, melody)


def test_tastes_differ_and_are_not_one_feature(real_melodies):
    melodies = [melody for melody in real_melodies if melody.header.bars == 8]
    utilities = {name: taste(melodies) for name, taste in TASTES.items()}
    among = np.corrcoef(list(utilities.values())) - np.eye(len(TASTES))
    assert np.abs(among).max() < 0.6
    features = feature_matrix(melodies)
    features = features[:, features.std(0) > 0]
    for name, utility in utilities.items():
        correlations = [abs(np.corrcoef(utility, column)[0, 1]) for column in features.T]
        assert 0.3 < max(correlations) < 0.92, name


def test_a_linear_model_reaches_the_plain_tastes_and_not_contrast(real_melodies):
    """Least squares on noise-free utilities, tried on other tunes."""
    melodies = [melody for melody in real_melodies if melody.header.bars == 8]
    features = feature_matrix(melodies)
    features = (features - features.mean(0)) / np.maximum(features.std(0), 1e-9)
    features = np.column_stack([features, np.ones(len(features))])
    half = len(melodies) // 2
    reached = {}
    for name, taste in TASTES.items():
        utility = taste(melodies)
        gram = features[:half].T @ features[:half] + 3.0 * np.eye(features.shape[1])
        weights = np.linalg.solve(gram, features[:half].T @ utility[:half])
        score, truth = features[half:] @ weights, utility[half:]
        one, other = np.random.default_rng(0).integers(len(truth), size=(2, 5000))
        apart = truth[one] != truth[other]
        same = np.sign(score[one] - score[other]) == np.sign(truth[one] - truth[other])
        reached[name] = same[apart].mean()
    assert min(share for name, share in reached.items() if name != "contrast") > 0.75
    assert reached["contrast"] < 0.72


# Errors


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"taste": "loud"}, "taste='loud' is not known"),
        ({"taste": "loud", "drift": 0.1}, "taste='loud' is not known"),
        ({"taste": ramp, "reliability": 0.5}, r"reliability=0.5 is not within"),
        ({"taste": ramp, "reliability": 1.1}, r"reliability=1.1 is not within"),
        ({"taste": ramp, "tie_rate": 1.0}, r"tie_rate=1.0 is not within"),
        ({"taste": ramp, "drift": 0.1}, "give drift_taste"),
        ({"taste": ramp, "reliability": 1.0, "side_bias": 0.1}, "has no ties and no side bias"),
    ],
    ids=["taste", "drifting taste", "coin", "over 1", "only ties", "drift", "sure and biased"],
)
def test_impossible_listeners_are_named(keywords, message):
    with pytest.raises(ListenerError, match=message):
        SimulatedListener(**keywords)


def test_use_before_calibration_and_flat_pools_are_named(numbers):
    with pytest.raises(ListenerError, match="call calibrate"):
        SimulatedListener(ramp).choose(numbers, numbers)
    with pytest.raises(ListenerError, match="calibrate on melodies that differ"):
        SimulatedListener(ramp).calibrate(np.full(10, 0.1))
    with pytest.raises(ListenerError, match="ranks this pool as taste does"):
        SimulatedListener(ramp, drift=0.1, drift_taste=lambda x: 2 * x).calibrate(numbers)


def test_names_say_that_they_are_simulated():
    assert SimulatedListener("calm", seed=3).name == "simulated-calm-0.72-3"
    assert SimulatedListener(ramp).name.startswith("simulated-ramp")
    assert isinstance(TASTES["calm"], Taste)
