"""Rates: how many sign-ups and answers a studio takes in a while, and what it has refused.

They keep a program from filling the database or the list of raters; people do not meet them, and a
class behind one address can sign up at once. Attempts are counted, in the memory of one server
process: a restart forgets them, and nobody's address is stored.

Limits: behind a proxy everyone may have one address, and an address may be forged, so there is a
rate of all sign-ups too. Who fills that keeps others from signing up for some minutes.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import UTC, datetime

from reward.store.store import RatingsError

MOST_SOURCES = 10_000
"""sources that a rate remembers; the one seen longest ago is forgotten first"""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a sign-up comes from."""

    tab: str = ""
    """of the browser, by any name of its own"""
    address: str | None = None
    """None where it is not known, as for this machine itself"""


class Rate:
    """So many in a while, of each source; safe to share between threads.

    Args:
        most: how many.
        within_s: in how many seconds.
        clock: tells seconds that never go back.
    """

    def __init__(
        self, most: int, within_s: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.most, self.within_s = most, within_s
        self._clock = clock
        self._seen: OrderedDict[Hashable, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, source: Hashable) -> bool:
        """Count one of this source, unless there were as many as may be; whether it was counted."""
        with self._lock:
            now = self._clock()
            seen = self._seen.setdefault(source, deque())
            self._seen.move_to_end(source)
            if len(self._seen) > MOST_SOURCES:
                self._seen.popitem(last=False)
            while seen and seen[0] <= now - self.within_s:
                seen.popleft()
            if len(seen) >= self.most:
                return False
            seen.append(now)
            return True


class Limits:
    """The rates of a studio, and how often they have refused something.

    Args:
        clock: tells seconds that never go back.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.since = datetime.now(UTC)
        self._in_tab = Rate(30, 3600, clock=clock)
        self._from_address = Rate(100, 600, clock=clock)
        self._in_all = Rate(300, 600, clock=clock)
        self._answers = Rate(120, 60, clock=clock)
        self._refused = Counter[str]()

    @property
    def refused_sign_ups(self) -> int:
        """Since the server started."""
        return self._refused["sign-up"]

    @property
    def refused_answers(self) -> int:
        """Answers, and answers taken back, since the server started."""
        return self._refused["answer"]

    def sign_up(self, source: Source) -> None:
        """Somebody signs up.

        Raises:
            RatingsError: when it is too soon after others.
        """
        self._take(self._in_tab, source.tab, "sign-up", "in this tab")
        if source.address is not None:
            self._take(self._from_address, source.address, "sign-up", "from your address")
        self._take(self._in_all, None, "sign-up", "in this studio")

    def answer(self, rater_id: int) -> None:
        """A rater answers, or takes an answer back.

        Raises:
            RatingsError: when it is too soon after others.
        """
        self._take(self._answers, rater_id, "answer", "by one rater")

    def _take(self, rate: Rate, source: Hashable, kind: str, where: str) -> None:
        if not rate.take(source):
            self._refused[kind] += 1
            raise RatingsError(
                f"the studio takes {rate.most} {kind}s {where} within {rate.within_s:.0f} s, and "
                "these have been; wait a while, then try again"
            )
