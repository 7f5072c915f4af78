"""PPO plays the environment: a rollout that is replayed through Gymnasium gives the same."""

import gymnasium
import numpy as np
import pytest
import torch

from env.prompt import prompt_ids
from env.reference import Reference, torch_chance
from music.metre import METERS
from music.tokens import FIRST_REST, HEADER_LENGTH, PAD
from policy.compose import Conditioning
from policy.logprobs import masked_log_softmax
from policy.model import MelodyForCausalLM, melody_config
from policy.scope import scope_of
from rl.ppo.actor import Actor
from rl.ppo.config import PPOConfig
from rl.ppo.objective import objective_of
from rl.ppo.rollout import collect

SHORT = Conditioning(meter="2/4", bars=4)


def high_notes(melodies):
    """Liking of high notes, with a doubt that grows with length."""
    share = [sum(note.pitch >= 12 for note in m.notes) / len(m.notes) for m in melodies]
    return np.array(share), np.array([len(m.notes) / 1000 for m in melodies])


@pytest.fixture(scope="module")
def base():
    """Two layers, so that PPO's stored states enter one that is not the lowest."""
    shape = {"num_layers": 2, "num_heads": 2, "num_key_value_heads": 1, "intermediate_size": 32}
    with torch.random.fork_rng():
        torch.manual_seed(2)
        model = MelodyForCausalLM(melody_config(hidden_size=32, **shape)).eval()
    with torch.no_grad():
        model.model.embed_tokens.weight.mul_(15)  # so that it has preferences
    return model


def moved(policy, layers_trained=1):
    """An actor whose trained layers have left the base."""
    learner = MelodyForCausalLM(policy.config).eval()
    learner.load_state_dict(policy.state_dict())
    actor = Actor(learner, layers_trained)
    chance = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for weight in actor.trained.values():
            weight.add_(0.3 * torch.randn(weight.shape, generator=chance))
    return actor


def rolled_out(actor, base, conditioning, count=12, seed=3):
    return collect(
        actor,
        Reference(base),
        high_notes,
        count,
        conditioning=conditioning,
        generator=torch.Generator().manual_seed(seed),
    )


@pytest.mark.parametrize("layers_trained", [1, None])
@pytest.mark.parametrize("conditioning", [SHORT, Conditioning(bars=4)], ids=["asked", "open"])
def test_a_replay_through_gymnasium_gives_the_same_tokens_rewards_and_kl(
    base, conditioning, layers_trained
):
    actor = moved(base, layers_trained)
    rollout = rolled_out(actor, base, conditioning)
    sampled, count = rollout.sampled, len(rollout.melodies)
    config = PPOConfig()
    reward = objective_of(high_notes, config)
    env = gymnasium.make_vec(
        "env:tastemaker/Melody-v0", count, "vector_entry_point", policy=base, reward=reward
    )
    ids, decision = sampled.ids.numpy(), sampled.decision.numpy()
    prompts = [{"prefix": row[:HEADER_LENGTH]} for row in ids.tolist()]
    observation, infos = env.reset(options={"per_env": prompts})
    assert infos["given_tokens"].tolist() == [HEADER_LENGTH] * count
    rewards, reference_logps = np.full(count, np.nan), np.zeros(ids.shape)
    for at in range(HEADER_LENGTH, ids.shape[1]):
        going_on = ids[:, at] != PAD
        masks = scope_of(base).table[sampled.mask_row[:, at]]
        assert (observation["action_mask"] == masks)[going_on].all()
        assert ((masks.sum(1) > 1) == decision[:, at])[going_on].all()
        # What PPO did not choose is forced here too: any action does.
        actions = np.where(decision[:, at], ids[:, at], PAD)
        observation, paid, ended, _, infos = env.step(actions)
        assert (infos["token"] == ids[:, at])[going_on].all()
        assert not (infos["illegal"] & going_on).any()
        assert (
            ended[going_on] == (np.pad(ids, ((0, 0), (0, 1)))[:, at + 1] == PAD)[going_on]
        ).all()
        for number in np.flatnonzero(ended & going_on):
            assert infos["melody"][number] == rollout.melodies[number]
            rewards[number] = paid[number]
            reference_logps[number] = infos["reference_logprobs"][number][: ids.shape[1]]
    np.testing.assert_allclose(rewards, reward(rollout.melodies), rtol=1e-12)

    # KL: the log-ratio of what was chosen, and the exact one, from the environment's reference.
    logps_NW = env.unwrapped.reference.logps(
        rollout.reference_hidden, sampled.mask_row[sampled.decision]
    )
    chosen_N = logps_NW.gather(1, sampled.ids[sampled.decision][:, None] - FIRST_REST)[:, 0]
    np.testing.assert_allclose(chosen_N, reference_logps[decision], atol=1e-4)
    assert not reference_logps[~decision].any()
    plain = base(input_ids=sampled.ids[:, :-1]).logits[sampled.decision[:, 1:]].detach()
    own = masked_log_softmax(
        actor.policy(input_ids=sampled.ids[:, :-1]).logits[sampled.decision[:, 1:]].detach(),
        sampled.mask_row[sampled.decision],
        scope_of(base).table_on(plain.device),
    )
    theirs = masked_log_softmax(
        plain, sampled.mask_row[sampled.decision], scope_of(base).table_on(plain.device)
    )
    exact = torch.where(own.exp() > 0, own.exp() * (own - theirs), 0.0).sum(1)
    torch.testing.assert_close(rollout.kl_BT[sampled.decision], exact, atol=1e-4, rtol=1e-3)
    assert (rollout.kl_BT[~sampled.decision] == 0).all()
    assert rollout.kl_nats.mean() > 0.5, "the learner is too near the base to show much"


def test_open_header_fields_are_those_that_the_reference_of_the_environment_draws(base):
    """From the same chance, whatever the learner is."""
    rollout = rolled_out(moved(base), base, Conditioning(bars=4), count=40)
    prompts = np.tile(prompt_ids({"bars": 4}, scope_of(base)), (40, 1))
    chance = torch_chance(torch.Generator().manual_seed(3))
    wanted = Reference(base).with_headers(prompts, chance)
    assert (rollout.sampled.ids[:, :HEADER_LENGTH].numpy() == wanted).all()
    assert len({tuple(row) for row in wanted.tolist()}) > 10


def test_the_reference_chooses_the_header_and_never_the_learner(base):
    """A learner that is nearly sure of 9/8 still gets the metres that the base writes."""
    actor = moved(base, None)
    with torch.no_grad():
        weights = actor.policy.lm_head.weight
        nine = prompt_ids({"meter": "9/8"}, scope_of(base))[1]
        hidden = base.model(input_ids=torch.tensor([[1]])).last_hidden_state[0, 0]
        weights[nine] += 50 * hidden / hidden.norm()
    count = 300
    rollout = rolled_out(actor, base, Conditioning(bars=4), count=count)
    first = [int(prompt_ids({"meter": meter}, scope_of(base))[1]) for meter in METERS]
    found = torch.bincount(rollout.sampled.ids[:, 1] - first[0], minlength=len(first)) / count
    with torch.no_grad():
        bos = rollout.sampled.ids[:1, :1]
        of_base, of_learner = (
            policy(input_ids=bos).logits[0, 0, first].softmax(0) for policy in (base, actor.policy)
        )
    error = (of_base * (1 - of_base) / count).sqrt()
    assert ((found - of_base).abs() < 5 * error).all()
    assert ((found - of_learner).abs() > 10 * error).any(), "the two are too alike to tell"
    assert not rollout.sampled.decision[:, :HEADER_LENGTH].any()


def test_a_header_does_not_depend_on_the_rest_of_the_batch(base):
    """One after the other as together, from the same uniform numbers."""
    chance = np.random.default_rng(0).random((5, 8))  # field by field
    prompts = np.tile(prompt_ids({}, scope_of(base)), (8, 1))
    column = iter(chance)
    together = Reference(base).with_headers(prompts, lambda count: next(column))
    for number in range(8):
        own = iter(chance[:, number])
        alone = Reference(base).with_headers(
            prompts[:1], lambda count, own=own: np.array([next(own)])
        )
        assert (alone[0] == together[number]).all()
