"""What a policy's folder says of it, read without torch: its configuration and identity.

The command line refuses a metre or style that a policy does not know before it loads torch, and the
studio, which has none, offers only what the policy knows.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from music.json_text import JsonError, read_json
from music.messages import shortened
from policy.configuration import (
    ConfigurationError,
    Identity,
    checked_fields,
    identity,
    is_earlier,
    other_vocabulary,
)
from policy.earlier import fields_today
from policy.scope import Scope, scope_from

WEIGHTS_FILE = "model.safetensors"
MODEL_TYPE = "melody_llama"
MAX_CONFIG_BYTES = 1 << 20
"""of a config.json, which has some 2,000"""
RESTORE = (
    "restore it from where it came (for the base: git checkout checkpoints/base, or install "
    "Tastemaker again)"
)


class CheckpointError(ValueError):
    """A checkpoint is missing, damaged or of another kind."""


@dataclass(frozen=True, slots=True)
class PolicyFolder:
    """A policy's configuration, as far as it is needed without the weights."""

    scope: Scope
    """headers that it was trained on"""
    corpora: tuple[str, ...]
    """names of the corpora that it was trained on; none if it does not say"""
    base_corpora: tuple[str, ...]
    """names of those of the policy that it was started from"""


def read_policy_folder(folder: Path | str) -> PolicyFolder:
    """What `config.json` in a policy's folder says.

    Raises:
        CheckpointError: when it is missing, damaged, or has values that no policy has.
    """
    fields = configuration_of(Path(folder))
    if is_earlier(fields):
        fields = fields_today(fields)
    return PolicyFolder(scope_from(fields), tuple(fields["corpora"]), tuple(fields["base_corpora"]))


def configuration_of(folder: Path) -> dict[str, Any]:
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
        if isinstance(given, dict) and kind != MODEL_TYPE:
            raise CheckpointError(
                f"{folder} holds a model of type {shortened(kind)}, not {MODEL_TYPE!r}; {RESTORE}"
            )
        fields = checked_fields(given)
    except (OSError, JsonError, ConfigurationError) as error:
        raise CheckpointError(
            f"{folder} cannot be read ({file.name}: {error}); {RESTORE}"
        ) from error
    if not is_earlier(fields) and (other := other_vocabulary(fields)):
        raise CheckpointError(f"{folder} {other}")
    return fields


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
    return sha256_of(folder / WEIGHTS_FILE), identity(configuration_of(folder))


def _hash_of(weights: str, own: Identity) -> str:
    if own.is_usual:
        return weights[:16]
    return hashlib.sha256(f"{weights} {own.text()}".encode()).hexdigest()[:16]


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
