"""How soon the studio has the next pair ready, how long a vote takes to write, what pages weigh.

    python benchmarks/studio/studio.py                     # 2,000 melodies, ten raters, 20 votes
    each python benchmarks/studio/studio.py --raters 2 --votes 5 --melodies 200

A real studio on loopback and a real browser (`chromium` on the path, or TASTEMAKER_CHROMIUM). The
melodies are the corpus's strains of 8 bars of 4/4, and their pairs are drawn at random, so most
clips have never been rendered. Raters come in together and answer in turns, as fast as a person
could who listens to nothing (a skip), or to a third of a second of each; the vote's evidence is
real, so the studio is started with `--least-heard-ms 300`.

  - `ready`: from the key until both clips of the next pair can be played (`readyState` 3 and more);
  - `write`: `RatingsStore.vote` on the same database, in this process;
  - `server`: memory of the server's process at the end (unique set size).

The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import numpy as np
import psutil
from playwright.sync_api import Page, sync_playwright

from feedback_ui.server.cookies import RATER, cookie_name
from feedback_ui.server.launch import studio_command
from music.corpora.corpus import load_corpus
from reward.pairs.random_pairs import random_pairs
from reward.store.store import RatingsStore
from reward.store.votes import Answer

LEAST_HEARD_MS = 300
SETTLE_MS = 550
"""a new pair takes no vote sooner"""
AT_MOST_S = 120.0
NEXT_PAIR = """([before, begun]) => new Promise((resolve) => {
    const find = (root) => {
        const here = root.querySelector(".pair");
        if (here) return here;
        for (const element of root.querySelectorAll("*")) {
            const inside = element.shadowRoot && find(element.shadowRoot);
            if (inside) return inside;
        }
        return null;
    };
    const look = () => {
        const pair = find(document);
        const clips = pair ? [...pair.querySelectorAll("audio[data-side]")] : [];
        const now = clips.map((clip) => clip.getAttribute("src")).join();
        if (now && now !== before && clips.every((clip) => clip.readyState >= 3)) {
            resolve({ sources: now, ms: begun === null ? 0 : performance.now() - begun });
        } else {
            setTimeout(look, 5);
        }
    };
    look();
})"""


def main() -> None:
    """Start a studio, let the raters vote, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--melodies", type=int, default=2000)
    parser.add_argument("--raters", type=int, default=10)
    parser.add_argument("--votes", type=int, default=20, help="of each rater")
    parser.add_argument("--pause", type=float, default=1.0, help="seconds before a vote, at least")
    given = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, {given.melodies} melodies")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        database = folder / "ratings.db"
        with RatingsStore(database) as store:
            tokens = fill(store, given.melodies, given.raters, given.votes)
            with studio(database, folder) as (address, process):
                ready_ms = rate(address, database, tokens, given.votes, given.pause)
                memory = process.memory_full_info().uss / 2**20
            counted = store.counts()["votes_person"]
            write_ms = writes(store)
    asked = given.raters * (given.votes + 1)
    if counted != asked:
        sys.exit(f"{counted} votes are stored, {asked} were cast")
    result = {
        "melodies": given.melodies,
        "raters": given.raters,
        "votes": counted,
        "ready_p50_ms": float(np.percentile(ready_ms, 50)),
        "ready_p95_ms": float(np.percentile(ready_ms, 95)),
        "write_p50_ms": float(np.percentile(write_ms, 50)),
        "write_p95_ms": float(np.percentile(write_ms, 95)),
        "server_mib": memory,
    }
    for name, value in result.items():
        print(f"{name:16s} {value:10.1f}")
    print(json.dumps(result))


def fill(store: RatingsStore, melodies: int, raters: int, votes: int) -> list[str]:
    """A pool, pairs enough for everybody, and raters; their tokens."""
    found = [
        strain.melody
        for part in ("train", "validation", "test")
        for strain in load_corpus(part)
        if strain.melody.header.meter == "4/4" and strain.melody.header.bars == 8
    ]
    if len(found) < melodies:
        sys.exit(f"--melodies {melodies}: the corpus has {len(found)} of this metre and length")
    ids = store.add_melodies(found[:melodies], policy_id="corpus", sampler="corpus", seed=0)
    ids = list(dict.fromkeys(ids))
    # Raters are given the pairs that fewest others have, so all of them are new to everybody.
    pairs = random_pairs(ids, raters * (votes + 5), np.random.default_rng(0))
    store.add_comparisons(pairs, round=1)
    tokens = []
    for number in range(raters):
        rater = store.add_rater(f"rater {number}")
        # A first answer is behind them, so that nobody is shown how the studio works.
        issued = store.issue(rater.id)
        assert issued is not None
        store.vote(issued.assignment_id, Answer(outcome="skip", nonce=uuid4().hex))
        tokens.append(str(rater.token))
    return tokens


@contextmanager
def studio(database: Path, folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """A studio's address and process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = studio_command(
        str(database),
        port=port,
        clips=folder / "clips",
        least_heard_ms=LEAST_HEARD_MS,
        open_browser=False,
    )
    address = f"http://127.0.0.1:{port}"
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        until = time.monotonic() + AT_MOST_S
        while True:
            try:
                urllib.request.urlopen(f"{address}/_stcore/health", timeout=5).close()
                break
            except OSError:
                if time.monotonic() > until or server.poll() is not None:
                    sys.exit((folder / "server.log").read_text())
                time.sleep(0.1)
        yield address, psutil.Process(server.pid)
    finally:
        server.kill()
        server.wait()


def rate(
    address: str, database: Path, tokens: list[str], votes: int, pause_s: float
) -> list[float]:
    """Everybody answers in turns; milliseconds until the next pair was ready, a vote each."""
    cookie = cookie_name(RATER, urlsplit(address).port or 0, str(database))
    chromium = os.environ.get("TASTEMAKER_CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        sys.exit("no chromium on the path; install it, or name one in TASTEMAKER_CHROMIUM")
    arguments = ["--no-sandbox", "--mute-audio", "--autoplay-policy=no-user-gesture-required"]
    ready_ms = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        pages = [browser.new_page() for _ in tokens]
        for page, token in zip(pages, tokens, strict=True):
            page.set_default_timeout(1000 * AT_MOST_S)
            page.context.add_cookies([{"name": cookie, "value": token, "url": address}])
            page.goto(address)
        seen = [page.evaluate(NEXT_PAIR, ["", None])["sources"] for page in pages]
        for turn in range(votes):
            for number, page in enumerate(pages):
                page.wait_for_timeout(max(SETTLE_MS, 1000 * pause_s))
                listens = turn % 3 == 0
                if listens:
                    listen(page)
                begun = page.evaluate("performance.now()")
                page.keyboard.press("a" if listens else "s")
                found = page.evaluate(NEXT_PAIR, [seen[number], begun])
                seen[number] = found["sources"]
                ready_ms.append(found["ms"])
        browser.close()
    return ready_ms


def listen(page: Page) -> None:
    """Hear as much of both as a vote needs."""
    for key, letter in (("1", "A"), ("2", "B")):
        page.keyboard.press(key)
        page.locator(f".card.heard[aria-label='Melody {letter}']").wait_for()


def writes(store: RatingsStore) -> list[float]:
    """Milliseconds that one vote takes to be written, on a database with all these votes."""
    rater: Any = store.add_rater("writer")
    spent = []
    for _ in range(100):
        issued = store.issue(rater.id)
        if issued is None:
            break
        begun = time.perf_counter()
        store.vote(issued.assignment_id, Answer(outcome="left", nonce=uuid4().hex))
        spent.append(1000 * (time.perf_counter() - begun))
    return spent


if __name__ == "__main__":
    main()
