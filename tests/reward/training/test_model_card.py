"""A reward run's card: its figures are the run's own, and it says what it does not know."""

import json
import re
from random import Random
from xml.etree import ElementTree

import numpy as np
import pytest

from policy.compose import Conditioning
from policy.runs import RunError
from reward.listeners.simulated import SimulatedListener, simulate_votes
from reward.pairs.round import PoolConfig, pair_up
from reward.profile.training import forecast_in_words
from reward.store.store import RatingsStore
from reward.store.votes import Answer
from reward.training.fit import fit_reward
from reward.training.model_card import CARD_FILE
from reward.training.models import load_model

pytestmark = pytest.mark.slow

CONDITIONING = Conditioning(meter="2/4", bars=4)
PLOTS = ("weights.svg", "reliability.svg", "learning-curve.svg")


def trained_on(folder, policy, *, pairs, trap_share=0.1, listeners=2, reliability=0.95):
    """A reward of listeners who rated some pairs; they agree on what they like."""
    with RatingsStore(folder / "ratings.sqlite") as store:
        config = PoolConfig(melodies=2 * pairs, pairs=pairs, trap_share=trap_share)
        waiting = len(pair_up(store, policy, "tiny", CONDITIONING, config))
        for seed in range(listeners):
            listener = SimulatedListener("calm", reliability=reliability, seed=seed)
            simulate_votes(store, listener, waiting)
        return fit_reward(
            store, policy, CONDITIONING, root=folder / "runs", parents={"base": "abc123"}
        )


@pytest.fixture(scope="module")
def fitted(tmp_path_factory, tiny_policy):
    return trained_on(tmp_path_factory.mktemp("card"), tiny_policy, pairs=90)


@pytest.fixture(scope="module")
def card(fitted):
    return (fitted.run.path / CARD_FILE).read_text()


def test_its_figures_are_those_of_the_run(fitted, card):
    assert f"**{fitted.agreement}** on {fitted.agreement.votes} decided votes" in card
    assert f"{fitted.ceiling.self_agreement} on" in card
    assert f"| expected calibration error | {fitted.trained.calibration.ece:.3f};" in card
    for agreement in fitted.trained.curve.agreements:
        assert f" | {agreement} |" in card
    record = fitted.run.record
    assert record["agreement"]["share"] == fitted.agreement.share
    assert record["learning_curve"][-1]["agreement"] == record["agreement"]
    assert record["ece"] == fitted.trained.calibration.ece
    assert record["forecast"]["gain"]["mean"] == fitted.forecast().gain.mean
    assert json.dumps(record["forecast"]["more_votes"]) == "60"


def test_it_forecasts(fitted, card):
    words = str(fitted.forecast())
    assert re.fullmatch(r"another 60 votes are worth about \+.* points \[.*\]", words)
    assert f"A{words[1:]}." in card
    assert "another 200 votes" in forecast_in_words(fitted.trained, 200)


def test_it_says_what_it_was_trained_on(fitted, card):
    assert "| votes | 200 of simulated listeners: " in card  # of two, on 90 pairs and 10 repeats
    assert "| of these hidden repeats | 20 |" in card
    assert "| pairs | 90 different ones of " in card
    assert "| chosen by | 200 random |" in card
    assert "| stands on | base abc123 |" in card
    assert f"| newest vote | number {fitted.run.record['last_vote']} |" in card
    assert "says nothing about what people like" in card


def test_each_rater_has_a_row_with_traps_that_taught_nothing(fitted, card):
    rows = re.findall(r"^\| (\d+) \| (\d+) \| .* \| (\d+) of (\d+) \| .* \|$", card, re.M)
    assert [(rater, votes, traps) for rater, votes, _, traps in rows] == [
        ("1", "100", "11"),
        ("2", "100", "11"),
    ]
    assert fitted.votes == 200
    assert fitted.raters == 2


def test_its_plots_are_whole_and_it_shows_them_all(fitted, card):
    assert re.findall(r"\]\(([^)]+\.svg)\)", card) == [PLOTS[2], PLOTS[1], PLOTS[0]]
    for name in PLOTS:
        text = (fitted.run.path / name).read_text()
        assert ElementTree.fromstring(text).tag.endswith("svg")
        assert "nan" not in text.lower()
    weights = (fitted.run.path / "weights.svg").read_text()
    for reason in fitted.profile.explain(top=20):
        assert reason.label in weights
    assert sorted(p.name for p in fitted.run.path.iterdir()) == sorted(
        [*PLOTS, CARD_FILE, "run.json", "taste.json"]
    )


def test_calibration_is_of_votes_that_were_held_out(fitted):
    """As many odds as were votes decided, and right as often as the held-out agreement says."""
    trained = fitted.trained
    counted = sum(each.correct.count for each in trained.calibration.bins)
    assert counted == trained.agreement.votes
    correct = sum(each.correct.share * each.correct.count for each in trained.calibration.bins)
    assert correct / counted == pytest.approx(trained.agreement.share)


def test_what_it_wrote_is_read_again(fitted):
    again = load_model(fitted.run).profile
    np.testing.assert_array_equal(again.group.weights_F, fitted.profile.group.weights_F)


def test_a_handful_of_votes_is_owned_up_to(tmp_path, tiny_policy):
    fitted = trained_on(tmp_path, tiny_policy, pairs=4, trap_share=0.0, listeners=1)
    assert fitted.agreement is None
    assert fitted.forecast() is None
    card = (fitted.run.path / CARD_FILE).read_text()
    assert "too few votes to hold any out" in card
    assert "no pair was asked twice, so the ceiling is unknown" in card
    assert "Too few votes to say what more would bring." in card
    assert re.findall(r"\]\(([^)]+\.svg)\)", card) == ["weights.svg"]
    assert fitted.run.record["forecast"] is None


def test_who_presses_left_is_flagged_and_who_fails_traps(tmp_path, tiny_policy):
    """Half of the traps, as this chance puts the corrupted melody on the left."""
    with RatingsStore(tmp_path / "ratings.sqlite", rng=Random(0)) as store:
        config = PoolConfig(melodies=60, pairs=30, trap_share=0.2)
        waiting = len(pair_up(store, tiny_policy, "tiny", CONDITIONING, config))
        presser = store.add_rater("presser", consent_version="1")
        for number in range(waiting):
            pair = store.issue(presser.id)
            store.vote(pair.assignment_id, Answer(outcome="left", nonce=str(number)))
        fitted = fit_reward(store, tiny_policy, CONDITIONING, root=tmp_path / "runs")
        assert (store.votes_frame()["outcome"] == "left").all()
    row = re.search(r"^\| 1 \| 33 \|.*$", (fitted.run.path / CARD_FILE).read_text(), re.M)[0]
    assert row.endswith("| always left, fails traps |")
    assert "1.00 [0.90, 1.00]" in row


def test_nothing_is_written_without_votes(tmp_path, tiny_policy):
    with (
        RatingsStore(tmp_path / "ratings.sqlite") as store,
        pytest.raises(RunError, match="there are no decided votes yet"),
    ):
        fit_reward(store, tiny_policy, CONDITIONING, root=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_it_tells_what_reasons_were_given_and_how_far_they_are_believed(tmp_path, tiny_policy):
    with RatingsStore(tmp_path / "ratings.sqlite") as store:
        pair_up(store, tiny_policy, "tiny", CONDITIONING, PoolConfig(melodies=80, pairs=40))
        rater = store.add_rater("Anna")
        while issued := store.issue(rater.id):
            busy = [len(side.melody.notes) for side in (issued.left, issued.right)]
            store.vote(
                issued.assignment_id,
                Answer(
                    outcome="left" if busy[0] > busy[1] else "right",
                    nonce=str(issued.assignment_id),
                    reasons=["rhythm"],
                ),
            )
        fitted = fit_reward(store, tiny_policy, CONDITIONING, root=tmp_path / "runs")
    (trust,) = fitted.profile.reasons.values()
    card = (fitted.run.path / CARD_FILE).read_text()
    told = f"{trust.reasons} were given, {100 * trust.share:.0f} % of them are believed"
    assert f"| reasons of {rater.id} | {told} |" in card
    assert f"reasons given: {trust.reasons}, of which " in card
    assert load_model(fitted.run).profile.reasons == fitted.profile.reasons
