"""Pairing: which melodies are heard against each other, by chance, and which pairs are asked twice.

Random pairs are the standing control of every cleverer strategy, so all pairs are equally likely
and every melody is heard about equally often. Repeats ask a rater the same thing later, sides
swapped: how often people agree with themselves is the ceiling for any model of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from itertools import islice, pairwise
from random import Random

import numpy as np

from reward.store.pool import PlannedPair


class PairingError(ValueError):
    """Pairs that cannot be had; the message gives the value, the rule and the remedy."""


def random_pairs(
    melody_ids: Sequence[int],
    count: int,
    rng: Random | np.random.Generator,
    *,
    group: Callable[[int], Hashable] | None = None,
    taken: Collection[tuple[int, int]] = (),
) -> list[tuple[int, int]]:
    """`count` distinct unordered pairs at random, no melody with itself.

    Where nothing is taken, appearances differ by at most one inside a group, for every beginning of
    the list too when there is one group; over several groups they follow the groups' sizes. Which
    of a pair comes first is chance.

    Args:
        melody_ids: the pool, each id once.
        count: how many pairs.
        rng: where chance comes from; equal seeds give equal pairs.
        group: only melodies with equal keys meet, say the same metre and length.
        taken: pairs that were asked already, either way round; they are not drawn again.

    Raises:
        PairingError: for an id given twice, a negative count, or more pairs than are left.
    """
    chance = _random(rng)
    ids = [int(melody_id) for melody_id in melody_ids]
    if len(set(ids)) != len(ids):
        twice = next(melody_id for melody_id in ids if ids.count(melody_id) > 1)
        raise PairingError(f"melody {twice} is given twice; give each id once")
    groups: dict[Hashable, list[int]] = {}
    for melody_id in ids:
        groups.setdefault(group(melody_id) if group else None, []).append(melody_id)
    asked = {frozenset(pair) for pair in taken}
    sizes = [len(members) for members in groups.values()]
    left = [
        size * (size - 1) // 2 - sum(pair <= members for pair in asked)
        for size, members in zip(sizes, map(set, groups.values()), strict=True)
    ]
    if not 0 <= count <= sum(left):
        raise PairingError(
            f"count={count} is not within 0..{sum(left)}, the pairs that are left of {len(ids)} "
            f"melodies in {len(sizes)} groups; add melodies or ask for fewer"
        )
    pairs: list[tuple[int, int]] = []
    for members, share in zip(groups.values(), _shares(sizes, left, count), strict=True):
        chance.shuffle(members)
        schedule = (
            (members[one], members[other]) for one, other in _balanced(len(members), chance)
        )
        fresh = (pair for pair in schedule if frozenset(pair) not in asked)
        for pair in islice(fresh, share):
            pairs.append(pair if chance.random() < 0.5 else (pair[1], pair[0]))
    if len(sizes) > 1:
        chance.shuffle(pairs)
    return pairs


def with_repeats(
    pairs: Sequence[tuple[int, int]],
    *,
    share: float = 0.1,
    gap: int = 10,
    rng: Random | np.random.Generator,
    purpose: str = "train",
) -> list[PlannedPair]:
    """The pairs in their order, with hidden repeats among them.

    About `share` of the plan are repeats, each at least `gap` places after its original and with
    its sides swapped, spread evenly but at no fixed distance, so that nobody can wait for them. No
    pair is repeated twice. A plan that is not longer than the gap has none.

    Raises:
        PairingError: for a share outside [0, 0.5], or a gap below 1.
    """
    if not 0 <= share <= 0.5:
        raise PairingError(f"share={share} is not within 0..0.5; one in ten is usual")
    if gap < 1:
        raise PairingError(f"gap={gap} would repeat a pair at once; use at least 1")
    chance = _random(rng)
    # Twice the repeats must fit behind the gap, or a repeat could find no pair old enough.
    repeats = min(round(len(pairs) * share / (1 - share)), max(0, len(pairs) - gap))
    length = len(pairs) + repeats
    edges = [gap + stratum * (length - gap) // max(repeats, 1) for stratum in range(repeats + 1)]
    places = {chance.randrange(low, high) for low, high in pairwise(edges)}
    plan: list[PlannedPair] = []
    waiting: list[int] = []  # places of pairs that were not repeated and are old enough
    originals = iter(pairs)
    for place in range(length):
        if place >= gap and plan[place - gap].repeat_of is None:
            waiting.append(place - gap)
        if place in places:
            original = waiting.pop(chance.randrange(len(waiting)))
            first = plan[original]
            plan.append(PlannedPair(first.melody_b, first.melody_a, "repeat", original))
        else:
            plan.append(PlannedPair(*next(originals), purpose=purpose))
    return plan


def _random(rng: Random | np.random.Generator) -> Random:
    return rng if isinstance(rng, Random) else Random(int(rng.integers(2**63)))


def _shares(sizes: Sequence[int], most: Sequence[int], count: int) -> list[int]:
    """How many pairs each group gives: in proportion to its size, as far as it has them."""
    shares = [0] * len(sizes)
    for _ in range(count):
        # The group whose melodies have been heard least so far, for their number.
        least = min(
            (place for place in range(len(sizes)) if shares[place] < most[place]),
            key=lambda place: (shares[place] + 1) / sizes[place],
        )
        shares[least] += 1
    return shares


def _balanced(size: int, chance: Random) -> Iterator[tuple[int, int]]:
    """All pairs of 0 … size-1; in every beginning, appearances differ by at most one.

    Even sizes: a round robin by the circle method, whose rounds are perfect matchings. Odd sizes:
    Walecki's Hamiltonian cycles (Lucas 1883), each walked by every other edge, twice around.
    """
    if size < 2:
        return
    ring = size - 1
    rounds = list(range(ring if size % 2 == 0 else ring // 2))
    chance.shuffle(rounds)
    for turn in rounds:
        if size % 2 == 0:
            edges = [(ring, turn)]
            edges += [((turn + k) % ring, (turn - k) % ring) for k in range(1, size // 2)]
            chance.shuffle(edges)
            yield from edges
        else:
            zigzag = [(turn + (k + 1) // 2 * (-1) ** (k + 1)) % ring for k in range(ring)]
            cycle = [ring, *zigzag]
            for step in range(size):
                start = 2 * step % size
                yield cycle[start], cycle[(start + 1) % size]
