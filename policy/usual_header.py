"""The header that is asked for where nobody says anything else: eight bars of 4/4."""

from __future__ import annotations

from typing import Any

from policy.scope import Scope

METER, BARS = "4/4", 8


def usual_header(scope: Scope) -> dict[str, Any]:
    """Metre and number of bars; None, which leaves it open, for one that a policy does not know."""
    known = scope.trained_on
    return {
        "meter": METER if METER in known.meters else None,
        "bars": BARS if BARS in known.bars else None,
    }
