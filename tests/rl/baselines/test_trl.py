"""TRL's trainers start from our checkpoint, follow the grammar, and learn their objective."""

import tempfile

import numpy as np
import pytest
import torch

from music.tokens import encode
from policy.checkpoint import save_policy
from policy.compose import Conditioning, compose
from policy.logprobs import melody_nats
from policy.model import MelodyForCausalLM
from reward.exchange.export import preference_texts
from rl.baselines.settings import SETTINGS, Budget, DPOSettings, OnlineSettings
from rl.baselines.trl import split_pairs, train_by

# TRL 1.16 asks the models of transformers 5.23 by a name that these call deprecated.
pytestmark = [
    pytest.mark.slow,  # it trains models
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is:FutureWarning"),
]
CONDITIONING = Conditioning(meter="2/4", mode="major", style="reel", bars=4, pickup_ticks=0)
SMALL = OnlineSettings(
    beta=0.01, learning_rate=1e-3, melodies_per_step=16, melodies_per_header=4, headers=8
)


def high_notes(melodies):
    """Share of notes an octave or more above the tonic."""
    return np.array([sum(n.pitch >= 12 for n in m.notes) / len(m.notes) for m in melodies])


@pytest.fixture(scope="module")
def folder(tiny_policy, tmp_path_factory):
    path = tmp_path_factory.mktemp("trl") / "base"
    save_policy(tiny_policy, path)
    return path


@pytest.fixture(scope="module")
def pairs(tiny_policy):
    """60 comparisons of high with low melodies, without noise; every tenth is repeated."""
    melodies = compose(tiny_policy, 400, conditioning=CONDITIONING, seed=5)
    order = np.argsort([np.mean([note.pitch for note in m.notes]) for m in melodies])
    found = []
    for group, (worse, better) in enumerate(zip(order[:60], order[::-1][:60], strict=True)):
        chosen, rejected = (encode(melodies[row]).tolist() for row in (better, worse))
        pair = {
            "chosen_ids": chosen,
            "rejected_ids": rejected,
            **preference_texts(chosen, rejected),
            "group": f"{group:03d}",
        }
        found += [pair, pair] if group % 10 == 0 else [pair]
    return found


def preferred(policy, base, pairs):
    """Share of pairs in which the policy has moved towards the chosen one."""

    def gain(key):
        rows = [np.array(pair[key]) for pair in pairs]
        return melody_nats(policy, rows, prompt_tokens=1) - melody_nats(base, rows, prompt_tokens=1)

    return float((gain("chosen_ids") > gain("rejected_ids")).mean())


@pytest.mark.learns
@pytest.mark.parametrize("method", ["rloo", "grpo"])
def test_they_learn_a_task_with_a_known_answer(tiny_policy, folder, method):
    before = high_notes(compose(tiny_policy, 200, conditioning=CONDITIONING, seed=1))
    tuned = train_by(
        method,
        folder,
        conditioning=CONDITIONING,
        budget=Budget(melodies=640),
        objective=high_notes,
        settings=SMALL,
    )
    after = high_notes(compose(tuned.policy, 200, conditioning=CONDITIONING, seed=1))
    error = np.sqrt(before.var() / 200 + after.var() / 200)
    assert after.mean() > before.mean() + 5 * error
    assert (tuned.melodies, tuned.steps) == (640, 40)


@pytest.mark.learns
def test_dpo_learns_what_was_chosen(tiny_policy, folder, pairs):
    tuned = train_by(
        "dpo",
        folder,
        conditioning=CONDITIONING,
        pairs=pairs,
        budget=Budget(melodies=1600),
        settings=DPOSettings(learning_rate=1e-3),
    )
    _, held_out = split_pairs(pairs, 0.2, 0)
    assert preferred(tuned.policy, tiny_policy, held_out) > 0.8
    looks = [row["eval_loss"] for row in tuned.log if "eval_loss" in row]
    assert looks[0] == pytest.approx(np.log(2), abs=0.2)
    assert min(looks) < looks[0]


def test_trl_counts_the_nats_that_we_count(folder, tiny_policy, pairs):
    """At learning rate 0 policy and reference are equal; without the grammar they would differ."""
    still = OnlineSettings(**(settings_of(SMALL) | {"learning_rate": 0.0}))
    tuned = train_by(
        "rloo", folder, conditioning=CONDITIONING, budget=Budget(melodies=16), objective=high_notes,
        settings=still,
    )  # fmt: skip
    assert tuned.log[0]["kl"] == pytest.approx(0, abs=1e-6)
    rows = [row for row in tuned.log if "rewards/reward/mean" in row]
    assert rows[0]["reward"] == rows[0]["rewards/reward/mean"]
    tuned = train_by(
        "dpo", folder, conditioning=CONDITIONING, budget=Budget(melodies=200), pairs=pairs[:20],
        settings=DPOSettings(learning_rate=0.0, pairs_per_step=32, steps_per_evaluation=1),
    )  # fmt: skip
    train, _ = split_pairs(pairs[:20], 0.2, 0)
    chosen = melody_nats(
        tiny_policy, [np.array(pair["chosen_ids"]) for pair in train], prompt_tokens=1
    )
    assert tuned.log[0]["logps/chosen"] == pytest.approx(chosen.mean(), rel=1e-5)
    assert tuned.log[0]["rewards/margins"] == pytest.approx(0, abs=1e-5)


def settings_of(settings):
    return {name: getattr(settings, name) for name in settings.__slots__}


def test_the_reward_function_sees_whole_melodies_of_the_asked_kind(folder):
    seen = []

    def objective(melodies):
        seen.append(melodies)
        return high_notes(melodies)

    train_by(
        "rloo",
        folder,
        conditioning=Conditioning(meter="6/8", bars=4),
        budget=Budget(melodies=48),
        objective=objective,
        settings=SMALL,
    )
    assert [len(melodies) for melodies in seen] == [16, 16, 16]
    headers = [melody.header for melodies in seen for melody in melodies]
    assert {(header.meter, header.bars) for header in headers} == {("6/8", 4)}
    assert len(set(headers)) > 1
    # Groups of four have one header, which the base wrote.
    for start in range(0, len(headers), 4):
        assert len(set(headers[start : start + 4])) == 1


def test_the_clock_stands_still_while_the_caller_looks(folder):
    now = [0.0]
    looks = []

    def objective(melodies):
        now[0] += 1.0  # a second a generation
        return high_notes(melodies)

    def look(seconds, melodies, policy):
        now[0] += 1000.0
        assert type(policy) is MelodyForCausalLM
        looks.append((seconds, melodies, policy))

    tuned = train_by(
        "rloo", folder, conditioning=CONDITIONING, budget=Budget(seconds=4, checkpoints=2),
        objective=objective, settings=SMALL, on_checkpoint=look, clock=lambda: now[0],
    )  # fmt: skip
    assert [(seconds, melodies) for seconds, melodies, _ in looks] == [(2.0, 32), (4.0, 64)]
    assert (tuned.seconds, tuned.steps) == (4.0, 4)
    # The copies are the policy as it was then.
    one, other = (policy.lm_head.weight for *_, policy in looks)
    assert not torch.equal(one, other)
    assert torch.equal(other, tuned.policy.lm_head.weight)


def test_steps_share_a_generation(folder):
    generations = []

    def objective(melodies):
        generations.append(len(melodies))
        return high_notes(melodies)

    twice = OnlineSettings(**(settings_of(SMALL) | {"steps_per_generation": 2}))
    tuned = train_by(
        "rloo",
        folder,
        conditioning=CONDITIONING,
        budget=Budget(melodies=64),
        objective=objective,
        settings=twice,
    )
    assert generations == [32, 32]
    assert tuned.melodies == 64
    assert tuned.steps in (3, 4)  # the budget is spent when the second generation is begun


def test_dpo_stops_when_it_no_longer_gets_better(folder, pairs):
    tuned = train_by(
        "dpo", folder, conditioning=CONDITIONING, budget=Budget(melodies=10**6), pairs=pairs[:30],
        settings=DPOSettings(learning_rate=0.0, steps_per_evaluation=1, patience=3),
    )  # fmt: skip
    assert tuned.steps <= 6


def test_nothing_is_left_behind(folder, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "temporary").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    before = torch.get_rng_state()
    train_by(
        "rloo", folder, conditioning=CONDITIONING, budget=Budget(melodies=16), objective=high_notes,
        settings=SMALL,
    )  # fmt: skip
    assert torch.equal(torch.get_rng_state(), before)
    assert list((tmp_path / "here").iterdir()) == []
    assert list((tmp_path / "temporary").iterdir()) == []
    assert "model.safetensors" in {path.name for path in folder.iterdir()}


def test_the_same_seed_gives_the_same_policy(folder):
    def weights(seed):
        tuned = train_by(
            "rloo", folder, conditioning=CONDITIONING, budget=Budget(melodies=32),
            objective=high_notes, settings=SMALL, seed=seed,
        )  # fmt: skip
        return tuned.policy.lm_head.weight

    assert torch.equal(weights(3), weights(3))
    assert not torch.equal(weights(3), weights(4))


def test_a_comparison_and_its_repeats_are_on_one_side(pairs):
    train, held_out = split_pairs(pairs, 0.25, 7)
    groups = [{pair["group"] for pair in side} for side in (train, held_out)]
    assert not groups[0] & groups[1]
    assert len(train) + len(held_out) == len(pairs)
    assert len(groups[1]) == round(0.25 * len({pair["group"] for pair in pairs}))
    assert split_pairs(pairs, 0.25, 7) == (train, held_out)
    assert split_pairs(pairs, 0.25, 8)[1] != held_out
    with pytest.raises(ValueError, match="1 decided comparisons"):
        split_pairs(pairs[:2], 0.2, 0)


def test_what_is_wrong_is_told(folder):
    budget = Budget(melodies=16)
    with pytest.raises(ValueError, match="method='ppo' is not known"):
        train_by("ppo", folder, conditioning=CONDITIONING, budget=budget)
    with pytest.raises(ValueError, match="rloo got DPOSettings; give it OnlineSettings"):
        train_by("rloo", folder, conditioning=CONDITIONING, budget=budget, settings=SETTINGS["dpo"])
    with pytest.raises(ValueError, match="grpo learns from an objective"):
        train_by("grpo", folder, conditioning=CONDITIONING, budget=budget)
    with pytest.raises(ValueError, match="0 decided comparisons"):
        train_by("dpo", folder, conditioning=CONDITIONING, budget=budget)
    with pytest.raises(ValueError, match="no end"):
        Budget()
    with pytest.raises(ValueError, match="seconds=nan is not above 0"):
        Budget(seconds=float("nan"))
    with pytest.raises(ValueError, match="melodies_per_header=5 must"):
        OnlineSettings(beta=0.1, learning_rate=1e-4, melodies_per_header=5)


def test_a_budget_is_spent_by_its_first_limit():
    both = Budget(seconds=10, melodies=100)
    assert both.spent(5, 20) == 0.5
    assert both.spent(1, 100) == 1
    assert Budget(seconds=10).spent(5, 10**6) == 0.5
    assert Budget(melodies=10).spent(1e9, 5) == 0.5


def test_headers_are_the_only_prompts(folder, random_melodies):
    motif = tuple(random_melodies(1)[0].notes[:1])
    conditioning = Conditioning(meter="2/4", bars=4, pickup_ticks=0, motif=motif)
    with pytest.raises(ValueError, match="a motif of 1 notes is no header"):
        train_by(
            "rloo",
            folder,
            conditioning=conditioning,
            budget=Budget(melodies=16),
            objective=high_notes,
        )
