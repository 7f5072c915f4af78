import json
import multiprocessing
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from env.reference import Reference
from music import files
from music.tokens import FIRST_REST
from policy.checkpoint import load_policy, newest_step, save_policy
from policy.compose import Conditioning
from policy.model import MelodyForCausalLM, melody_config
from policy.runs import RunError, new_run, open_run
from reward.scorer import RewardError
from rl.ppo import trainer
from rl.ppo.actor import Actor
from rl.ppo.algorithm import PPO
from rl.ppo.config import PPOConfig, config_record
from rl.ppo.objective import saturated
from rl.ppo.rollout import collect
from rl.ppo.trainer import Callback, fine_tune

SMALL = {
    "updates": 4, "melodies_per_update": 16, "minibatch": 8, "epochs": 2, "bars": 4, "meter": "2/4",
    "kl_limit_nats": 50.0, "threads": 1, "learning_rate": 0.1,
    "diversity_floor": 0.0, "originality_floor": 0.0,
}  # fmt: skip


def high_notes(melodies):
    """Liking of notes an octave or more above the tonic, with a doubt that grows with length."""
    share = [sum(note.pitch >= 12 for note in m.notes) / len(m.notes) for m in melodies]
    return np.array(share), np.array([len(m.notes) / 1000 for m in melodies])


@pytest.fixture(scope="module")
def index():
    from music.corpora.corpus import load_corpus
    from music.corpora.originality import TrainingIndex

    return TrainingIndex.from_melodies([s.melody for s in load_corpus("validation")])


def run_here(root, index, policy, *, callback=None, **changes):
    config = PPOConfig(**(SMALL | changes))
    run = new_run("ppo", config_record(config), root=root)
    return run, fine_tune(run, config, policy, high_notes, index, callback=callback)


def contents(run):
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in run.rows()]
    weights = (run.path / "policy" / "model.safetensors").read_bytes()
    return rows, weights


def test_ratios_start_at_one_and_the_kl_at_zero(tiny_policy):
    learner = Actor(tiny_policy)
    rollout = collect(
        learner,
        Reference(tiny_policy),
        high_notes,
        12,
        conditioning=Conditioning(bars=4),
        generator=torch.Generator(),
    )
    ids, decision = rollout.sampled.ids, rollout.sampled.decision
    logps = learner(ids, rollout.sampled.mask_row, decision, rollout.sampled.states)
    chosen = logps.gather(1, ids[decision][:, None] - FIRST_REST)[:, 0]
    torch.testing.assert_close(chosen, rollout.sampled.logprob[decision], atol=1e-5, rtol=0)
    torch.testing.assert_close(rollout.kl_nats, torch.zeros(12), atol=1e-4, rtol=0)


def test_the_header_is_what_is_asked_for_and_no_decision(tiny_policy):
    learner = Actor(tiny_policy)
    rollout = collect(
        learner,
        Reference(tiny_policy),
        high_notes,
        8,
        conditioning=Conditioning(meter="6/8"),
        generator=torch.Generator(),
    )
    assert {m.header.meter for m in rollout.melodies} == {"6/8"}
    assert not rollout.sampled.decision[:, :6].any()
    assert rollout.sampled.decision[:, 6:].any()


def test_the_reward_is_conservative_and_saturates(tiny_policy):
    ppo = PPO(PPOConfig(**SMALL, std_penalty=2.0, saturation_point=0.3), tiny_policy, high_notes)
    rollout = ppo.roll_out()
    mean, std = high_notes(rollout.melodies)
    above = 2 * (mean - 2 * std - 0.3)
    np.testing.assert_allclose(ppo.objective(rollout).numpy(), -np.log1p(np.exp(-above)) / 2)


def test_without_a_saturation_point_the_score_is_left_as_it_is(tiny_policy):
    ppo = PPO(PPOConfig(**SMALL, std_penalty=2.0, saturation_point=None), tiny_policy, high_notes)
    rollout = ppo.roll_out()
    mean, std = high_notes(rollout.melodies)
    np.testing.assert_allclose(ppo.objective(rollout).numpy(), mean - 2 * std, rtol=1e-6)


def test_a_saturated_score_by_hand():
    scores = torch.tensor([-8.5, 1.5, 9.5], dtype=torch.float64)
    got = saturated(scores, 1.5)
    # far below: the distance itself; at the point: half of log 2; far above: nothing to win
    torch.testing.assert_close(got[0], torch.tensor(-10.0, dtype=torch.float64))
    torch.testing.assert_close(got[1], torch.tensor(-np.log(2) / 2, dtype=torch.float64))
    assert -1e-6 < got[2] < 0


def test_the_kl_coefficient_rises_above_the_target_and_falls_below(tiny_policy):
    ppo = PPO(PPOConfig(**SMALL, layers_trained=None, kl_target_nats=3.0), tiny_policy, high_notes)
    before = ppo.kl_coefficient
    ppo.learn(ppo.roll_out())  # nothing learnt yet: KL 0, but the coefficient falls slowly
    assert ppo.kl_coefficient == pytest.approx(before * 0.96)
    with torch.no_grad():
        for parameter in ppo.actor.policy.parameters():
            parameter.mul_(2.5)
    before = ppo.kl_coefficient
    rollout = ppo.roll_out()
    assert rollout.kl_nats.mean() > 1.5 * ppo.config.kl_target_nats  # clipped at half
    ppo.learn(rollout)
    assert ppo.kl_coefficient == pytest.approx(before * 1.1)


def test_the_kl_weighs_as_much_beside_the_reward_whatever_the_reward_is_counted_in(tiny_policy):
    """A hundred times the reward at a hundred times the coefficient asks for the same step.

    Advantages are divided by their deviation, so the KL's coefficient must be, too.
    """

    def after_an_update(unit):
        ppo = PPO(
            PPOConfig(
                **SMALL, kl_coefficient=0.02 * unit, saturation_point=None, kl_target_nats=None
            ),
            tiny_policy,
            lambda melodies: tuple(unit * values for values in high_notes(melodies)),
        )
        start = torch.Generator().manual_seed(0)
        with torch.no_grad():  # away from the base, where the KL has a gradient
            for weight in ppo.actor.trained.values():
                weight.add_(0.2 * torch.randn(weight.shape, generator=start))
        before = flat(ppo)
        ppo.learn(ppo.roll_out())
        return flat(ppo) - before

    def flat(ppo):
        return torch.cat([weight.detach().flatten() for weight in ppo.actor.trained.values()])

    one, hundred = after_an_update(1.0), after_an_update(100.0)
    assert one.norm() > 1e-3
    assert (one - hundred).norm() < 0.01 * one.norm()


def test_without_a_target_the_kl_coefficient_stays(tiny_policy):
    ppo = PPO(PPOConfig(**SMALL, kl_target_nats=None), tiny_policy, high_notes)
    before = ppo.kl_coefficient
    for _ in range(2):
        ppo.learn(ppo.roll_out())
    assert ppo.kl_coefficient == before


def test_steps_shrink_by_the_decay(tiny_policy):
    """The first update is as without decay; the third steps by a quarter of the rate."""
    kept, decaying = (
        PPO(PPOConfig(**SMALL, learning_rate_decay=decay), tiny_policy, high_notes)
        for decay in (1.0, 0.5)
    )
    for ppo in (kept, decaying):
        ppo.learn(ppo.roll_out())
    for one, other in zip(
        kept.actor.trained.values(), decaying.actor.trained.values(), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    for _ in range(2):
        decaying.learn(decaying.roll_out())
    assert decaying.optimizer.param_groups[0]["lr"] == pytest.approx(SMALL["learning_rate"] / 4)


def test_only_the_top_layers_are_trained():
    shape = {"num_layers": 3, "num_heads": 2, "num_key_value_heads": 1, "intermediate_size": 32}
    policy = MelodyForCausalLM(melody_config(hidden_size=32, **shape)).eval()
    ppo = PPO(PPOConfig(**SMALL, layers_trained=2), policy, high_notes)
    ppo.learn(ppo.roll_out())
    before = policy.state_dict()
    after = ppo.actor.policy.state_dict()
    changed = {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    assert changed
    assert all(
        name.startswith(("model.layers.1.", "model.layers.2.", "model.norm.")) for name in changed
    )


@pytest.mark.parametrize("frozen", [False, True])
def test_training_all_layers_reaches_the_embeddings(tiny_policy, frozen):
    tiny_policy.requires_grad_(not frozen)  # a frozen one may be the reference of another run
    ppo = PPO(PPOConfig(**SMALL, layers_trained=None), tiny_policy, high_notes)
    ppo.learn(ppo.roll_out())
    assert not torch.equal(ppo.actor.policy.lm_head.weight, tiny_policy.lm_head.weight)


def test_bfloat16_keeps_float32_weights_and_nearly_the_same_step(tiny_policy, monkeypatch):
    def after_a_step(**changes):
        ppo = PPO(PPOConfig(**SMALL, **changes), tiny_policy, high_notes)
        log = ppo.learn(ppo.roll_out())
        return log, ppo.actor.trained

    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    plain, weights = after_a_step()
    rounded, others = after_a_step(bf16=True)
    assert rounded != plain
    assert rounded["entropy_nats"] == pytest.approx(plain["entropy_nats"], rel=0.02)
    for name, weight in weights.items():
        assert others[name].dtype == torch.float32
        torch.testing.assert_close(others[name], weight, rtol=0, atol=0.02)


@pytest.mark.slow
@pytest.mark.learns
def test_it_learns_a_task_with_a_known_answer(tmp_path, index, tiny_policy):
    run, best = run_here(
        tmp_path, index, tiny_policy, updates=15, melodies_per_update=64, minibatch=16,
        learning_rate=3.0, kl_coefficient=0.005, layers_trained=None, std_penalty=0.0,
        kl_target_nats=20.0, saturation_point=2.0,
    )  # fmt: skip
    rows = run.rows()
    assert best["score_mean"] > rows[0]["score_mean"] + 0.2
    assert best["kl_nats"] <= 50
    assert load_policy(run.path / "policy").config.hidden_size == 32


def test_the_result_is_the_best_within_the_limit_neither_first_nor_last(
    tmp_path, index, tiny_policy, monkeypatch
):
    # Update 2 has most but is too far from the base; 1 is the best of the others.
    rewards, kls = (0.0, 3.0, 9.0, 2.0, 1.0), (0.0, 5.0, 51.0, 6.0, 7.0)
    written, measured = {}, trainer.measure

    def with_these_figures(ppo, rollout, index):
        weights = ppo.actor.policy.state_dict()
        written[ppo.update] = {name: weight.clone() for name, weight in weights.items()}
        figures = {"reward": rewards[ppo.update], "kl_nats": kls[ppo.update]}
        return measured(ppo, rollout, index) | figures

    monkeypatch.setattr(trainer, "measure", with_these_figures)
    run, best = run_here(tmp_path, index, tiny_policy)
    assert [row["guards_broken"] for row in run.rows()] == [[], [], ["kl"], [], []]
    assert best["update"] == 1
    kept = load_policy(run.path / "policy").state_dict()
    assert all(torch.equal(kept[name], weight) for name, weight in written[1].items())
    assert not all(torch.equal(written[4][name], weight) for name, weight in written[1].items())
    assert not (run.path / "best").exists()


def test_guards_compare_with_the_base_and_not_with_the_last_update(
    tmp_path, index, tiny_policy, monkeypatch
):
    """Each figure worsens by a third an update: slowly, and in the end far from the base's."""
    measured = trainer.measure

    def worsening(ppo, rollout, index):
        share = 0.66**ppo.update
        figures = {"vendi": 60 * share, "originality": 0.9 * share, "score_std": 0.5 / share}
        return measured(ppo, rollout, index) | figures

    monkeypatch.setattr(trainer, "measure", worsening)
    limits = {"diversity_floor": 0.5, "originality_floor": 0.5, "disagreement_limit": 2.0}
    run, best = run_here(tmp_path, index, tiny_policy, updates=3, **limits)
    broken = ["diversity", "originality", "disagreement"]
    assert [row["guards_broken"] for row in run.rows()] == [[], [], broken, broken]
    assert best["update"] in (0, 1)


class Told(Callback):
    """Keeps why a run ended early."""

    why = None

    def ended_early(self, why):
        self.why = why


class StopAt(Callback):
    """Stops a run after an update."""

    def __init__(self, update):
        self.last, self.update = -1, update

    def updated(self, row, rollout):
        self.last = row["update"]

    def stop_asked(self):
        return self.last >= self.update


def test_a_figure_that_is_not_finite_ends_the_run_with_the_best_before_it(
    tmp_path, index, tiny_policy, monkeypatch
):
    measured = trainer.measure

    def from_update_2_on(ppo, rollout, index):
        row = measured(ppo, rollout, index) | {"reward": (0.0, 3.0, 2.0)[min(ppo.update, 2)]}
        return row | ({"kl_nats": float("nan")} if ppo.update == 2 else {})

    monkeypatch.setattr(trainer, "measure", from_update_2_on)
    told = Told()
    run, best = run_here(tmp_path, index, tiny_policy, callback=told)
    assert told.why == "update 2 with kl_nats=nan"
    assert best["update"] == 1
    assert [row["update"] for row in run.rows()] == [0, 1]
    assert "NaN" not in (run.path / "metrics.jsonl").read_text()
    assert newest_step(run.path / "steps").step == 2
    load_policy(run.path / "policy")
    assert not (run.path / "best").exists()


@pytest.mark.parametrize("harmed", ["weight", "gradient"])
def test_weights_that_are_not_finite_are_no_checkpoint(
    tmp_path, index, tiny_policy, monkeypatch, harmed
):
    """The step on the disk is the one before, and the best policy until then is kept."""
    learn = PPO.learn

    def to_nothing(self, rollout):
        learnt = learn(self, rollout)
        if self.update == 3:
            if harmed == "gradient":
                return learnt | {"gradient_norm": float("inf")}
            with torch.no_grad():
                next(iter(self.actor.trained.values())).view(-1)[0] = torch.nan
        return learnt

    monkeypatch.setattr(PPO, "learn", to_nothing)
    told = Told()
    run, best = run_here(tmp_path, index, tiny_policy, callback=told)
    assert told.why.startswith("update 2 with ")
    assert ("gradient_norm=inf" in told.why) == (harmed == "gradient")
    rows = run.rows()
    assert [row["update"] for row in rows] == [0, 1, 2]
    assert "gradient_norm" not in rows[2]
    assert best == rows[best["update"]]
    saved = newest_step(run.path / "steps")
    assert saved.step == 2
    assert all(torch.isfinite(tensor).all() for tensor in saved.tensors.values())
    load_policy(run.path / "policy")
    # A run that has ended says so again, and does nothing.
    assert fine_tune(run, PPOConfig(**SMALL), tiny_policy, high_notes, index) == best


def test_a_policy_that_stops_giving_probabilities_ends_the_run(
    tmp_path, index, tiny_policy, monkeypatch
):
    learn = PPO.learn

    def far_too_far(self, rollout):
        learnt = learn(self, rollout)
        if self.update == 2:
            with torch.no_grad():  # finite, and too large for float32 to compute with
                self.actor.policy.model.norm.weight.fill_(1e38)
        return learnt

    monkeypatch.setattr(PPO, "learn", far_too_far)
    told = Told()
    run, best = run_here(tmp_path, index, tiny_policy, callback=told)
    assert told.why == "update 2 with probabilities=nan"
    assert best["update"] in (0, 1)
    load_policy(run.path / "policy")


def test_a_first_figure_that_is_not_finite_is_told(tmp_path, index, tiny_policy, monkeypatch):
    measured = trainer.measure
    nothing = {"originality": float("nan")}
    monkeypatch.setattr(trainer, "measure", lambda *given: measured(*given) | nothing)
    with pytest.raises(RunError, match=r"ppo-0001 ends at update 0 with originality=nan.*new run"):
        run_here(tmp_path, index, tiny_policy)


@pytest.mark.parametrize("value", [float("nan"), 1e308, float("-inf")])
def test_a_reward_that_is_not_finite_is_refused_and_the_checkpoint_stays(
    tmp_path, index, tiny_policy, value
):
    calls = []

    def reward(melodies):
        calls.append(len(melodies))
        mean, std = high_notes(melodies)
        return (np.where(np.arange(len(mean)) == 3, value, mean) if len(calls) == 2 else mean), std

    config = PPOConfig(**SMALL)
    run = new_run("ppo", config_record(config), root=tmp_path)
    with pytest.raises(RewardError, match=r"the reward gives .* among its scores, at melody 3 of"):
        fine_tune(run, config, tiny_policy, reward, index)
    assert newest_step(run.path / "steps").step == 1
    run.check_rows(1)


def test_rows_are_on_the_disk_before_the_step_that_relies_on_them(
    tmp_path, index, tiny_policy, monkeypatch
):
    """What a power cut leaves of `metrics.jsonl` and of a step's files when the step appears."""
    synced, seen = {}, []

    def fsync(handle):
        path = Path(f"/proc/self/fd/{handle}").readlink()
        if path.is_file():
            synced[str(path)] = path.read_bytes()

    replace = files.replace

    def publish(old, new):
        if new.parent.name == "steps":
            rows = synced[str(run.path / "metrics.jsonl")].count(b"\n")
            whole = all(synced[str(file)] == file.read_bytes() for file in old.iterdir())
            seen.append((int(new.name), rows, whole))
        replace(old, new)

    config = PPOConfig(**SMALL)
    run = new_run("ppo", config_record(config), root=tmp_path)
    monkeypatch.setattr(files.os, "fsync", fsync)
    monkeypatch.setattr(files, "replace", publish)
    fine_tune(run, config, tiny_policy, high_notes, index)
    assert seen == [(1, 1, True), (2, 2, True), (3, 3, True), (4, 4, True)]
    policy = run.path / "policy"
    assert {file.name for file in policy.iterdir()} <= {Path(name).name for name in synced}


@pytest.mark.parametrize("lost", [0, 1])
def test_a_resume_on_missing_rows_is_refused(tmp_path, index, tiny_policy, lost):
    """As after a power cut that a program without syncs did not survive."""
    config = PPOConfig(**SMALL)
    run = new_run("ppo", config_record(config), root=tmp_path)
    assert fine_tune(run, config, tiny_policy, high_notes, index, callback=StopAt(1)) is None
    log = run.path / "metrics.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    assert len(lines) == 2
    log.write_text("".join(lines[:lost] + lines[lost + 1 :]))
    before = log.read_bytes()
    with pytest.raises(RunError, match=f"lacks the row of update {lost}, .* at update 2; put"):
        fine_tune(run, config, tiny_policy, high_notes, index)
    assert log.read_bytes() == before
    log.write_text("".join(lines) + '{"update": 2, "rew')
    assert fine_tune(run, config, tiny_policy, high_notes, index) is not None
    assert [row["update"] for row in run.rows()] == [0, 1, 2, 3, 4]


def test_no_policy_within_the_limit_is_told(tmp_path, index, tiny_policy, monkeypatch):
    bad = {"update": 0, "kl_nats": 99.0, "reward": 1.0, "score_std": 1.0}
    bad |= {"vendi": 9.0, "originality": 0.5}
    monkeypatch.setattr("rl.ppo.trainer.measure", lambda *_: dict(bad))
    config = PPOConfig(**(SMALL | {"updates": 1}))
    run = new_run("ppo", config_record(config), root=tmp_path)
    with pytest.raises(RunError, match="held the guards"):
        fine_tune(run, config, tiny_policy, high_notes, index)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(tmp_path, index, tiny_policy):
    one, _ = run_here(tmp_path, index, tiny_policy, updates=2)
    two, _ = run_here(tmp_path, index, tiny_policy, updates=2)
    other, _ = run_here(tmp_path, index, tiny_policy, updates=2, seed=1)
    assert contents(one) == contents(two)
    assert contents(one)[0] != contents(other)[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"minibatch": 7}, r"minibatch=7 does not divide melodies_per_update=16; .*\[8, 4\]"),
        ({"updates": 0}, "updates=0 is below 1"),
        ({"kl_target_nats": 60.0}, "not above the limit"),
        ({"kl_target_nats": None, "kl_limit_nats": -1.0}, "kl_limit_nats=-1.0 is not above 0"),
        ({"learning_rate_decay": 1.1}, "learning_rate_decay=1.1 is not above 0 and not above 1"),
        ({"learning_rate_decay": 0.0}, "learning_rate_decay=0.0 is not above 0 and not above 1"),
        ({"meter": "5/8"}, "meter='5/8' is not known"),
        ({"style": "Reel!"}, "style='Reel!' is not a label"),
        ({"bars": 33}, r"bars=33 is not in 2\.\.32"),
        ({"kl_target_nats": float("nan")}, "not above the limit"),
        ({"learning_rate": -1.0}, "learning_rate=-1.0 is not above 0 and at most 1e[+]06; its"),
        ({"learning_rate": float("nan")}, "learning_rate=nan is not above 0"),
        ({"max_grad_norm": float("inf")}, "max_grad_norm=inf is not above 0"),
        ({"momentum": 1.0}, "momentum=1.0 is not from 0 to below 1"),
        ({"clip": 0.0}, "clip=0.0 is not between 0 and 1"),
        ({"gae_lambda": 1.5}, "gae_lambda=1.5 is not from 0 to 1"),
        ({"diversity_floor": -0.1}, "diversity_floor=-0.1 is not from 0 to 1"),
        ({"std_penalty": -0.5}, "std_penalty=-0.5 is not from 0 to"),
        (
            {"saturation_point": float("inf")},
            "saturation_point=inf is not within .*, or none",
        ),
        ({"seed": -1}, "seed=-1 is not from 0 to"),
        ({"seed": 2**63}, "is not from 0 to"),
        ({"learning_rate": 1e308}, r"learning_rate=1e\+308 is not above 0 and at most"),
        ({"kl_limit_nats": 1e308}, "kl_limit_nats"),
        ({"melodies_per_update": 10**9}, "melodies_per_update=1000000000 is above 100000"),
        ({"updates": 10**4000}, "updates=a number of 13288 bits is above 1000000"),
        ({"updates": "3"}, "updates='3' is not a whole number; its default is 32"),
        ({"updates": 3.0}, r"updates=3\.0 is not a whole number"),
        ({"updates": True}, "updates=True is not a whole number"),
        ({"clip": [0.2]}, "clip=a list of 1 is not a number"),
        ({"bf16": 1}, "bf16=1 is not yes or no"),
        ({"meter": 4}, "meter=4 is not text"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        PPOConfig(**(SMALL | changes))


def test_a_record_of_another_version_is_refused():
    record = config_record(PPOConfig()) | {"old_setting": 1}
    with pytest.raises(RunError, match="old_setting"):
        PPOConfig.from_record(record)


@pytest.fixture
def in_a_process(monkeypatch):
    """Starts `work` in processes of their own, which are forked from one that has torch already."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "policy.checkpoint", "music.corpora.originality"])

    def start(root: Path, policy: Path):
        process = context.Process(target=work, args=(root, policy))
        process.start()
        return process

    return start


def work(root: Path, policy: Path) -> None:
    from music.corpora.corpus import load_corpus
    from music.corpora.originality import TrainingIndex

    index = TrainingIndex.from_melodies([s.melody for s in load_corpus("validation")][:50])
    run = open_run("ppo-0001", root=root)
    config = PPOConfig.from_record(run.record["config"])
    fine_tune(run, config, load_policy(policy), high_notes, index)


@pytest.mark.timeout(900)
@pytest.mark.slow
def test_killed_at_any_moment_it_resumes_to_the_same_bits(tmp_path, tiny_policy, in_a_process):
    policy = tmp_path / "base"
    save_policy(tiny_policy, policy)
    config = PPOConfig(**(SMALL | {"updates": 12, "learning_rate_decay": 0.9}))
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for root in (whole, killed):
        new_run("ppo", config_record(config), root=root)
    undisturbed = in_a_process(whole, policy)
    undisturbed.join(280)
    assert undisturbed.exitcode == 0

    chance = np.random.default_rng(0)
    kills = 0
    for _ in range(4):
        process = in_a_process(killed, policy)
        steps = killed / "ppo-0001" / "steps"
        seen = newest_step(steps)
        # Let it get somewhere, then kill it at no particular moment.
        deadline = time.monotonic() + 60
        while process.is_alive() and time.monotonic() < deadline:
            now = newest_step(steps)
            if now is not None and (seen is None or now.step > seen.step):
                break
            time.sleep(0.01)
        time.sleep(float(chance.uniform(0, 0.25)))
        kills += process.is_alive()
        process.kill()
        process.join()
    assert kills >= 2, "the run was over before it could be killed"
    last = in_a_process(killed, policy)
    last.join(280)
    assert last.exitcode == 0

    one, other = open_run("ppo-0001", root=whole), open_run("ppo-0001", root=killed)
    assert contents(one) == contents(other)
    assert len(one.rows()) == 13
    mine, theirs = newest_step(one.path / "steps"), newest_step(other.path / "steps")
    assert mine is not None
    assert theirs is not None
    assert json.dumps(mine.state) == json.dumps(theirs.state)
    assert mine.tensors.keys() == theirs.tensors.keys()
    for name, tensor in mine.tensors.items():
        assert torch.equal(tensor, theirs.tensors[name]), name
