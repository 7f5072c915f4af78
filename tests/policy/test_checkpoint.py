"""Checkpoints: a step is whole or absent, whatever happens; a policy loads or says why not."""

import hashlib
import json
import os
import random
import shutil
import signal
import stat
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import policy.checkpoint as module
from policy.checkpoint import (
    MANIFEST,
    CheckpointError,
    is_policy,
    load_policy,
    newest_step,
    optimizer_tensors,
    policy_hash,
    restore_optimizer,
    save_policy,
    write_step,
)
from policy.model import MelodyForCausalLM, melody_config
from tests.support.project import PROJECT


def write(steps: Path, step: int, **options) -> Path:
    """A step whose content follows from its number."""
    tensors = {"weight": torch.full((300,), float(step)), "count": torch.tensor(step)}
    return write_step(steps, step, tensors, {"twice": 2 * step}, **options)


def number_of(steps: Path) -> int | None:
    """The newest step's number, once its content is seen to be whole."""
    saved = newest_step(steps)
    if saved is None:
        return None
    assert saved.state == {"step": saved.step, "twice": 2 * saved.step}
    assert saved.tensors["count"].item() == saved.step
    assert torch.equal(saved.tensors["weight"], torch.full((300,), float(saved.step)))
    return saved.step


def folders(steps: Path) -> list[str]:
    return sorted(path.name for path in steps.iterdir())


class TestSteps:
    def test_what_is_written_is_read(self, tmp_path):
        assert newest_step(tmp_path / "steps") is None
        place = write(tmp_path / "steps", 7)
        assert place == tmp_path / "steps" / "7"
        assert number_of(tmp_path / "steps") == 7
        assert folders(place) == [MANIFEST, "state.json", "state.safetensors"]

    def test_the_newest_by_number_counts_and_old_ones_go(self, tmp_path):
        for step in (8, 9, 10, 11):
            write(tmp_path, step)
        assert number_of(tmp_path) == 11
        assert folders(tmp_path) == ["10", "11"]
        write(tmp_path, 12, keep=1)
        assert folders(tmp_path) == ["12"]
        with pytest.raises(ValueError, match="keep=0 would delete the new step as well; give"):
            write(tmp_path, 13, keep=0)

    @pytest.mark.parametrize("name", ["state.safetensors", "state.json", MANIFEST])
    @pytest.mark.parametrize("harm", ["cut", "empty", "gone", "flipped", "other"])
    def test_a_torn_step_is_passed_over(self, tmp_path, name, harm):
        write(tmp_path, 1)
        file = write(tmp_path, 2) / name
        content = file.read_bytes()
        if harm == "gone":
            file.unlink()
        elif harm == "flipped":
            middle = len(content) // 2
            file.write_bytes(
                content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
            )
        else:
            file.write_bytes({"cut": content[:-1], "empty": b"", "other": b"[]"}[harm])
        assert number_of(tmp_path) == 1
        shutil.rmtree(tmp_path / "1")
        assert newest_step(tmp_path) is None

    def test_any_flipped_byte_is_seen(self, tmp_path):
        write(tmp_path, 1)
        folder = write(tmp_path, 2)
        rng = random.Random(0)
        for file in sorted(folder.iterdir()):
            content = file.read_bytes()
            for _ in range(25):
                place, bit = rng.randrange(len(content)), 1 << rng.randrange(8)
                changed = bytes([content[place] ^ bit])
                file.write_bytes(content[:place] + changed + content[place + 1 :])
                # A space of the manifest may become a tab: nothing is lost by that.
                assert number_of(tmp_path) == 1 or file.name == MANIFEST
            file.write_bytes(content)
        assert number_of(tmp_path) == 2

    def test_a_manifest_that_forgets_a_file_is_not_whole(self, tmp_path):
        write(tmp_path, 1)
        folder = write(tmp_path, 2)
        sums = json.loads((folder / MANIFEST).read_text())
        del sums["state.safetensors"]
        (folder / MANIFEST).write_text(json.dumps(sums))
        (folder / "state.safetensors").unlink()
        assert number_of(tmp_path) == 1

    def test_drafts_that_a_kill_left_are_never_read_and_are_swept(self, tmp_path):
        write(tmp_path, 1)
        shutil.copytree(tmp_path / "1", tmp_path / "tmp-2-12345")
        shutil.copytree(tmp_path / "1", tmp_path / f"tmp-2-{os.getpid()}")
        (tmp_path / "notes.txt").write_text("a stray file")
        assert number_of(tmp_path) == 1
        write(tmp_path, 2)
        assert folders(tmp_path) == ["1", "2", "notes.txt"]
        assert number_of(tmp_path) == 2

    def test_a_torn_step_is_written_anew(self, tmp_path):
        write(tmp_path, 1)
        (write(tmp_path, 2) / MANIFEST).unlink()
        write(tmp_path, 2)
        assert number_of(tmp_path) == 2

    def test_torn_steps_ahead_do_not_push_out_what_is_written(self, tmp_path):
        """After 20 and 30 are torn, the run resumes from 10 and may be stopped at 15."""
        for step in (10, 20, 30):
            write(tmp_path, step, keep=3)
        for step in (20, 30):
            (tmp_path / str(step) / MANIFEST).unlink()
        write(tmp_path, 15, keep=1)
        assert number_of(tmp_path) == 15

    def test_stopping_at_any_call_to_the_disk_leaves_a_whole_step(self, tmp_path, monkeypatch):
        """The disk fails at the first sync, rename or removal, at the second, and so on."""
        calls, fail_at = 0, None

        def failing(real):
            def call(*args, **kwargs):
                nonlocal calls
                calls += 1
                if calls == fail_at:
                    raise OSError("the disk is gone")
                return real(*args, **kwargs)

            return call

        monkeypatch.setattr(module.os, "fsync", failing(os.fsync))
        monkeypatch.setattr(module.shutil, "rmtree", failing(shutil.rmtree))
        monkeypatch.setattr(module.Path, "replace", failing(Path.replace))
        monkeypatch.setattr(module.Path, "write_text", failing(Path.write_text))
        write(tmp_path, 1)
        fail_at, last, seen = 1, 1, set()
        for step in range(2, 60):
            calls = 0
            try:
                write(tmp_path, step)
            except OSError:
                seen.add(min(calls, fail_at))  # the draft is removed after a failure
                fail_at += 1
            else:
                assert calls < fail_at
                break
            found = number_of(tmp_path)
            assert found in (last, step)
            last = found
        assert seen == set(range(1, fail_at))
        assert fail_at > 8, "too few calls failed to show much"
        assert number_of(tmp_path) == step

    # Newer Pythons warn of any fork beside threads; this child only writes files, then is killed.
    @pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
    def test_a_writer_killed_at_any_moment_leaves_a_whole_step(self, tmp_path):
        rng = random.Random(0)
        newest = 0
        for _ in range(12):
            child = os.fork()
            if child == 0:
                try:
                    for step in range(newest + 1, newest + 10_000):
                        write(tmp_path, step)
                finally:
                    os._exit(1)  # never back into pytest
            deadline = time.monotonic() + 60
            while not (tmp_path / str(newest + 2)).exists() and time.monotonic() < deadline:
                time.sleep(0.0005)
            time.sleep(rng.uniform(0, 0.02))
            os.kill(child, signal.SIGKILL)
            assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
            found = number_of(tmp_path)
            assert found is not None
            assert found >= newest + 2
            newest = found
            drafts = [name for name in folders(tmp_path) if not name.isdecimal()]
            assert len(drafts) <= 1
            assert len(folders(tmp_path)) <= 4


@pytest.fixture
def folder(tiny_policy, tmp_path):
    """A saved policy."""
    save_policy(tiny_policy, tmp_path / "policy")
    return tmp_path / "policy"


class TestPolicy:
    def test_a_saved_policy_loads_as_it_was(self, tiny_policy, folder):
        loaded = load_policy(str(folder))
        assert not loaded.training
        for (name, found), wanted in zip(
            loaded.state_dict().items(), tiny_policy.state_dict().values(), strict=True
        ):
            assert torch.equal(found, wanted), name
        assert loaded.lm_head.weight is loaded.model.embed_tokens.weight

    def test_half_precision_is_read_as_float32(self, tiny_policy, tmp_path):
        half = load_policy_of(tiny_policy, tmp_path).bfloat16()
        save_policy(half, tmp_path)
        assert {p.dtype for p in load_policy(tmp_path).parameters()} == {torch.float32}

    def test_others_may_read_the_weights_and_no_draft_is_left(self, folder):
        """Written with the permissions that any file gets, config.json among them."""
        modes = {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}
        assert len(modes) == 1
        assert folders(folder) == [
            "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
        ]  # fmt: skip

    def test_a_kill_while_saving_leaves_the_old_weights(self, tiny_policy, folder, monkeypatch):
        before = policy_hash(folder)
        changed = load_policy(folder)
        with torch.no_grad():
            changed.lm_head.weight.add_(1)
        with monkeypatch.context() as context:
            context.setattr(module.Path, "replace", lambda *_: (_ for _ in ()).throw(OSError))
            with pytest.raises(OSError):  # noqa: PT011 (the test's own)
                save_policy(changed, folder)
        assert policy_hash(folder) == before
        load_policy(folder)
        save_policy(changed, folder)
        assert policy_hash(folder) != before
        assert torch.equal(load_policy(folder).lm_head.weight, changed.lm_head.weight)

    @pytest.mark.parametrize(
        "changes",
        [
            {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8},
            {"rms_norm_eps": 1e-5},
            {"rope_parameters": {"rope_theta": 500.0, "rope_type": "default"}},
        ],
    )
    def test_the_hash_names_the_configuration(self, folder, changes):
        """Each of these makes another policy of the same weights."""
        ids = torch.tensor([[1, 5, 9, 20, 30, 400, 500]])
        before, hash_before = load_policy(folder)(input_ids=ids).logits, policy_hash(folder)
        change(folder, **changes)
        assert not torch.equal(load_policy(folder)(input_ids=ids).logits, before)
        assert policy_hash(folder) != hash_before
        assert not is_policy(folder, hash_before)

    def test_the_hash_does_not_name_what_changes_nothing(self, folder):
        before = policy_hash(folder)
        change(folder, residual_dropout=0.5, use_cache=False, num_labels=7)
        assert policy_hash(folder) == before

    def test_a_configuration_that_no_policy_has_has_no_hash(self, folder):
        change(folder, num_hidden_layers=-1)
        with pytest.raises(CheckpointError, match="num_hidden_layers=-1"):
            policy_hash(folder)

    def test_an_old_record_names_a_policy_by_its_weights(self, folder):
        """Of version 0.1.0, for policies with another number of heads than usual."""
        weights = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()[:16]
        usual = load_configuration(folder)
        assert (usual["num_attention_heads"], usual["num_key_value_heads"]) == (2, 1)
        assert policy_hash(folder) != weights
        assert not is_policy(folder, weights)
        assert is_policy(folder, weights, of_0_1_0=True)
        change(folder, rms_norm_eps=1e-5)
        assert not is_policy(folder, weights, of_0_1_0=True)

    def test_a_usual_policy_has_the_hash_that_it_had_in_0_1_0(self, tmp_path):
        save_policy(MelodyForCausalLM(melody_config(hidden_size=16)), tmp_path / "usual")
        weights = (tmp_path / "usual" / "model.safetensors").read_bytes()
        assert policy_hash(tmp_path / "usual") == hashlib.sha256(weights).hexdigest()[:16]
        # as the model card says
        assert policy_hash(PROJECT / "checkpoints" / "base") == "6bb319bed0c01d22"

    def test_the_hash_names_the_weights(self, tiny_policy, folder, tmp_path):
        assert policy_hash(folder) == policy_hash(folder)
        assert len(policy_hash(folder)) == 16
        save_policy(tiny_policy, tmp_path / "again")
        assert policy_hash(tmp_path / "again") == policy_hash(folder)

    @pytest.mark.parametrize(
        ("name", "content", "says"),
        [
            ("model.safetensors", None, "has no model.safetensors; give the folder of a policy"),
            ("model.safetensors", b"", "cannot be read .*; restore it from where it came"),
            ("model.safetensors", b"not a tensor file", "cannot be read .*; restore"),
            ("model.safetensors", -1, "cannot be read .*; restore it"),
            ("model.safetensors", 5000, "cannot be read .*; restore it"),
            ("config.json", None, "has no config.json; give the folder of a policy"),
            ("config.json", b"", "cannot be read .*; restore it"),
            ("config.json", 40, "cannot be read .*; restore it"),
            ("config.json", b"[]", "cannot be read .*; restore it"),
            ("config.json", b"\xff\xfe", "cannot be read .*; restore it"),
        ],
    )
    def test_a_damaged_folder_is_told_in_one_line(self, folder, name, content, says):
        file = folder / name
        if content is None:
            file.unlink()
        else:
            file.write_bytes(file.read_bytes()[:content] if isinstance(content, int) else content)
        self.refused(folder, says)

    @pytest.mark.parametrize(
        ("field", "value", "says"),
        [
            ("hidden_size", 64, r"embed_tokens.weight has another shape, \(918, 32\); \(918, 64\)"),
            ("num_hidden_layers", 2, r"layers\.1\..* is missing; .* is expected; restore it"),
            ("intermediate_size", 48, "mlp.* has another shape"),
            ("num_hidden_layers", -1, "cannot be read .*num_hidden_layers=-1 is not within 1 to"),
            ("num_hidden_layers", 10**6, "cannot be read .*num_hidden_layers=1000000 is not"),
            ("num_hidden_layers", 10**30, "cannot be read"),
            ("num_labels", 10**9, None),
            ("rms_norm_eps", float("nan"), "cannot be read .*it holds NaN"),
            ("hidden_act", "relu", "cannot be read .*hidden_act='relu' is not silu"),
            ("vocab_size", 700, r"vocab_size, bar_positions=\(700, 288\), here \(918, 288\); use"),
            ("bar_positions", 128, r"=\(918, 128\), here \(918, 288\); use the release"),
            ("hidden_size", "wide", "cannot be read"),
            ("hidden_size", None, "cannot be read"),
            ("num_attention_heads", 0, "cannot be read"),
            ("rope_parameters", 3, "cannot be read"),
        ],
    )
    def test_a_configuration_that_does_not_fit_is_told_in_one_line(
        self, folder, field, value, says
    ):
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, field: value}))
        if says is None:  # a field that we do not read, for which transformers would allocate
            load_policy(folder)
            return
        self.refused(folder, says)

    def test_a_folder_that_is_not_there(self, tmp_path):
        self.refused(tmp_path / "nowhere", "has no model.safetensors; give the folder")

    def test_weights_of_another_model(self, folder):
        weights = {"encoder.weight": torch.zeros(3)}
        (folder / "model.safetensors").write_bytes(module.save(weights))
        self.refused(folder, "is not a melody policy: .* is missing; .* is expected; restore it")

    def test_a_configuration_of_ten_thousand_levels_is_told(self, folder):
        (folder / "config.json").write_text('{"model_type":' + "[" * 10_000)
        self.refused(folder, "cannot be read .*nested more than 32 deep")

    @pytest.mark.parametrize(
        ("tensor", "says"),
        [
            (torch.ones(32, dtype=torch.int64), "has the type I64, which would be rounded"),
            (torch.ones(32, dtype=torch.int8), "has the type I8, which would be rounded"),
            (torch.ones(32, dtype=torch.float64), "has the type F64, which would be rounded"),
            (torch.full((32,), torch.nan), "has numbers that are not finite"),
            (torch.full((32,), torch.inf), "has numbers that are not finite"),
            (torch.ones(33), r"has another shape, \(33,\); \(32,\) is expected"),
            (torch.ones(10**15, 0), "has another shape"),
        ],
    )
    def test_weights_that_no_policy_has(self, folder, tensor, says):
        file = folder / "model.safetensors"
        weights = load_file(file) | {"model.norm.weight": tensor}
        file.write_bytes(module.save(weights))
        self.refused(folder, f"is not a melody policy: model.norm.weight {says}.*; restore it")

    def test_a_header_that_is_too_long_is_not_read(self, folder):
        (folder / "model.safetensors").write_bytes((10**12).to_bytes(8, "little") + b"{}")
        self.refused(folder, "its header of 1000000000000 bytes is above")

    @pytest.mark.parametrize(
        ("field", "value"), [("num_hidden_layers", 200), ("hidden_size", 8192)]
    )
    def test_weights_are_checked_before_anything_is_allocated(
        self, folder, field, value, monkeypatch
    ):
        """Values that are allowed, but do not fit the weights."""
        change(folder, **{field: value})
        monkeypatch.setattr(module, "MelodyForCausalLM", None)
        monkeypatch.setattr(module, "read_tensors", None)
        self.refused(folder, "is missing|has another shape")

    @staticmethod
    def refused(folder, says):
        with pytest.raises(CheckpointError, match=says) as caught:
            load_policy(folder)
        message = str(caught.value)
        assert message.startswith(str(folder))
        assert "\n" not in message


def load_configuration(folder):
    return json.loads((folder / "config.json").read_text())


def change(folder, **fields):
    """Write other fields into a policy's configuration."""
    (folder / "config.json").write_text(json.dumps(load_configuration(folder) | fields))


def load_policy_of(model, folder):
    save_policy(model, folder)
    return load_policy(folder)


def test_an_optimizer_goes_on_as_if_it_had_not_stopped():
    def trainer():
        torch.manual_seed(0)
        layer = torch.nn.Linear(4, 3)
        return layer, torch.optim.AdamW(layer.parameters(), lr=0.1)

    def train(layer, optimizer, steps):
        for step in steps:
            optimizer.zero_grad()
            layer(torch.full((2, 4), float(step))).square().sum().backward()
            optimizer.step()

    layer, optimizer = trainer()
    train(layer, optimizer, range(3))
    saved = optimizer_tensors(optimizer, "one.optimizer")
    saved = {name: tensor.clone() for name, tensor in saved.items()}
    weights = {name: tensor.clone() for name, tensor in layer.state_dict().items()}
    train(layer, optimizer, range(3, 6))

    again, other = trainer()
    again.load_state_dict(weights)
    # Other tensors of the step stand beside, another optimiser's among them.
    beside = {"model.weight": torch.zeros(2), "two.optimizer.0.exp_avg": torch.zeros(2)}
    restore_optimizer(other, saved | beside, "one.optimizer")
    train(again, other, range(3, 6))
    assert torch.equal(again.weight, layer.weight)
    assert torch.equal(again.bias, layer.bias)
