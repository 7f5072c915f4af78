"""Checkpoints: a policy folder that Hugging Face loads, and training steps that survive a kill.

A policy folder holds model.safetensors, config.json and the tokenizer. A training step is a folder
`steps/N/` of safetensors and JSON. It is written beside its place, sealed with a manifest of sha256
sums, synced and moved in one rename, so that a step is whole or absent; reading takes the newest
step whose sums hold. Steps have one writer at a time. Nothing is pickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save, save_file
from torch import Tensor

from music.files import write_whole
from music.tokens import VOCABULARY
from policy.model import BAR_POSITIONS, MelodyConfig, MelodyForCausalLM, melody_tokenizer

MANIFEST = "manifest.json"
_STEP_FILES = {"state.json", "state.safetensors"}


class CheckpointError(ValueError):
    """A checkpoint that is missing, torn or not ours."""


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """One saved step of a training: its number, its tensors and the rest as JSON."""

    step: int
    tensors: dict[str, Tensor]
    state: dict[str, Any]


def load_policy(folder: Path | str) -> MelodyForCausalLM:
    """The policy of a checkpoint folder, in float32, ready to sample from.

    Raises:
        CheckpointError: when the folder is not there, not ours, or damaged.
    """
    folder = Path(folder)
    weights = folder / "model.safetensors"
    for file in (weights, folder / "config.json"):
        # Without config.json transformers would build Llama's default, of 7 billion parameters.
        if not file.is_file():
            raise CheckpointError(f"{folder} has no {file.name}; give the folder of a policy")
    remedy = (
        "restore it from where it came (for the base: git checkout checkpoints/base, or install "
        "Tastemaker again)"
    )
    try:
        kind = json.loads((folder / "config.json").read_text()).get("model_type")
        if kind != MelodyConfig.model_type:  # told here, before transformers warns of it
            raise CheckpointError(
                f"{folder} holds a model of type {kind!r}, not {MelodyConfig.model_type!r}; "
                f"{remedy}"
            )
        config = MelodyConfig.from_pretrained(folder)
        sizes = (config.vocab_size, config.bar_positions)
        if sizes != (len(VOCABULARY), BAR_POSITIONS):
            raise CheckpointError(
                f"{folder} has another vocabulary: vocab_size, bar_positions={sizes}, here "
                f"{(len(VOCABULARY), BAR_POSITIONS)}; use the release that it was made with"
            )
        stored = load_file(weights)
        model = MelodyForCausalLM(config)
    except CheckpointError:
        raise
    except Exception as error:  # a damaged config.json sets off any kind inside transformers
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:120]
        raise CheckpointError(f"{folder} cannot be read ({reason}); {remedy}") from error
    own = model.state_dict()
    stored.setdefault("lm_head.weight", stored.get("model.embed_tokens.weight", torch.zeros(0)))
    wrong = [n for n, t in own.items() if n not in stored or stored[n].shape != t.shape]
    if wrong:
        raise CheckpointError(
            f"{folder} is not a melody policy: {wrong[0]} is missing or of another shape; {remedy}"
        )
    if head := stored.keys() - own.keys():  # a classifier has all of a policy's tensors too
        raise CheckpointError(
            f"{folder} is not a melody policy: it has {min(head)}, which only other models have, "
            "such as a reward model of TRL; give the folder of a policy"
        )
    model.load_state_dict({name: stored[name] for name in own})
    return model.eval()


def save_policy(model: MelodyForCausalLM, folder: Path) -> None:
    """Write weights, configuration and tokenizer so that `Auto*` classes load the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    # What save_pretrained writes, without its progress bar; tied weights are stored once.
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    melody_tokenizer().save_pretrained(folder)
    weights = {name: p.detach().contiguous() for name, p in model.named_parameters()}
    # Not save_file: that makes the file readable by its owner only.
    write_whole(folder / "model.safetensors", save(weights, metadata={"format": "pt"}))


def policy_hash(folder: Path) -> str:
    """First 16 hex digits of the sha256 of a policy's weights: its name in every record."""
    return _sha256(Path(folder) / "model.safetensors")[:16]


def write_step(
    steps: Path,
    step: int,
    tensors: Mapping[str, Tensor],
    state: Mapping[str, Any],
    *,
    keep: int = 2,
) -> Path:
    """Save a training step whole or not at all; drop all but `keep` of those up to this one.

    Steps with higher numbers stay: after a resume behind a torn step they are the torn ones, and
    must not push out what was just written.

    Raises:
        ValueError: for `keep` below 1.
    """
    if keep < 1:
        raise ValueError(f"keep={keep} would drop the step that is written; give 1 or more")
    steps.mkdir(parents=True, exist_ok=True)
    for left_by_a_kill in steps.glob("tmp-*"):
        shutil.rmtree(left_by_a_kill)
    draft = steps / f"tmp-{step}-{os.getpid()}"
    draft.mkdir()
    save_file(
        {name: t.detach().contiguous() for name, t in tensors.items()}, draft / "state.safetensors"
    )
    (draft / "state.json").write_text(json.dumps({"step": step, **state}))
    sums = {file.name: _sha256(file) for file in sorted(draft.iterdir())}
    (draft / MANIFEST).write_text(json.dumps(sums))
    for file in draft.iterdir():
        _sync(file)
    _sync(draft)
    place = steps / str(step)
    if place.exists():
        shutil.rmtree(place)
    draft.replace(place)
    _sync(steps)
    for old in sorted((n for n in _numbered(steps) if n <= step), reverse=True)[keep:]:
        shutil.rmtree(steps / str(old))
    return place


def newest_step(steps: Path) -> TrainingStep | None:
    """The newest step whose manifest holds, or None; torn ones are passed over."""
    for number in sorted(_numbered(steps), reverse=True):
        folder = steps / str(number)
        if _is_whole(folder):
            state = json.loads((folder / "state.json").read_text())
            return TrainingStep(number, load_file(folder / "state.safetensors"), state)
    return None


def _numbered(steps: Path) -> list[int]:
    return [int(path.name) for path in steps.glob("*") if path.is_dir() and path.name.isdigit()]


def _is_whole(folder: Path) -> bool:
    try:
        sums = json.loads((folder / MANIFEST).read_text())
        return sums.keys() == _STEP_FILES and all(
            _sha256(folder / name) == digest for name, digest in sums.items()
        )
    except (AttributeError, OSError, ValueError):
        return False


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def optimizer_tensors(
    optimizer: torch.optim.Optimizer, prefix: str = "optimizer"
) -> dict[str, Tensor]:
    """An Adam-like optimiser's moments and counts as named tensors."""
    return {
        f"{prefix}.{index}.{name}": torch.as_tensor(value)
        for index, moments in optimizer.state_dict()["state"].items()
        for name, value in moments.items()
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], prefix: str = "optimizer"
) -> None:
    """Put back what `optimizer_tensors` took; learning rates are the caller's schedule."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith(prefix + "."):
            _, index, name = key.rsplit(".", 2)
            state.setdefault(int(index), {})[name] = value
    whole = optimizer.state_dict()
    whole["state"] = state
    optimizer.load_state_dict(whole)
