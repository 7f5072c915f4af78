"""Melodies and databases that several test files need."""

import os
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from sqlalchemy import URL, Connection, create_engine

from music.corpora import corpus_file
from music.corpora.corpus import load_corpus
from music.durations import is_sum_of_durations
from music.melody import (
    BAR_COUNTS,
    MODES,
    PICKUPS_TICKS,
    PITCH_MAX,
    PITCH_MIN,
    TONIC_MIDI_MAX,
    TONIC_MIDI_MIN,
    Header,
    Melody,
    Note,
)
from music.metre import METERS
from music.styles import SHIPPED_STYLES, Styles
from music.tokens import decode
from reward.store.database import migrate, parse_url
from reward.store.store import RatingsStore
from tests.support import network_guard
from tests.support.random_melodies import random_melodies as random_melodies_of_grammar

MAIN = sys.modules["__main__"]
LATE = "late.log"
"""attempts to reach another machine that were written after the last test of a process"""
NETWORK_LOG = pytest.StashKey[Path]()
LONGEST_FILES = (
    "project/test_readme.py", "tastemaker/test_next_steps.py", "tastemaker/test_job_commands.py",
    "feedback_ui/test_keyboard_alone.py", "feedback_ui/test_storm.py", "rl/jobs/test_kills.py",
    "chaos/test_votes.py", "feedback_ui/test_pages.py", "fuzz/test_links.py",
)  # fmt: skip
"""They begin first, because with `--dist loadfile` all workers wait for the last file."""


def pytest_configure(config: pytest.Config) -> None:
    """Guard this process and all that it starts: nothing may reach beyond this machine."""
    worker = getattr(config, "workerinput", None)
    if worker is None:
        folder = Path(tempfile.mkdtemp(prefix="tastemaker-network-"))
    else:  # beside the file of the process that started it
        folder = Path(os.environ[network_guard.VARIABLE]).parent
    log = folder / f"{worker['workerid'] if worker else 'main'}.log"
    log.touch()
    config.stash[NETWORK_LOG] = log
    os.environ[network_guard.VARIABLE] = str(log)
    os.environ.update(network_guard.guarded(os.environ))
    network_guard.install()
    corpus_file.decode = decode_once


DECODED: dict[tuple[bytes, int, Styles], Melody] = {}


def decode_once(ids: np.ndarray, tonic_midi: int, styles: Styles) -> Melody:
    """`decode` for rows of a corpus; to decode the shipped tunes anew takes seconds each time."""
    row = np.asarray(ids, np.int64).tobytes(), tonic_midi, styles
    if row not in DECODED:
        DECODED[row] = decode(ids, tonic_midi, styles)
    return DECODED[row]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; within a file, and among the others, nothing moves."""
    places = {Path(__file__).parent / name: place for place, name in enumerate(LONGEST_FILES)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


def pytest_collection_finish() -> None:
    """Let Streamlit look through the installed packages once, not for each page that is tested."""
    if "streamlit.testing.v1" in sys.modules:
        from streamlit.components.v2 import manifest_scanner

        scan_once = cache(manifest_scanner.scan_component_manifests)
        manifest_scanner.scan_component_manifests = lambda: list(scan_once())


@pytest.fixture(autouse=True)
def only_this_machine(pytestconfig: pytest.Config) -> Iterator[None]:
    """A test fails when a process reached for another machine while it ran."""
    yield
    log = pytestconfig.stash[NETWORK_LOG]
    if log.stat().st_size:
        said = log.read_text()
        log.write_text("")
        pytest.fail(f"something reached beyond this machine:\n{said}", pytrace=False)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Processes may outlive the last test; what they reached for is found here."""
    log = session.config.stash[NETWORK_LOG]
    late = log.with_name(LATE)
    if log.stat().st_size:
        with late.open("a") as file:
            file.write(log.read_text())
    if hasattr(session.config, "workerinput"):
        return
    if late.exists():
        print(f"something reached beyond this machine:\n{late.read_text()}", file=sys.stderr)  # noqa: T201
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    shutil.rmtree(log.parent, ignore_errors=True)


@pytest.fixture(autouse=True)
def main_module() -> Iterator[None]:
    """Pytest stays the main module: AppTest leaves its page there, and what is spawned runs it."""
    yield
    sys.modules["__main__"] = MAIN


@pytest.fixture(scope="session")
def tune() -> Callable[..., Melody]:
    """Writes a melody of four bars (2/4 unless told) as (pitch or None, ticks), end to end."""

    def write(*notes, meter="2/4", mode="major", bars=4, pickup_ticks=0, tonic_midi=62):
        header = Header(meter, mode, "other", bars, pickup_ticks)
        at, written = header.start_ticks, []
        for pitch, ticks in notes:
            if pitch is not None:
                written.append(Note(at, ticks, pitch))
            at += ticks
        assert at == header.end_ticks, f"the notes stop at {at} of {header.end_ticks}"
        return Melody(header, tuple(written), tonic_midi)

    return write


@pytest.fixture(scope="session")
def random_melodies() -> Callable[..., list[Melody]]:
    """Random walks through the grammar, every metre, length and oddity; each on 1 to 6 pitches."""
    return random_melodies_of_grammar


@pytest.fixture(scope="session")
def any_melody() -> SearchStrategy[Melody]:
    """Melodies built note by note from the rules of `music.melody`, without the grammar."""
    headers = st.tuples(
        st.sampled_from(METERS), st.sampled_from(MODES), st.sampled_from(SHIPPED_STYLES.labels),
        st.sampled_from(BAR_COUNTS),
    ).flatmap(
        lambda fields: st.sampled_from(PICKUPS_TICKS[fields[0]]).map(
            lambda pickup_ticks: Header(*fields, pickup_ticks)
        )
    )  # fmt: skip

    def build(header: Header, seed: int, tonic_midi: int) -> Melody:
        rng = random.Random(seed)
        rests, holds = rng.choice((0, 0.2, 0.6)), rng.choice((0, 0.2, 0.9))
        shortest = rng.choice((3, 12, 24))
        at, notes = header.start_ticks, []
        before = "nothing"
        for barline in header.barlines_ticks[1:]:
            fresh = True
            while at < barline:
                room = barline - at
                fit = [
                    d for d in range(3, room + 1)
                    if is_sum_of_durations(d) and (d == room or is_sum_of_durations(room - d))
                ]  # fmt: skip
                duration = rng.choice([d for d in fit if d >= shortest] or fit)
                rest = rng.random() < rests
                last_chance = barline == header.end_ticks and not notes and duration == room
                if fresh and before == "note" and rng.random() < holds:
                    last = notes[-1]
                    notes[-1] = Note(last.onset_ticks, last.duration_ticks + duration, last.pitch)
                elif rest and not last_chance:
                    before = "rest"
                else:
                    notes.append(Note(at, duration, rng.randint(PITCH_MIN, PITCH_MAX)))
                    before = "note"
                at += duration
                fresh = False
        return Melody(header, tuple(notes), tonic_midi)

    seeds, tonics = st.integers(0, 2**32), st.integers(TONIC_MIDI_MIN, TONIC_MIDI_MAX)
    return st.builds(build, headers, seeds, tonics)


@pytest.fixture(scope="session")
def real_melodies() -> list[Melody]:
    """The held-out human strains."""
    return [strain.melody for strain in load_corpus("test")]


@pytest.fixture(scope="session")
def tiny_policy() -> Any:
    """A policy of one small layer with random weights, peaked enough to have preferences."""
    import torch  # here, because most tests need none

    from policy.model import MelodyForCausalLM, melody_config

    shape = {"num_layers": 1, "num_heads": 2, "num_key_value_heads": 1, "intermediate_size": 32}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        policy = MelodyForCausalLM(melody_config(hidden_size=32, **shape)).eval()
    with torch.no_grad():
        # It is tied to the head, so logits are about 20 times as far apart.
        policy.model.embed_tokens.weight.mul_(20)
    return policy


@pytest.fixture(scope="session")
def new_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ratings database with its schema; copying it is faster than migrating each time."""
    path = tmp_path_factory.mktemp("database") / "new.db"
    RatingsStore(path).close()
    return path


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for rendered audio, shared so that a melody is rendered once."""
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless browser, for pages that do not share what it keeps."""
    from playwright.sync_api import sync_playwright  # here, because most tests need none

    from tests.support.studio_server import launch

    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def new_sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new ratings database, to be copied: to make one takes a tenth of a second."""
    file = tmp_path_factory.mktemp("new-store") / "ratings.sqlite"
    RatingsStore(str(file)).close()
    return file


def makes_a_store(request: pytest.FixtureRequest) -> bool:
    """Whether the test is about how a store is made."""
    return bool({"migrations", "connections"} & {*request.path.parts})


@pytest.fixture(autouse=True)
def _new_stores_are_copied(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, new_sqlite_file: Path
) -> None:
    """Let a new SQLite store of this process be a copy, except where making one is tested."""
    if makes_a_store(request) or "small_disk" in request.fixturenames:
        return

    def copied(url: URL, **options: Any) -> None:
        file = Path(str(url.database))
        is_new = url.get_backend_name() == "sqlite" and file.parent.is_dir() and not file.exists()
        if is_new:
            shutil.copyfile(new_sqlite_file, file)
        else:
            migrate(url, **options)

    monkeypatch.setattr("reward.store.database.migrate", copied)


@contextmanager
def administration(server: str) -> Iterator[Connection]:
    """A connection to a PostgreSQL server that may make and drop databases."""
    engine = create_engine(parse_url(server), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.fixture(scope="session")
def postgresql_template() -> Iterator[str]:
    """Name of a PostgreSQL database with its schema; to copy it is faster than to migrate."""
    server = os.environ.get("TASTEMAKER_TEST_POSTGRES_URL")
    if not server:
        pytest.skip("TASTEMAKER_TEST_POSTGRES_URL names no server")
    name = f"tastemaker_template_{uuid4().hex}"
    with administration(server) as admin:
        admin.exec_driver_sql(f"CREATE DATABASE {name}")
        RatingsStore(
            parse_url(server).set(database=name).render_as_string(hide_password=False)
        ).close()
        yield name
        admin.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def ratings_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a ratings database without any row.

    SQLite's file does not exist yet. PostgreSQL's has its schema, and nothing at all where making
    a store is tested.
    """
    if request.param == "sqlite":
        yield str(tmp_path / "ratings.sqlite")
        return
    template = request.getfixturevalue("postgresql_template")
    like = "" if makes_a_store(request) else f" TEMPLATE {template}"
    server = os.environ["TASTEMAKER_TEST_POSTGRES_URL"]
    name = f"tastemaker_test_{uuid4().hex}"
    with administration(server) as admin:
        admin.exec_driver_sql(f"CREATE DATABASE {name}{like}")
        yield parse_url(server).set(database=name).render_as_string(hide_password=False)
        admin.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """The folder of a disk of a megabyte; the test is skipped where none can be mounted."""
    from tests.support.small_disk import mounted

    folder = tmp_path / "small-disk"
    folder.mkdir()
    with mounted(folder) as disk:
        yield disk
