"""Every reader of bytes from outside accepts an input, or refuses it in one line."""

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.fuzz.count import Batch, Tally, batches, input_of, run_batch, table
from tests.fuzz.found import FOUND
from tests.fuzz.mutation import made
from tests.fuzz.target import (
    MOST_MEMORY_BYTES,
    Fault,
    Target,
    answer,
    limited_memory,
    warm_up,
)
from tests.fuzz.targets import TARGETS
from tests.support.scale import scaled

MOST_EXAMPLES, LEAST_EXAMPLES = scaled(30), scaled(3)
"""of a reader; slow readers have a small share and get fewer"""


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_a_reader_answers_an_input_that_is_almost_right(name):
    target = TARGETS[name]
    warm_up(target)
    examples = min(MOST_EXAMPLES, max(LEAST_EXAMPLES, round(scaled(20) * target.share)))

    @settings(
        deadline=None,
        max_examples=examples,
        database=None,
        derandomize=True,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(st.randoms(use_true_random=False).map(lambda random: made(target, random)))
    def check(data):
        answer(target, data)

    with limited_memory():
        check()


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_a_reader_accepts_a_valid_input(name):
    # Otherwise all of the others might be refused at the door, and nothing would be tested.
    target = TARGETS[name]
    answers = [answer(target, seed) for seed in target.seeds()]
    if name not in ("link", "job-name", "run-name"):
        assert None in [found.refusal for found in answers], [a.refusal for a in answers]


@pytest.mark.parametrize(
    ("name", "data"),
    [(name, data) for name, _, data in FOUND],
    ids=[f"{n}: {w}" for n, w, _ in FOUND],
)
def test_a_found_input_is_answered(name, data):
    warm_up(TARGETS[name])
    with limited_memory():
        answer(TARGETS[name], data)


# --- The rules themselves


class ReaderError(ValueError):
    """An error that the reader below documents."""


def reader(read):
    return Target(name="a reader", read=read, refuses=(ReaderError,), seeds=lambda: [b"fine"])


def raising(error):
    def read(data):
        if data != b"fine":
            raise error

    return reader(read)


@pytest.mark.parametrize(
    ("error", "rule"),
    [
        (KeyError("x"), "KeyError"),
        (ValueError("not documented"), "ValueError"),
        (RecursionError(), "RecursionError"),
        (MemoryError(), "out of memory"),
        (ReaderError(" "), "without a message"),
    ],
)
def test_a_broken_rule_is_a_fault(error, rule):
    with pytest.raises(Fault, match=rule):
        answer(raising(error), b"other")


def test_a_documented_error_is_an_answer():
    assert answer(raising(ReaderError("no\n é, as 'x'")), b"other").refusal == "no é, as 'x'"
    assert answer(reader(lambda data: None), b"other").refusal is None


def test_a_reader_that_takes_long_is_stopped(monkeypatch):
    monkeypatch.setattr("tests.fuzz.target.MOST_SECONDS", 0.1)

    def endless(data):
        while data != b"fine":
            with suppress(Exception):  # as a reader might
                sum(range(1000))

    with pytest.raises(Fault, match="processor time"):
        answer(reader(endless), b"other")


def test_a_reader_that_takes_much_memory_is_stopped(monkeypatch):
    # a machine that gives out memory slowly must not be stopped for its time here
    monkeypatch.setattr("tests.fuzz.target.MOST_SECONDS", 60)

    def greedy(data):
        return data != b"fine" and b"x" * (3 * MOST_MEMORY_BYTES)

    warm_up(reader(greedy))
    with limited_memory(), pytest.raises(Fault, match=r"memory|MB"):
        answer(reader(greedy), b"other")


def test_an_input_follows_from_its_number():
    target = TARGETS["answer"]
    assert input_of(target, 1, 5) == input_of(target, 1, 5)
    assert len({input_of(target, 1, number) for number in range(50)}) > 40


def test_a_count_covers_every_input_once():
    targets = [TARGETS[name] for name in ("answer", "reward-spec", "undo")]
    covered = [
        (batch.target, number)
        for batch in batches(targets, 12_000)
        for number in range(batch.start, batch.stop)
    ]
    assert len(covered) == len(set(covered)) == 12_000
    assert {name for name, _ in covered} == {"answer", "reward-spec", "undo"}


def test_a_batch_counts_answers_and_faults():
    def read(data):
        if len(data) % 3 == 0:
            raise ReaderError("refused")
        if len(data) % 3 == 1:
            raise KeyError(len(data))

    tally = run_batch(reader(read), 0, Batch("a reader", 10, 70))
    assert tally.inputs == 60 == tally.refused + tally.accepted + tally.faults
    assert min(tally.refused, tally.accepted, tally.faults) > 0
    assert all(numbers for numbers in tally.kinds.values())
    both = Tally()
    both.add(tally)
    both.add(tally)
    assert both.faults == 2 * tally.faults
    last = table({"a reader": tally}).splitlines()[-1].split()
    assert last[:4] == ["all", "60", str(tally.refused), str(tally.accepted)]
