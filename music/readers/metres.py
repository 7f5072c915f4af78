"""Metres that no melody has, read in one that it has: the same count, of longer or shorter notes.

4/2 is read as 4/4 with all note values halved, and 6/16 as 6/8 with all doubled: the same music in
another writing, as modern editions of old music print it.
"""

from __future__ import annotations

import math
from fractions import Fraction

from music.metre import METERS


def known_meter(meter: str) -> tuple[str, Fraction] | None:
    """The metre of a melody that has the same count, and the factor of its note values.

    None where there is none, such as for 11/8.
    """
    if meter in METERS:
        return meter, Fraction(1)
    count, _, unit = meter.partition("/")
    if not unit.isdigit() or not int(unit):
        return None
    found = [
        (known, Fraction(int(unit), int(known.partition("/")[2])))
        for known in METERS
        if known.partition("/")[0] == count
    ]
    return min(found, key=lambda one: abs(math.log2(one[1])), default=None)
