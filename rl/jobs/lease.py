"""The lease of a process on its job: claim it, wait for a slot, send heartbeats, record the end.

A claim is a conditional UPDATE in the only write transaction, so only one of two processes can
claim a job. A machine runs as many jobs at a time as their `slots` allow, in the order in which
they were queued. Each waiting process polls the database itself, so no scheduler is needed.

A thread renews the lease, by the database's clock, so that machines whose clocks differ agree on
its end. If the job is lost all the same (this machine slept longer than the lease
and another machine marked the job as failed), the process ends at once, because another process may
be writing the run by now.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from types import FrameType
from typing import Any, Self
from uuid import UUID

from sqlalchemy import ColumnElement

from reward.store.database import RatingsError, database_time
from reward.store.schema import JobRow
from rl.jobs.queue import reap_dead_jobs
from rl.jobs.record import LEASE, LIVE, Job, JobError, JobLostError, Sessions, WorkerProcess
from rl.jobs.record import change_job as change
from rl.jobs.record import select_jobs as select

BEAT_S = 5.0
"""seconds between heartbeats: many in a lease, so that one that fails does no harm"""
TURN_S = 0.5
"""seconds between polls for a free slot"""
END_TRIES = 12
"""attempts to record a job's end while the database is out of reach"""
EXIT_NOT_OURS = 2
"""exit code of a process whose job belongs to another process"""
log = logging.getLogger("tastemaker.job")


class JobLease:
    """The lease of process `me` on a job that it has claimed; sends heartbeats inside its context.

    `stop_asked` means that the job must end after the current update, because somebody set its
    cancel flag or the process got SIGTERM.
    """

    def __init__(self, store: Sessions, job: Job, me: WorkerProcess) -> None:
        self.store, self.job, self.me = store, job, me
        self.last_checkpoint = job.last_checkpoint
        self.stop_asked = job.cancel_requested
        self._renewed_s = _seconds()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep_beating, name="heartbeat", daemon=True)

    @classmethod
    def claim(cls, store: Sessions, job_id: UUID, me: WorkerProcess | None = None) -> Self:
        """Claim a job for this process, which then waits for a slot; the first claim wins.

        Raises:
            JobError: when another process has claimed it, it has ended, or there is no such job.
        """
        me = me or WorkerProcess.this()
        with store.writing() as session:
            now = database_time(session)  # in the transaction, for which we may have waited
            free = (JobRow.id == job_id, JobRow.state == "queued", JobRow.pid.is_(None))
            values = {
                "host": me.host,
                "pid": me.pid,
                "process_created_s": me.created_s,
                "message": "waits for its turn",
            }
            claimed = change(session, free, values | _lease(now))
            found = select(session, JobRow.id == job_id)
        if not found:
            raise JobError(f"there is no job {job_id}; list them with: tastemaker jobs --all")
        job = found[0]
        if not claimed:
            by = f"by pid {job.pid} on {job.host}" if job.pid else "and never had a process"
            raise JobError(
                f"job {job.short_id} ({job.run_id}) is {job.state} already, {by}; a job has one "
                "process, once: see tastemaker jobs"
            )
        return cls(store, job, me)

    def __enter__(self) -> Self:
        """Start the heartbeats; from now on, SIGTERM asks the job to stop."""
        self._before = signal.signal(signal.SIGTERM, self._terminate)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the heartbeats."""
        self._stop_beating()
        signal.signal(signal.SIGTERM, self._before)

    def wait_for_turn(self) -> bool:
        """Wait in the queue for a slot; False when asked to stop meanwhile.

        Raises:
            JobLostError: when the job is no longer this process's.
        """
        while not self.stop_asked:
            try:
                if self.take_turn():
                    return True
            except RatingsError as error:  # another writer is slow; our place in the queue is kept
                log.warning("%s", error)
            time.sleep(TURN_S)
        return False

    def take_turn(self) -> bool:
        """Start if this machine has a free slot and no earlier job waits; whether it started.

        Raises:
            JobLostError: when the job is no longer this process's.
        """
        reap_dead_jobs(self.store)
        with self.store.writing() as session:
            now = database_time(session)
            here = select(session, JobRow.host == self.me.host, JobRow.state.in_(LIVE))
            place = next((i for i, other in enumerate(here) if other.id == self.job.id), None)
            running = [other for other in here if other.state == "running"]
            ahead = [other for other in here[:place] if other.state == "queued"]
            slots = self.job.settings.slots
            values: dict[str, Any] = {"message": _why_waiting(running, ahead, slots)}
            runs = not ahead and len(running) < slots and not self.stop_asked
            if runs:
                values = {"state": "running", "started_at": now, "message": "starting"}
            if not change(session, self._mine("queued"), values | _lease(now)):
                raise self._lost()
            (job,) = select(session, JobRow.id == self.job.id)
        self._renewed_s = _seconds()
        self.stop_asked |= job.cancel_requested
        return runs

    def beat(self, *, message: str | None = None, last_checkpoint: str | None = None) -> None:
        """Renew the lease and store the progress of the run; refreshes `stop_asked`.

        Raises:
            JobLostError: when the job is no longer this process's, which must write nothing more.
        """
        self.last_checkpoint = last_checkpoint or self.last_checkpoint
        said = {"message": message, "last_checkpoint": last_checkpoint}
        values = {key: value for key, value in said.items() if value is not None}
        try:
            with self.store.writing() as session:
                if not change(session, self._mine(), values | _lease(database_time(session))):
                    raise self._lost()
                (job,) = select(session, JobRow.id == self.job.id)
            self._renewed_s = _seconds()
            self.stop_asked |= job.cancel_requested
        except (
            RatingsError
        ) as error:  # the run itself needs no database; the next heartbeat stores it
            log.warning("%s", error)

    def check(self) -> None:
        """Make sure that the job is still this process's, before the run's files are written.

        The database is asked only when the last heartbeat is old, as it is when this process stood
        still: then another process may be writing the run by now.

        Raises:
            JobLostError: when the job is no longer this process's.
        """
        if _seconds() - self._renewed_s > LEASE.total_seconds() / 2:
            self.beat()

    def end(self, state: str, message: str, *, exit_code: int = 0) -> None:
        """Record how it ended ('done', 'failed' or 'stopped') and stop the heartbeats.

        Retries when the database is out of reach: a job without a recorded end counts as failed.

        Raises:
            JobLostError: when the job is no longer this process's.
            RatingsError: when the database stays out of reach.
        """
        self._stop_beating()  # a heartbeat after the end would raise JobLostError
        line = " ".join(message.split())
        log.info("%s: %s", state, line)
        values = {"state": state, "exit_code": exit_code, "message": line}
        for tries_left in reversed(range(END_TRIES)):
            try:
                with self.store.writing() as session:
                    ended = values | {"finished_at": database_time(session)}
                    if not change(session, self._mine(), ended):
                        raise self._lost()
            except RatingsError as error:
                log.warning("%s", error)
                if not tries_left:
                    raise
                time.sleep(TURN_S)
            else:
                return

    def _mine(self, *states: str) -> tuple[ColumnElement[bool], ...]:
        return (
            JobRow.id == self.job.id,
            JobRow.state.in_(states or LIVE),
            JobRow.host == self.me.host,
            JobRow.pid == self.me.pid,
            JobRow.process_created_s == self.me.created_s,
        )

    def _lost(self) -> JobLostError:
        return JobLostError(
            f"job {self.job.short_id} ({self.job.run_id}) is no longer that of pid {self.me.pid}: "
            "it was taken for dead; look with: tastemaker jobs"
        )

    def _terminate(self, _signal: int, _frame: FrameType | None) -> None:
        self.stop_asked = True

    def _stop_beating(self) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _keep_beating(self) -> None:
        while not self._over.wait(BEAT_S):
            try:
                self.beat()
            except JobLostError as error:
                log.error("%s", error)
                logging.shutdown()
                # Not an exception in the main thread, which may be busy with a long update. Ending
                # here is safe: a checkpoint on disk is always whole.
                os._exit(EXIT_NOT_OURS)


def _seconds() -> float:
    """A clock that nobody sets, and that goes on while the machine sleeps, where there is one."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _lease(now: datetime) -> dict[str, datetime]:
    return {"heartbeat_at": now, "lease_expires_at": now + LEASE}


def _why_waiting(running: Sequence[Job], ahead: Sequence[Job], slots: int) -> str:
    reasons: list[str] = []
    if len(running) >= slots:
        reasons.append(f"{len(running)} running, slots {slots}: {_names(running)}")
    if ahead:
        reasons.append(f"{len(ahead)} ahead: {_names(ahead)}")
    return f"waits for its turn; {'; '.join(reasons)}"


def _names(jobs: Sequence[Job]) -> str:
    return ", ".join(job.run_id for job in jobs)
