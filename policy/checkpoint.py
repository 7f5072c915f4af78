"""Checkpoints: policy folders that Hugging Face loads, and training steps that survive a kill.

A policy folder holds model.safetensors, config.json and the tokenizer. A training step is a folder
`steps/N/` of safetensors and JSON. It is written to a temporary folder with a manifest of sha256
sums, synced, and renamed (`music.files`), so that a step is complete or absent. Reading takes the
newest step whose sums match. Steps have one writer at a time. Nothing is pickled.
"""

from __future__ import annotations

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
from music.messages import excerpt
from policy.configuration import is_earlier, trunk_shapes
from policy.earlier import fields_today, step_today, tensors_today
from policy.folder import (
    RESTORE,
    WEIGHTS_FILE,
    CheckpointError,
    configuration_of,
    sha256_of,
)
from policy.folder import is_policy as is_policy  # also asked for here, beside the loading
from policy.folder import policy_hash as policy_hash
from policy.model import MelodyConfig, MelodyForCausalLM, melody_tokenizer
from policy.weights import WeightsError, check_shapes, read_header, read_tensors

MANIFEST = "manifest.json"
_STEP_FILES = {"state.json", "state.safetensors"}
_HEAD = "lm_head.weight"


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
    fields = configuration_of(folder)
    try:
        header = read_header(weights)
    except (OSError, WeightsError) as error:
        raise CheckpointError(
            f"{folder} cannot be read ({weights.name}: {error}); {RESTORE}"
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
        raise CheckpointError(f"{folder} is not a melody policy: {error}; {RESTORE}") from error
    stored.setdefault(_HEAD, stored["model.embed_tokens.weight"])
    if is_earlier(fields):
        fields, stored = fields_today(fields), tensors_today(stored)
    model = MelodyForCausalLM(MelodyConfig(**fields))
    model.load_state_dict(stored)
    return model.eval()


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
        sums = {file.name: sha256_of(file) for file in sorted(draft.iterdir())}
        (draft / MANIFEST).write_text(json.dumps(sums))
    for old in sorted((n for n in _numbered(steps) if n <= step), reverse=True)[keep:]:
        shutil.rmtree(steps / str(old))
    return place


def newest_step(steps: Path) -> TrainingStep | None:
    """The newest step whose manifest matches, or None; damaged steps are skipped.

    Raises:
        CheckpointError: for a step of version 0.1.0 that cannot be brought to today's vocabulary.
    """
    for number in sorted(_numbered(steps), reverse=True):
        folder = steps / str(number)
        if _is_whole(folder):
            try:
                state = read_json(folder / "state.json")
                tensors = load_file(folder / "state.safetensors")
            except (OSError, JsonError, SafetensorError):
                continue  # sealed by another program, or on another disk by now
            if isinstance(state, dict):
                return TrainingStep(number, _step_today(tensors, steps), state)
    return None


def _step_today(tensors: dict[str, Tensor], steps: Path) -> dict[str, Tensor]:
    try:
        return step_today(tensors)
    except ValueError as error:
        raise CheckpointError(
            f"{steps.parent} was begun with version 0.1.0 and cannot go on here ({error}); start a "
            f"new run from its policy, {steps.parent / 'policy'}"
        ) from error


def _numbered(steps: Path) -> list[int]:
    return [int(path.name) for path in steps.glob("*") if path.is_dir() and path.name.isdigit()]


def _is_whole(folder: Path) -> bool:
    try:
        sums = read_json(folder / MANIFEST)
        return sums.keys() == _STEP_FILES and all(
            sha256_of(folder / name) == digest for name, digest in sums.items()
        )
    except (AttributeError, OSError, ValueError):
        return False


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
