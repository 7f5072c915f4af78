"""A process that believes to run on another host, with a clock of its own.

Call `pretend` when everything is imported: it replaces the clock and the name of the host in the
modules of the product. The database server keeps its own clock.
"""

import datetime as real
import socket
import sys
import time

ROOMS = ("music", "policy", "env", "reward", "rl", "feedback_ui", "tastemaker")
REAL_TIME = time.time


class Clock:
    """How far this process's clock is ahead."""

    ahead_s = 0.0


class _Kind(type):
    def __instancecheck__(cls, value):
        return isinstance(value, real.datetime)


class ShiftedDatetime(real.datetime, metaclass=_Kind):
    """A datetime whose `now` is that of this process's clock."""

    @classmethod
    def now(cls, tz=None):
        """The moment, by this clock."""
        return real.datetime.now(tz) + real.timedelta(seconds=Clock.ahead_s)


def pretend(*, host=None, ahead_s=0.0):
    """Be on another host, or have another clock."""
    Clock.ahead_s = ahead_s
    if host is not None:
        socket.gethostname = lambda: host
    time.time = lambda: REAL_TIME() + Clock.ahead_s
    for name, module in list(sys.modules.items()):
        ours = name.partition(".")[0] in ROOMS
        if ours and getattr(module, "datetime", None) is real.datetime:
            module.datetime = ShiftedDatetime
