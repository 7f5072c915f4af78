"""Many writers at once: each is served in turn, and only one that holds up the line is told of."""

import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from sqlalchemy import event

from reward.connections.engines import WriterQueue
from reward.store.database import Database
from reward.store.store import RatingsError, RatingsStore

AT_ONCE = 10


def test_who_comes_first_is_served_first():
    queue, served = WriterQueue(patience_s=60), []

    def write(number):
        with queue.turn():
            served.append(number)

    with queue.turn():
        threads = [threading.Thread(target=write, args=(number,)) for number in range(AT_ONCE)]
        for number, thread in enumerate(threads, start=2):
            thread.start()
            while len(queue._line) < number:
                time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert served == list(range(AT_ONCE))


def test_a_turn_ends_also_by_an_error():
    queue = WriterQueue(patience_s=60)
    with pytest.raises(KeyError), queue.turn():
        raise KeyError
    with queue.turn():
        pass


def test_who_waits_gives_up_when_nobody_is_served():
    queue = WriterQueue(patience_s=0.05)
    with queue.turn():
        with (
            ThreadPoolExecutor(1) as other,
            pytest.raises(sqlite3.OperationalError, match="locked by another thread"),
        ):
            other.submit(lambda: queue.turn().__enter__()).result()
        assert len(queue._line) == 1, "who gave up is out of the line"
    with queue.turn():
        pass


def test_ten_sign_ups_at_once_on_a_slow_disk(ratings_url):
    """Each takes a third of the time that a writer waits for one that holds it up."""
    with RatingsStore(ratings_url, lock_timeout_s=0.3) as store:

        @event.listens_for(store._database.engine, "commit")
        def slowly(_):
            time.sleep(0.1)

        barrier = threading.Barrier(AT_ONCE)

        def sign_up(number):
            barrier.wait()
            return store.add_rater(f"rater {number}").id

        with ThreadPoolExecutor(AT_ONCE) as threads:
            ids = list(threads.map(sign_up, range(AT_ONCE)))
        assert len(set(ids)) == AT_ONCE
        assert store.counts()["raters_person"] == AT_ONCE


def test_a_writer_that_never_ends_is_told_to_the_others(ratings_url):
    with (
        closing(Database(ratings_url, lock_timeout_s=0.1)) as database,
        database.writing(),
        ThreadPoolExecutor(1) as other,
        pytest.raises(RatingsError, match="is locked: another program has been writing"),
    ):
        other.submit(lambda: database.writing().__enter__()).result()
