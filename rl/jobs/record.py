"""A job: a run with a row in the ratings database and a process of its own.

On its own machine, a live job is dead when its pid is gone or belongs to another process: one with
another creation time that does not name the job. Seen from another machine, it is dead when its
lease has expired. All times in a row are by the database's clock, so machines whose clocks differ
agree on it. This module does not import torch.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, Self
from uuid import UUID

import psutil
from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from music.json_text import JsonError, whole_number
from music.messages import excerpt, shortened
from reward.store.schema import JobRow

LIVE = ("queued", "running")
PROCESS_DIED = "process died"
"""message of a job whose process was gone while its row was live"""
LEASE = timedelta(seconds=60)
"""how long after its last heartbeat a job of another machine counts as alive"""
SAME_CREATION_S = 2.0
"""creation times closer than this are equal: the kernel rounds its boot time to seconds"""


class JobError(ValueError):
    """A job cannot do this now; one line with the value, the rule and the remedy."""


class JobLostError(JobError):
    """This process lost its job: it was marked as failed, and may run elsewhere by now."""


class Sessions(Protocol):
    """The part of a store that jobs need."""

    def reading(self) -> AbstractContextManager[Session]:
        """A session for reading."""
        ...

    def writing(self) -> AbstractContextManager[Session]:
        """A session for writing; there is only one at a time."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSettings:
    """Settings of a job; none of them changes the result of its run."""

    slots: int = 1
    """jobs that may run at a time on this machine, including this one"""
    samples_every: int = 6
    """updates between samples; 0 for none"""
    soundfont: str | None = None
    """soundfont of the samples; None for the one that pretty_midi installs"""

    def __post_init__(self) -> None:
        """Check.

        Raises:
            JobError: for no slots, or a negative number of updates.
            JsonError: for what are not whole numbers and a path.
        """
        whole_number(self.slots, "slots", low=-(2**31), high=2**31)
        whole_number(self.samples_every, "samples_every", low=-(2**31), high=2**31)
        if self.soundfont is not None and not isinstance(self.soundfont, str):
            raise JsonError(f"soundfont={shortened(self.soundfont)} is not a path")
        if self.slots < 1:
            raise JobError(f"slots={self.slots} would never let a job run; give 1 or more")
        if self.samples_every < 0:
            raise JobError(f"samples_every={self.samples_every} is below 0; 0 means no samples")


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    """A process, distinguished from others with the same pid by its creation time."""

    host: str
    pid: int
    created_s: float
    """its creation time, seconds since 1970"""

    @classmethod
    def this(cls) -> Self:
        """The current process."""
        process = psutil.Process()
        return cls(socket.gethostname(), process.pid, process.create_time())


@dataclass(frozen=True, slots=True)
class Job:
    """A copy of a job's row; fields as in `JobRow`."""

    id: UUID
    kind: str
    run_id: str
    config: dict[str, Any]
    state: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    host: str | None
    pid: int | None
    process_created_s: float | None
    heartbeat_at: datetime | None
    lease_expires_at: datetime | None
    cancel_requested: bool
    exit_code: int | None
    last_checkpoint: str | None
    resumes: UUID | None
    message: str
    """what it does or how it ended; without a next step, which depends on who shows it"""

    @property
    def short_id(self) -> str:
        """The short id that people type."""
        return self.id.hex[:8]

    @property
    def folder(self) -> Path:
        """The run's folder, on the job's machine.

        Raises:
            JobError: when its row names none.
        """
        folder = self.config.get("folder") if isinstance(self.config, dict) else None
        if not isinstance(folder, str) or "\0" in folder:
            raise JobError(
                f"job {self.short_id} ({self.run_id}) does not say where its run is; its row was "
                "written by another program, so remove it from the table jobs"
            )
        return Path(folder)

    @property
    def log_file(self) -> Path:
        """The output of its process, appended to that of the run's earlier jobs."""
        return self.folder / "job.log"

    @property
    def settings(self) -> JobSettings:
        """The job's settings.

        Raises:
            JobError: when its row holds others than a job has.
        """
        try:
            return JobSettings(**self.config["settings"])
        except (KeyError, TypeError, JsonError) as error:
            raise JobError(
                f"the settings of job {self.short_id} ({self.run_id}) cannot be read "
                f"({excerpt(repr(error), 80)}); go on with a new job: {self.resume_command}"
            ) from error

    @property
    def is_live(self) -> bool:
        """Whether it is queued or running, according to its row."""
        return self.state in LIVE

    def is_dead(self, now: datetime) -> bool:
        """Whether a live row's process is gone; `now` is by the database's clock."""
        assert self.lease_expires_at is not None
        expired = self.lease_expires_at < now
        if self.host != socket.gethostname() or self.pid is None:
            return expired
        try:
            process = psutil.Process(self.pid)
            if (
                process.status() == psutil.STATUS_ZOMBIE
            ):  # dead, but its parent has not waited for it yet
                return True
            created_s, command = process.create_time(), process.cmdline()
        except psutil.NoSuchProcess:
            return True
        assert self.process_created_s is not None
        # Setting the clock changes creation times too, and may end the lease; then a valid lease
        # or the job's id in the command line shows that it is alive.
        is_same = abs(created_s - self.process_created_s) <= SAME_CREATION_S
        return not is_same and expired and str(self.id) not in command

    @property
    def was_interrupted(self) -> bool:
        """Whether it was stopped or its process died, so that it can go on as it is."""
        return self.state == "stopped" or (self.state == "failed" and self.message == PROCESS_DIED)

    @property
    def resume_command(self) -> str:
        """The command that continues the run from its newest checkpoint, in its database."""
        return f"tastemaker jobs resume {self.run_id}"


def select_jobs(session: Session, *where: ColumnElement[bool]) -> list[Job]:
    """The jobs that meet all conditions, in the order in which they were queued."""
    query = select(JobRow).where(*where).order_by(JobRow.created_at, JobRow.id)
    # `populate_existing` reloads known rows, because our UPDATEs bypass the session's objects.
    found: Sequence[JobRow] = session.scalars(query.execution_options(populate_existing=True)).all()
    return [job_of(row) for row in found]


def job_of(row: JobRow) -> Job:
    """Copy a row."""
    job = Job(**{field.name: getattr(row, field.name) for field in fields(Job)})
    # Version 0.1.0 stored the next step in the message, without the database.
    return replace(job, message=job.message.removesuffix(f"; go on with: {job.resume_command}"))


def change_job(
    session: Session, where: Sequence[ColumnElement[bool]], values: Mapping[str, Any]
) -> bool:
    """Change the row that meets all conditions; False if there is none."""
    statement = update(JobRow).where(*where).values(**values)
    changed = session.connection().execute(statement).rowcount
    return changed == 1
