"""Run a number of inputs over all readers, and print what each answered.

    python -m tests.fuzz.count [TARGET ...] [--inputs N] [--seed N] [--processes N]

Readers run in processes of their own, with a limit on memory. A process that does not come back is
killed after `HUNG_S`, one that dies is replaced, and both are counted. An input follows from its
reader, the seed and its number. One of each kind of fault is written to `.fuzz/faults/`.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from random import Random

from tests.fuzz.mutation import made
from tests.fuzz.target import Fault, Target, answer, limited_memory, warm_up

FAULTS = Path(".fuzz") / "faults"
HUNG_S = 120.0
"""wall-clock time without a next input; far more than the limit of processor time"""
BATCH = 1000
"""inputs of a target with share 1 that a process is given at a time"""
KEPT = 3
"""inputs kept of one fault"""


@dataclass(slots=True)
class Tally:
    """What came of the inputs of one target."""

    inputs: int = 0
    refused: int = 0
    accepted: int = 0
    slowest_s: float = 0.0
    peak_bytes: int = 0
    faults: int = 0
    seconds: float = 0.0
    """processor time of all"""
    kinds: dict[str, list[int]] = field(default_factory=dict)
    """of each kind of fault the numbers of the first inputs"""
    details: dict[str, str] = field(default_factory=dict)
    """of each kind of fault what the first input did"""

    def add(self, other: Tally) -> None:
        """Take up the figures of another part."""
        self.inputs += other.inputs
        self.refused += other.refused
        self.accepted += other.accepted
        self.slowest_s = max(self.slowest_s, other.slowest_s)
        self.peak_bytes = max(self.peak_bytes, other.peak_bytes)
        self.faults += other.faults
        self.seconds += other.seconds
        self.details = other.details | self.details
        for kind, numbers in other.kinds.items():
            self.kinds[kind] = (self.kinds.get(kind, []) + numbers)[:KEPT]

    def fault(self, fault: Fault, number: int) -> None:
        """Count a fault."""
        self.inputs += 1
        self.faults += 1
        self.kinds[fault.kind] = [*self.kinds.get(fault.kind, []), number][:KEPT]
        self.details.setdefault(fault.kind, str(fault))


@dataclass(frozen=True, slots=True)
class Batch:
    """Inputs of one target in a row."""

    target: str
    start: int
    stop: int


def input_of(target: Target, seed: int, number: int) -> bytes:
    """The input of this number; the same in every process and on every machine."""
    return made(target, Random(f"{target.name} {seed} {number}"))


def run_batch(target: Target, seed: int, batch: Batch, at: Synchronized | None = None) -> Tally:
    """Hand the inputs of a batch to their reader; `at` is kept at the number in hand."""
    tally = Tally()
    try:
        warm_up(target)
    except Fault as fault:
        tally.fault(fault, batch.start)
    with limited_memory(), warnings.catch_warnings():
        warnings.simplefilter("error")  # it would stand on the user's terminal
        for number in range(batch.start, batch.stop):
            if at is not None:
                at.value = number
            data = input_of(target, seed, number)
            try:
                found = answer(target, data)
            except Fault as fault:
                tally.fault(fault, number)
                continue
            tally.inputs += 1
            tally.refused += found.refusal is not None
            tally.accepted += found.refusal is None
            tally.seconds += found.seconds
            tally.slowest_s = max(tally.slowest_s, found.seconds)
            tally.peak_bytes = max(tally.peak_bytes, found.memory_bytes)
    return tally


def _work(connection: Connection, at: Synchronized, seed: int) -> None:
    """A process that answers batches until it is told to end."""
    from tests.fuzz.targets import TARGETS

    logging.disable()  # a damaged run is logged
    while (batch := connection.recv()) is not None:
        connection.send(run_batch(TARGETS[batch.target], seed, batch, at))


class Worker:
    """A process that runs batches, and is replaced when it dies or hangs."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._context = multiprocessing.get_context("spawn")
        self.batch: Batch | None = None
        self._start()

    def _start(self) -> None:
        self._connection, theirs = self._context.Pipe()
        self._at: Synchronized = self._context.Value("q", -1)
        self._process = self._context.Process(
            target=_work, args=(theirs, self._at, self._seed), daemon=True
        )
        self._process.start()
        theirs.close()
        self._seen, self._since = -1, time.monotonic()

    def give(self, batch: Batch) -> None:
        """Have a batch run."""
        self.batch = batch
        self._at.value, self._seen, self._since = -1, -1, time.monotonic()
        self._connection.send(batch)

    def look(self) -> tuple[Tally, list[Batch]] | None:
        """What came of the batch and what of it is left to do; None while it runs."""
        assert self.batch is not None
        try:
            if self._connection.poll(0.2):
                return self._connection.recv(), []
        except (EOFError, OSError):
            pass  # it died
        if self._at.value != self._seen:
            self._seen, self._since = self._at.value, time.monotonic()
        hung = time.monotonic() - self._since > HUNG_S
        if self._process.is_alive() and not hung:
            return None
        self._process.kill()
        self._process.join()
        number = max(self._at.value, self.batch.start)
        tally = Tally()
        code = self._process.exitcode
        tally.fault(Fault("it hung" if hung else f"the process ended with code {code}"), number)
        self._start()
        # What the process knew of the inputs before went with it.
        target = self.batch.target
        before, after = (self.batch.start, number), (number + 1, self.batch.stop)
        return tally, [Batch(target, *part) for part in (before, after) if part[0] < part[1]]

    def end(self) -> None:
        """Let the process end."""
        self._connection.send(None)
        self._process.join()


def batches(targets: Sequence[Target], inputs: int) -> Iterator[Batch]:
    """The inputs of all targets by their shares, each target in turn."""
    total = sum(target.share for target in targets)
    wanted = {t.name: max(1, round(inputs * t.share / total)) for t in targets}
    at = dict.fromkeys(wanted, 0)
    while at:
        for target in targets:
            if target.name in at:
                start = at[target.name]
                stop = min(start + max(1, round(BATCH * target.share)), wanted[target.name])
                yield Batch(target.name, start, stop)
                at[target.name] = stop
                if stop == wanted[target.name]:
                    del at[target.name]


def table(tallies: dict[str, Tally]) -> str:
    """A line for each reader, and one for all."""
    titles = ("reader", "inputs", "refused", "accepted", "mean ms", "most ms", "peak MB", "faults")
    whole = Tally()
    for tally in tallies.values():
        whole.add(tally)
    lines = [titles]
    for name, tally in (*tallies.items(), ("all", whole)):
        counts = (tally.inputs, tally.refused, tally.accepted)
        mean_ms = f"{1000 * tally.seconds / max(1, tally.inputs):.1f}"
        most = (round(1000 * tally.slowest_s), round(tally.peak_bytes / 1e6), tally.faults)
        lines.append((name, *_written(counts), mean_ms, *_written(most)))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])
        for line in lines
    )


def _written(counts: Sequence[int]) -> list[str]:
    return [f"{count:,}" for count in counts]


def keep_faults(tallies: dict[str, Tally], targets: dict[str, Target], seed: int) -> list[str]:
    """Write the inputs of faults, and a line about each that says how to run it again."""
    lines = []
    for name, tally in tallies.items():
        for kind, numbers in tally.kinds.items():
            FAULTS.mkdir(parents=True, exist_ok=True)
            file = FAULTS / f"{name}-{seed}-{numbers[0]}"
            file.write_bytes(min((input_of(targets[name], seed, n) for n in numbers), key=len))
            command = f"python -m tests.fuzz.again {name} {file}"
            lines.append(f"{name}: {tally.details[kind]}\n  again: {command}")
    return lines


def count(
    targets: dict[str, Target], inputs: int, seed: int, processes: int, state: Path | None = None
) -> dict[str, Tally]:
    """Run so many inputs; interrupted, what is known until then. `state` is kept up to date."""
    tallies = {name: Tally() for name in targets}
    left = batches(list(targets.values()), inputs)
    again: list[Batch] = []
    workers = [Worker(seed) for _ in range(processes)]
    idle, busy = list(workers), list[Worker]()
    told, done = time.monotonic(), 0
    try:
        while True:
            while idle:
                batch = again.pop() if again else next(left, None)
                if batch is None:
                    break
                busy.append(idle.pop())
                busy[-1].give(batch)
            if not busy:
                break
            for worker in list(busy):
                if (found := worker.look()) is None:
                    continue
                tally, rest = found
                assert worker.batch is not None
                tallies[worker.batch.target].add(tally)
                again += rest
                done += tally.inputs
                busy.remove(worker)
                idle.append(worker)
            if time.monotonic() - told > 30:
                told = time.monotonic()
                sys.stderr.write(f"{done:,} of {inputs:,} inputs\n")
                if state is not None:
                    state.parent.mkdir(parents=True, exist_ok=True)
                    state.write_text(json.dumps({name: asdict(t) for name, t in tallies.items()}))
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
    for worker in idle:
        worker.end()
    return tallies


def main() -> None:
    """Read the arguments, count, and exit with 1 when there were faults."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", help="readers; all without any")
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1)
    given = parser.parse_args()
    from tests.fuzz.targets import TARGETS

    unknown = sorted(set(given.targets) - TARGETS.keys())
    if unknown:
        parser.error(f"there is no reader {unknown[0]!r}; there are: {', '.join(TARGETS)}")
    chosen = {name: TARGETS[name] for name in given.targets or TARGETS}
    state = FAULTS.parent / f"count-{given.seed}.json"
    tallies = count(chosen, given.inputs, given.seed, given.processes, state)
    lines = keep_faults(tallies, chosen, given.seed)
    sys.stdout.write("\n".join([table(tallies), *lines, ""]))
    sys.exit(1 if lines else 0)


if __name__ == "__main__":
    main()
