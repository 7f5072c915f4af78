"""A stress test of voting: careless raters at once, killed browsers and a killed server.

Before each key or click, the test records what the rater *means*, with the two sounds that are on
the page. At the end the store must have exactly these votes in this order: none twice, none for a
pair that was not shown, none for the wrong side, and none lost after the page moved on.
"""

import hashlib
import itertools
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import uuid4

import numpy as np
import pytest
from playwright.sync_api import Error as BrowserError
from playwright.sync_api import sync_playwright

from music.rendering.sound import cached_wav
from reward.store.store import RatingsStore
from tests.support.distinct_sounds import distinct_melodies
from tests.support.scale import SCALE, scaled, time_limit_s
from tests.support.studio_server import GO_ON, StudioServer, chromium, enter, kill_browser, launch

pytestmark = [pytest.mark.browser, pytest.mark.slow]
RATERS = 4 if SCALE <= 1 else 8
VOTES = scaled(80)
LEAST_HEARD_MS = 60
ANSWER_WITHIN_S = 60
KEYS = {"a": "left", "b": "right", "t": "tie", "n": "both_bad", "s": "skip"}
OUTCOMES = ("left", "right", "tie", "both_bad", "skip", "skip", "skip")
"""skips need no listening, so there are more of them"""
HABITS = ("key", "click", "double click", "held key", "rapid keys", "reload", "other tab", "kill")
SHARES = (0.34, 0.22, 0.12, 0.08, 0.08, 0.07, 0.07, 0.02)
LOOK = """pair => {
    const source = (side) => pair.querySelector(`audio[data-side=${side}]`).getAttribute("src");
    const heard = (side) => pair.querySelector(`.card[data-side=${side}]`).matches(".heard");
    return {
        sounds: [source("left"), source("right")], busy: pair.matches(".busy"),
        heard: ["left", "right"].filter(heard), hint: pair.querySelector(".hint").textContent,
    };
}"""
UNTIL = f"""(pair, [condition, sounds, ms]) => new Promise((resolve) => {{
    const look = {LOOK}, met = new Function("seen", "sounds", "return " + condition);
    const until = performance.now() + ms;
    const again = () => {{
        const seen = look(pair);
        if (met(seen, sounds)) resolve(seen);
        else if (!pair.isConnected || performance.now() > until) resolve(null);
        else setTimeout(again, 20);
    }};
    again();
}})"""
CLICK = f"""(pair, [outcome, sounds, again_ms]) => {{
    const button = pair.querySelector(`.vote[data-outcome=${{outcome}}]`);
    if (({LOOK})(pair).sounds.join() !== sounds.join()) return;
    button.click();  // from inside: Streamlit may lie over the page
    if (again_ms !== null) setTimeout(() => button.click(), again_ms);
}}"""
FREE = "seen.sounds[0] && !seen.busy"
STAYS = "seen.sounds.join() === sounds.join()"
GONE_ON = "seen.sounds[0] && seen.sounds.join() !== sounds.join()"


@dataclass
class Hand:
    """One rater with their own browser, and the votes that they meant."""

    server: StudioServer
    rater: object
    votes: int
    seed: int
    meant: list = field(default_factory=list)
    """(sound left, sound right, outcome), in order"""
    habits: Counter = field(default_factory=Counter)

    def run(self):
        with sync_playwright() as self.playwright:
            self.rng = random.Random(self.seed)
            self.open()
            while len(self.meant) < self.votes:
                self.vote()
            self.browser.close()

    def open(self):
        self.mark = uuid4().hex
        self.browser = launch(self.playwright, self.mark)
        self.context = self.browser.new_context()
        self.server.sign_in(self.context, self.rater)
        self.tabs = [self.tab()]

    def tab(self):
        page = self.context.new_page()
        page.set_default_timeout(20_000)
        self.visit(page)
        return page

    def visit(self, page):
        """Open the page, and retry until a killed server is back."""
        until = time.monotonic() + ANSWER_WITHIN_S
        while True:
            try:
                page.goto(self.server.address)
                enter(page)
                return
            except BrowserError:
                assert time.monotonic() < until, self.server.log()
                time.sleep(0.3)

    def look(self, page):
        """What the page shows; None while there is no pair, such as during a reload."""
        try:
            pair = page.query_selector(".pair")
            return None if pair is None else pair.evaluate(LOOK)
        except BrowserError:
            return None

    def wait(self, page, condition, sounds=(), seconds=ANSWER_WITHIN_S):
        """Wait for a condition and return what the page shows, or None."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            try:
                tired = page.get_by_role("button", name=GO_ON)
                page.locator(".pair").or_(tired).first.wait_for(timeout=1000 * left)
                if tired.count():  # after twenty minutes
                    tired.click()
                pair = page.wait_for_selector(".pair", timeout=1000 * left)
                if seen := pair.evaluate(UNTIL, [condition, list(sounds), 1000 * left]):
                    return seen
            except BrowserError:  # between two documents
                time.sleep(0.05)
        return None

    def vote(self):
        """Listen if needed, answer in one of several ways, and wait for the next pair."""
        habit = self.rng.choices(HABITS, SHARES)[0]
        if habit == "other tab":
            self.use_other_tab()
        page = self.tabs[0]
        outcome = self.rng.choice(OUTCOMES)
        shown = self.wait(page, FREE)
        assert shown is not None, f"no pair came: {self.server.log()}"
        page.wait_for_timeout(520)  # a new pair takes no vote sooner
        if outcome != "skip":
            self.listen(page)
        sounds = (self.look(page) or shown)["sounds"]
        self.meant.append((*map(self.server.sound, sounds), outcome))
        self.habits[habit] += 1
        self.act(page, habit, outcome, sounds)
        page = self.tabs[0]
        pressed = time.monotonic()
        while not self.wait(page, GONE_ON, sounds, 2):
            # The vote was lost (a reload, a kill): the same pair is shown again: answer it alike.
            assert time.monotonic() - pressed < 2 * ANSWER_WITHIN_S, f"{habit}: stuck {shown}"
            seen = self.look(page)
            if seen is None:
                self.visit(page)
            elif not seen["busy"] and seen["sounds"] == sounds:
                if outcome != "skip":
                    self.listen(page)
                self.act(page, "click", outcome, sounds)

    def listen(self, page):
        for key, side in (("1", "left"), ("2", "right")):
            for _ in range(20):
                seen = self.look(page)
                if seen is None or side in seen["heard"] or seen["busy"]:
                    break
                page.keyboard.press(key)
                if self.wait(page, f"seen.heard.includes('{side}')", seconds=2):
                    break

    def click(self, page, outcome, sounds, again_ms=None):
        """Press a button if the page still shows what the rater saw."""
        pair = page.query_selector(".pair")
        if pair is not None:
            pair.evaluate(CLICK, [outcome, list(sounds), again_ms])

    def act(self, page, habit, outcome, sounds):
        """Answer in a careless way."""
        key = next(key for key, value in KEYS.items() if value == outcome)
        try:
            if habit in ("click", "reload", "kill"):
                self.click(page, outcome, sounds)
            elif habit == "double click":
                self.click(page, outcome, sounds, again_ms=80)
            elif habit == "held key":
                until = time.monotonic() + 0.7
                while time.monotonic() < until:
                    page.keyboard.down(key)
                    time.sleep(0.03)
                page.keyboard.up(key)
            elif habit == "rapid keys":
                for other in (key, *self.rng.sample([*KEYS], 4)):
                    page.keyboard.press(other)
            else:
                page.keyboard.press(key)
            if habit == "reload":
                page.reload()
                self.visit(page)
            elif habit == "kill":
                self.kill_browser()
        except BrowserError:
            self.visit(page)

    def use_other_tab(self):
        """Continue in a second tab, which may show the last pair; the first tab goes stale."""
        if len(self.tabs) == 1:
            self.tabs.append(self.tab())
        self.tabs.reverse()
        now = self.wait(self.tabs[1], FREE)
        assert now is not None, f"no pair came: {self.server.log()}"
        until = time.monotonic() + 2 * ANSWER_WITHIN_S
        while not self.wait(self.tabs[0], STAYS, now["sounds"], 2):
            # A click on the stale pair must not count, because that pair is already answered.
            stale = self.look(self.tabs[0])
            assert time.monotonic() < until, f"the other tab still shows {stale}"
            if stale is not None and stale["sounds"] != now["sounds"]:
                self.click(self.tabs[0], "skip", stale["sounds"])

    def kill_browser(self):
        """Kill the browser's processes as a crash would, and open it again."""
        kill_browser(self.mark)
        self.open()


def storm(server, store, votes, server_kills):
    """Let all raters vote, and meanwhile kill and restart the server; return the raters."""
    raters = [store.add_rater(f"hand {number}") for number in range(RATERS)]
    hands = [
        Hand(server, rater, votes // RATERS, seed) for seed, rater in enumerate(raters, start=1)
    ]
    with ThreadPoolExecutor(RATERS) as together:
        rating = [together.submit(hand.run) for hand in hands]
        for number in range(server_kills):
            due = votes * (number + 1) / (server_kills + 1)
            while sum(len(hand.meant) for hand in hands) < due:
                if any(one.done() for one in rating):
                    break
                time.sleep(0.05)
            server.kill()
            server.start()
        for one in rating:
            one.result()
    return hands


def check(hands, store, melody_of_sound):
    """Check that the store has exactly the votes that were meant."""
    frame = store.votes_frame(current_only=False)
    for hand in hands:
        rows = frame[frame["rater_id"] == hand.rater.id].sort_values("vote_id")
        stored = [
            (
                row.melody_a if row.left_is_a else row.melody_b,
                row.melody_b if row.left_is_a else row.melody_a,
                row.outcome,
            )
            for row in rows.itertuples()
        ]
        meant = [
            (melody_of_sound[left], melody_of_sound[right], outcome)
            for left, right, outcome in hand.meant
        ]
        wrong = [n for n, pair in enumerate(zip(stored, meant, strict=False)) if len({*pair}) > 1]
        assert stored == meant, (
            f"{hand.rater.nickname}: {len(stored)} stored, {len(meant)} meant, first that differ "
            f"{wrong[:3]}: {[(stored[n], meant[n]) for n in wrong[:3]]}; {hand.habits}"
        )
        assert rows["comparison_id"].is_unique, "a pair was answered twice"
        assert rows["set_aside"].isna().all(), "a careless rater has heard what the page says"
        needs = rows[rows["outcome"] != "skip"]
        assert (needs[["heard_ms_left", "heard_ms_right"]] >= LEAST_HEARD_MS).all(axis=None)


@contextmanager
def studio(folder, database, votes):
    """A studio with enough pairs for all raters, and the melody of each sound."""
    chromium()
    server = StudioServer(folder, database=database, least_heard_ms=LEAST_HEARD_MS)
    wanted = next(n for n in itertools.count(40) if n * (n - 1) / 2 > 1.5 * votes / RATERS)
    with RatingsStore(server.database) as store:
        melodies = distinct_melodies(wanted, "test", "train")
        ids = store.add_melodies(melodies, policy_id="p", sampler="s", seed=1)
        rng = np.random.default_rng(0)
        pairs = [(a, b) for n, a in enumerate(ids) for b in ids[n + 1 :]]
        store.add_comparisons([pairs[i] for i in rng.permutation(len(pairs))], round=1)
        sounds = {}
        for melody_id, melody in zip(ids, melodies, strict=True):
            clip = cached_wav(melody, server.clips).read_bytes()
            sounds[hashlib.sha256(clip).hexdigest()] = melody_id
        server.start()
        try:
            yield server, store, sounds
        finally:
            server.kill()


@pytest.mark.slow
@pytest.mark.timeout(time_limit_s(1800))
def test_a_long_storm(tmp_path, ratings_url):
    """`make chaos SCALE=125` gives 10,000 votes by eight raters on each database."""
    with studio(tmp_path, ratings_url, VOTES) as (server, store, sounds):
        hands = storm(server, store, votes=VOTES, server_kills=max(1, VOTES // 100))
        check(hands, store, sounds)
    seen = sum((hand.habits for hand in hands), Counter())
    assert seen.total() == VOTES // RATERS * RATERS
    if SCALE >= 1:
        assert set(seen) == set(HABITS)
