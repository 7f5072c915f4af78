"""Thousands of votes by eight careless raters, with faults: each is stored once, none is lost.

Two servers of the studio's services stand over one database. They are killed and restarted, stopped
for a while, and one of them has another clock. PostgreSQL crashes and comes back meanwhile. What is
stored is read with plain SQL and compared with what the raters noted that they meant.
"""

import itertools
import random
import signal
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from music.rendering.sound import cached_wav
from reward.store.store import RatingsStore
from tests.chaos.careless_raters import HABITS, CarelessRater
from tests.chaos.stored_votes import check_sound, read_votes
from tests.chaos.vote_server import VoteServer
from tests.support.distinct_sounds import distinct_melodies
from tests.support.scale import scaled, time_limit_s

RATERS = 8
VOTES = scaled(240)


def fill(database, clips):
    """Raters, and more pairs than they will answer; the melody of each sound."""
    wanted = next(n for n in itertools.count(20) if n * (n - 1) / 2 > 1.2 * VOTES / RATERS + 60)
    with RatingsStore(database) as store:
        melodies = distinct_melodies(wanted, "train")
        ids = store.add_melodies(melodies, policy_id="p", sampler="s", seed=1)
        pairs = list(itertools.combinations(ids, 2))
        random.Random(0).shuffle(pairs)
        store.add_comparisons(pairs, round=1)
        raters = [store.add_rater(f"hand {number}").id for number in range(RATERS)]
    sounds = {
        cached_wav(melody, clips).name: number for melody, number in zip(melodies, ids, strict=True)
    }
    assert len(sounds) == wanted
    return raters, sounds


def storm(servers, raters, faults, **habits):
    """Let all vote, with a fault every hundred votes or so; returns the raters."""
    fault_every = min(100, VOTES // 10)
    chance = random.Random(1)
    hands = [
        CarelessRater(servers, rater, VOTES // RATERS, f"rater {rater}", **habits)
        for rater in raters
    ]
    happened = Counter()
    with ThreadPoolExecutor(RATERS) as together:
        rating = [together.submit(hand.run) for hand in hands]
        due = fault_every
        while not all(one.done() for one in rating):
            if any(one.done() and one.exception() for one in rating):
                break
            if sum(len(hand.meant) for hand in hands) < due:
                time.sleep(0.005)
                continue
            time.sleep(chance.uniform(0, 0.05))
            fault = chance.choice(faults)
            fault(chance)
            happened[fault.__name__] += 1
            due += fault_every
        for one in rating:
            one.result()
    return hands, happened


def check(hands, sounds, database):
    """The database has exactly what was meant, in the same order."""
    check_sound(database)
    votes = read_votes(database)
    for hand in hands:
        stored = [(v.left, v.right, v.outcome) for v in votes if v.rater_id == hand.rater_id]
        meant = [(sounds[left], sounds[right], outcome) for left, right, outcome in hand.meant]
        left = iter(stored)
        now = next(left, None)
        for place, one in enumerate(meant):
            if one == now:
                now = next(left, None)
            else:
                assert place in hand.unsure, (
                    f"rater {hand.rater_id}: answer {place} of {len(meant)} was meant as {one}, "
                    f"stored is {now} ({len(stored)} in all); {hand.habits} {hand.troubles}"
                )
        assert now is None, f"rater {hand.rater_id}: {now} was stored and never meant"


def faults_of(servers, clocks=None):
    """What may happen to the servers; `clocks` are by how much a clock jumps."""

    def a_server_is_killed(chance):
        server = chance.choice(servers)
        server.kill()
        server.start()

    def all_servers_are_killed(chance):
        for server in servers:
            server.kill()
        for server in servers:
            server.start()

    def a_server_stands_still(chance):
        server = chance.choice(servers)
        server.signal(signal.SIGSTOP)
        time.sleep(chance.uniform(0, 1.5))
        server.signal(signal.SIGCONT)

    def a_clock_jumps(chance):
        page = chance.choice(servers).connect()
        page.send(("clock", chance.choice(clocks)))
        page.recv()
        page.close()

    faults = [a_server_is_killed, a_server_is_killed, all_servers_are_killed, a_server_stands_still]
    return [*faults, *4 * [a_clock_jumps]] if clocks else faults


def run_storm(servers, database, clips, more_faults=(), clocks=None):
    """Fill, vote, check; prints what happened."""
    begun = time.monotonic()
    raters, sounds = fill(database, clips)
    for server in servers:
        server.start()
    try:
        faults = [*faults_of(servers, clocks), *more_faults]
        hands, happened = storm(servers, raters, faults, clocks_jump=clocks is not None)
    finally:
        for server in servers:
            server.kill()
    check(hands, sounds, database)
    assert clocks is None or happened["a_clock_jumps"]
    seen = sum((hand.habits for hand in hands), Counter())
    if VOTES >= 200:
        assert set(seen) == set(HABITS)
    meant = sum(len(hand.meant) for hand in hands)
    assert meant >= VOTES // RATERS * RATERS
    troubles = sum((hand.troubles for hand in hands), Counter())
    unsure = sum(len(hand.unsure) for hand in hands)
    sys.stdout.write(
        f"{meant} votes in {time.monotonic() - begun:.0f} s, {unsure} unsure; {dict(happened)}; "
        f"{dict(seen)}; {dict(troubles)}\n"
    )


@pytest.mark.slow
@pytest.mark.timeout(time_limit_s(900))
def test_votes_on_sqlite(tmp_path, sockets, clips):
    database = tmp_path / "ratings.sqlite"
    servers = [VoteServer(sockets, number, database, clips) for number in range(2)]
    run_storm(servers, database, clips)


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.timeout(time_limit_s(900))
def test_votes_on_postgresql_that_crashes_from_two_hosts(sockets, clips, postgres):
    servers = [
        VoteServer(sockets, 0, postgres.url, clips),
        VoteServer(sockets, 1, postgres.url, clips, host="elsewhere", ahead_s=3000.0),
    ]

    def postgresql_crashes(_chance):
        postgres.crash()

    run_storm(servers, postgres.url, clips, [postgresql_crashes])


@pytest.mark.slow
@pytest.mark.timeout(time_limit_s(600))
def test_votes_while_the_clock_jumps(tmp_path, sockets, clips, monkeypatch):
    monkeypatch.setattr("tests.chaos.test_votes.VOTES", scaled(120))
    database = tmp_path / "ratings.sqlite"
    servers = [VoteServer(sockets, number, database, clips) for number in range(2)]
    run_storm(servers, database, clips, clocks=(-86_400.0, -60.0, 0.0, 60.0, 7200.0))
