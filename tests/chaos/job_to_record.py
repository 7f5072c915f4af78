"""A PPO job whose writes are recorded: python -m tests.chaos.job_to_record NAME SEED

Works in the current folder. Starts the run, or resumes it when it is there, and says `queued` when
the job is in the database, as `tastemaker ppo` then does, and `done` at its end.
"""

import os
import sys

from tests.support.job_runs import (
    end_unclaimed_jobs,
    new_small_run,
    queue,
    use_small_index,
    work_on,
)


def say(text):
    """Write a mark, which the recording finds between the other writes."""
    with open(os.environ["TASTEMAKER_CHAOS_MARKS"], "a") as marks:  # noqa: PTH123
        marks.write(text)


def main():
    """Start or resume the run, and work to its end."""
    from policy.runs import RUNS, open_run

    name, seed = sys.argv[1], int(sys.argv[2])
    use_small_index()
    if (RUNS / name).exists():
        run = open_run(name)
        end_unclaimed_jobs()
    else:
        run = new_small_run(name, seed)
    job = queue(run)
    say("queued")
    code = work_on(job)
    if code == 0:
        say("done")
    sys.exit(code)


if __name__ == "__main__":
    main()
