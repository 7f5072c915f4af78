"""The masked model says what policy.logprobs says, and writes what policy.decode writes."""

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import AutoModelForCausalLM

from music.styles import SHIPPED_STYLES
from music.tokens import EOS, HEADER_LENGTH, PAD, decode, encode
from policy.checkpoint import save_policy
from policy.compose import Conditioning
from policy.decode import sample
from policy.logprobs import chosen_logprobs, mask_rows_of, melody_nats
from policy.masked import MaskedMelodyForCausalLM, rows_after
from policy.model import MelodyForCausalLM, right_pad
from policy.scope import Scope

KNOWN = Scope(SHIPPED_STYLES)
CONDITIONING = {"meter": "2/4", "mode": "major", "style": "reel", "bars": 4, "pickup_ticks": 0}


@pytest.fixture(scope="module")
def folder(tiny_policy, tmp_path_factory):
    path = tmp_path_factory.mktemp("masked") / "policy"
    save_policy(tiny_policy, path)
    return path


@pytest.fixture(scope="module")
def masked(folder):
    return MaskedMelodyForCausalLM.from_pretrained(folder).eval()


@pytest.fixture(scope="module")
def ids(random_melodies):
    """Eight melodies of unlike lengths, right-padded."""
    return right_pad([encode(melody) for melody in random_melodies(8, seed=2)])


def choices_of(ids):
    """Mask rows, and where the policy chooses after the header; (B, T) both."""
    rows = torch.from_numpy(mask_rows_of(ids.numpy(), KNOWN))
    decision = (torch.from_numpy(KNOWN.choices) > 1)[rows] & (ids != PAD)
    decision[:, :HEADER_LENGTH] = False
    return rows, decision


def left_padded(ids, by=3):
    """Ids and attention mask with `by` PADs in front and all padding at the end kept."""
    shifted = functional.pad(ids, (by, 0), value=PAD)
    seen = functional.pad((ids != PAD).long(), (by, 0), value=0)
    return shifted, seen


def test_logits_give_the_house_log_probabilities(tiny_policy, masked, ids):
    rows, decision = choices_of(ids)
    with torch.no_grad():
        wanted = chosen_logprobs(tiny_policy, ids, rows, decision)
        logps = masked(input_ids=ids).logits.log_softmax(-1)[:, :-1]
    got = logps.gather(2, ids[:, 1:, None])[..., 0]
    torch.testing.assert_close(
        got[decision[:, 1:]], wanted[:, 1:][decision[:, 1:]], atol=1e-5, rtol=0
    )
    forced = (~decision[:, 1:]) & (ids[:, 1:] != PAD)
    forced[:, : HEADER_LENGTH - 1] = False
    assert forced.any()
    assert (got[forced] == 0).all()


def test_the_fused_head_sums_to_the_nats_of_the_melodies(tiny_policy, masked, ids):
    labels = ids.masked_fill(ids == PAD, -100)
    labels[:, :HEADER_LENGTH] = -100
    rows = [row[row != PAD] for row in ids.numpy()]
    with torch.no_grad():
        said = masked(input_ids=ids, labels=labels, fused_lm_head=True)
        logits = masked(input_ids=ids).logits[:, :-1]
    np.testing.assert_allclose(said.log_probs.sum(1), melody_nats(tiny_policy, rows), rtol=1e-5)
    spread = torch.distributions.Categorical(logits=logits)
    conditioning = labels[:, 1:] != -100
    torch.testing.assert_close(
        said.entropy, spread.entropy().masked_fill(~conditioning, 0), atol=1e-4, rtol=1e-4
    )
    likeliest = (logits.argmax(-1) == ids[:, 1:]) & conditioning
    assert torch.equal(said.is_top1, likeliest)
    # The loss is that of the masked logits, with and without the fused head.
    with torch.no_grad():
        loss = masked(input_ids=ids, labels=labels).loss
    torch.testing.assert_close(said.loss, loss)


def test_left_padding_and_length_do_not_matter(masked, ids):
    padded, seen = left_padded(ids)
    with torch.no_grad():
        plain = masked(input_ids=ids, attention_mask=(ids != PAD).long()).logits
        shifted = masked(input_ids=padded, attention_mask=seen).logits
        last = masked(input_ids=padded, attention_mask=seen, logits_to_keep=4).logits
    real = ids != PAD
    torch.testing.assert_close(shifted[:, 3:][real], plain[real], atol=1e-3, rtol=1e-5)
    assert torch.equal(last, shifted[:, -4:])


def test_rows_after_are_the_rows_for_the_next_token(ids):
    wanted = mask_rows_of(ids.numpy(), KNOWN)[:, 1:]
    np.testing.assert_array_equal(rows_after(ids.numpy(), KNOWN)[:, :-1], wanted)
    shifted = rows_after(left_padded(ids)[0].numpy(), KNOWN)
    np.testing.assert_array_equal(shifted[:, 3:-1], wanted)
    assert (shifted[:, 0] == mask_rows_of(ids.numpy(), KNOWN)[0, 0]).all()  # BOS is still to come


def test_an_illegal_token_is_refused(masked, ids):
    wrong = ids.clone()
    wrong[0, 9] = EOS
    with pytest.raises(ValueError, match="token EOS may not come here"):
        masked(input_ids=wrong)
    with pytest.raises(ValueError, match="needs labels"):
        masked(input_ids=ids, fused_lm_head=True)


def test_entropies_of_trainers_are_numbers_at_any_temperature(masked, ids):
    """TRL's PPO multiplies probabilities with logits divided by the temperature."""
    with torch.no_grad():
        logits = masked(input_ids=ids).logits / 0.01
    entropy = logits.logsumexp(-1) - (logits.softmax(-1) * logits).sum(-1)
    assert torch.isfinite(entropy).all()


def test_gradients_are_those_of_the_house(tiny_policy, masked, ids):
    rows, decision = choices_of(ids)
    tiny_policy.zero_grad()
    chosen_logprobs(tiny_policy, ids, rows, decision).sum().backward()
    labels = ids.masked_fill(~decision, -100)
    masked.zero_grad()
    masked(input_ids=ids, labels=labels, fused_lm_head=True).log_probs.sum().backward()
    theirs = dict(masked.named_parameters())
    for name, parameter in tiny_policy.named_parameters():
        torch.testing.assert_close(theirs[name].grad, parameter.grad, atol=1e-3, rtol=1e-3)
    assert masked.model.embed_tokens.weight.grad.abs().sum() > 0
    tiny_policy.zero_grad()
    masked.zero_grad()


def generated(model, prompts, seed, **kwargs):
    torch.manual_seed(seed)
    return model.generate(
        input_ids=prompts, do_sample=True, top_k=0, max_new_tokens=600, pad_token_id=PAD, **kwargs
    )


def test_everything_generated_is_a_whole_melody(masked):
    with torch.random.fork_rng():
        given = Conditioning(meter="6/8", bars=8).prompt(3, KNOWN)[:, :2]  # BOS and the metre
        rows = generated(masked, torch.from_numpy(np.repeat(given, 4, 0)), seed=1)
    melodies = [decode(row) for row in rows.numpy()]
    assert {melody.header.meter for melody in melodies} == {"6/8"}
    assert len({melody.header for melody in melodies}) > 1


def test_prompts_of_unlike_length_are_padded_on_the_left(masked):
    short, long = (
        Conditioning(**CONDITIONING).prompt(1, KNOWN)[:, :2],
        Conditioning(**CONDITIONING).prompt(1, KNOWN),
    )
    short = np.concatenate([np.full((1, HEADER_LENGTH - 2), PAD), short], axis=1)
    prompts = torch.from_numpy(np.concatenate([short, long]))
    with torch.random.fork_rng():
        rows = generated(masked, prompts, seed=2, attention_mask=(prompts != PAD).long())
    first = rows[0][HEADER_LENGTH - 2 :]
    assert decode(first.numpy()).header.meter == "2/4"
    assert decode(rows[1].numpy()).header.bars == 4


def test_greedy_generation_is_the_houses(tiny_policy, masked):
    """At next to no temperature both take the likeliest legal token at each step."""
    given = Conditioning(meter="3/4", bars=4).prompt(2, KNOWN)
    house = sample(
        tiny_policy, given, generator=torch.Generator().manual_seed(0), temperature=1e-6
    ).rows()[0]
    prompt = torch.from_numpy(house[:HEADER_LENGTH].astype(np.int64))[None]
    theirs = masked.generate(input_ids=prompt, do_sample=False, max_new_tokens=600)[0].numpy()
    assert theirs.tolist() == house.tolist()


def test_generation_has_the_distribution_of_decoding(tiny_policy, masked):
    """First notes by a chi-square test, whole melodies by their mean log-probability."""
    given = Conditioning(**CONDITIONING).prompt(400, KNOWN)
    house = sample(tiny_policy, given, generator=torch.Generator().manual_seed(3)).rows()
    with torch.random.fork_rng():
        theirs = generated(masked, torch.from_numpy(given), seed=4).numpy()
    theirs = [row[row != PAD] for row in theirs]
    nats = [melody_nats(tiny_policy, rows) for rows in (house, theirs)]
    error = np.sqrt(sum(side.var(ddof=1) / len(side) for side in nats))
    assert abs(nats[0].mean() - nats[1].mean()) < 3 * error
    # Place 7 is the first note: place 6 is the first barline.
    counts = np.array([np.bincount([row[7] for row in rows], minlength=918)
                       for rows in (house, theirs)], float)  # fmt: skip
    common = counts.sum(0) >= 10
    table = np.column_stack([counts[:, common], counts[:, ~common].sum(1)])
    expected = table.sum(0, keepdims=True) / 2
    chi_square = ((table - expected) ** 2 / expected.clip(1)).sum()
    freedom = table.shape[1] - 1
    assert freedom > 5
    assert chi_square < freedom + 4 * np.sqrt(2 * freedom)


def test_dropout_is_off_in_training(tiny_policy, folder, ids, tmp_path):
    import json

    config = json.loads((folder / "config.json").read_text()) | {"residual_dropout": 0.5}
    for name in ("model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "config.json").write_text(json.dumps(config))
    model = MaskedMelodyForCausalLM.from_pretrained(tmp_path).train()
    with torch.no_grad():
        once, again = (model(input_ids=ids).logits for _ in range(2))
    assert torch.equal(once, again)
    assert model.config.residual_dropout == 0


def test_an_unmasked_copy_stays_as_it_was(masked, ids, tmp_path):
    plain = masked.unmasked()
    assert type(plain) is MelodyForCausalLM
    before = plain.lm_head.weight.clone()
    with torch.no_grad():
        masked.lm_head.weight.add_(1.0)
    try:
        assert torch.equal(plain.lm_head.weight, before)
        assert plain.lm_head.weight is plain.model.embed_tokens.weight
        save_policy(plain, tmp_path)
        again = AutoModelForCausalLM.from_pretrained(tmp_path)
        assert type(again) is MelodyForCausalLM
    finally:
        with torch.no_grad():
            masked.lm_head.weight.copy_(before)


def test_a_trainers_patch_can_be_taken_off(masked, ids):
    masked.forward = lambda *args, **kwargs: "theirs"
    assert masked(input_ids=ids) == "theirs"
    assert masked.with_own_head() is masked
    assert masked(input_ids=ids).logits.shape[:2] == ids.shape
