"""What a job writes during its run: log lines, TensorBoard events, samples, its progress.

Events and samples of an update are written before its checkpoint. After a kill the update is
repeated and they are written again: samples replace the earlier ones, and `purge_step` makes
TensorBoard drop the events of the earlier process from that step on. So none is missing or double.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from music.files import whole_folder
from music.formats.midi import to_midi
from music.formats.notation import to_abc
from music.rendering.sound import find_soundfont, render_wav
from policy.runs import Run
from rl.jobs.record import JobSettings
from rl.jobs.terminal import update_line
from rl.ppo.rollout import Rollout
from rl.ppo.trainer import Callback

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

    from rl.jobs.lease import JobLease

SAMPLES = 4
"""melodies in a sample: the first of the rollout, not the best"""
log = logging.getLogger("tastemaker.job")


class JobCallback(Callback):
    """The callback of a job's run; a context manager that closes the events file.

    Raises:
        SoundfontError: when samples are asked for and there is no soundfont to render them with.
    """

    def __init__(self, run: Run, settings: JobSettings, lease: JobLease) -> None:
        self.run, self.settings, self.lease = run, settings, lease
        self.updates = run.count("updates")
        self.why_ended_early: str | None = None
        self._events: SummaryWriter | None = None
        if settings.samples_every:
            find_soundfont(settings.soundfont)  # before hours of work, not after

    def __enter__(self) -> Self:
        """This callback."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the events file."""
        if self._events is not None:
            self._events.close()

    def about_to_write(self) -> None:
        """Make sure that the run is still this process's.

        Raises:
            JobLostError: when the job is no longer this process's.
        """
        self.lease.check()

    def logged(self, row: dict[str, Any], rollout: Rollout) -> None:
        """Write the events of each update, and samples of some updates and of the last."""
        self._write_events(row)
        update, every = row["update"], self.settings.samples_every
        if every and (update % every == 0 or update == self.updates):
            write_samples(self._samples(update), rollout, self.settings.soundfont)

    def updated(self, row: dict[str, Any], rollout: Rollout) -> None:
        """Log the update and store the progress in the database.

        Raises:
            JobLostError: when the job is no longer this process's.
        """
        samples, finished = self._samples(row["update"]), (self.run.path / "policy").is_dir()
        if self.settings.samples_every and finished and not samples.exists():
            # The guards ended the run early, so `logged` did not know that this update is the last.
            write_samples(samples, rollout, self.settings.soundfont)
        line = update_line(row, self.updates)
        log.info("%s", line)
        self.lease.beat(message=line, last_checkpoint=newest_checkpoint(self.run))

    def ended_early(self, why: str) -> None:
        """Keep the reason, for the job's message."""
        self.why_ended_early = why

    def stop_asked(self) -> bool:
        """Whether the cancel flag or a signal asks to stop."""
        return self.lease.stop_asked

    def _samples(self, update: int) -> Path:
        return self.run.path / "samples" / f"{update:04d}"

    def _write_events(self, row: dict[str, Any]) -> None:
        if self._events is None:
            from torch.utils.tensorboard import SummaryWriter

            self._events = SummaryWriter(
                str(self.run.path / "tensorboard"), purge_step=row["update"], max_queue=1
            )
        for name, value in row.items():
            if name != "update" and isinstance(value, int | float):
                self._events.add_scalar(name, value, row["update"])
        self._events.flush()


def write_samples(folder: Path, rollout: Rollout, soundfont: str | None) -> None:
    """Write the first melodies of a rollout as ABC, MIDI, WAV and a line of text, all or none."""
    for left_by_a_kill in folder.parent.glob("tmp-*"):
        shutil.rmtree(left_by_a_kill)
    with whole_folder(folder, temporary=folder.with_name(f"tmp-{folder.name}")) as draft:
        lines: list[str] = []
        for number, melody in enumerate(rollout.melodies[:SAMPLES], start=1):
            name, header = f"melody-{number:03d}", melody.header
            score, doubt = (x[number - 1].item() for x in (rollout.score_mean, rollout.score_std))
            title = f"Update {folder.name}, melody {number}"
            (draft / f"{name}.abc").write_text(to_abc(melody, title=title))
            (draft / f"{name}.mid").write_bytes(to_midi(melody))
            (draft / f"{name}.wav").write_bytes(render_wav(melody, soundfont=soundfont))
            lines.append(
                f"{name}  {melody.key}, {header.style}, {header.meter}, {header.bars} bars, "
                f"{len(melody.notes)} notes, score {score:+.2f} ± {doubt:.2f}\n"
            )
        (draft / "melodies.txt").write_text("".join(lines), encoding="utf-8")


def newest_checkpoint(run: Run) -> str:
    """The newest checkpoint: the policy of a finished run, otherwise the newest step."""
    if (run.path / "policy").is_dir():
        return "policy"
    steps = [int(path.name) for path in (run.path / "steps").glob("*") if path.name.isdigit()]
    return f"steps/{max(steps)}" if steps else "the start"
