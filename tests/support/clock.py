"""A clock that a test sets."""

from datetime import UTC, datetime, timedelta


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
