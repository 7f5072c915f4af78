"""A ratings file that may only be read: on read-only media, or for want of rights."""

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random

import pytest

from reward.comparisons.rater_statistics import ratings_statistics
from reward.exchange.export import export_ratings
from reward.pairs.random_pairs import random_pairs
from reward.store.database import Database, ReadOnlyError
from reward.store.schema import JobRow
from reward.store.store import RatingsError, RatingsStore
from reward.store.votes import Answer
from rl.jobs.lease import JobLease
from rl.jobs.queue import list_jobs, queue_job
from rl.jobs.record import LEASE, JobSettings, WorkerProcess
from tests.support.project import PROJECT
from tests.support.small_disk import read_only

NOBODY = 65534


@pytest.fixture
def folder():
    """A folder that every user may enter, unlike pytest's."""
    path = Path(tempfile.mkdtemp(prefix="tastemaker-"))
    path.chmod(0o755)
    yield path
    for each in (path, *path.iterdir()):
        each.chmod(0o755)
    shutil.rmtree(path)


@contextmanager
def as_nobody():
    """Root may do everything, so it is another user meanwhile."""
    if os.getuid() != 0:
        yield
        return
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@pytest.fixture
def rated(random_melodies):
    """Makes a file of a rater with a vote."""

    def make(path):
        with RatingsStore(path) as store:
            ids = store.add_melodies(random_melodies(6), policy_id="p", sampler="s", seed=1)
            store.add_comparisons(random_pairs(ids, 4, Random(1)), round=1)
            anna = store.add_rater("Anna")
            store.vote(store.issue(anna.id).assignment_id, Answer(outcome="left", nonce="n"))
        return path

    return make


def check_is_read(path):
    """The file can be looked at, and whoever would change it is told so in a line."""
    with RatingsStore(path) as store:
        assert len(store.votes_frame()) == 1
        assert len(store.melodies_frame()) == 6
        assert ratings_statistics(store).raters[0].votes == 1
        (rater_id,) = store.raters_frame()["rater_id"]
        for change in (
            lambda: store.add_rater("Ben"),
            lambda: store.issue(rater_id),
            lambda: store.withdraw(rater_id),
        ):
            with pytest.raises(ReadOnlyError, match=r"may only be read.*copy it.*--database") as no:
                change()
            assert "\n" not in str(no.value)


def test_read_only_media_are_read(small_disk, rated, tmp_path):
    path = rated(small_disk / "ratings.sqlite")
    with read_only(small_disk):
        check_is_read(path)
        with RatingsStore(path) as store:
            written = export_ratings(store, tmp_path / "export", formats=["csv"])
        assert all(file.is_file() for file in written)
        assert [file.name for file in small_disk.iterdir()] == ["ratings.sqlite"]
    with RatingsStore(path) as store:
        assert store.add_rater("Ben").nickname == "Ben"


def test_a_file_without_the_right_to_write(folder, rated):
    path = rated(folder / "ratings.sqlite")
    folder.chmod(0o777)
    path.chmod(0o444)
    with as_nobody():
        check_is_read(path)
    assert [file.name for file in folder.iterdir()] == ["ratings.sqlite"], "nothing is left there"


def test_a_folder_without_the_right_to_write(folder, rated):
    path = rated(folder / "a # strange?name%20.sqlite")
    path.chmod(0o666)
    folder.chmod(0o555)
    with as_nobody():
        check_is_read(path)


def test_a_file_that_another_user_has_open(folder, rated):
    """Its newest changes are in the journal beside it."""
    path = rated(folder / "ratings.sqlite")
    with RatingsStore(path) as owner:
        owner.add_rater("Ben")
        for file in folder.iterdir():
            file.chmod(0o644)
        folder.chmod(0o555)
        assert (folder / "ratings.sqlite-wal").stat().st_size > 0
        with as_nobody(), RatingsStore(path) as store:
            assert set(store.raters_frame()["nickname"]) == {"Anna", "Ben"}
            with pytest.raises(ReadOnlyError):
                store.add_rater("Cleo")


def test_a_journal_that_cannot_be_read_there_is_told(small_disk, rated):
    """After a crash and on read-only media: without the journal, votes would be missing."""
    path = rated(small_disk / "ratings.sqlite")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE raters SET nickname = 'Zoe'")
        for file in ("ratings.sqlite", "ratings.sqlite-wal"):
            shutil.copy(small_disk / file, small_disk / f"crashed-{file}")
    with (
        read_only(small_disk),
        pytest.raises(RatingsError, match=r"crashed-ratings\.sqlite-wal.*copy both"),
    ):
        RatingsStore(small_disk / "crashed-ratings.sqlite")


def test_an_earlier_schema_cannot_be_brought_up_to_date_there(small_disk):
    shutil.copy(
        PROJECT / "tests" / "data" / "v0_1_0" / "ratings.sqlite", small_disk / "ratings.sqlite"
    )
    with read_only(small_disk), pytest.raises(RatingsError, match="earlier version; copy it"):
        RatingsStore(small_disk / "ratings.sqlite")
    RatingsStore(small_disk / "ratings.sqlite").close()


def test_no_new_file_is_made_on_read_only_media(small_disk):
    with read_only(small_disk):
        with pytest.raises(RatingsError, match=f"the disk at {small_disk} may only be read"):
            RatingsStore(small_disk / "new" / "ratings.sqlite")
        with pytest.raises(RatingsError, match="cannot be opened"):
            RatingsStore(small_disk / "ratings.sqlite")


def test_jobs_can_be_listed_where_none_can_be_marked_as_dead(small_disk, tmp_path):
    path = small_disk / "ratings.sqlite"
    with closing(Database(path)) as store:
        job = queue_job(store, folder=tmp_path, settings=JobSettings())
        JobLease.claim(store, job.id, WorkerProcess("away", 7, 0.0))
        with store.writing() as session:
            row = session.get_one(JobRow, job.id)
            row.lease_expires_at = row.lease_expires_at - 2 * LEASE
    with read_only(small_disk), closing(Database(path)) as store:
        assert [job.state for job in list_jobs(store)] == ["queued"]
    with closing(Database(path)) as store:
        assert [job.state for job in list_jobs(store)] == ["failed"]
