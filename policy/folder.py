"""What a policy's folder says of it, read without torch: the headers that it knows, its corpora.

The command line refuses a metre or style that a policy does not know before it loads torch, and the
studio, which has none, offers only what the policy knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from music.json_text import JsonError, read_json
from policy.configuration import ConfigurationError, checked_fields, is_earlier
from policy.earlier import fields_today
from policy.scope import Scope, scope_of

MAX_CONFIG_BYTES = 1 << 20
"""of a config.json, which has some 2,000"""


@dataclass(frozen=True, slots=True)
class PolicyFolder:
    """A policy's configuration, as far as it is needed without the weights."""

    scope: Scope
    """headers that it was trained on"""
    corpora: tuple[str, ...]
    """names of the corpora that it was trained on; none if it does not say"""


def read_policy_folder(folder: Path | str) -> PolicyFolder:
    """What `config.json` in a policy's folder says.

    Raises:
        ConfigurationError: when it is missing, damaged, or has values that no policy has.
    """
    file = Path(folder) / "config.json"
    try:
        given = read_json(file, max_bytes=MAX_CONFIG_BYTES)
        fields: Mapping[str, Any] = checked_fields(given)
    except (OSError, JsonError, ConfigurationError) as error:
        raise ConfigurationError(f"{file} cannot be read ({error}); restore it") from error
    if is_earlier(fields):
        fields = fields_today(fields)
    return PolicyFolder(scope_of(SimpleNamespace(**fields)), tuple(fields["corpora"]))
