"""Pretraining: resume is exact, learning happens, and what is measured is worked by hand."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import policy.pretraining.start as beginning
import policy.pretraining.train as module
from music.corpora.corpus import load_token_rows
from music.corpora.corpus_file import SPLITS, CorpusError, read_corpus, write_corpus
from music.styles import OTHER, SHIPPED_STYLES, Styles
from music.tokens import FIRST_NOTE, ID, PAD, VOCABULARY
from policy.checkpoint import CheckpointError, load_policy, newest_step
from policy.model import MelodyForCausalLM, melody_config, right_pad
from policy.pretraining.config import PretrainConfig
from policy.pretraining.held_out import bits_per_note, known_tokens, token_nats
from policy.pretraining.train import RESULT, batches, learning_rate, pretrain
from policy.scope import scope_of

TINY = PretrainConfig(
    epochs=3,
    strains_per_step=5,
    learning_rate=1e-2,
    warmup_steps=3,
    hidden_size=16,
    num_layers=1,
    num_heads=2,
    num_key_value_heads=1,
    intermediate_size=16,
    save_every_steps=4,
)


def small_corpus(path, *, name="books", label="", count=23):
    """Of each split the shortest strains, so that the last batch of an epoch is not full."""
    rows = {split: sorted(load_token_rows(split), key=len)[:count] for split in SPLITS}
    every = [row.copy() for split in SPLITS for row in rows[split]]
    for row in every:
        row[3] = ID["STYLE_1"] if label else row[3]
    write_corpus(
        path,
        every,
        tonics=[62] * len(every),
        tunes=list(range(len(every))),
        splits=[SPLITS.index(split) for split in SPLITS for _ in rows[split]],
        labels=Styles((OTHER, label)) if label else SHIPPED_STYLES,
        sources=[("file.abc", str(tune + 1), "") for tune in range(len(every))],
    )
    return read_corpus(path, name)


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    return small_corpus(tmp_path_factory.mktemp("corpus") / "books.npz")


@pytest.fixture(autouse=True)
def few_strains(monkeypatch, few):
    """Token rows of each split of the corpus that runs are given."""
    monkeypatch.setattr(beginning, "corpora_named", lambda names: [few])
    state = torch.get_rng_state()
    yield {split: few.token_rows(split) for split in ("train", "validation")}
    torch.set_rng_state(state)


class Killed(BaseException):
    """Stands for a kill: nothing of ours may catch it."""


def kill_in(monkeypatch, name: str, call: int) -> None:
    """Make the module's function die at its n-th call."""
    real, count = getattr(module, name), 0

    def mortal(*args, **kwargs):
        nonlocal count
        count += 1
        if count == call:
            raise Killed
        return real(*args, **kwargs)

    monkeypatch.setattr(module, name, mortal)


@pytest.fixture(scope="module")
def uninterrupted():
    """Filled by the first test that needs it: the run's last step and its best policy."""
    return {}


def end_of(run) -> tuple[dict, dict, dict]:
    """Everything that the last step saved, and the best policy's weights."""
    last = newest_step(run / "steps")
    state = {key: value for key, value in last.state.items() if key != "seconds"}
    return last.tensors, state, load_policy(run / "policy").state_dict()


@pytest.mark.parametrize(
    ("place", "call"),
    [
        ("measure", 1),  # before anything is saved
        ("learning_rate", 1),  # before the first step
        ("learning_rate", 7),  # within an epoch, between two saves
        ("learning_rate", 12),  # in the third epoch, after two saves
        ("measure", 2),  # on the test tunes, before the first step
        ("measure", 3),  # while validating
        ("save_policy", 2),  # the best policy is not written yet
        ("write_step", 2),  # it is written, but the step is not
    ],
)
def test_resumed_training_is_bit_equal_to_uninterrupted(
    tmp_path, monkeypatch, uninterrupted, place, call
):
    """Weights, their mean, moments, random state and the best validation, dropout included."""
    if not uninterrupted:
        pretrain(TINY, tmp_path / "whole")
        uninterrupted["end"] = end_of(tmp_path / "whole")
    with monkeypatch.context() as context:
        kill_in(context, place, call)
        with pytest.raises(Killed):
            pretrain(TINY, tmp_path / "killed")
    torch.manual_seed(99)  # another process has another random state
    pretrain(TINY, tmp_path / "killed")
    for wanted, found in zip(uninterrupted["end"], end_of(tmp_path / "killed"), strict=True):
        assert wanted.keys() == found.keys()
        for name, value in wanted.items():
            if isinstance(value, torch.Tensor):
                assert torch.equal(found[name], value), name
            else:
                assert found[name] == value, name


def test_a_finished_run_stays_as_it_is(tmp_path):
    first = pretrain(TINY, tmp_path)
    log = (tmp_path / "metrics.jsonl").read_text()
    again = pretrain(TINY, tmp_path)
    assert torch.equal(first.lm_head.weight, again.lm_head.weight)
    assert (tmp_path / "metrics.jsonl").read_text() == log


def test_training_learns_and_returns_the_best_by_validation(tmp_path, few):
    config = replace(TINY, epochs=12, dropout=0.0, average_decay=0.5)
    model = pretrain(config, tmp_path)
    log = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    total = 12 * math.ceil(23 / 5)
    assert [row["step"] for row in log] == list(range(0, total + 1, 4))
    bits = [row["validation_bits_per_note"] for row in log]
    assert bits[0] > 8
    assert min(bits) < 0.8 * bits[0]
    assert log[-1]["train_nats"] < 0.8 * log[1]["train_nats"]
    assert not model.training
    rows = few.token_rows("validation", scope_of(model).styles)
    assert bits_per_note(model, rows) == pytest.approx(min(bits), rel=1e-6)


def test_a_run_is_not_gone_on_with_under_another_configuration(tmp_path):
    pretrain(replace(TINY, epochs=1), tmp_path)
    with pytest.raises(CheckpointError, match="another configuration; choose a new run"):
        pretrain(replace(TINY, epochs=2), tmp_path)


def test_a_run_may_begin_with_the_weights_of_another(tmp_path):
    begun = pretrain(replace(TINY, epochs=1), tmp_path / "first")
    follow = replace(TINY, epochs=1, learning_rate=1e-9, start_from=str(tmp_path / "first/policy"))
    pretrain(follow, tmp_path / "second")
    tensors = newest_step(tmp_path / "second" / "steps").tensors
    torch.testing.assert_close(
        tensors["model.lm_head.weight"], begun.lm_head.weight, rtol=0, atol=1e-6
    )
    wider = replace(follow, hidden_size=32)
    with pytest.raises(CheckpointError, match=r"start_from=.* has another shape .*; give its"):
        pretrain(wider, tmp_path / "third")


def test_an_adapted_policy_is_never_worse_on_validation_and_training_stops_early(tmp_path):
    begun = pretrain(replace(TINY, epochs=12, dropout=0.0), tmp_path / "first")
    ruinous = replace(
        TINY, epochs=50, learning_rate=0.5, patience=2, average_decay=0.0,
        start_from=str(tmp_path / "first" / "policy"),
    )  # fmt: skip
    adapted = pretrain(ruinous, tmp_path / "second")
    assert torch.equal(adapted.lm_head.weight, begun.lm_head.weight)
    result = json.loads((tmp_path / "second" / RESULT).read_text())
    assert result["stopped_early"]
    assert result["steps"] == 2 * TINY.save_every_steps
    assert result["gain"] == 0
    assert not result["tells"]
    assert "on 23 test tunes, as before: no step was better on the validation" in result["said"]


def test_the_gain_is_measured_on_the_test_tunes_that_chose_nothing(tmp_path, few):
    pretrain(replace(TINY, epochs=6), tmp_path / "run")
    result = json.loads((tmp_path / "run" / RESULT).read_text())
    kept = load_policy(tmp_path / "run" / "policy")
    rows = {split: few.token_rows(split, scope_of(kept).styles) for split in SPLITS}
    assert result["split"] == "test"
    assert result["tunes"] == len(rows["test"])
    assert result["bits_per_note"] == pytest.approx(bits_per_note(kept, rows["test"]), rel=1e-5)
    assert result["gain"] == pytest.approx(result["bits_before"] - result["bits_per_note"])
    validated = bits_per_note(kept, rows["validation"])
    assert result["validation_bits_per_note"] == pytest.approx(validated, rel=1e-5)
    assert validated != pytest.approx(result["bits_per_note"], rel=1e-3)
    torch.manual_seed(TINY.seed)
    begun = beginning.starting_policy(TINY, [few])
    assert result["bits_before"] == pytest.approx(bits_per_note(begun, rows["test"]), rel=1e-5)
    assert f"bits a note on {result['tunes']} test tunes" in result["said"]


def test_where_there_are_no_test_tunes_that_is_said(tmp_path, monkeypatch, few):
    columns = dict(few.columns)
    columns["splits"] = np.where(columns["splits"] == 2, 0, columns["splits"])
    without = type(few)(few.name, few.path, few.labels, columns, few.sources)
    monkeypatch.setattr(beginning, "corpora_named", lambda names: [without])
    pretrain(replace(TINY, epochs=1), tmp_path / "run")
    result = json.loads((tmp_path / "run" / RESULT).read_text())
    assert result["split"] == "validation"
    assert result["bits_per_note"] == result["validation_bits_per_note"]
    assert "validation tunes" in result["said"]
    assert "there are no test tunes, and the policy was chosen by these" in result["said"]


def test_what_is_kept_is_the_mean_of_the_weights(tmp_path):
    """By hand for one step: the weights at step 0 count 1/11."""
    shares = []
    for epochs, decay in ((1, 0.0), (1, 0.99)):
        config = replace(
            TINY, epochs=epochs, strains_per_step=23, save_every_steps=1, dropout=0.0,
            warmup_steps=1, average_decay=decay,
        )  # fmt: skip
        run = tmp_path / str(decay)
        pretrain(config, run)
        shares.append(newest_step(run / "steps").tensors)
    last, averaged = shares
    name = "model.layers.0.mlp.up_proj.weight"
    torch.manual_seed(TINY.seed)
    begun = MelodyForCausalLM(melody_config(
        hidden_size=16, num_layers=1, num_heads=2, num_key_value_heads=1, intermediate_size=16
    )).state_dict()[name]  # fmt: skip
    assert torch.equal(last[f"model.{name}"], averaged[f"model.{name}"])
    torch.testing.assert_close(last[f"average.{name}"], last[f"model.{name}"], rtol=0, atol=0)
    wanted = begun / 11 + averaged[f"model.{name}"] * 10 / 11
    torch.testing.assert_close(averaged[f"average.{name}"], wanted, rtol=0, atol=1e-6)
    kept = load_policy(tmp_path / "0.99" / "policy").state_dict()[name]
    assert torch.equal(kept, averaged[f"average.{name}"])


def test_a_policy_started_from_another_keeps_its_styles_and_adds_those_of_its_corpora(
    tmp_path, monkeypatch
):
    first = pretrain(replace(TINY, epochs=1), tmp_path / "first")
    mine = small_corpus(tmp_path / "mine.npz", name="mine", label="mine", count=11)
    monkeypatch.setattr(beginning, "corpora_named", lambda names: [mine])
    follow = replace(
        TINY, corpora=("mine",), epochs=1, learning_rate=1e-9, average_decay=0.0,
        start_from=str(tmp_path / "first" / "policy"),
    )  # fmt: skip
    second = pretrain(follow, tmp_path / "second")
    known = scope_of(first).styles.labels
    assert tuple(second.config.styles) == (*known, "mine")
    assert second.config.corpora == ["mine"]
    assert second.config.base_corpora == ["books"]
    slots = [ID[f"STYLE_{slot}"] for slot in range(len(known) + 1)]
    rows = second.model.embed_tokens.weight[slots]
    torch.testing.assert_close(rows[-1], rows[:-1].mean(0), rtol=0, atol=1e-6)
    ours, theirs = scope_of(second).trained_on, scope_of(first).trained_on
    assert set(theirs.meters) <= set(ours.meters)


def test_a_run_is_not_gone_on_with_when_its_corpus_was_built_anew(tmp_path, monkeypatch):
    pretrain(replace(TINY, epochs=1), tmp_path / "run")
    other = small_corpus(tmp_path / "books.npz", count=22)
    monkeypatch.setattr(beginning, "corpora_named", lambda names: [other])
    with pytest.raises(CorpusError, match=r"'books' was built anew since .*; choose a new run"):
        pretrain(replace(TINY, epochs=1), tmp_path / "run")


def test_a_corpus_without_validation_tunes_is_refused(tmp_path, monkeypatch, few):
    columns = dict(few.columns)
    columns["splits"] = np.zeros_like(columns["splits"])
    whole = type(few)(few.name, few.path, few.labels, columns, few.sources)
    monkeypatch.setattr(beginning, "corpora_named", lambda names: [whole])
    with pytest.raises(CorpusError, match="the corpora books have no validation strain; build"):
        pretrain(TINY, tmp_path / "run")
    assert not (tmp_path / "run" / "steps").exists()


@pytest.fixture
def even_policy():
    """A policy to which all tokens are alike, dropout or not."""
    model = MelodyForCausalLM(
        melody_config(hidden_size=8, num_layers=1, num_heads=2, intermediate_size=8)
    )
    with torch.no_grad():
        model.lm_head.weight.zero_()
    return model


def test_bits_per_note_of_an_even_policy_by_hand(even_policy):
    """Counted are the pickup field and all after it; 2 + 3 notes sound; no mask helps."""
    header = "BOS METER_2/4 MODE_major STYLE_0 BARS_4 PICKUP_0"
    two = f"{header} BAR_4 NOTE_0_48 BAR_3 HOLD_48 BAR_2 NOTE_4_48 BAR_1 REST_48 EOS"
    three = f"{header} BAR_4 NOTE_0_24 NOTE_2_24 BAR_3 HOLD_48 BAR_2 NOTE_4_48 BAR_1 REST_48 EOS"
    rows = [np.array([ID[name] for name in names.split()]) for names in (two, three)]
    wanted = ((15 - 5) + (16 - 5)) * math.log2(len(VOCABULARY) - 24) / 5
    assert bits_per_note(even_policy, rows) == pytest.approx(wanted, rel=1e-6)
    assert bits_per_note(even_policy, rows, size=1) == pytest.approx(wanted, rel=1e-6)


def test_bits_do_not_depend_on_batches_and_the_mode_stays(tiny_policy, few_strains):
    rows = few_strains["validation"] + load_token_rows("validation")[:5]
    wanted = bits_per_note(tiny_policy, rows)
    assert bits_per_note(tiny_policy, rows[::-1], size=3) == pytest.approx(wanted, rel=1e-5)
    known_V = known_tokens(tiny_policy, rows)
    nats = sum(
        token_nats(tiny_policy, right_pad([row]), known_V)[0, 4:].sum().item() for row in rows
    )
    notes = sum(VOCABULARY[i].startswith("NOTE") for row in rows for i in row)
    assert notes == sum((row >= FIRST_NOTE).sum() for row in rows)
    assert nats / math.log(2) / notes == pytest.approx(wanted, rel=1e-5)
    for training in (True, False):
        tiny_policy.train(training)
        bits_per_note(tiny_policy, rows[:2])
        assert tiny_policy.training == training


@torch.no_grad()
def test_padding_is_no_surprise(tiny_policy, few_strains):
    rows = few_strains["validation"][::6]
    nats = token_nats(tiny_policy, right_pad(rows, multiple=64))
    for row, found in zip(rows, nats, strict=True):
        logps = tiny_policy(input_ids=right_pad([row])).logits[0].log_softmax(-1)
        wanted = [-logps[at, token].item() for at, token in enumerate(row[1:].tolist())]
        np.testing.assert_allclose(found[: len(wanted)], wanted, rtol=1e-4, atol=1e-4)
        assert (found[len(wanted) :] == 0).all()


def test_an_epoch_has_every_strain_once_with_its_likes():
    rows = load_token_rows("train")[:300]
    epoch = list(batches(rows, 32, np.random.default_rng([0, 1])))
    found = [tuple(t for t in row.tolist() if t != PAD) for batch in epoch for row in batch]
    assert sorted(found) == sorted(tuple(row.tolist()) for row in rows)
    assert [len(batch) for batch in epoch].count(32) == 300 // 32
    tokens = sum(map(len, rows))
    assert sum(batch.numel() for batch in epoch) < 1.25 * tokens
    again = list(batches(rows, 32, np.random.default_rng([0, 1])))
    other = list(batches(rows, 32, np.random.default_rng([0, 2])))
    assert all(torch.equal(a, b) for a, b in zip(epoch, again, strict=True))
    assert any(a.shape != b.shape for a, b in zip(epoch, other, strict=True))


def test_learning_rate_by_hand():
    config = PretrainConfig(learning_rate=1.0, warmup_steps=4)
    assert learning_rate(config, 0, 100) == pytest.approx(0.25)
    assert learning_rate(config, 1, 100) == pytest.approx(
        0.5 * 0.5 * (1 + math.cos(0.01 * math.pi))
    )
    assert learning_rate(config, 50, 100) == pytest.approx(0.5)
    assert learning_rate(config, 100, 100) == pytest.approx(0)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"epochs": 0}, "epochs=0 is below 1; give a positive number"),
        ({"warmup_steps": 0}, "warmup_steps=0 is below 1"),
        ({"num_heads": 0}, "num_heads=0 is below 1"),
        ({"save_every_steps": -5}, "save_every_steps=-5 is below 1"),
        ({"dropout": 1.0}, r"dropout=1\.0 is not in \[0, 1\); 0\.3 is"),
        ({"corpora": ()}, "corpora is empty; name one, such as books"),
        ({"patience": -1}, "patience=-1 is below 0; 0 turns early stopping off"),
        ({"average_decay": 1.0}, r"average_decay=1\.0 is not in \[0, 1\); 0 keeps"),
        ({"dropout": -0.1}, r"dropout=-0\.1 is not in"),
        ({"learning_rate": 0.0}, r"learning_rate=0\.0 is not above 0 and at most 1000; 2e-3 is"),
        ({"learning_rate": float("nan")}, "learning_rate=nan is not above 0"),
        ({"weight_decay": -1.0}, r"weight_decay=-1\.0 is not from 0 to 1000; 0 turns it off"),
        ({"hidden_size": 100}, r"hidden_size=100 \(--width\) .* num_heads=4 .* a multiple of 8"),
        ({"num_key_value_heads": 3}, "num_key_value_heads=3 does not divide num_heads=4; give a"),
    ],
)
def test_a_configuration_that_cannot_train_is_refused(fields, says):
    with pytest.raises(ValueError, match=says):
        PretrainConfig(**fields)
