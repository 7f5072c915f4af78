"""Which tunes of a corpus are held out: the split of tunes into training, validation and test.

Tunes that share a near-duplicate are one group, and a group goes to one side. Validation and test
each get a twentieth of the tunes; of fewer than 200 tunes ten, of fewer than 100 a tenth. Groups
are taken in the order of a hash of their first strain, so that most tunes keep their side when
files are added. With fewer than three groups validation, and with one also the test, stays empty.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence

HELD_OUT_SHARE = 0.05
LEAST_TUNES = 10
LEAST_SHARE = 0.1
"""of the tunes, where that is fewer than `LEAST_TUNES`"""


def held_out_tunes(tunes: int) -> int:
    """How many tunes validation and test each get."""
    few = min(LEAST_TUNES, -(-tunes * LEAST_SHARE // 1))
    return int(max(few, tunes * HELD_OUT_SHARE))


def split_groups(groups: Sequence[int], first_strains: Mapping[int, bytes]) -> dict[int, int]:
    """Each group's side, as its place in `SPLITS`.

    Args:
        groups: the group of each tune.
        first_strains: the tokens of the first strain of each group, which order them.
    """
    sizes = Counter(groups)
    wanted = held_out_tunes(len(groups))

    def order(group: int) -> tuple[bool, str]:
        # A group with more tunes than a side needs is trained on.
        return sizes[group] > wanted, hashlib.sha256(first_strains[group]).hexdigest()

    in_order = sorted(sizes, key=order)
    sides = dict.fromkeys(in_order, 0)
    for side, least_left in ((2, 1), (1, 1)):
        taken = 0
        while taken < wanted and len(in_order) > least_left:
            group = in_order.pop(0)
            sides[group] = side
            taken += sizes[group]
    return sides
