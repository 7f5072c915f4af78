"""Clocks of tests: one that a test sets, and those of another machine, whose clock differs."""

import socket
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from unittest import mock

OURS = ("reward", "rl", "feedback_ui", "tastemaker")


class Clock:
    """Tells the time from now on; goes on by `step_s` each time it is asked, and when told to."""

    def __init__(self, step_s=0.0):
        """It starts now."""
        self.now, self.step = datetime.now(UTC), timedelta(seconds=step_s)

    def __call__(self):
        """The time."""
        self.now += self.step
        return self.now

    def wait(self, seconds):
        """Let so long pass."""
        self.now += timedelta(seconds=seconds)

    def seconds(self):
        """The same as a number."""
        return self().timestamp()


@contextmanager
def another_clock(seconds):
    """In here, our modules read a clock that is so much ahead; they must be imported before."""

    class Skewed(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(seconds=seconds)

    ours = [module for name, module in sys.modules.items() if name.partition(".")[0] in OURS]
    patches = [
        mock.patch.object(module, "datetime", Skewed)
        for module in ours
        if getattr(module, "datetime", None) is datetime
    ]
    for patch in patches:
        patch.start()
    try:
        yield
    finally:
        for patch in patches:
            patch.stop()


@contextmanager
def another_machine(name, seconds):
    """The same on a machine of another name."""
    with mock.patch.object(socket, "gethostname", return_value=name), another_clock(seconds):
        yield
