"""How long the tests of faults run: minutes in CI, hours by `make chaos`."""

import os

SCALE_VARIABLE = "TASTEMAKER_CHAOS_SCALE"
SCALE = float(os.environ.get(SCALE_VARIABLE, "1"))
"""1 in CI; 10 makes ten times as many votes, kills and power cuts"""


def scaled(count):
    """How many of something there are at this scale, of which CI has `count`."""
    return max(1, round(count * SCALE))


def time_limit_s(at_scale_1):
    """A test's time limit at this scale; ample, because the machine may be busy."""
    return at_scale_1 * max(1.0, SCALE)
