"""What a job adds to its run's folder: events, samples, its progress."""

from contextlib import closing

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from music.formats.abc_reader import read_tune
from music.rendering.sound import SoundfontError
from policy.compose import Conditioning
from policy.runs import new_run
from reward.store.database import Database
from rl.jobs.lease import JobLease
from rl.jobs.progress import JobCallback
from rl.jobs.queue import ask_to_stop, queue_job, read_job
from rl.jobs.record import JobSettings
from rl.ppo.rollout import Rollout


class Kill(BaseException):
    """The effect of kill -9, as far as one process can simulate it."""


@pytest.fixture(scope="module")
def rollout(tiny_policy):
    """A rollout of five melodies with only the fields that samples need."""
    from policy.compose import compose

    melodies = compose(tiny_policy, 5, conditioning=Conditioning(bars=4, meter="2/4"))
    scores = torch.linspace(-1, 1, 5, dtype=torch.float64)
    made = object.__new__(Rollout)
    for name, value in (
        ("melodies", melodies), ("score_mean", scores), ("score_std", scores.abs()),
    ):  # fmt: skip
        object.__setattr__(made, name, value)
    return made


@pytest.fixture
def new_callback(tmp_path):
    """Makes callbacks of one job, as each of its processes would."""
    run = new_run("ppo", {"updates": 7}, root=tmp_path)
    with closing(Database(tmp_path / "ratings.sqlite")) as store:
        settings = JobSettings(samples_every=3)
        lease = JobLease.claim(store, queue_job(store, folder=run.path, settings=settings).id)
        lease.take_turn()
        yield lambda: JobCallback(run, settings, lease)


def row(update, score=0.0):
    return {
        "update": update, "reward": -1.0, "score_mean": score, "score_std": 0.1, "kl_nats": 1.0,
        "vendi": 9.0, "originality": 0.9, "notes": 30.0, "seconds": 1.0, "guards_broken": [],
    }  # fmt: skip


def events(run, name):
    found = EventAccumulator(str(run.path / "tensorboard"))
    found.Reload()
    return [(event.step, event.value) for event in found.Scalars(name)]


def test_events_are_neither_missing_nor_double_after_a_kill(new_callback, rollout):
    with new_callback() as first:
        for update in range(4):
            first.logged(row(update, update / 4), rollout)
    # killed before the checkpoints of updates 2 and 3: both are repeated
    with new_callback() as second:
        for update in range(2, 6):
            second.logged(row(update, update / 4), rollout)
    assert events(second.run, "score_mean") == [(update, update / 4) for update in range(6)]
    assert len(events(second.run, "kl_nats")) == 6


def test_samples_of_some_updates_and_of_the_last(new_callback, rollout):
    with new_callback() as callback:
        for update in range(8):
            callback.logged(row(update), rollout)
    folders = sorted((callback.run.path / "samples").iterdir())
    assert [folder.name for folder in folders] == ["0000", "0003", "0006", "0007"]
    names = {f"melody-{n:03d}.{kind}" for n in range(1, 5) for kind in ("abc", "mid", "wav")}
    for folder in folders:
        assert {path.name for path in folder.iterdir()} == names | {"melodies.txt"}
    text = (folders[1] / "melody-002.abc").read_text()
    assert "Update 0003, melody 2" in text
    assert len(read_tune(text).bars) >= 4
    lines = (folders[1] / "melodies.txt").read_text().splitlines()
    assert len(lines) == 4
    assert "4 bars" in lines[1]
    assert lines[1].endswith("score -0.50 ± 0.50")


def test_a_run_that_the_guards_end_early_has_samples_of_its_last_update(new_callback, rollout):
    with new_callback() as callback:
        callback.logged(row(4), rollout)
        callback.updated(row(4), rollout)
        assert not (callback.run.path / "samples").exists()
        (callback.run.path / "policy").mkdir()
        callback.updated(row(4), rollout)
        assert (callback.run.path / "samples" / "0004" / "melody-004.wav").is_file()


def test_samples_are_whole_or_absent(new_callback, rollout, monkeypatch):
    with new_callback() as callback:
        with monkeypatch.context() as patched:
            patched.setattr("rl.jobs.progress.render_wav", lambda *_, **__: throw(Kill()))
            with pytest.raises(Kill):
                callback.logged(row(0), rollout)
        folder = callback.run.path / "samples"
        assert list(folder.iterdir()) == []
        (folder / "tmp-0000").mkdir()  # as a kill leaves it
        callback.logged(row(0), rollout)  # resumed: done again, and what was left is gone
        assert [path.name for path in folder.iterdir()] == ["0000"]
        callback.logged(row(0), rollout)  # killed after the samples and before the step
        assert [path.name for path in folder.iterdir()] == ["0000"]


def throw(error):
    raise error


def test_progress_is_in_the_row_and_the_stop_comes_back(new_callback, rollout):
    with new_callback() as callback:
        for step in (3, 4):
            (callback.run.path / "steps" / str(step)).mkdir(parents=True)
        lease = callback.lease
        callback.updated(row(3), rollout)
        job = read_job(lease.store, lease.job.id)
        assert job.last_checkpoint == "steps/4"
        assert job.message.startswith("update   3 of 7   score +0.00")
        assert not callback.stop_asked()
        ask_to_stop(lease.store, job)
        (callback.run.path / "policy").mkdir()
        callback.updated(row(4), rollout)
        assert callback.stop_asked()
        assert read_job(lease.store, lease.job.id).last_checkpoint == "policy"


def test_a_missing_font_is_told_before_the_work(new_callback):
    callback = new_callback()
    settings = JobSettings(soundfont="none.sf2")
    with pytest.raises(SoundfontError, match=r"none\.sf2"):
        JobCallback(callback.run, settings, callback.lease)
    JobCallback(callback.run, JobSettings(soundfont="none.sf2", samples_every=0), callback.lease)
