import json
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from music.descriptors.yardsticks import YARDSTICKS
from music.note_table import note_table
from policy.compose import Conditioning, compose
from policy.runs import RunError, new_run
from reward.comparisons.preferences import Preferences
from reward.listeners.simulated import SimulatedListener
from reward.profile.feature_scale import FeatureScale
from reward.profile.profile import TasteProfile
from reward.scorer import RewardError
from rl.ppo.config import PPOConfig, config_record
from rl.ppo.trainer import fine_tune
from rl.rewards import sources
from rl.rewards.music_theory import music_theory_score
from rl.rewards.scaled import STANDARD_SEED, excess_over, reward_of, same_reward
from rl.rewards.spec import Constraint, RewardSpec, Term, read_spec

CONDITIONING = Conditioning(meter="2/4", bars=4)
STANDARD_MELODIES = 64


def fitted(melodies, taste) -> TasteProfile:
    rng = np.random.default_rng(0)
    left, right = rng.integers(len(melodies), size=(2, 80))
    utility = SimulatedListener(taste, seed=1).calibrate(melodies).true_utility(melodies)
    outcome = np.where(utility[left] > utility[right], 0, 1)
    return TasteProfile.fit(
        Preferences.of(left, right, outcome), melodies, FeatureScale.of(melodies)
    )


@pytest.fixture(autouse=True)
def few_standard_melodies(monkeypatch):
    """So that a test takes a tenth of a second, and not two."""
    monkeypatch.setattr("rl.rewards.scaled.STANDARD_MELODIES", STANDARD_MELODIES)


@pytest.fixture(scope="module")
def runs(tmp_path_factory, real_melodies):
    """Two reward runs of different tastes; the header of the first is 4 bars in 2/4."""
    root = tmp_path_factory.mktemp("runs")
    for taste, conditioning in (("calm", CONDITIONING), ("arches", Conditioning(meter="6/8"))):
        run = new_run("reward", {"conditioning": conditioning.fields()}, root=root)
        fitted(real_melodies[:120], taste).save(run.path / "taste.json")
    return root


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Writes a user's module into the working folder and forgets it afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sources, "_imported_sha256", {})
    names = []

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        names.append(name)
        return tmp_path / f"{name}.py"

    yield write
    for name in names:
        sys.modules.pop(name, None)


def scores(spec, runs, policy, melodies):
    return reward_of(spec, root=runs).standardised(policy, CONDITIONING).score(melodies)


# What is written


def test_a_spec_says_terms_and_constraints():
    read = read_spec(
        " 0.7*reward-0004 + my.rules:calm - .25 * music-theory where leap_share<=0.1, "
        "range_semitones >= 7 "
    )
    assert read == RewardSpec(
        (Term(0.7, "reward-0004"), Term(1.0, "my.rules:calm"), Term(-0.25, "music-theory")),
        (Constraint("leap_share", "<=", 0.1), Constraint("range_semitones", ">=", 7.0)),
    )
    assert str(read) == (
        "0.7*reward-0004 + 1*my.rules:calm - 0.25*music-theory where leap_share<=0.1, "
        "range_semitones>=7"
    )


WEIGHTS = st.floats(1e-9, 1e9) | st.floats(-1e9, -1e-9)
NAMES = st.sampled_from(["reward-0001", "a", "music-theory", "a.b:c", "x-2-y", "_m:f1"])


@given(
    st.lists(st.builds(Term, WEIGHTS, NAMES), min_size=1, max_size=4, unique_by=lambda t: t.name),
    st.lists(
        st.builds(
            Constraint,
            st.sampled_from(sorted(YARDSTICKS)),
            st.sampled_from(["<=", ">="]),
            st.floats(-1e9, 1e9),
        ),
        max_size=3,
    ),
)
def test_a_spec_reads_back_equal(terms, constraints):
    spec = RewardSpec(tuple(terms), tuple(constraints))
    assert read_spec(str(spec)) == spec


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "names no reward"),
        ("where leap_share<=0.1", "names no reward"),
        ("../reward-0001", "'../reward-0001' is not a term"),
        ("Reward", "'Reward' is neither a run's name"),
        ("a:b:c", "'a:b:c' is neither"),
        ("0.5 reward-0001", "is not a term"),
        ("reward-0001 + ", "'' is not a term"),
        ("0*reward-0001", "weight 0"),
        ("reward-0001 + 2*reward-0001", "names reward-0001 twice"),
        ("reward-0001 where leap_share", "'leap_share' is not a constraint"),
        ("reward-0001 where leap_share=0.1", "is not a constraint"),
        ("reward-0001 where", "'' is not a constraint"),
        ("reward-0001 where leapshare<=0.1", "no yardstick 'leapshare'.*leap_share"),
        ("reward-0001 where leap_share<=0.1 where rest_share<=0", "'where' 2 times"),
    ],
)
def test_what_is_no_spec_is_told(text, says):
    with pytest.raises(RewardError, match=says) as told:
        read_spec(text)
    assert "\n" not in str(told.value)


# What a name means


def test_nothing_asked_is_the_newest_reward_run(runs):
    chosen = reward_of(None, root=runs)
    assert chosen.name == "reward-0002"
    assert chosen.conditioning == Conditioning(meter="6/8")


def test_a_reward_run_that_is_still_being_learnt_is_not_the_newest(runs):
    model = runs / "reward-0002" / "taste.json"
    written = model.read_bytes()
    model.unlink()  # its record is there first, so that who withdraws is told of it
    try:
        assert reward_of(None, root=runs).name == "reward-0001"
    finally:
        model.write_bytes(written)


def test_without_a_reward_run_the_way_to_one_is_told(tmp_path):
    with pytest.raises(RunError, match="tastemaker reward"):
        reward_of(None, root=tmp_path)
    with pytest.raises(RunError, match="no run 'reward-0009'"):
        reward_of("reward-0009", root=tmp_path)


def test_a_reward_run_is_taken_as_it_is(runs, tiny_policy, real_melodies):
    chosen = reward_of("reward-0001", root=runs)
    profile = TasteProfile.load(runs / "reward-0001" / "taste.json")
    for mine in (chosen, chosen.standardised(tiny_policy, CONDITIONING)):
        for got, expected in zip(
            mine.score(real_melodies[:9]), profile.score(real_melodies[:9]), strict=True
        ):
            np.testing.assert_array_equal(got, expected)
    assert chosen.conditioning == CONDITIONING
    assert chosen.profile is not None
    assert chosen.record["standard"] is None


def test_rules_are_in_deviations_of_the_base(runs, tiny_policy, real_melodies):
    chosen = reward_of("music-theory", root=runs).standardised(tiny_policy, CONDITIONING)
    base = compose(tiny_policy, STANDARD_MELODIES, conditioning=CONDITIONING, seed=STANDARD_SEED)
    mean, std = chosen.score(base)
    assert (mean.mean(), mean.std()) == pytest.approx((0, 1), abs=1e-9)
    assert not std.any()
    raw = music_theory_score(base)
    np.testing.assert_allclose(
        chosen.score(real_melodies[:5])[0],
        (music_theory_score(real_melodies[:5]) - raw.mean()) / raw.std(),
    )
    assert chosen.conditioning is None
    assert chosen.profile is None


def test_a_mixture_is_the_weighted_sum_in_one_unit(runs, tiny_policy, real_melodies):
    some = real_melodies[:20]
    mixture = reward_of("3*reward-0001 - 1*reward-0002", root=runs).standardised(
        tiny_policy, CONDITIONING
    )
    one, two = (reward_of(f"reward-000{n}", root=runs) for n in (1, 2))
    base = compose(tiny_policy, STANDARD_MELODIES, conditioning=CONDITIONING, seed=STANDARD_SEED)
    raw = 3 * one.score(base)[0] - two.score(base)[0]
    mean, std = mixture.score(some)
    expected = (3 * one.score(some)[0] - two.score(some)[0] - raw.mean()) / raw.std()
    np.testing.assert_allclose(mean, expected, atol=1e-12)
    doubt = (3 * one.score(some)[1] + two.score(some)[1]) / raw.std()
    np.testing.assert_allclose(std, doubt)
    assert mixture.conditioning == CONDITIONING  # the first run's


def test_only_the_ratio_of_weights_matters(runs, tiny_policy, real_melodies):
    some = real_melodies[:20]
    small = scores("0.3*reward-0001 + 0.1*music-theory", runs, tiny_policy, some)
    large = scores("30*reward-0001 + 10*music-theory", runs, tiny_policy, some)
    np.testing.assert_allclose(small, large, atol=1e-12)


def test_a_constraint_that_is_kept_costs_nothing(runs, tiny_policy, real_melodies):
    some = real_melodies[:50]
    free, _ = scores("reward-0001", runs, tiny_policy, some)
    held, _ = scores("reward-0001 where range_semitones<=12", runs, tiny_policy, some)
    broken = YARDSTICKS["range_semitones"].measure(some) > 12
    assert 0 < broken.sum() < 50
    np.testing.assert_array_equal((free - held)[~broken], 0)
    assert ((free - held)[broken] > 1).all()


def test_the_price_of_breaking_by_hand(runs, tiny_policy, tune):
    """1 for breaking, plus 1 for each base deviation beyond the limit, up to 3."""
    chosen = reward_of("reward-0001 where range_semitones<=4, ends_on_tonic>=1", root=runs)
    chosen = chosen.standardised(tiny_policy, CONDITIONING)
    assert chosen.standard is not None
    deviation = chosen.standard.yardsticks["range_semitones"]
    ending = chosen.standard.yardsticks["ends_on_tonic"]
    kept = tune((4, 96), (0, 96))
    wide = tune((5, 96), (0, 96))
    both = tune((0, 96), (24, 48), (7, 48))
    np.testing.assert_allclose(
        chosen.penalty(note_table([kept, wide, both])),
        [0, 1 + 1 / deviation, 1 + min(20 / deviation, 3) + 1 + min(1 / ending, 3)],
    )


def test_where_a_yardstick_is_undefined_nothing_is_broken(tune):
    one_note = note_table(tune((0, 192)))
    assert np.isnan(YARDSTICKS["leap_share"].measure(one_note)).all()
    assert not excess_over(Constraint("leap_share", "<=", 0.1), one_note).any()


def test_a_reward_without_its_unit_is_not_used(runs, real_melodies):
    with pytest.raises(RewardError, match=r"music-theory has no unit yet; call standardised"):
        reward_of("music-theory", root=runs).score(real_melodies[:2])


# A user's function

COUNTING = "def notes(melodies):\n    return [len(m.notes) for m in melodies]\n"


def test_a_function_of_ones_own(runs, tiny_policy, real_melodies, written):
    written("counting_rule", COUNTING)
    mean, std = scores("counting_rule:notes", runs, tiny_policy, real_melodies[:7])
    counts = [len(m.notes) for m in real_melodies[:7]]
    base = compose(tiny_policy, STANDARD_MELODIES, conditioning=CONDITIONING, seed=STANDARD_SEED)
    raw = np.array([len(m.notes) for m in base])
    np.testing.assert_allclose(mean, (counts - raw.mean()) / raw.std())
    assert not std.any()


def test_a_function_may_say_how_sure_it_is(runs, tiny_policy, real_melodies, written):
    written(
        "doubting_rule",
        "import numpy as np\n"
        "def notes(melodies):\n"
        "    n = np.array([len(m.notes) for m in melodies])\n"
        "    return n, n / 2\n",
    )
    mean, std = scores("doubting_rule:notes", runs, tiny_policy, real_melodies[:2])
    counts = np.array([len(m.notes) for m in real_melodies[:2]])
    assert std[0] / std[1] == pytest.approx(counts[0] / counts[1])
    assert (mean[0] - mean[1]) / (counts[0] - counts[1]) == pytest.approx(2 * std[0] / counts[0])


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("1 / 0", r"fails with ZeroDivisionError: division by zero \(wrong_rule.py:2\)"),
        ("return 1.0", r"scores of shape \(\) for 3 melodies; return \(3,\)"),
        ("return [0.0] * 2", r"scores of shape \(2,\) for 3"),
        ("return [[0.0] * 3]", r"scores of shape \(1, 3\)"),
        ("return None", "gives nan|shape"),
        ("return ['high'] * 3", "gives list for its scores"),
        ("return [0.0, float('nan'), 0.0]", "gives nan among its scores, at melody 1 of 3"),
        ("return [0.0, 1.0, float('inf')]", "gives inf among its scores, at melody 2"),
        ("return [0.0] * 3, [1.0, 1.0, -2.0]", "a standard deviation of -2; give 0 or more"),
        ("return [0.0] * 3, [1.0]", "standard deviations of shape"),
        (
            "return [0.0, 1e308, 0.0]",
            r"gives 1e\+308 among its scores, at melody 1 of 3; ",
        ),
        ("return [0.0, 10**400, 0.0]", "gives list for its scores"),
        ("return [0.0] * 3, [1.0, float('nan'), 0.0]", "nan among its standard deviations"),
    ],
)
def test_a_wrong_function_is_told_in_one_line(runs, real_melodies, written, body, says):
    written("wrong_rule", f"def rule(melodies):\n    {body}\n")
    (part,) = reward_of("wrong_rule:rule", root=runs).parts
    with pytest.raises(RewardError, match=says) as told:
        part.score(real_melodies[:3])
    assert "\n" not in str(told.value)
    assert str(told.value).startswith("wrong_rule:rule")


def test_a_pair_of_scores_is_no_score_and_std(real_melodies):
    score = sources.checked("two", lambda _: (1.0, 2.0))
    np.testing.assert_array_equal(score(real_melodies[:2]), [[1, 2], [0, 0]])


def test_a_function_that_tells_nothing_apart_is_refused(runs, tiny_policy, written):
    written("flat_rule", "def rule(melodies):\n    return [5.0] * len(melodies)\n")
    with pytest.raises(
        RewardError, match=rf"all of {STANDARD_MELODIES} base melodies the same score \(5\)"
    ):
        reward_of("flat_rule:rule", root=runs).standardised(tiny_policy, CONDITIONING)


@pytest.mark.parametrize(
    ("text", "spec", "says"),
    [
        (None, "absent_rule:rule", "no module 'absent_rule'"),
        ("x = 1\n", "here_rule:rule", "here_rule.py has no function 'rule'"),
        ("rule = 1\n", "here_rule:rule", "has no function 'rule'"),
        ("import absent_dependency\n", "here_rule:rule", "needs 'absent_dependency'"),
        ("def rule(:\n", "here_rule:rule", "importing here_rule fails with SyntaxError"),
        ("raise OSError('no\\nway')\n", "here_rule:rule", "fails with OSError: no way"),
        (None, "sys:exit", "sys has no source file"),
    ],
)
def test_a_function_that_cannot_be_had(runs, written, text, spec, says):
    if text is not None:
        written("here_rule", text)
    else:
        written("another_rule", "")
    with pytest.raises(RewardError, match=says) as told:
        reward_of(spec, root=runs)
    assert "\n" not in str(told.value)


# The same again


def test_a_resumed_run_gets_the_same_reward(runs, tiny_policy, real_melodies, written):
    written("same_rule", COUNTING)
    spec = "same_rule:notes + 2*reward-0001 where leap_share<=0.1"
    first = reward_of(spec, root=runs).standardised(tiny_policy, CONDITIONING)
    record = json.loads(json.dumps(first.record))
    again = reward_of(record["spec"], root=runs).standardised_as(record)
    assert same_reward(record, again) == []
    for got, expected in zip(
        again.score(real_melodies[:30]), first.score(real_melodies[:30]), strict=True
    ):
        np.testing.assert_array_equal(got, expected)


def test_a_reward_that_changed_says_what(runs, tiny_policy, real_melodies, written, tmp_path):
    root = tmp_path / "runs"
    run = new_run("reward", {"conditioning": CONDITIONING.fields()}, root=root)
    profile = runs / "reward-0001" / "taste.json"
    (run.path / "taste.json").write_bytes(profile.read_bytes())
    file = written("changing_rule", COUNTING)
    spec = "reward-0001 + changing_rule:notes"
    first = reward_of(spec, root=root).standardised(tiny_policy, CONDITIONING)

    assert "the run was given" in same_reward(first.record, reward_of("reward-0001", root=root))[0]
    other = reward_of(spec, root=root).standardised(tiny_policy, CONDITIONING, seed=1)
    assert "other base melodies" in same_reward(first.record, other)[0]

    fitted(real_melodies[:120], "arches").save(run.path / "taste.json")
    file.write_text(COUNTING.replace("len(m.notes)", "-len(m.notes)"))
    changed = reward_of(spec, root=root).standardised_as(first.record)
    said = same_reward(first.record, changed)
    assert [line.partition(" has changed")[0] for line in said] == [
        "taste.json of reward-0001",
        "changing_rule.py of changing_rule:notes",
    ]
    # The new function is called, not the one that was imported first.
    (_, part) = changed.parts
    assert part.score(real_melodies[:1])[0][0] == -len(real_melodies[0].notes)


def test_a_record_of_another_version_is_told(runs, tiny_policy):
    record = reward_of("music-theory", root=runs).standardised(tiny_policy, CONDITIONING).record
    del record["standard"]["parts"]
    with pytest.raises(RewardError, match="another version"):
        reward_of("music-theory", root=runs).standardised_as(record)


def test_ppo_takes_it(runs, tiny_policy, real_melodies, written, tmp_path):
    from music.corpora.originality import TrainingIndex

    written("long_rule", COUNTING)
    spec = "long_rule:notes + music-theory where range_semitones<=12"
    chosen = reward_of(spec, root=runs).standardised(tiny_policy, CONDITIONING)
    config = PPOConfig(
        updates=1, melodies_per_update=8, minibatch=8, meter="2/4", bars=4, kl_limit_nats=50.0,
        threads=1,
    )  # fmt: skip
    run = new_run("ppo", config_record(config), root=tmp_path / "runs")
    index = TrainingIndex.from_melodies(real_melodies[:20])
    assert fine_tune(run, config, tiny_policy, chosen.score, index) is not None


# Numbers that nothing can be learnt from


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"{'9' * 400}*music-theory", "has weight inf, which is not within 1e-09 to"),
        ("10000000000*music-theory", r"has weight 1e\+10"),
        ("0.0000000001*music-theory", "has weight 1e-10"),
        ("0*music-theory", "has weight 0, which has no effect"),
        (f"music-theory where leap_share<={'9' * 400}", "has a limit beyond"),
        ("music-theory where leap_share>=-10000000000", "has a limit beyond"),
    ],
)
def test_a_weight_or_limit_that_is_no_sane_number_is_refused(text, says):
    with pytest.raises(RewardError, match=says) as told:
        read_spec(text)
    assert len(str(told.value)) < 250


class _OfARun:
    """A part of a reward whose model has gone wrong, as a damaged run's may."""

    def __init__(self, mean, std):
        self.mean, self.std = mean, std

    def __call__(self, melodies):
        return np.full(len(melodies), self.mean), np.full(len(melodies), self.std)


@pytest.mark.parametrize(
    ("mean", "std", "says"),
    [
        (np.nan, 0.0, "gives nan among its scores, at melody 0"),
        (1e308, 0.0, r"gives 1e\+308 among its scores"),
        (0.0, np.inf, "gives inf among its standard deviations"),
        (0.0, -1.0, "gives a standard deviation of -1"),
    ],
)
def test_scores_of_a_profile_or_neural_reward_are_checked_too(runs, real_melodies, mean, std, says):
    chosen = reward_of("reward-0001", root=runs)
    bad = replace(chosen, parts=(replace(chosen.parts[0], score=_OfARun(mean, std)),))
    with pytest.raises(RewardError, match=f"reward-0001 {says}"):
        bad.score(real_melodies[:3])


@pytest.mark.parametrize(
    "harm",
    [
        lambda standard: standard["parts"]["music-theory"].update(std=0.0),
        lambda standard: standard["parts"]["music-theory"].update(std=float("nan")),
        lambda standard: standard["parts"]["music-theory"].update(mean="0"),
        lambda standard: standard["parts"].clear(),
        lambda standard: standard["yardsticks"].update(leap_share=-1.0),
        lambda standard: standard["yardsticks"].clear(),
        lambda standard: standard.update(mixture=None),
        lambda standard: standard.pop("mixture"),
    ],
    ids=[
        "no spread", "NaN", "text", "no unit", "negative", "no yardstick", "no mixture", "no field",
    ],
)  # fmt: skip
def test_a_recorded_unit_that_no_scores_have_is_refused(runs, harm):
    spec = "0.5*music-theory + 0.5*reward-0001 where leap_share<=0.2"
    standard = {
        "melodies": 512, "seed": 1, "conditioning": {}, "yardsticks": {"leap_share": 0.1},
        "parts": {"music-theory": {"mean": 1.0, "std": 2.0}}, "mixture": {"mean": 0.0, "std": 1.0},
    }  # fmt: skip
    assert reward_of(spec, root=runs).standardised_as({"standard": standard}).standard is not None
    harm(standard)
    with pytest.raises(RewardError, match="start a new run"):
        reward_of(spec, root=runs).standardised_as({"standard": standard})
