"""Settings of PPO as a person types them: `name=value`, checked and typed as `PPOConfig` says."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from types import NoneType
from typing import Any

from music.messages import shortened
from policy.runs import EARLIER_NAMES
from rl.ppo.config import setting_kinds

NOTHING = ("none", "any")
"""how a person writes None: a header field that is left to the base policy, a limit that is off"""
TRUTHS = {"true": True, "yes": True, "false": False, "no": False}


class SettingError(ValueError):
    """A setting that PPO does not have, or a value that it cannot take."""


def read_settings(pairs: Sequence[str]) -> dict[str, Any]:
    """Fields of `PPOConfig` from texts such as `clip=0.1` or `meter=6/8`.

    Raises:
        SettingError: for a text without =, an unknown or repeated name, a value of another type.
    """
    kinds = setting_kinds()
    settings: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = (piece.strip() for piece in pair.partition("="))
        if not equals:
            raise SettingError(f"{pair!r} is no setting; write name=value, such as clip=0.1")
        name = EARLIER_NAMES.get(name, name)
        if name not in kinds:
            near = get_close_matches(name, kinds, n=3, cutoff=0.4) or sorted(kinds)
            raise SettingError(f"PPO has no setting {name!r}; the nearest are {', '.join(near)}")
        if name in settings:
            raise SettingError(f"{name} is set twice; set it once")
        settings[name] = _value(name, text, kinds[name])
    return settings


def _value(name: str, text: str, kinds: Collection[type]) -> float | str | None:
    if NoneType in kinds and text.lower() in NOTHING:
        return None
    try:
        if bool in kinds:
            return TRUTHS[text.lower()]
        if int in kinds:
            return int(text)
        if float in kinds:
            number = float(text)
            if math.isfinite(number):
                return number
            raise ValueError(text)
    except (KeyError, ValueError):
        wanted = "yes or no" if bool in kinds else "a whole number" if int in kinds else "a number"
        either = " or none" if NoneType in kinds else ""
        raise SettingError(f"{name}={shortened(text)} is not {wanted}{either}; give one") from None
    return text
