"""A fuzz target: a reader of bytes from outside, and what its answer to any input must be like.

It returns, or raises an error that it documents, whose message is shown as one printed line. It
takes at most `MOST_SECONDS` of processor time and `MOST_MEMORY_BYTES` of memory.
"""

from __future__ import annotations

import atexit
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from types import FrameType

import psutil

from music.messages import MOST_CHARACTERS, one_line
from tests.support.project import PROJECT

MOST_SECONDS = 2.0
"""processor time for one input: a busy machine does not matter"""
MOST_MEMORY_BYTES = 500_000_000
"""growth of the process by one input"""
ROOMS = ("music", "policy", "env", "reward", "rl", "feedback_ui", "tastemaker")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A reader under test."""

    name: str
    read: Callable[[bytes], object]
    """hands the input to the reader, and uses what it gives as the program does"""
    refuses: tuple[type[Exception], ...] = ()
    """the errors that the reader documents"""
    seeds: Callable[[], Sequence[bytes]]
    """valid inputs to start from"""
    words: Sequence[bytes] = ()
    """pieces that mean something to the reader"""
    build: Callable[[Random], bytes] | None = None
    """makes an input where changes of bytes would only damage a container; it makes half of them"""
    share: float = 1.0
    """how many inputs it gets in a counting run, relative to others: less for a slow reader"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a reader did with an input, within the rules."""

    refusal: str | None
    """the message of its error; None where it accepted the input"""
    seconds: float
    memory_bytes: int
    """growth of the process, where this input set a new peak, otherwise 0"""


class Fault(Exception):
    """A reader that broke the rules.

    Args:
        kind: which rule, and where in our code: the same for inputs of one cause.
        detail: what this input made of it.
    """

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind = kind


class _OutOfTime(BaseException):
    """Raised by the timer inside a reader; no `except Exception` stops it."""


def answer(target: Target, data: bytes) -> Answer:
    """Hand the input to the reader.

    Raises:
        Fault: when it breaks a rule.
    """
    warm_up(target)
    memory_bytes, peak_bytes = _PROCESS.memory_info().rss, peak_memory_bytes()
    refusal: str | None = None
    started = time.process_time()
    try:
        with _at_most(MOST_SECONDS):
            target.read(data)
    except _OutOfTime as error:
        raise Fault(f"over {MOST_SECONDS:g} s of processor time {_place(error)}") from error
    except target.refuses as error:
        refusal = _checked_message(error)
    except MemoryError as error:
        raise Fault(f"out of memory {_place(error)}") from error
    except RecursionError as error:
        raise Fault(f"RecursionError {_place(error)}") from error
    except Exception as error:
        raise Fault(f"{type(error).__name__} {_place(error)}", _shown(error)) from error
    seconds = time.process_time() - started
    if seconds > MOST_SECONDS:
        raise Fault(f"over {MOST_SECONDS:g} s of processor time in a library", f"{seconds:.1f} s")
    grown_bytes = peak_memory_bytes() - memory_bytes if peak_memory_bytes() > peak_bytes else 0
    if grown_bytes > MOST_MEMORY_BYTES:
        raise Fault(f"over {MOST_MEMORY_BYTES / 1e6:.0f} MB", f"{grown_bytes / 1e6:.0f} MB")
    return Answer(refusal, seconds, max(0, grown_bytes))


def warm_up(target: Target) -> None:
    """Have the reader import and open what it needs, without limits; done once.

    Raises:
        Fault: when it fails with its first seed.
    """
    if target.name not in _WARM:
        _WARM.add(target.name)
        try:
            with suppress(*target.refuses):
                target.read(target.seeds()[0])
        except Exception as error:
            raise Fault(f"its first seed {_place(error)}", _shown(error)) from error


_WARM: set[str] = set()


def _checked_message(error: Exception) -> str:
    """The message of a documented error."""
    message = one_line(error)  # as the command line and the studio show it
    if not _is_ours(error):
        raise Fault(f"a library's {type(error).__name__} {_place(error)}", _shown(error)) from error
    if not message:
        raise Fault(f"{type(error).__name__} without a message {_place(error)}") from error
    if len(message) > MOST_CHARACTERS + len(" … "):
        raise Fault(f"a message of {len(message)} characters {_place(error)}") from error
    if not message.replace("\u00a0", " ").isprintable():
        raise Fault(f"a message with signs that are not printed {_place(error)}") from error
    return message


def _is_ours(error: BaseException) -> bool:
    """Whether our own code raised it, by the rule of `tastemaker.__main__`; or a target did."""
    raised_in = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
    return any(raised_in.is_relative_to(PROJECT / room) for room in (*ROOMS, "tests"))


def _shown(error: BaseException) -> str:
    return f"{type(error).__name__}({' '.join(str(error).split())[:100]!r})"


def _place(error: BaseException) -> str:
    """The innermost line of our own code that led to it."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename)
        if any(file.is_relative_to(PROJECT / room) for room in ROOMS):
            return f"at {file.relative_to(PROJECT)}:{frame.lineno} in {frame.name}"
    return "outside of our code"


_PROCESS = psutil.Process()


def peak_memory_bytes() -> int:
    """The most memory that this process has ever held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """End what runs inside when it has used this much processor time.

    A long call into a library is ended only when it comes back; `count` kills the process.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        raise _OutOfTime

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@contextmanager
def limited_memory(spare_bytes: int = 4 * MOST_MEMORY_BYTES) -> Iterator[None]:
    """Let this process's address space grow by so much only: more is a MemoryError inside.

    It is four times the limit, because address space is reserved that is never used.
    """
    before = resource.getrlimit(resource.RLIMIT_AS)
    most = psutil.Process().memory_info().vms + spare_bytes
    if before[1] != resource.RLIM_INFINITY:
        most = min(most, before[1])
    if sys.platform == "linux":  # elsewhere the limit is not kept, or counts what is shared
        resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@cache
def workplace(name: str) -> Path:
    """An empty folder of a target in this process, in memory where the system has such a place."""
    path = _root() / name
    path.mkdir()
    return path


@cache
def _root() -> Path:
    shared = Path("/dev/shm")
    place = Path(tempfile.mkdtemp(prefix="fuzz-", dir=shared if shared.is_dir() else None))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return place
