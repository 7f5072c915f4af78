"""A policy of version 0.1.0 writes what it wrote then.

`samples_of_0_1_0.json` was written by version 0.1.0 from the base of `tests/data/v0_1_0`: melodies
by seed, their log-probabilities under the mask, the surprise without it, and headers that the
environment's reference drew.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from env.prompt import prompt_ids
from env.reference import Reference
from music.corpora.catalogue import open_corpus
from music.earlier_tokens import EARLIER_VOCABULARY, name_today
from music.tokens import ID, VOCABULARY, from_text, to_text
from policy.checkpoint import (
    CheckpointError,
    is_policy,
    load_policy,
    newest_step,
    save_policy,
    write_step,
)
from policy.compose import Conditioning, sample_rows
from policy.configuration import ConfigurationError
from policy.earlier import step_today
from policy.folder import read_policy_folder
from policy.logprobs import melody_nats
from policy.masked import MaskedMelodyForCausalLM
from policy.model import right_pad
from policy.pretraining.train import token_nats
from policy.scope import scope_of
from tests.support.project import PROJECT

THEN = PROJECT / "tests" / "data" / "v0_1_0" / "checkpoints"
BASE = THEN / "base"
SAMPLES = json.loads((Path(__file__).parent / "samples_of_0_1_0.json").read_text())


@pytest.fixture(scope="module")
def policy():
    return load_policy(BASE)


def today(text: str) -> str:
    return " ".join(name_today(name) for name in text.split())


def fields_of(sample) -> dict:
    return {"style" if k == "tune_type" else k: v for k, v in sample["asked"].items()}


def rows_of(sample) -> list[np.ndarray]:
    return [np.array(from_text(today(text)), np.uint16) for text in sample["melodies"]]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: str(sample["asked"]))
def test_a_seed_writes_the_same_melodies(policy, sample):
    conditioning = Conditioning(**fields_of(sample))
    rows = sample_rows(policy, 6, conditioning=conditioning, seed=sample["seed"])
    assert [to_text(row) for row in rows] == [today(text) for text in sample["melodies"]]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: str(sample["asked"]))
def test_log_probabilities_are_the_same_with_and_without_the_mask(policy, sample):
    rows = rows_of(sample)
    np.testing.assert_allclose(melody_nats(policy, rows, 1), sample["nats"], rtol=1e-5)
    with torch.no_grad():
        unmasked = [token_nats(policy, right_pad([row]))[0].sum().item() for row in rows]
    np.testing.assert_allclose(unmasked, sample["unmasked_nats"], rtol=1e-5)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: str(sample["asked"]))
def test_the_environments_reference_draws_the_same_headers(policy, sample):
    reference = Reference(policy)
    prompts = np.tile(prompt_ids(fields_of(sample), reference.scope), (6, 1))
    headers = reference.with_headers(prompts, np.random.default_rng(sample["seed"]).random)
    assert [to_text(row) for row in headers] == [
        today(text) for text in sample["headers_of_the_reference"]
    ]


def test_each_row_has_the_place_of_its_meaning(policy):
    before = load_file(BASE / "model.safetensors")
    tokens, after = before["model.embed_tokens.weight"], policy.model.embed_tokens.weight
    for earlier, name in enumerate(EARLIER_VOCABULARY):
        assert torch.equal(after[ID[name_today(name)]], tokens[earlier]), name
    assert after.abs().sum(1).count_nonzero() <= len(EARLIER_VOCABULARY)
    rows, places = before["model.embed_bar_position.weight"], policy.model.embed_bar_position.weight
    for ticks in range(109):
        assert torch.equal(places[ticks], rows[ticks])
    for pickup in range(1, 49):
        assert torch.equal(places[288 - pickup], rows[160 - pickup])


def test_it_knows_what_0_1_0_had_and_no_more(policy):
    known = {VOCABULARY[i] for i in np.flatnonzero(scope_of(policy).known)}
    assert known == {name_today(name) for name in EARLIER_VOCABULARY}
    assert read_policy_folder(BASE).corpora == ("books",)
    for fields in ({"meter": "7/8"}, {"mode": "lydian"}, {"bars": 5}, {"style": "polka"}):
        with pytest.raises(ValueError, match="this policy"):
            Conditioning(**fields).prompt(1, scope_of(policy))


def test_every_melody_of_that_time_is_legal_for_it(policy):
    """The two books' test tunes of 0.1.0 have finite log-probabilities; the mask allows them."""
    books = open_corpus("books")
    rows = books.token_rows("test", scope_of(policy).styles, earlier=True)[:40]
    assert np.isfinite(melody_nats(policy, rows)).all()


def test_its_identity_is_that_of_its_file():
    record = json.loads((THEN / "runs" / "finished" / "run.json").read_text())
    assert is_policy(BASE, record["parents"]["base"], of_0_1_0=True)


def test_it_is_saved_in_todays_form_and_is_the_same_then(policy, tmp_path):
    save_policy(policy, tmp_path / "new")
    again = load_policy(tmp_path / "new")
    assert scope_of(again) == scope_of(policy)
    rows = rows_of(SAMPLES[0])
    np.testing.assert_allclose(melody_nats(again, rows, 1), SAMPLES[0]["nats"], rtol=1e-5)
    masked = MaskedMelodyForCausalLM.from_pretrained(tmp_path / "new").eval()
    auto = AutoModelForCausalLM.from_pretrained(tmp_path / "new").eval()
    ids = right_pad(rows)
    with torch.no_grad():
        assert torch.equal(auto(input_ids=ids).logits, policy(input_ids=ids).logits)
        logits = masked(input_ids=ids).logits[:, :-1]
    logps = logits.log_softmax(-1).gather(2, ids[:, 1:, None])[..., 0]
    nats = logps.masked_fill(ids[:, 1:] == 0, 0).sum(1)
    np.testing.assert_allclose(nats, SAMPLES[0]["nats"], rtol=1e-5)


def test_transformers_is_told_what_to_do_with_the_old_form():
    with pytest.raises(ConfigurationError, match=r"version 0\.1\.0.*save_policy\(.*load_policy"):
        AutoModelForCausalLM.from_pretrained(BASE)


@pytest.mark.parametrize("run", ["tiny", "stopped", "finished"])
def test_a_training_step_has_its_rows_and_moments_where_they_are_today(run):
    folder = THEN / "runs" / run / "steps"
    before = load_file(sorted(folder.glob("*/state.safetensors"))[-1])
    after = newest_step(folder).tensors
    assert after.keys() == before.keys()
    moved = 0
    for name, tensor in before.items():
        sizes = {709: (918, ID["STYLE_1"], 12), 160: (288, 287, 159)}
        if tensor.ndim == 2 and len(tensor) in sizes:
            size, new, old = sizes[len(tensor)]
            assert len(after[name]) == size
            assert torch.equal(after[name][new], tensor[old]), name
            moved += 1
        else:
            assert torch.equal(after[name], tensor)
    assert moved >= 4, "tables and their moments"


def test_a_step_whose_moments_cannot_be_told_apart_is_refused_in_one_line(tmp_path):
    tensors = {
        "actor.model.embed_tokens.weight": torch.zeros(709, 16),
        "actor.model.embed_bar_position.weight": torch.zeros(160, 16),
        "actor.model.layers.0.mlp.up_proj.weight": torch.zeros(160, 16),
        "optimizer.0.momentum_buffer": torch.zeros(160, 16),
    }
    with pytest.raises(ValueError, match="up_proj"):
        step_today(tensors)
    write_step(tmp_path / "steps", 1, tensors, {})
    with pytest.raises(CheckpointError, match=r"cannot go on here .*; start a new run") as error:
        newest_step(tmp_path / "steps")
    assert "\n" not in str(error.value)
    of_today = {name: t for name, t in tensors.items() if "embed_tokens" not in name}
    assert step_today(of_today).keys() == of_today.keys()
