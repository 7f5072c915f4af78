"""Cached decoding: the Hugging Face forward under the grammar's mask, and nothing else."""

import copy

import numpy as np
import pytest
import torch

from music.grammar import initial_state
from music.melody import Header, Note
from music.styles import SHIPPED_STYLES
from music.tokens import BOS, EOS, HEADER_LENGTH, ID, PAD, VOCABULARY, decode, encode, encode_motif
from policy.compose import Conditioning
from policy.decode import NotFiniteError, _draw, sample, sample_episodes
from policy.episodes import EpisodeBatch
from policy.model import MelodyForCausalLM, melody_config
from policy.scope import Scope, scope_of

KNOWN = Scope(SHIPPED_STYLES)


@pytest.fixture(scope="module")
def policy():
    """Two layers, two queries per key-value head, random weights peaked enough to have tastes."""
    shape = {"num_layers": 2, "num_heads": 4, "num_key_value_heads": 2, "intermediate_size": 48}
    with torch.random.fork_rng():
        torch.manual_seed(5)
        model = MelodyForCausalLM(melody_config(hidden_size=32, **shape)).eval()
    with torch.no_grad():
        model.model.embed_tokens.weight.mul_(20)
        for layer in model.model.layers:
            for matrix in (layer.self_attn.q_proj, layer.self_attn.k_proj, layer.mlp.up_proj):
                matrix.weight.mul_(10)
    return model


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def mixed_beginnings(random_melodies) -> np.ndarray:
    """36 rows: nothing set, metre and length set, or part of a melody, whole for some."""
    prompts = np.full((36, 120), -1)
    for row, melody in enumerate(random_melodies(36, seed=4)):
        ids = encode(melody)[:120]
        count = (0, 1, HEADER_LENGTH, 20, 80, 120)[row % 6]
        prompts[row, : min(count, len(ids))] = ids[:count]
        if row % 6 == 1:
            prompts[row, 4] = ID[f"BARS_{(4, 8, 16)[row % 3]}"]
    return prompts


@pytest.fixture(scope="module")
def mixed(policy, random_melodies):
    """A batch with everything: prefixes, lengths from short to long, hidden states."""
    prompts = mixed_beginnings(random_melodies)
    episodes = EpisodeBatch.prompted(prompts, scope_of(policy))
    return prompts, sample_episodes(policy, episodes, generator=seeded(1), keep_states=1)


def masks_of(ids: np.ndarray) -> np.ndarray:
    """Which tokens were legal at each place; bool (B, T, V)."""
    state, masks = initial_state(len(ids)), []
    for column in ids.T:
        masks.append(KNOWN.legal(state))
        state = KNOWN.advance_checked(state, column)
    assert state.done.all()
    return np.stack(masks, axis=1)


def test_the_batch_has_what_it_is_to_show(mixed):
    """Rows end early (the cache is compacted) and late (it grows), with and without a prefix."""
    _, sampled = mixed
    lengths = sorted((sampled.ids != PAD).sum(1).tolist())
    assert lengths[len(lengths) // 3] < 0.5 * lengths[-1]
    assert lengths[-1] > 2 * 64 + 10
    assert sampled.decision.sum() > 500


@torch.no_grad()
def test_logprobs_are_those_of_the_plain_forward(policy, mixed):
    _, sampled = mixed
    logits = policy(input_ids=sampled.ids[:, :-1]).logits
    masks = torch.from_numpy(masks_of(sampled.ids.numpy()))[:, 1:]
    logps = logits.masked_fill(~masks, -torch.inf).log_softmax(-1)
    wanted = logps.gather(2, sampled.ids[:, 1:, None])[..., 0]
    wanted = torch.where(sampled.decision[:, 1:], wanted, torch.zeros(()))
    torch.testing.assert_close(sampled.logprob[:, 1:], wanted, rtol=1e-5, atol=1e-5)
    assert (sampled.logprob[:, 0] == 0).all()
    assert wanted.min() < -3, "the policy is too even to show much"


@torch.no_grad()
def test_stored_states_are_those_of_the_plain_forward(policy, mixed):
    """What enters the second layer, and what leaves the last, at each token but EOS."""
    _, sampled = mixed
    out = policy.model(input_ids=sampled.ids, output_hidden_states=True)
    inside = (sampled.ids != PAD) & (sampled.ids != EOS)
    for got, wanted in (
        (sampled.states, out.hidden_states[1]),
        (sampled.hidden, out.last_hidden_state),
    ):
        torch.testing.assert_close(got[inside], wanted[inside], rtol=1e-5, atol=2e-5)


def test_a_draw_follows_the_probabilities_and_never_takes_what_has_none():
    share = torch.tensor([0.0, 0.5, 0.0, 0.3, 0.2, 0.0])
    drawn = _draw(share.expand(40_000, -1), seeded(3))
    got = torch.bincount(drawn, minlength=6) / len(drawn)
    error = (share * (1 - share) / len(drawn)).sqrt()
    assert ((got - share).abs() <= 5 * error).all()
    assert not got[share == 0].any()


def test_the_prompt_stays_and_is_no_decision(mixed):
    prompts, sampled = mixed
    for row, ids in enumerate(sampled.ids.numpy()):
        (known,) = np.nonzero(prompts[row][: len(ids)] >= 0)
        np.testing.assert_array_equal(ids[known], prompts[row, known])
        assert not sampled.decision[row, known].any()
    choices = torch.from_numpy(KNOWN.choices)[sampled.mask_row]
    assert (choices[sampled.decision] > 1).all()
    open_to_all = (sampled.ids != PAD) & (choices > 1) & ~sampled.decision
    assert (
        torch.from_numpy(prompts)[open_to_all[:, : prompts.shape[1]].nonzero(as_tuple=True)] >= 0
    ).all()


def test_every_row_is_a_whole_melody_padded_on_the_right(mixed):
    _, sampled = mixed
    for row, ids in zip(sampled.rows(), sampled.ids.tolist(), strict=True):
        assert row.dtype == np.uint16
        assert row[-1] == EOS
        assert ids == [*row.tolist(), *[PAD] * (len(ids) - len(row))]
        decode(row)
    masks = torch.from_numpy(masks_of(sampled.ids.numpy()))
    real = sampled.ids != PAD
    assert torch.equal(torch.from_numpy(KNOWN.table)[sampled.mask_row][real], masks[real])


def test_the_rest_of_the_batch_does_not_matter(policy, random_melodies):
    """A greedy melody (temperature near 0) is the same alone and among others."""
    prompts = mixed_beginnings(random_melodies)
    together = sample(policy, prompts, generator=seeded(0), temperature=1e-4).rows()
    for row in (7, 8, 34):
        alone = sample(policy, prompts[row : row + 1], generator=seeded(3), temperature=1e-4).rows()
        np.testing.assert_array_equal(alone[0], together[row])


@torch.no_grad()
def test_towards_0_the_temperature_takes_the_likeliest(policy):
    sampled = sample(
        policy, Conditioning(bars=8).prompt(8, KNOWN), generator=seeded(0), temperature=1e-4
    )
    logits = policy(input_ids=sampled.ids[:, :-1]).logits
    masks = torch.from_numpy(masks_of(sampled.ids.numpy()))[:, 1:]
    best = logits.masked_fill(~masks, -torch.inf).argmax(-1)
    assert torch.equal(best[sampled.decision[:, 1:]], sampled.ids[:, 1:][sampled.decision[:, 1:]])


@torch.no_grad()
def test_logprobs_are_those_at_the_temperature(policy):
    prompts = Conditioning(bars=4).prompt(8, KNOWN)
    sampled = sample(policy, prompts, generator=seeded(0), temperature=2.5)
    logits = policy(input_ids=sampled.ids[:, :-1]).logits / 2.5
    masks = torch.from_numpy(masks_of(sampled.ids.numpy()))[:, 1:]
    logps = logits.masked_fill(~masks, -torch.inf).log_softmax(-1)
    wanted = logps.gather(2, sampled.ids[:, 1:, None])[..., 0]
    decision = sampled.decision[:, 1:]
    got = sampled.logprob[:, 1:][decision]
    torch.testing.assert_close(got, wanted[decision], rtol=1e-5, atol=1e-5)


class BosAndMetre(EpisodeBatch):
    """Episodes that end after two tokens."""

    @property
    def ended(self):
        return self.length >= 2


@torch.no_grad()
def test_samples_are_as_frequent_as_the_forward_says(policy):
    """The metre of 4000 headers, within 5 standard errors of the softmax over five metres."""
    count = 4000
    begun = BosAndMetre.prompted(Conditioning().prompt(count, KNOWN), KNOWN)
    sampled = sample_episodes(policy, begun, generator=seeded(2))
    assert sampled.ids.shape == (count, 2)
    first = [i for i, name in enumerate(VOCABULARY) if name.startswith("METER_")]
    wanted = policy(input_ids=torch.tensor([[BOS]])).logits[0, 0, first].softmax(0)
    found = torch.bincount(sampled.ids[:, 1] - first[0], minlength=5) / count
    error = (wanted * (1 - wanted) / count).sqrt()
    assert ((found - wanted).abs() < 5 * error).all()
    assert wanted.max() - wanted.min() > 0.1, "the policy is too even to show much"


def test_the_seed_decides_and_nothing_else_is_drawn_from(policy):
    before = torch.get_rng_state()
    prompts = Conditioning(bars=4).prompt(6, KNOWN)
    once, again, other = (sample(policy, prompts, generator=seeded(s)) for s in (7, 7, 8))
    assert torch.equal(once.ids, again.ids)
    assert torch.equal(once.logprob, again.logprob)
    assert once.ids.shape != other.ids.shape or not torch.equal(once.ids, other.ids)
    assert torch.equal(torch.get_rng_state(), before)


def test_dropout_is_never_on_while_decoding(policy):
    config = melody_config(
        hidden_size=32, num_layers=2, num_heads=4, intermediate_size=48, residual_dropout=0.9
    )
    dropping = MelodyForCausalLM(config).train()
    dropping.load_state_dict(policy.state_dict())
    prompts = Conditioning(bars=4).prompt(4, KNOWN)
    wanted = sample(policy, prompts, generator=seeded(7))
    found = sample(dropping, prompts, generator=seeded(7))
    assert torch.equal(found.ids, wanted.ids)
    torch.testing.assert_close(found.logprob, wanted.logprob)
    assert not found.logprob.requires_grad


def test_a_whole_melody_as_a_prompt_comes_back(policy, random_melodies):
    rows = [encode(melody) for melody in random_melodies(3, seed=6)]
    prompts = np.full((3, max(map(len, rows))), -1)
    for row, ids in enumerate(rows):
        prompts[row, : len(ids)] = ids
    sampled = sample(policy, prompts, generator=seeded(0))
    assert not sampled.decision.any()
    for found, wanted in zip(sampled.rows(), rows, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_a_motif_is_written_on(policy):
    header = Header("6/8", "minor", "jig", 8, 12)
    motif = (Note(-12, 12, 7), Note(0, 24, 12), Note(36, 48, 0))
    prompts = np.tile(encode_motif(header, motif).astype(np.int64), (5, 1))
    for row in sample(policy, prompts, generator=seeded(0)).rows():
        melody = decode(row)
        assert melody.header == header
        assert melody.notes[:2] == motif[:2]
        assert melody.notes[2].onset_ticks == 36


def test_an_empty_batch_is_no_melodies(policy):
    assert sample(policy, Conditioning().prompt(0, KNOWN), generator=seeded(0)).rows() == []


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ("EOS", r"melody 1, place 0: token EOS may not come here; 1 may, such as \['BOS'\]"),
        ("BOS MODE_major", r"melody 1, place 1: token MODE_major .*\['METER_2/2', 'METER_3/2'"),
        (
            "BOS METER_2/4 MODE_major STYLE_1 BARS_4 PICKUP_48",
            r"melody 1, place 5: token PICKUP_48 .*\['PICKUP_0', 'PICKUP_3'",
        ),
        (
            "BOS METER_2/4 MODE_major STYLE_1 BARS_4 PICKUP_0 BAR_4 HOLD_12",
            r"melody 1, place 7: token HOLD_12 .*\['REST_3'",
        ),
        ("BOS METER_2/4 PAD", "melody 1, place 2: token PAD may not come here"),
        ("BOS METER_2/4 ? STYLE_1 BOS", r"melody 1, place 4: token BOS .*\['BARS_2'"),
    ],
)
def test_a_token_of_a_prompt_that_is_not_legal_is_refused(policy, names, says):
    prompts = np.full((2, 8), -1)
    ids = [ID.get(name, -1) for name in names.split()]
    prompts[1, : len(ids)] = ids
    with pytest.raises(ValueError, match=says):
        sample(policy, prompts, generator=seeded(0))


def test_an_id_of_a_prompt_outside_the_vocabulary_is_refused(policy):
    with pytest.raises(ValueError, match=r"melody 0, place 1: token 918 .* \['METER_2/2'"):
        sample(policy, np.array([[BOS, len(VOCABULARY)]]), generator=seeded(0))


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_is_positive(policy, temperature):
    with pytest.raises(ValueError, match=f"temperature={temperature} is not a positive, finite"):
        sample(
            policy, Conditioning().prompt(1, KNOWN), generator=seeded(0), temperature=temperature
        )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e38])
def test_a_policy_that_gives_no_probabilities_is_told(tiny_policy, value):
    damaged = copy.deepcopy(tiny_policy)
    with torch.no_grad():
        damaged.model.norm.weight.fill_(value)
    with pytest.raises(NotFiniteError, match=r"probabilities are not finite: .*restore it"):
        sample(damaged, Conditioning(bars=4).prompt(2, KNOWN), generator=seeded(0))
