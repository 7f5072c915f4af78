"""The baselines are measured alike, kept by PPO's rule, and given PPO's reward and votes."""

import json

import numpy as np
import pytest
import torch

from music.styles import SHIPPED_STYLES, Styles
from music.tokens import encode, to_text
from policy.checkpoint import load_policy, save_policy
from policy.runs import RunError
from reward.listeners.simulated import SimulatedListener, simulate_votes
from reward.pairs.round import PoolConfig, pair_up
from reward.store.store import RatingsStore
from reward.training.fit import fit_reward
from rl.baselines import comparison
from rl.baselines.comparison import (
    Task,
    compare_baselines,
    measure,
    run_baseline,
    voted_pairs,
)
from rl.baselines.results import Measured, table, write_results
from rl.baselines.settings import Budget
from rl.baselines.trl import Tuned
from rl.evaluation.best_of_n import best_of_n_kl_nats
from rl.ppo.algorithm import PPO
from rl.ppo.config import PPOConfig
from rl.ppo.objective import objective_of

pytestmark = pytest.mark.slow  # it trains models

CONFIG = PPOConfig(
    melodies_per_update=16, minibatch=8, meter="2/4", bars=4, threads=1, std_penalty=2.0,
    saturation_point=0.3,
)  # fmt: skip


def high_notes(melodies):
    """Prefers notes an octave or more above the tonic; its uncertainty grows with length."""
    share = [sum(note.pitch >= 12 for note in m.notes) / len(m.notes) for m in melodies]
    return np.array(share), np.array([len(m.notes) / 1000 for m in melodies])


@pytest.fixture(scope="module")
def task(tiny_policy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("comparison") / "base"
    save_policy(tiny_policy, folder)
    return Task(
        base_folder=folder, base=tiny_policy, reward=high_notes, config=CONFIG,
        judge=lambda melodies: high_notes(melodies)[0] - 1,
    )  # fmt: skip


def test_they_learn_from_what_ppo_learns_from(tiny_policy):
    ppo = PPO(CONFIG, tiny_policy, high_notes)
    rollout = ppo.roll_out()
    got = objective_of(high_notes, CONFIG)(rollout.melodies)
    np.testing.assert_allclose(got, ppo.objective(rollout).numpy(), rtol=1e-6)
    assert got.std() > 0


@pytest.fixture(scope="module")
def voted(tmp_path_factory, tiny_policy):
    """A store with 60 votes, some of them ties, and the record of a reward run on the first 40."""
    folder = tmp_path_factory.mktemp("voted")
    conditioning = CONFIG.conditioning
    store = RatingsStore(folder / "ratings.sqlite")
    pool = PoolConfig(melodies=60, pairs=54, repeat_share=0.1)
    pair_up(store, tiny_policy, "tiny", conditioning, pool)
    listener = SimulatedListener("arches", tie_rate=0.3)
    simulate_votes(store, listener, 40)
    fitted = fit_reward(store, tiny_policy, conditioning, root=folder / "runs")
    simulate_votes(store, listener, 20)
    yield store, fitted.run.record, folder
    store.close()


def test_dpo_gets_the_votes_that_the_reward_learnt_from(voted):
    store, record, _ = voted
    pairs = voted_pairs(store, record, SHIPPED_STYLES)
    frame = store.votes_frame()
    decided = frame[frame["outcome_a"].isin(["a", "b"])]
    learnt = decided[decided["vote_id"] <= record["last_vote"]]
    assert {pair["vote_id"] for pair in pairs} == set(learnt["vote_id"])
    assert len(pairs) < record["votes"] < len(frame)  # without ties; without later votes
    for pair in pairs:
        vote = learnt[learnt["vote_id"] == pair["vote_id"]].iloc[0]
        winner = store.melody(vote["melody_a" if vote["outcome_a"] == "a" else "melody_b"])
        assert pair["chosen_ids"] == encode(winner.melody).tolist()


def test_dpo_gets_them_in_the_styles_of_the_policy(voted):
    store, record, _ = voted
    styles = Styles(("other", "march", "air", "jig", "reel"))
    pairs = voted_pairs(store, record, styles)
    melodies = {tuple(encode(s.melody)): s.melody for s in store.melodies(range(1, 61))}
    labels = set()
    for pair, usual in zip(pairs, voted_pairs(store, record, SHIPPED_STYLES), strict=True):
        for side in ("chosen_ids", "rejected_ids"):
            melody = melodies[tuple(usual[side])]
            assert pair[side] == encode(melody, styles).tolist()
            assert pair["chosen"] == to_text(pair["chosen_ids"][1:])
            labels.add(melody.header.style)
    assert {"jig", "waltz"} <= labels


def test_another_database_is_told(voted, tmp_path):
    _, record, _ = voted
    with (
        RatingsStore(tmp_path / "empty.sqlite") as empty,
        pytest.raises(RunError, match="no decided vote of those that the reward learnt from"),
    ):
        voted_pairs(empty, record, SHIPPED_STYLES)


def test_the_base_is_at_no_kl_and_headers_are_its_own(task):
    melodies, at_base = measure(task.base, task, 64, seed=3)
    assert at_base.kl_nats == 0
    mean, std = high_notes(melodies)
    objective = task.objective(melodies)
    assert at_base.reward == pytest.approx(objective.mean())
    assert (at_base.score_mean, at_base.score_std) == (mean.mean(), std.mean())
    assert at_base.true_utility == pytest.approx(mean.mean() - 1)
    other = load_policy(task.base_folder)
    with torch.no_grad():
        other.model.embed_bar_position.weight.mul_(3)
    others, moved = measure(other, task, 64, seed=3)
    assert moved.kl_nats > 0.1
    assert [m.header for m in others] == [m.header for m in melodies]
    assert {m.header.meter for m in others} == {"2/4"}


def figures(reward, kl_nats):
    return Measured(reward=reward, score_mean=0, score_std=0, kl_nats=kl_nats, true_utility=None)


@pytest.fixture
def on_the_way(monkeypatch, task):
    """Gives a method policies with these (reward, KL), and tells which one is measured last."""

    def play(method, said):
        policies = [load_policy(task.base_folder) for _ in said]
        known = {id(p): figures(*f) for p, f in zip(policies, said, strict=True)}
        known[id(task.base)] = figures(-9, 0)

        def train_by(name, folder, *, on_checkpoint, **_):
            for step, policy in enumerate(policies, start=1):
                on_checkpoint(float(step), 16 * step, policy)
            return Tuned(policies[-1], 7.0, 16 * len(policies), len(policies), [])

        def measured(policy, task, count, seed):
            melodies, _ = measure(policy, task, count, seed)
            return melodies, known[id(policy)]

        monkeypatch.setattr(comparison, "train_by", train_by)
        monkeypatch.setattr(comparison, "measure", measured)
        seen = []
        result = run_baseline(
            method, task, budget=Budget(seconds=1), on_checkpoint=lambda *row: seen.append(row)
        )
        assert [row[:2] for row in seen] == [(p.seconds, p.melodies) for p in result.curve]
        return result, policies

    return play


def test_the_best_within_the_limit_is_kept(on_the_way, task):
    limit = task.config.kl_limit_nats
    said = [(0.1, 1.0), (0.5, limit), (0.4, 2.0), (0.9, limit + 0.1)]
    result, policies = on_the_way("rloo", said)
    assert result.policy is policies[1]
    assert result.measured == figures(0.5, limit)
    assert [point.measured.reward for point in result.curve] == [0.1, 0.5, 0.4, 0.9]
    assert (result.seconds, result.melodies_sampled) == (7.0, 64)
    assert len(result.melodies) == 256
    assert 1 < result.vendi < 256


def test_the_base_is_kept_when_all_are_beyond_the_limit(on_the_way, task):
    result, _ = on_the_way("grpo", [(0.9, 100.0)])
    assert result.policy is task.base


def test_dpo_is_kept_by_its_own_rule(on_the_way):
    result, policies = on_the_way("dpo", [(0.9, 1.0), (0.1, 100.0)])
    assert result.policy is policies[-1]


def test_best_of_n_is_measured_like_the_others(task):
    result = run_baseline("best-of-n", task, budget=Budget(seconds=1), best_of=3)
    assert result.name == "best-of-3"
    assert result.policy is None
    assert result.measured.kl_nats == best_of_n_kl_nats(3)
    assert (len(result.melodies), result.melodies_sampled) == (256, 768)
    _, base = measure(task.base, task, 256, seed=0)
    assert result.measured.reward > base.reward
    assert result.measured.reward == pytest.approx(task.objective(result.melodies).mean())


def test_results_are_written_and_told(on_the_way, task, tmp_path):
    tuned, policies = on_the_way("rloo", [(0.25, 1.5)])
    best = run_baseline("best-of-n", task, budget=Budget(seconds=1), best_of=2)
    path = write_results([best, tuned], tmp_path / "out", {"reward": "reward-0001"})
    written = json.loads(path.read_text())
    assert written["reward"] == "reward-0001"
    first, second = written["methods"]
    assert first["name"] == "best-of-2"
    assert "policy" not in first
    assert second["kl_nats"] == 1.5
    assert second["curve"][0]["seconds"] == 1.0
    again = load_policy(path.parent / second["policy"])
    assert torch.equal(again.lm_head.weight, policies[0].lm_head.weight)
    lines = table([best, tuned]).splitlines()
    assert lines[0].split()[:3] == ["method", "reward", "score"]
    assert lines[2].split()[:4] == ["rloo", "+0.250", "+0.00", "1.50"]
    assert "utility" in lines[0]
    assert "utility" not in table([tuned])


def test_the_command_gives_all_methods_one_reward_and_its_votes(voted, task, tmp_path, monkeypatch):
    store, record, folder = voted
    got = {}

    def train_by(method, base_folder, *, pairs, conditioning, **_):
        got[method] = (pairs, conditioning)
        return Tuned(load_policy(base_folder), 1.0, 16, 1, [])

    monkeypatch.setattr(comparison, "train_by", train_by)
    said = []
    results = compare_baselines(
        ["dpo", "best-of-n"],
        tmp_path / "out",
        base_folder=task.base_folder,
        database=str(folder / "ratings.sqlite"),
        budget=Budget(seconds=1),
        changes={"threads": 1},
        best_of=2,
        root=folder / "runs",
        report=lambda *told: said.append(told),
    )
    assert [result.name for result in results] == ["dpo", "best-of-2"]
    assert said[0] == ("dpo", 0, 0)
    assert ("best-of-n, melodies", 512, 512) in said
    pairs, conditioning = got["dpo"]
    assert pairs == voted_pairs(store, record, SHIPPED_STYLES)
    assert (conditioning.meter, conditioning.bars) == ("2/4", 4)
    written = json.loads((tmp_path / "out" / "baselines.json").read_text())
    assert written["reward"] == "reward-0001"
    assert written["pairs"] == len(pairs)
    assert written["settings"]["dpo"]["beta"] > 0
    assert written["ppo"]["meter"] == "2/4"


def test_what_the_command_is_asked_for_wrongly_is_told(task, tmp_path):
    given = {"base_folder": task.base_folder, "database": "", "budget": Budget(seconds=1)}
    with pytest.raises(ValueError, match=r"methods=\['ppo'\] are not known"):
        compare_baselines(["dpo", "ppo"], tmp_path, **given)
    with pytest.raises(ValueError, match=r"methods=\[\] are not known"):
        compare_baselines([], tmp_path, **given)
    with pytest.raises(RunError, match="no reward model yet"):
        compare_baselines(["rloo"], tmp_path, root=tmp_path / "runs", **given)


def test_what_is_wrong_is_told(task):
    with pytest.raises(ValueError, match="method='ppo' is not known"):
        run_baseline("ppo", task, budget=Budget(seconds=1))
