"""The process of a job: claims it, waits for a slot, runs it, records how it ended.

    python -m rl.jobs.worker JOB-ID           with the database in TASTEMAKER_DATABASE

If torchrun started several processes, the first one does this and the others only compute.

SIGTERM (the machine shuts down) and the job's cancel flag end it after the current update, with its
checkpoint on disk. Its log goes to standard output, which is the run's `job.log`.

Exit codes: 0 done or stopped, 1 failed (the log has the traceback), 2 the job belongs to another
process.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import closing
from uuid import UUID

from music.disk import os_error_line
from reward.store.database import Database
from reward.store.process_environment import DATABASE_VARIABLE
from rl.jobs.lease import EXIT_NOT_OURS, TURN_S, JobLease
from rl.jobs.queue import read_job
from rl.jobs.record import JobError, JobLostError, Sessions

log = logging.getLogger("tastemaker.job")


def run_job(store: Sessions, job_id: UUID, body: Callable[[JobLease], str | None]) -> int:
    """Claim a job, wait for a slot and run it; return the exit code.

    Args:
        store: the database.
        job_id: the job to run.
        body: the work; returns the final message, or None when it was stopped.
    """
    try:
        lease = JobLease.claim(store, job_id)
    except JobError as error:
        log.error("%s", error)
        return EXIT_NOT_OURS
    with lease:
        job = lease.job
        log.info("job %s, run %s, pid %s", job.short_id, job.run_id, os.getpid())
        try:
            said = body(lease) if lease.wait_for_turn() else None
            if said is None:
                at = lease.last_checkpoint or "its start"
                lease.end("stopped", f"stopped at {at}")
            else:
                lease.end("done", said)
        except JobLostError as error:
            log.error("%s", error)
            return EXIT_NOT_OURS
        except BaseException as error:
            lease.end("failed", reason_of(error), exit_code=1)
            raise
    return 0


def reason_of(error: BaseException) -> str:
    """Why a job failed, for its row; of trouble with files, which file or disk it is."""
    if isinstance(error, OSError):
        return os_error_line(error)
    return str(error) if isinstance(error, ValueError) else repr(error)


def fine_tune(lease: JobLease) -> str | None:
    """Run PPO in the run's folder, from its newest checkpoint."""
    from rl.jobs.progress import JobCallback
    from rl.jobs.terminal import kept_line
    from rl.runs.fine_tuning import resume_run

    job = lease.job
    tuning = resume_run(job.run_id, root=job.folder.parent)
    with JobCallback(tuning.run, job.settings, lease) as callback:
        kept = tuning.go(callback)
    if kept is None:
        return None
    why = callback.why_ended_early
    return kept_line(kept) + (f"; ended early, at {why}" if why else "")


def work_along(store: Sessions, job_id: UUID) -> int:
    """A further process of a run that has several: starts its share when the first one runs.

    Raises:
        JobError: when there is no such job.
    """
    job = read_job(store, job_id)
    while job.state == "queued":
        time.sleep(TURN_S)
        job = read_job(store, job_id)
    if job.state == "running":
        from rl.runs.fine_tuning import resume_run

        resume_run(job.run_id, root=job.folder.parent).go()
    return 0


def main() -> None:
    """Run the job that the command line names."""
    logging.basicConfig(
        stream=sys.stdout, format="%(asctime)s %(message)s", datefmt="%Y-%m-%d %H:%M:%S"
    )
    log.setLevel(logging.INFO)
    with closing(Database(os.environ[DATABASE_VARIABLE])) as database:
        job_id = UUID(sys.argv[1])
        is_first = os.environ.get("RANK", "0") == "0"
        if not is_first:
            # torchrun sends SIGTERM to all processes; the first one tells the others when to stop.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        code = run_job(database, job_id, fine_tune) if is_first else work_along(database, job_id)
    sys.exit(code)


if __name__ == "__main__":
    main()
