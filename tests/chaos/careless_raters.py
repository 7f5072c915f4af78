"""Raters who double click, hold keys, reload, use two tabs, and meet servers that die.

Before each answer a rater notes what they mean: the two sounds that the page has, and the outcome.
An answer without a reply (a dead server, a reload) is an answer that the rater looks after: if the
page still shows the same pair, they answer again, alike. So in the end what is stored must be
exactly what was meant, in that order.
"""

import random
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Thread
from uuid import uuid4

OUTCOMES = ("left", "right", "tie", "both_bad", "skip")
HABITS = {
    "once": 40, "sent twice": 10, "clicked twice": 10, "held key": 8, "rapid keys": 8, "reload": 8,
    "second tab": 10, "stale tab": 6, "undo": 6,
}  # fmt: skip
"""how often a rater has which, as weights"""
PATIENCE_S = 240
"""how long servers and database may be away together"""


def answer_payload(assignment_id, outcome, nonce, *, heard_ms):
    """What the page's component sends."""
    return {
        "assignment_id": str(assignment_id), "outcome": outcome, "nonce": nonce, "strength": 1,
        "heard_ms_left": heard_ms, "heard_ms_right": heard_ms, "plays_left": 1, "plays_right": 1,
        "latency_ms": 10, "reasons": [], "comment": "",
    }  # fmt: skip


class NoReply(Exception):
    """The server went away, or the database did; nobody knows what became of the request."""


class Tab:
    """A page that is open: a connection to one of the servers."""

    def __init__(self, servers, chance):
        """Open it, at whichever server is there."""
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                self.connection = chance.choice(servers).connect()
                return
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)

    def send(self, *request):
        """Send a request without waiting for its reply."""
        try:
            self.connection.send(request)
        except OSError as error:
            raise NoReply(str(error)) from error

    def reply(self):
        """The next reply.

        Raises:
            NoReply: also for a page that says that the database is out of reach.
        """
        try:
            kind, result = self.connection.recv()
        except (EOFError, OSError) as error:
            raise NoReply(str(error)) from error
        assert kind != "crash", result
        if kind == "error":
            raise NoReply(result)
        return result

    def ask(self, *request):
        """The reply to a request."""
        self.send(*request)
        return self.reply()

    def close(self):
        """Close it, whatever is under way."""
        self.connection.close()


@dataclass
class CarelessRater:
    """One rater, who casts `votes` votes and notes what they mean."""

    servers: list
    rater_id: int
    votes: int
    seed: str
    meant: list = field(default_factory=list)
    """(sound left, sound right, outcome), in order"""
    clocks_jump: bool = False
    """a pair may be let go before its time; then an answer that was not acknowledged may be lost"""
    unsure: set = field(default_factory=set)
    """places in `meant` of such answers"""
    habits: Counter = field(default_factory=Counter)
    troubles: Counter = field(default_factory=Counter)
    """what went wrong meanwhile: no reply, or a reply that nothing was stored"""

    def run(self):
        """Vote to the end."""
        self.chance = random.Random(self.seed)
        self.tab, self.last = Tab(self.servers, self.chance), None
        while len(self.meant) < self.votes:
            self.vote()
        self.tab.close()

    def look(self):
        """The pair that the page shows, opened anew when the server is gone."""
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                pair = self.tab.ask("pair", self.rater_id)
                assert pair is not None, "there are no pairs left"
                return pair
            except NoReply:
                if time.monotonic() > until:
                    raise
                self.troubles["no pair"] += 1
                self.open()
                time.sleep(0.05)

    def open(self):
        """Reload the page."""
        self.tab.close()
        self.tab = Tab(self.servers, self.chance)

    def vote(self):
        """Answer the pair in some careless way, and look after it until it is stored."""
        (habit,) = self.chance.choices([*HABITS], [*HABITS.values()])
        pair = self.look()
        outcome = self.chance.choice(OUTCOMES)
        self.meant.append((pair[1], pair[2], outcome))
        self.habits[habit] += 1
        payload = self.payload(pair, outcome)
        try:
            saved = self.act(habit, pair, outcome, payload)
        except NoReply:
            saved = False
            self.troubles["no reply"] += 1
            self.open()
        self.look_after(pair, outcome, payload, saved)
        self.last = pair
        if habit == "undo" and len(self.meant) < self.votes:
            self.take_back(pair)

    def look_after(self, pair, outcome, payload, saved):
        """Answer alike as long as the page shows the pair. One that was saved never comes back."""
        until = time.monotonic() + PATIENCE_S
        while self.look()[0] == pair[0]:
            assert not saved, f"{pair} was saved and is shown again"
            assert time.monotonic() < until, f"{pair} cannot be answered"
            if self.chance.random() < 0.5:  # the page was loaded anew
                payload = self.payload(pair, outcome)
            try:
                saved, message = self.tab.ask("answer", self.rater_id, payload)
                if not saved:
                    self.troubles[f"not saved: {message[:60]}"] += 1
                    time.sleep(0.05)
            except NoReply:
                self.troubles["no reply"] += 1
                self.open()
        if not saved and self.clocks_jump:
            self.unsure.add(len(self.meant) - 1)

    def payload(self, pair, outcome):
        """An answer with a new nonce."""
        return answer_payload(pair[0], outcome, uuid4().hex, heard_ms=10)

    def act(self, habit, pair, outcome, payload):
        """Send the answer; whether the page said that it is saved."""
        other = self.chance.choice(OUTCOMES)
        if habit == "sent twice":  # the same request on two connections at once
            return self.at_once([payload, payload])
        if habit == "clicked twice":
            return self.at_once([payload, self.payload(pair, outcome)])
        if habit == "held key":  # the answers wait in line
            for _ in range(12):
                self.tab.send("answer", self.rater_id, self.payload(pair, outcome))
            replies = [self.tab.reply() for _ in range(12)]
            return any(saved for saved, _ in replies)
        if habit == "rapid keys":
            # A page that waits for the first takes no other key, so the others come after it.
            saved = self.tab.ask("answer", self.rater_id, payload)[0]
            for late in self.chance.choices(OUTCOMES, k=4) if saved else ():
                self.too_late(self.tab, pair, late)
            return saved
        if habit == "reload":
            self.tab.send("answer", self.rater_id, payload)
            time.sleep(self.chance.uniform(0, 0.02))
            self.open()
            return False
        if habit == "second tab":
            first, self.tab = self.tab, Tab(self.servers, self.chance)
            try:
                shown = self.tab.ask("pair", self.rater_id)
                if shown != pair and self.clocks_jump:
                    return False
                assert shown == pair, f"one tab shows {pair} and the other {shown}"
                saved = self.tab.ask("answer", self.rater_id, payload)[0]
                if saved:  # the first tab still shows the pair
                    self.too_late(first, pair, other)
                return saved
            finally:
                first.close()
        if habit == "stale tab" and self.last is not None:
            self.too_late(self.tab, self.last, other)
        return self.tab.ask("answer", self.rater_id, payload)[0]

    def too_late(self, tab, pair, outcome):
        """Answer a pair that is answered; the page is told so, and nothing is stored."""
        with suppress(NoReply):
            done, message = tab.ask("answer", self.rater_id, self.payload(pair, outcome))
            assert not message.startswith("Saved"), f"{pair} was answered twice"
            self.troubles["not saved"] += not done

    def at_once(self, payloads):
        """Send from two tabs at the same moment; whether one was told that it is saved."""
        said = []

        def send(payload):
            tab = Tab(self.servers, self.chance)
            try:
                said.append(tab.ask("answer", self.rater_id, payload)[0])
            except NoReply:
                self.troubles["no reply"] += 1
            finally:
                tab.close()

        threads = [Thread(target=send, args=(payload,)) for payload in payloads]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return any(said)

    def take_back(self, pair):
        """Undo the last answer, and give another one to the same pair."""
        try:
            shown = self.tab.ask("pair", self.rater_id)
            self.tab.ask("undo", self.rater_id, {"assignment_id": shown[0]})
        except NoReply:
            self.troubles["no reply"] += 1
            self.open()
        again = self.look()
        if again[1:] != pair[1:]:  # the undo came to nothing
            return
        outcome = self.chance.choice(OUTCOMES)
        self.meant.append((again[1], again[2], outcome))
        payload = self.payload(again, outcome)
        self.look_after(again, outcome, payload, False)
        self.last = again
