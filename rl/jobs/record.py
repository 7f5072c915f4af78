"""A job: a run with a row in the ratings database and a process of its own.

On its own machine a live job is dead when its pid is gone, or belongs to a process that was created
at another time; seen from another machine, when its lease has run out. No torch here.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, Self
from uuid import UUID

import psutil
from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from reward.store.schema import JobRow

LIVE = ("queued", "running")
LEASE = timedelta(seconds=60)
"""how long after its last beat a job counts as alive where its process cannot be seen"""
SAME_CREATION_S = 2.0
"""create times nearer than this are one: the kernel's boot time is told in whole seconds"""


class JobError(ValueError):
    """What a job cannot do now; one line with the value, the rule and the remedy."""


class JobLostError(JobError):
    """The job is no longer this process's: it was taken for dead, and may run elsewhere by now."""


class Sessions(Protocol):
    """What jobs need of a store."""

    def reading(self) -> AbstractContextManager[Session]:
        """A session that writes nothing."""
        ...

    def writing(self) -> AbstractContextManager[Session]:
        """The only session that writes now."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSettings:
    """How a job goes about its run; none of it changes the run's bits."""

    slots: int = 1
    """jobs at a time on this machine, this one among them"""
    samples_every: int = 6
    """updates between samples; 0 for none"""
    soundfont: str | None = None
    """of the samples; None is the one that pretty_midi installs"""

    def __post_init__(self) -> None:
        """Check.

        Raises:
            JobError: for no slots, or a negative number of updates.
        """
        if self.slots < 1:
            raise JobError(f"slots={self.slots} would never let a job run; give 1 or more")
        if self.samples_every < 0:
            raise JobError(f"samples_every={self.samples_every} is below 0; 0 means no samples")


@dataclass(frozen=True, slots=True)
class Attendant:
    """A process, told apart from others that had or will have its pid."""

    host: str
    pid: int
    created_s: float
    """its create time, seconds since 1970"""

    @classmethod
    def this(cls) -> Self:
        """The process that asks."""
        process = psutil.Process()
        return cls(socket.gethostname(), process.pid, process.create_time())


@dataclass(frozen=True, slots=True)
class Job:
    """A job as its row was when it was read; fields as in `JobRow`."""

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

    @property
    def short_id(self) -> str:
        """What a person types."""
        return self.id.hex[:8]

    @property
    def folder(self) -> Path:
        """The run's folder, on the job's machine."""
        return Path(self.config["folder"])

    @property
    def log_file(self) -> Path:
        """What its process says, after what earlier processes of the run have said."""
        return self.folder / "job.log"

    @property
    def settings(self) -> JobSettings:
        """How it goes about its run."""
        return JobSettings(**self.config["settings"])

    @property
    def is_live(self) -> bool:
        """Whether it is queued or running, as far as its row knows."""
        return self.state in LIVE

    def is_dead(self, now: datetime) -> bool:
        """Whether a live row's process is gone."""
        assert self.lease_expires_at is not None
        expired = self.lease_expires_at < now
        if self.host != socket.gethostname() or self.pid is None:
            return expired
        try:
            process = psutil.Process(self.pid)
            if process.status() == psutil.STATUS_ZOMBIE:  # dead, and its parent has not looked yet
                return True
            created_s = process.create_time()
        except psutil.NoSuchProcess:
            return True
        assert self.process_created_s is not None
        # A step of the machine's clock moves create times too; then the beats of the living tell.
        return abs(created_s - self.process_created_s) > SAME_CREATION_S and expired

    @property
    def resume_command(self) -> str:
        """What a person types to go on where the run stands."""
        return f"tastemaker jobs resume {self.run_id}"


def select_jobs(session: Session, *where: ColumnElement[bool]) -> list[Job]:
    """The jobs that meet all conditions, in the order in which they were queued."""
    query = select(JobRow).where(*where).order_by(JobRow.created_at, JobRow.id)
    # A row that this session has seen before is read anew: UPDATEs go past its objects.
    found: Sequence[JobRow] = session.scalars(query.execution_options(populate_existing=True)).all()
    return [job_of(row) for row in found]


def job_of(row: JobRow) -> Job:
    """The row as it is now."""
    return Job(**{field.name: getattr(row, field.name) for field in fields(Job)})


def change_job(
    session: Session, where: Sequence[ColumnElement[bool]], values: Mapping[str, Any]
) -> bool:
    """Change the row that meets all conditions; whether there was one."""
    statement = update(JobRow).where(*where).values(**values)
    changed = session.connection().execute(statement).rowcount
    return changed == 1
