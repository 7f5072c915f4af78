"""Checkpoints: policy folders that Hugging Face loads, and training steps that survive a kill.

A policy folder holds model.safetensors, config.json and the tokenizer. A training step is a folder
`steps/N/` of safetensors and JSON. It is written to a temporary folder with a manifest of sha256
sums, synced, and renamed (`music.files`), so that a step is complete or absent. Reading takes the
newest step whose sums match. Steps have one writer at a time. Nothing is pickled.
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
from safetensors import SafetensorError
from safetensors.torch import load_file, save, save_file
from torch import Tensor

from music.files import make_folder, whole_files, whole_folder
from music.json_text import JsonError, read_json
from music.messages import excerpt, shortened
from policy.configuration import (
    ConfigurationError,
    Identity,
    checked_fields,
    identity,
    other_vocabulary,
    trunk_shapes,
)
from policy.earlier import fields_today, is_earlier, tensors_today
from policy.model import MelodyConfig, MelodyForCausalLM, melody_tokenizer
from policy.weights import WeightsError, check_shapes, read_header, read_tensors

MANIFEST = "manifest.json"
WEIGHTS_FILE = "model.safetensors"
MAX_CONFIG_BYTES = 1 << 20
"""of a config.json, which has some 800"""
_STEP_FILES = {"state.json", "state.safetensors"}
_HEAD = "lm_head.weight"
_RESTORE = (
    "restore it from where it came (for the base: git checkout checkpoints/base, or install "
    "Tastemaker again)"
)


class CheckpointError(ValueError):
    """A checkpoint is missing, damaged or of another kind."""


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """One saved training step: its number, its tensors, and the rest of the state as JSON."""

    step: int
    tensors: dict[str, Tensor]
    state: dict[str, Any]


def load_policy(folder: Path | str) -> MelodyForCausalLM:
    """The policy of a checkpoint folder, in float32, ready to sample from.

    The configuration's values, and names, shapes and types of the weights, are checked before
    anything is allocated for them.

    Raises:
        CheckpointError: when the folder is missing, damaged, or not a melody policy.
    """
    folder = Path(folder)
    weights = folder / WEIGHTS_FILE
    if not weights.is_file():
        raise CheckpointError(f"{folder} has no {weights.name}; give the folder of a policy")
    fields = _configuration(folder)
    try:
        header = read_header(weights)
    except (OSError, WeightsError) as error:
        raise CheckpointError(
            f"{folder} cannot be read ({weights.name}: {error}); {_RESTORE}"
        ) from error
    wanted = {f"model.{name}": shape for name, shape in trunk_shapes(fields).items()}
    if not fields["tie_word_embeddings"] or _HEAD in header.shapes:  # tied ones are stored once
        wanted[_HEAD] = wanted["model.embed_tokens.weight"]
    try:
        check_shapes(header, wanted)
        if others := header.shapes.keys() - wanted.keys():
            # A classifier has all of a policy's tensors too.
            raise CheckpointError(
                f"{folder} is not a melody policy: it has {excerpt(min(others))}, which only "
                "other models have, such as a reward model of TRL; give the folder of a policy"
            )
        stored = read_tensors(weights, header)
    except (OSError, WeightsError) as error:
        raise CheckpointError(f"{folder} is not a melody policy: {error}; {_RESTORE}") from error
    stored.setdefault(_HEAD, stored["model.embed_tokens.weight"])
    if is_earlier(fields):
        fields, stored = fields_today(fields), tensors_today(stored)
    model = MelodyForCausalLM(MelodyConfig(**fields))
    model.load_state_dict(stored)
    return model.eval()


def _configuration(folder: Path) -> dict[str, Any]:
    """The fields of a policy's configuration, checked.

    Raises:
        CheckpointError: when it is missing, damaged, or of another kind of model.
    """
    file = folder / "config.json"
    if not file.is_file():
        raise CheckpointError(f"{folder} has no {file.name}; give the folder of a policy")
    try:
        given = read_json(file, max_bytes=MAX_CONFIG_BYTES)
        kind = given.get("model_type") if isinstance(given, dict) else None
        if isinstance(given, dict) and kind != MelodyConfig.model_type:
            raise CheckpointError(
                f"{folder} holds a model of type {shortened(kind)}, not "
                f"{MelodyConfig.model_type!r}; {_RESTORE}"
            )
        fields = checked_fields(given)
    except (OSError, JsonError, ConfigurationError) as error:
        raise CheckpointError(
            f"{folder} cannot be read ({file.name}: {error}); {_RESTORE}"
        ) from error
    if not is_earlier(fields) and (other := other_vocabulary(fields)):
        raise CheckpointError(f"{folder} {other}")
    return fields


def save_policy(model: MelodyForCausalLM, folder: Path) -> None:
    """Write weights, configuration and tokenizer so that `Auto*` classes load the folder.

    A new folder is there whole or not at all. In one that is there already, each file is replaced
    whole, the weights last.
    """
    written = whole_files(folder, last=WEIGHTS_FILE) if folder.exists() else whole_folder(folder)
    with written as draft:
        _write_policy(model, draft)


def _write_policy(model: MelodyForCausalLM, folder: Path) -> None:
    # As save_pretrained does, but without its progress bar; tied weights are stored once.
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    melody_tokenizer().save_pretrained(folder)
    weights = {name: p.detach().contiguous() for name, p in model.named_parameters()}
    # Not save_file: it makes the file readable only by its owner.
    (folder / WEIGHTS_FILE).write_bytes(save(weights, metadata={"format": "pt"}))


def policy_hash(folder: Path) -> str:
    """16 hex digits that identify a policy in all records.

    Those of the sha256 of its weights, if its configuration is the usual one for them; otherwise of
    the weights' and the configuration's (docs/decisions/0009).

    Raises:
        CheckpointError: when its configuration is missing or damaged.
    """
    return _hash_of(*_weights_and_identity(folder))


def is_policy(folder: Path, recorded: str, *, of_0_1_0: bool = False) -> bool:
    """Whether a folder holds the policy that a record names by its hash.

    Args:
        folder: of the policy.
        recorded: what `policy_hash` said then.
        of_0_1_0: the record is one of version 0.1.0, which hashed the weights alone. Then a policy
            with another number of heads than usual is taken for the same, too.

    Raises:
        CheckpointError: when the policy's configuration is missing or damaged.
    """
    weights, own = _weights_and_identity(folder)
    alike = of_0_1_0 and own.differs_in_heads_only
    return recorded == _hash_of(weights, own) or (alike and recorded == weights[:16])


def _weights_and_identity(folder: Path) -> tuple[str, Identity]:
    folder = Path(folder)
    return _sha256(folder / WEIGHTS_FILE), identity(_configuration(folder))


def _hash_of(weights: str, own: Identity) -> str:
    if own.is_usual:
        return weights[:16]
    return hashlib.sha256(f"{weights} {own.text()}".encode()).hexdigest()[:16]


def write_step(
    steps: Path,
    step: int,
    tensors: Mapping[str, Tensor],
    state: Mapping[str, Any],
    *,
    keep: int = 2,
) -> Path:
    """Save a training step atomically; delete all but the newest `keep` steps up to this one.

    Steps with higher numbers stay: they are damaged steps before which a resume started. Counting
    them could delete the step that was just written.

    Raises:
        ValueError: for `keep` below 1.
    """
    if keep < 1:
        raise ValueError(f"keep={keep} would delete the new step as well; give 1 or more")
    make_folder(steps)
    for left_by_a_kill in steps.glob("tmp-*"):
        shutil.rmtree(left_by_a_kill)
    place = steps / str(step)
    with whole_folder(place, temporary=steps / f"tmp-{step}-{os.getpid()}") as draft:
        save_file(
            {name: t.detach().contiguous() for name, t in tensors.items()},
            draft / "state.safetensors",
        )
        (draft / "state.json").write_text(json.dumps({"step": step, **state}, allow_nan=False))
        sums = {file.name: _sha256(file) for file in sorted(draft.iterdir())}
        (draft / MANIFEST).write_text(json.dumps(sums))
    for old in sorted((n for n in _numbered(steps) if n <= step), reverse=True)[keep:]:
        shutil.rmtree(steps / str(old))
    return place


def newest_step(steps: Path) -> TrainingStep | None:
    """The newest step whose manifest matches, or None; damaged steps are skipped."""
    for number in sorted(_numbered(steps), reverse=True):
        folder = steps / str(number)
        if _is_whole(folder):
            try:
                state = read_json(folder / "state.json")
                tensors = load_file(folder / "state.safetensors")
            except (OSError, JsonError, SafetensorError):
                continue  # sealed by another program, or on another disk by now
            if isinstance(state, dict):
                return TrainingStep(number, tensors, state)
    return None


def _numbered(steps: Path) -> list[int]:
    return [int(path.name) for path in steps.glob("*") if path.is_dir() and path.name.isdigit()]


def _is_whole(folder: Path) -> bool:
    try:
        sums = read_json(folder / MANIFEST)
        return sums.keys() == _STEP_FILES and all(
            _sha256(folder / name) == digest for name, digest in sums.items()
        )
    except (AttributeError, OSError, ValueError):
        return False


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def optimizer_tensors(
    optimizer: torch.optim.Optimizer, prefix: str = "optimizer"
) -> dict[str, Tensor]:
    """The moments and step counts of an Adam-like optimiser as named tensors."""
    return {
        f"{prefix}.{index}.{name}": torch.as_tensor(value)
        for index, moments in optimizer.state_dict()["state"].items()
        for name, value in moments.items()
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], prefix: str = "optimizer"
) -> None:
    """Restore the tensors of `optimizer_tensors`; the caller sets the learning rates."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith(prefix + "."):
            _, index, name = key.rsplit(".", 2)
            state.setdefault(int(index), {})[name] = value
    whole = optimizer.state_dict()
    whole["state"] = state
    optimizer.load_state_dict(whole)
