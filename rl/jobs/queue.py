"""The queue of jobs, for the command line and the studio: start, list, find, stop.

    job = start_job(store, url, folder=run.path, settings=JobSettings())
    list_jobs(store), find_job(store, "ppo-0001"), ask_to_stop(store, job)

Every query first marks jobs whose process is gone as failed, which frees their slots. A run has one
live job at a time; resuming makes a new job of the same run, which says which job it `resumes`.
`store` is a `Database` or a `RatingsStore`. Nothing is printed, and torch is not imported.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

from policy.runs import Run
from reward.store.database import (
    Database,
    RatingsError,
    ReadOnlyError,
    database_time,
    parse_url,
)
from reward.store.process_environment import process_environment
from reward.store.schema import JobRow
from rl.jobs.record import (
    LIVE,
    PROCESS_DIED,
    Job,
    JobError,
    JobSettings,
    Sessions,
    change_job,
    job_of,
    select_jobs,
)

CLAIM_POLL_S, END_POLL_S = 0.1, 0.5
"""seconds between polls for the start of a job's process, and for its end"""
STARTING = timedelta(seconds=120)
"""how long a queued job may have no process, because it is still being started"""


def open_jobs(database: str) -> Database:
    """Open the database of the jobs.

    Raises:
        JobError: when it is a file that does not exist; the file is not created.
        RatingsError: when it cannot be used.
    """
    url = parse_url(database)
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).is_file():
        raise JobError(
            f"there are no jobs yet, nor the database {database}; start one with: tastemaker ppo"
        )
    return Database(database)


def start_job(store: Sessions, database: str, *, folder: Path, settings: JobSettings) -> Job:
    """Queue a job for the run in `folder` and start its process, which outlives this one.

    Returns the job when its process has claimed it; it may still wait for a slot.

    Args:
        store: the database.
        database: its address, for the process.
        folder: of the run.
        settings: of the job.

    Raises:
        JobError: when a job of that run is queued or running, or the process does not start.
    """
    job, process = _queue_and_launch(store, database, folder, settings)
    return _await_claim(store, job, process)


def begin_job(store: Sessions, database: str, *, folder: Path, settings: JobSettings) -> Job:
    """Like `start_job`, but returns the queued job without waiting for its process.

    If the process does not start, the job's row says that it failed, and why. The store must stay
    open meanwhile.

    Raises:
        JobError: when a job of that run is queued or running, or no process can be made.
    """
    job, process = _queue_and_launch(store, database, folder, settings)

    def look_after() -> None:
        with suppress(
            JobError, RatingsError
        ):  # the job's row has the error, or the database is out of reach
            _await_claim(store, job, process)

    threading.Thread(target=look_after, daemon=True).start()
    return job


def _queue_and_launch(
    store: Sessions, database: str, folder: Path, settings: JobSettings
) -> tuple[Job, subprocess.Popen[bytes]]:
    job = queue_job(store, folder=folder, settings=settings)
    try:
        return job, launch(database, job)
    except BaseException as error:
        # Whatever it is, the job has no process: queued, it would hold its run and its place.
        said = str(error) if isinstance(error, ValueError | OSError) else repr(error)
        reap(store, job, f"was not started: {' '.join(said.split())}")
        raise


def _await_claim(store: Sessions, job: Job, process: subprocess.Popen[bytes]) -> Job:
    """Wait until the process claims the job; mark the job as failed if the process ends first."""
    while job.pid is None and job.state == "queued":
        time.sleep(CLAIM_POLL_S)
        code, (job, now) = process.poll(), _read_job(store, job.id)
        if (code is not None or job.is_dead(now)) and job.pid is None:
            reason = f"its process did not come up (exit code {code})"
            reap(store, job, reason)
            raise JobError(
                f"{job.run_id} was not started: {reason}; see why with: tastemaker jobs logs "
                f"{job.run_id}"
            )
    return job


def queue_job(
    store: Sessions, *, folder: Path, settings: JobSettings, now: datetime | None = None
) -> Job:
    """Add a job for the run in `folder`, to be launched on this machine.

    Its working folder is that of the run's earlier jobs, or else that of this process.

    Raises:
        JobError: when a job of that run is queued or running.
    """
    folder = folder.resolve()
    reap_dead_jobs(store, now=now)
    with store.writing() as session:
        # In the transaction, so that times follow the order of the queue.
        now = now or database_time(session)
        of_name = select_jobs(session, JobRow.run_id == folder.name)
        earlier = [job for job in of_name if job.folder == folder]
        for job in earlier:
            if job.is_live:
                raise JobError(
                    f"{job.run_id} is {job.state} already: job {job.short_id} (pid {job.pid} on "
                    f"{job.host}); watch it with: tastemaker jobs watch {job.run_id}"
                )
        working_folder = earlier[-1].config["working_folder"] if earlier else Path.cwd()
        row = JobRow(
            id=uuid4(),
            kind="ppo",
            run_id=folder.name,
            config={
                "folder": str(folder),
                "working_folder": str(working_folder),
                "settings": asdict(settings),
            },
            state="queued",
            created_at=now,
            host=socket.gethostname(),
            lease_expires_at=now + STARTING,
            cancel_requested=False,
            resumes=earlier[-1].id if earlier else None,
            last_checkpoint=earlier[-1].last_checkpoint if earlier else None,
            message="starting",
        )
        session.add(row)
        session.flush()
        return job_of(row)


def job_command(job: Job) -> list[str]:
    """The command line of the job's process, or of torchrun when its run has several.

    Raises:
        RunError: when the run's record cannot be read, or does not say how many processes it has.
    """
    processes = Run(job.folder).count("processes")
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    started_by = torchrun if processes > 1 else []
    return [sys.executable, *started_by, "-m", "rl.jobs.worker", str(job.id)]


def launch(database: str, job: Job) -> subprocess.Popen[bytes]:
    """Start the job's process in a session of its own, so that it outlives this process.

    Raises:
        JobError: when its run folder or its working folder is gone.
    """
    working_folder = Path(job.config["working_folder"])
    for folder in (job.folder, working_folder):
        if not folder.is_dir():
            raise JobError(
                f"the folder {folder} of {job.run_id} is gone; put it back, or go on in the folder "
                f"where it now is with: tastemaker ppo --resume {job.run_id}"
            )
    with job.log_file.open("ab") as log:
        process = subprocess.Popen(
            job_command(job),
            cwd=working_folder,
            env=process_environment(absolute(database)),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    # Without a wait, the ended process would stay a zombie as long as this process lives.
    threading.Thread(target=process.wait, daemon=True).start()
    return process


def absolute(database: str) -> str:
    """The address of a database, valid in any working folder."""
    return database if "://" in database else str(Path(database).expanduser().resolve())


def list_jobs(store: Sessions, *, every: bool = False) -> list[Job]:
    """The newest job of each run, or every job, oldest first."""
    reap_dead_jobs(store)
    with store.reading() as session:
        jobs = select_jobs(session)
    if every:
        return jobs
    newest = {(job.host, job.folder): job.id for job in jobs}
    return [job for job in jobs if newest[job.host, job.folder] == job.id]


def read_job(store: Sessions, job_id: UUID) -> Job:
    """The job as it is now.

    Raises:
        JobError: when there is none.
    """
    return _read_job(store, job_id)[0]


def _read_job(store: Sessions, job_id: UUID) -> tuple[Job, datetime]:
    with store.reading() as session:
        found, now = select_jobs(session, JobRow.id == job_id), database_time(session)
    if not found:
        raise JobError(f"there is no job {job_id}; list them with: tastemaker jobs --all")
    return found[0], now


def time_of(store: Sessions) -> datetime:
    """Now, by the clock that the times of jobs are by."""
    with store.reading() as session:
        return database_time(session)


def find_job(store: Sessions, name: str) -> Job:
    """The newest job of the run of that name, or the job whose id begins with it.

    Raises:
        JobError: when no job or several jobs match.
    """
    jobs = list_jobs(store, every=True)
    of_run = [job for job in jobs if job.run_id == name]
    if len({(job.host, job.folder) for job in of_run}) > 1:
        said = ", ".join(f"{job.short_id} in {job.folder} on {job.host}" for job in of_run)
        raise JobError(
            f"{name!r} is a run in several folders or on several machines; name the job: {said}"
        )
    if of_run:
        return of_run[-1]
    prefix = name.replace("-", "")
    matches = [job for job in jobs if prefix and job.id.hex.startswith(prefix)]
    if len(matches) > 1:
        said = ", ".join(f"{job.short_id} ({job.run_id})" for job in matches)
        raise JobError(f"{name!r} begins several jobs' ids: {said}; write more of it")
    if not matches:
        there = ", ".join(sorted({job.run_id for job in jobs})) or "none yet"
        raise JobError(f"there is no job or run {name!r}; there are: {there}")
    return matches[0]


def ask_to_stop(store: Sessions, job: Job) -> None:
    """Set the cancel flag: the job finishes its update, saves a checkpoint and ends.

    Raises:
        JobError: when it has ended.
    """
    with store.writing() as session:
        live = (JobRow.id == job.id, JobRow.state.in_(LIVE))
        asked = change_job(session, live, {"cancel_requested": True})
    if not asked:
        ended = read_job(store, job.id)
        raise JobError(f"job {job.short_id} ({job.run_id}) is {ended.state} already; nothing runs")


def check_resumable(job: Job) -> None:
    """Refuse a job that cannot be resumed.

    Raises:
        JobError: for a job that is done. `queue_job` refuses a live one.
    """
    if job.state == "done":
        raise JobError(
            f"{job.run_id} is done ({job.message}), so nothing is left to do; measure it with: "
            f"tastemaker evaluate base {job.run_id}"
        )


def wait_for_end(store: Sessions, job: Job) -> Job:
    """Wait until a job has ended, and return it."""
    while job.is_live:
        time.sleep(END_POLL_S)
        reap_dead_jobs(store)
        job = read_job(store, job.id)
    return job


def log_tail(job: Job, lines: int) -> list[str]:
    """The last lines of the log of the job's run, which all its jobs share.

    Raises:
        JobError: when there is no log on this machine.
    """
    if not job.log_file.is_file():
        raise JobError(
            f"{job.run_id} has no log at {job.log_file}; look on {job.host}, or resume it"
        )
    with job.log_file.open(encoding="utf-8", errors="replace") as file:
        return [line.rstrip("\n") for line in deque(file, maxlen=lines)]


def reap_dead_jobs(store: Sessions, *, now: datetime | None = None) -> list[Job]:
    """Mark live jobs whose process is gone as failed, and return those jobs.

    Where nothing can be written, their rows stay as they are.
    """
    with store.reading() as session:
        now = now or database_time(session)
        dead = [job for job in select_jobs(session, JobRow.state.in_(LIVE)) if job.is_dead(now)]
    try:
        return [job for job in dead if reap(store, job, PROCESS_DIED)]
    except ReadOnlyError:
        return []


def reap(store: Sessions, job: Job, reason: str) -> bool:
    """Mark a live job as failed; False when its row has changed since it was read."""
    with store.writing() as session:
        # A heartbeat since then shows that the process is alive.
        unchanged = (
            JobRow.id == job.id,
            JobRow.state == job.state,
            JobRow.pid.is_(None) if job.pid is None else JobRow.pid == job.pid,
            JobRow.lease_expires_at == job.lease_expires_at,
        )
        failed = {"state": "failed", "finished_at": database_time(session), "message": reason}
        return change_job(session, unchanged, failed)
