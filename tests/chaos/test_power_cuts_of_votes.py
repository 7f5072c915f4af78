"""A vote that was acknowledged outlives a power cut, and the database opens after every cut."""

import os
import sys

import numpy as np
import pytest

from reward.store.store import RatingsStore
from tests.chaos.disk import write_tree
from tests.chaos.recording import has_strace, record
from tests.chaos.stored_votes import check_sound, read_votes
from tests.support.project import PROJECT
from tests.support.scale import scaled, time_limit_s

RECORDINGS = scaled(2)
CUTS_OF_A_RECORDING = 60
VOTES = 60


@pytest.mark.slow
@pytest.mark.timeout(time_limit_s(600))
def test_no_acknowledged_vote_is_lost(tmp_path, clips):
    has_strace()
    chance = np.random.default_rng(int(os.environ.get("TASTEMAKER_CHAOS_SEED", "0")))
    lost = tmp_path / "lost"
    lost.mkdir()
    database = lost / "new" / "ratings.sqlite"
    count = {"cuts": 0, "acknowledged": 0, "before_the_database": 0}
    for seed in range(RECORDINGS):
        # The first recording makes the database; each later one goes on from what a cut left.
        program = ["-m", "tests.chaos.votes_to_record"]
        recording = record(
            [sys.executable, *program, str(database), str(clips), str(VOTES), str(seed)],
            lost,
            environment=os.environ | {"PYTHONPATH": str(PROJECT)},
        )
        assert recording.code == 0, recording.said
        before = {vote.assignment_id for vote in read_votes(database)}
        acknowledged = len(recording.disk.marks()) - 1
        assert acknowledged >= VOTES // 2
        for _ in range(CUTS_OF_A_RECORDING):
            cut = recording.disk.draw_cut(chance)
            write_tree(recording.disk.after_power_cut(cut, chance), lost)
            marks = recording.disk.marks(cut)
            _check(database, marks, count, f"recording {seed}, cut {cut}")
        write_tree(recording.disk.after_power_cut(len(recording.disk.changes), chance), lost)
        _check(database, recording.disk.marks(), count, f"recording {seed}, its end")
        assert {vote.assignment_id for vote in read_votes(database)} >= before
    sys.stdout.write(f"{count}\n")
    assert count["acknowledged"] > 5 * RECORDINGS * VOTES


def _check(database, marks, count, where):
    """What was acknowledged is there, and the studio goes on from here."""
    count["cuts"] += 1
    if not database.exists():
        assert not marks, f"{where}: the database is gone"
        count["before_the_database"] += 1
    with RatingsStore(database) as store:
        if not marks:
            return
        saved = [mark.split()[1:] for mark in marks if mark.startswith("saved")]
        votes = {vote.assignment_id: vote for vote in read_votes(database)}
        for assignment_id, outcome, nonce in saved:
            assert assignment_id in votes, f"{where}: a saved vote is lost"
            stored = votes[assignment_id]
            assert (stored.outcome, stored.nonce) == (outcome, nonce), where
        count["acknowledged"] += len(saved)
        check_sound(database)
        assert store.counts()["comparisons"] > 0
        assert store.issue(1) is not None, where
