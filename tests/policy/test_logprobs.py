"""Log-probabilities of whole melodies, by hand and against what must not matter."""

import math

import numpy as np
import pytest
import torch

from music.styles import SHIPPED_STYLES
from music.tokens import EOS, HEADER_LENGTH, ID, PAD, encode
from policy.logprobs import (
    chosen_logprobs,
    kl_nats,
    mask_rows_of,
    masked_log_softmax,
    melody_nats,
)
from policy.model import MelodyForCausalLM, melody_config, right_pad
from policy.scope import Scope

KNOWN = Scope(SHIPPED_STYLES)

FOUR_NOTES = (
    "BOS METER_2/4 MODE_major STYLE_0 BARS_4 PICKUP_0 "
    "BAR_4 NOTE_0_48 BAR_3 HOLD_48 BAR_2 NOTE_4_48 BAR_1 REST_48 EOS"
)


def row_of(names: str) -> np.ndarray:
    return np.array([ID[name] for name in names.split()])


@pytest.fixture(scope="module")
def rows(random_melodies):
    """Eight melodies of unlike lengths."""
    return [encode(melody) for melody in random_melodies(8, seed=2)]


@pytest.fixture(scope="module")
def even_policy():
    """A policy to which all tokens are alike: every logit is 0."""
    shape = {"hidden_size": 8, "num_layers": 1, "num_heads": 2, "num_key_value_heads": 1}
    model = MelodyForCausalLM(melody_config(**shape, intermediate_size=8)).eval()
    with torch.no_grad():
        model.lm_head.weight.zero_()
    return model


def test_surprise_of_an_even_policy_by_hand(even_policy):
    """In a bar of 48 ticks 13 durations fit and leave a rest that can be filled.

    So 13 x 37 notes and 13 rests may come first, 13 holds more after a note; the rest is forced.
    """
    wanted = -(math.log(494) + 3 * math.log(507))
    assert melody_nats(even_policy, [row_of(FOUR_NOTES)])[0] == pytest.approx(wanted, rel=1e-6)
    # The header too: 12 metres, 7 modes, 8 styles, 31 lengths, 42 pickups in 2/4; BOS is given.
    header = -math.log(12 * 7 * 8 * 31 * 42)
    whole = melody_nats(even_policy, [row_of(FOUR_NOTES)], prompt_tokens=0)[0]
    assert whole == pytest.approx(wanted + header, rel=1e-6)
    assert melody_nats(even_policy, [row_of(FOUR_NOTES)], prompt_tokens=15)[0] == 0


def test_order_batches_and_padding_do_not_matter(tiny_policy, rows):
    nats = melody_nats(tiny_policy, rows)
    assert nats.dtype == np.float64
    assert (nats < -20).all()
    np.testing.assert_allclose(melody_nats(tiny_policy, rows, size=3), nats, rtol=1e-5)
    np.testing.assert_allclose(melody_nats(tiny_policy, rows[::-1])[::-1], nats, rtol=1e-5)
    alone = [melody_nats(tiny_policy, [row])[0] for row in rows]
    np.testing.assert_allclose(alone, nats, rtol=1e-5)
    assert melody_nats(tiny_policy, []).shape == (0,)


def test_chosen_logprobs_are_0_where_the_policy_did_not_act_and_carry_gradients(tiny_policy, rows):
    ids = right_pad(rows, multiple=16)
    legal = torch.from_numpy(mask_rows_of(ids.numpy(), KNOWN))
    decision = torch.from_numpy(KNOWN.choices > 1)[legal]
    decision[:, :HEADER_LENGTH] = False
    logps = chosen_logprobs(tiny_policy, ids, legal, decision)
    assert logps.dtype == torch.float32
    assert (logps[~decision] == 0).all()
    assert (logps[decision] < 0).all()
    tiny_policy.zero_grad()
    logps.sum().backward()
    assert tiny_policy.model.embed_bar_position.weight.grad.abs().sum() > 0
    tiny_policy.zero_grad()


def test_kl_by_hand():
    own = torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]).log()
    other = torch.tensor([[0.25, 0.75, 0.0], [0.5, 0.5, 0.0]]).log()
    wanted = [0.5 * math.log(2) + 0.5 * math.log(2 / 3), math.log(2)]
    torch.testing.assert_close(kl_nats(own, other), torch.tensor(wanted))


def test_legal_tokens_share_all_probability():
    rows = torch.arange(len(KNOWN.table))[torch.from_numpy(KNOWN.table.any(1))]
    logits = torch.randn(
        len(rows), KNOWN.table.shape[1], generator=torch.Generator().manual_seed(0)
    )
    logps = masked_log_softmax(logits.bfloat16(), rows, torch.from_numpy(KNOWN.table))
    assert logps.dtype == torch.float32
    table = torch.from_numpy(KNOWN.table)[rows]
    assert torch.equal(torch.isfinite(logps), table)
    torch.testing.assert_close(logps.exp().sum(1), torch.ones(len(rows)))


def test_mask_rows_are_those_of_each_token():
    rows = mask_rows_of(np.append(row_of(FOUR_NOTES), PAD)[None], KNOWN)[0]
    legal = KNOWN.table[rows]
    assert legal[np.arange(len(rows)), np.append(row_of(FOUR_NOTES), PAD)].all()
    assert legal.sum(1).tolist() == [1, 12, 7, 8, 31, 42, 1, 494, 1, 507, 1, 507, 1, 507, 1, 1]


def test_an_illegal_token_is_refused():
    ids = row_of(FOUR_NOTES)
    ids[7] = EOS
    with pytest.raises(ValueError, match="token EOS may not come here; 494 may"):
        mask_rows_of(ids[None], KNOWN)
    with pytest.raises(ValueError, match="token PAD may not come here"):
        mask_rows_of(np.append(row_of(FOUR_NOTES)[:9], PAD)[None], KNOWN)
