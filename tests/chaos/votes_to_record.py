"""Raters whose votes are recorded: python -m tests.chaos.votes_to_record DATABASE CLIPS VOTES SEED

Makes the database when it is not there. Three raters vote at once, each in a thread, through the
services of the studio. Where a page would say that it is saved, a mark says
`saved ASSIGNMENT OUTCOME NONCE`.
"""

import os
import random
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from pathlib import Path
from uuid import uuid4

from feedback_ui.services.session import StudioSession
from reward.store.store import RatingsStore
from tests.chaos.careless_raters import answer_payload

RATERS = 3
OUTCOMES = ("left", "right", "tie", "both_bad", "skip")


def say(text):
    """Write a mark, which the recording finds between the other writes."""
    handle = os.open(os.environ["TASTEMAKER_CHAOS_MARKS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(handle, text.encode())
    os.close(handle)


def fill(store, melodies=24, seed=0):
    """Put pairs into an empty store; the melodies are the same every time."""
    from music.corpora.corpus import load_corpus

    if store.counts()["comparisons"]:
        return
    chosen = {s.melody.notes: s.melody for s in load_corpus("test") if s.melody.header.bars == 4}
    ids = store.add_melodies(
        list(chosen.values())[:melodies], policy_id="p", sampler="s", seed=seed
    )
    pairs = list(combinations(ids, 2))
    random.Random(seed).shuffle(pairs)
    store.add_comparisons(pairs, round=1)


def vote(session, rater_id, votes, seed):
    """Cast votes, take some back, and say what was saved."""
    chance = random.Random(seed)
    for _ in range(votes):
        pair = session.current_pair(rater_id)
        if pair is None:
            return
        outcome, nonce = chance.choice(OUTCOMES), uuid4().hex
        payload = answer_payload(pair.assignment_id, outcome, nonce, heard_ms=1)
        reply = session.answer(rater_id, payload)
        assert reply.done, reply
        if reply.message.startswith("Saved"):
            say(f"saved {pair.assignment_id.hex} {outcome} {nonce}")
        if chance.random() < 0.15:
            session.undo(rater_id, {"assignment_id": None})


def main():
    """Vote with all raters at once."""
    database, clips, votes, seed = sys.argv[1:]
    with RatingsStore(Path(database)) as store:
        fill(store)
        session = StudioSession(store, Path(clips), least_heard_ms=1)
        raters = [
            store.rater_named(f"rater {number}", consent_version="1") for number in range(RATERS)
        ]
        say("ready")
        with ThreadPoolExecutor(RATERS) as together:
            given = [
                together.submit(vote, session, rater.id, int(votes) // RATERS, f"{seed} {rater.id}")
                for rater in raters
            ]
        for one in given:
            one.result()
    os._exit(0)  # the thread that renders ahead is not waited for


if __name__ == "__main__":
    main()
