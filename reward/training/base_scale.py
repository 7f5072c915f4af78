"""The base scale: the spread of features over the base policy's melodies, sampled once and kept.

To sample a thousand melodies takes longer than all else of `tastemaker reward`, and a person who
votes and learns by turns would wait for the same ones each time. What was found is kept beside the
runs, under a name that says all that it depends on: weights, header, seed, count, features, torch.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zipfile
import zlib
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import torch

from music.files import whole_file
from music.limits import check_unpacked
from music.progress import Progress, no_progress
from policy.compose import Conditioning, compose
from policy.model import MelodyForCausalLM
from reward.profile.feature_scale import FeatureScale
from reward.profile.features import FEATURE_NAMES, REVISION

SCALES = ".base-scales"
"""folder beside the runs; whoever deletes it only makes the next training wait"""
MOST_BYTES = 2**20
"""of a kept scale; it has some 80 kB"""
_DAMAGED = (
    *(OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error),
    *(RuntimeError, NotImplementedError, MemoryError, struct.error),
)
"""what numpy and zipfile raise for a damaged file"""
SCALE_MELODIES = 1000
"""base melodies that fix the unit of a score"""


def base_scale(
    base: MelodyForCausalLM,
    conditioning: Conditioning,
    *,
    seed: int,
    root: Path,
    count: int = SCALE_MELODIES,
    progress: Progress = no_progress,
) -> FeatureScale:
    """The scale of `count` melodies of the base policy, sampled or as it was kept.

    Args:
        base: the policy.
        conditioning: the header of its melodies.
        seed: of sampling.
        root: folder of all runs.
        count: how many melodies.
        progress: is told how many are written.
    """
    file = root / SCALES / f"{_digest(base, conditioning, seed, count)}.npz"
    if file.is_file():
        try:
            return _kept_scale(file)
        except _DAMAGED:
            file.unlink(missing_ok=True)  # it is only kept to save time
    scale = FeatureScale.of(
        compose(base, count, conditioning=conditioning, seed=seed, progress=progress)
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    # Opened here: numpy would add its own ending to the name.
    with whole_file(file) as temporary, temporary.open("wb") as opened:
        np.savez(opened, **asdict(scale))
    return scale


def _kept_scale(file: Path) -> FeatureScale:
    """The scale in a file.

    Raises:
        ValueError: for arrays that are no scale of our features; see `_DAMAGED` for the others.
    """
    size = len(FEATURE_NAMES)
    check_unpacked(file, MOST_BYTES, remedy="it is measured anew")
    # Opened here: numpy leaves a damaged file open.
    with file.open("rb") as opened, np.load(opened) as kept:
        arrays = {field.name: kept[field.name] for field in fields(FeatureScale)}
    for name, array in arrays.items():
        wanted = (size, size) if name == "covariance_FF" else (size,)
        if array.dtype != np.float64 or array.shape != wanted or not np.isfinite(array).all():
            raise ValueError(f"{name} of {file} is not finite float64 of shape {wanted}")
    scale = FeatureScale(**arrays)
    if (scale.std_F < 0).any() or (np.diag(scale.covariance_FF) < 0).any():
        raise ValueError(f"{file} has a spread below 0")
    return scale


def _digest(base: MelodyForCausalLM, conditioning: Conditioning, seed: int, count: int) -> str:
    """Hash of all that the scale depends on; 32 hex digits."""
    asked_fields = {**conditioning.fields(), "motif": [(n.onset_ticks, n.duration_ticks, n.pitch)
                                               for n in conditioning.motif]}  # fmt: skip
    said = [asked_fields, seed, count, REVISION, FEATURE_NAMES, torch.__version__]
    digest = hashlib.sha256(json.dumps(said).encode())
    digest.update(base.config.to_json_string().encode())
    for name, tensor in sorted(base.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:32]
