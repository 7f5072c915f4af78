"""Metres: how long their bars and beats are, in ticks (24 a quarter note).

A metre that is added here gets a token, so the ids of later tokens move: CONTRIBUTING.md says what
has to follow.
"""

from __future__ import annotations

BAR_TICKS = {"4/4": 96, "2/4": 48, "3/4": 72, "6/8": 72, "9/8": 108}
"""metre -> length of a bar"""
BEAT_TICKS = {"4/4": 24, "2/4": 24, "3/4": 24, "6/8": 36, "9/8": 36}
"""metre -> length of a beat"""
METERS = tuple(BAR_TICKS)
