"""Jobs as a person deals with them: `tastemaker ppo` and `tastemaker jobs`, in processes."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import closing

import psutil
import pytest

from policy.checkpoint import save_policy
from policy.runs import new_run
from reward.store.database import Database
from rl.jobs.lease import JobLease
from rl.jobs.queue import ask_to_stop, queue_job
from rl.jobs.record import JobSettings
from rl.jobs.worker import run_job
from tastemaker.__main__ import main
from tests.support.project import PROJECT

LIKING = """
def high(melodies):
    return [sum(note.pitch >= 12 for note in m.notes) / len(m.notes) for m in melodies]
"""
SMALL = (
    "--reward liking:high --melodies 16 --minibatch 8 --threads 1 --kl-limit 50 --samples-every 0 "
    "--set bars=4 --set meter=2/4 --set saturation_point=3 --set patience=1000000"
)


@pytest.fixture
def type_in(tmp_path, tiny_policy):
    """Calls the command line in a folder with a base policy and a reward."""
    save_policy(tiny_policy, tmp_path / "checkpoints" / "base")
    (tmp_path / "liking.py").write_text(LIKING)

    def call(line, *, code=0):
        done = subprocess.run(command(line), **where(tmp_path), capture_output=True, timeout=900)
        assert done.returncode == code, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    yield call
    listed = call("jobs") if (tmp_path / "checkpoints" / "ratings.sqlite").exists() else ""
    for name in re.findall(r"^(\S+) .*(?:queued|running)", listed, re.M):
        call(f"jobs stop {name} --wait")


def command(line):
    return [sys.executable, "-m", "tastemaker", *line.split()]


def where(folder):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TASTEMAKER_")}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT)}
    return {"cwd": folder, "env": environment, "text": True, "stdin": subprocess.DEVNULL}


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_day_with_jobs(type_in, tmp_path):
    runs = tmp_path / "checkpoints" / "runs"
    said = type_in(f"ppo --name first --updates 100000 --detach {SMALL}")
    assert "next: tastemaker jobs watch first" in said
    said = type_in(f"ppo --name second --updates 3 --epochs 2 --detach {SMALL}")
    # the second waits, nobody starts a run twice, and a run that is new keeps its name
    assert re.search(r"^second .*queued.*slots 1: first *$", type_in("jobs"), re.M)
    for line in ("jobs resume first", "ppo --resume first"):
        assert "first is running already" in type_in(line, code=2)
    assert "there already" in type_in(f"ppo --name first {SMALL}", code=2)
    while not list(runs.glob("first/steps/[1-9]*")):
        time.sleep(0.5)
    # stopped with its checkpoint; the second one's turn comes by itself
    said = type_in("jobs stop first --wait")
    step = re.search(r"stopped at steps/(\d+); go on with: tastemaker jobs resume first", said)[1]
    assert (runs / "first" / "steps" / step / "manifest.json").is_file()
    assert "kept update" in type_in("jobs watch second")
    assert re.search(r"^second .*done", type_in("jobs"), re.M)
    assert "second is done" in type_in("jobs resume second", code=2)
    # the first goes on where it was, in the foreground, till somebody stops it from elsewhere
    with (tmp_path / "out.txt").open("w") as out:
        foreground = subprocess.Popen(
            command("jobs resume first"), **where(tmp_path), stdout=out, stderr=out
        )
        while f"update {int(step):3d} of 100000" not in (tmp_path / "out.txt").read_text():
            assert foreground.poll() is None
            time.sleep(0.5)
        type_in("jobs stop first")
        assert foreground.wait(300) == 130
    told = (tmp_path / "out.txt").read_text()
    assert f"update {int(step) - 1:3d} of" not in told
    rows = [json.loads(r) for r in (runs / "first" / "metrics.jsonl").read_text().splitlines()]
    assert [row["update"] for row in rows] == list(range(len(rows)))
    assert "stopped at" in told
    # what there is to see
    assert "100000" in type_in("jobs watch first --once")
    assert type_in("jobs logs first --lines 1").startswith("20")
    compared = type_in("jobs compare first second")
    assert re.search(r"^epochs +1 +2$", compared, re.M)
    assert re.search(r"^finished +no +yes$", compared, re.M)
    assert len(re.findall(r"^first ", type_in("jobs --all"), re.M)) == 2


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_kill_9_of_the_command_and_then_of_the_job(type_in, tmp_path):
    log = tmp_path / "checkpoints" / "runs" / "mine" / "job.log"
    starter = subprocess.Popen(
        command(f"ppo --name mine --updates 100000 {SMALL}"),
        **where(tmp_path),
        stdout=subprocess.DEVNULL,
    )
    while not log.is_file() or "update   1" not in log.read_text():
        assert starter.poll() is None
        time.sleep(0.5)
    starter.kill()
    starter.wait()
    lines = len(log.read_text().splitlines())
    while len(log.read_text().splitlines()) < lines + 3:  # it goes on
        time.sleep(0.5)
    (pid,) = re.findall(r"running .* (\d+)@", type_in("jobs"))
    os.kill(int(pid), signal.SIGKILL)
    listed = type_in("jobs")
    died = r"^mine .*failed.*process died; go on with: tastemaker jobs resume mine"
    assert re.search(died, listed, re.M)
    type_in("jobs resume mine --detach")
    assert re.search(r"^mine .*running", type_in("jobs"), re.M)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_ctrl_c_stops_after_the_update_in_hand(type_in, tmp_path):
    process = subprocess.Popen(
        command(f"ppo --updates 100000 {SMALL}"),
        **where(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,  # where the updates are
        # A shell's background job, as these tests may be in, ignores it and hands that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    for line in process.stdout:
        if line.startswith("update   1"):
            process.send_signal(signal.SIGINT)
            break
    said = process.communicate(timeout=600)[0]
    assert process.returncode == 130
    assert "it ends after the update in hand" in said
    assert re.search(
        r"^stopped at steps/\d+; go on with: tastemaker jobs resume ppo-0001$", said, re.M
    )


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_machine_that_shuts_down_stops_a_run_of_two_processes(type_in, tmp_path):
    type_in(f"ppo --name both --updates 100000 --processes 2 --detach {SMALL}")
    log = tmp_path / "checkpoints" / "runs" / "both" / "job.log"
    while not log.is_file() or "update   1" not in log.read_text():
        assert re.search(r"^both .*(queued|running)", type_in("jobs"), re.M), log.read_text()
        time.sleep(0.5)
    (pid,) = re.findall(r"running .* (\d+)@", type_in("jobs"))
    first = psutil.Process(int(pid))
    for process in (first, *first.parent().children()):  # all of them, as a shutdown does
        if process.is_running():
            process.terminate()
    psutil.wait_procs([first], timeout=300)
    assert re.search(r"^both .*stopped", type_in("jobs --all"), re.M), log.read_text()
    assert "Traceback" not in log.read_text()


@pytest.fixture
def interrupted(folder):
    """A job in other.sqlite that was stopped, and its run."""
    run = new_run("ppo", {"updates": 4}, name="mine")
    with closing(Database("other.sqlite")) as store:
        job = queue_job(store, folder=run.path, settings=JobSettings())
        ask_to_stop(store, job)
        assert run_job(store, job.id, lambda lease: pytest.fail("it ran")) == 0
    return run


STEP = "stopped at its start; go on with: tastemaker jobs resume mine --database other.sqlite"


@pytest.mark.parametrize("line", ["jobs", "jobs --all", "jobs watch mine"])
def test_an_interrupted_job_goes_on_in_its_database(interrupted, typed, line):
    code, out, err = typed(*line.split(), "--database", "other.sqlite")
    assert (code, err) == (0, "")
    assert out.count(STEP) == out.count("go on with") == 1
    code, out, _ = typed("jobs", "watch", "mine", "--once", "--database", "other.sqlite")
    assert out.endswith("go on with: tastemaker jobs resume mine --database other.sqlite\n")


def test_a_job_that_was_resumed_has_no_next_step(interrupted, typed):
    with closing(Database("other.sqlite")) as store:
        again = queue_job(store, folder=interrupted.path, settings=JobSettings())
        JobLease.claim(store, again.id).end("done", "kept update 4")
    code, out, _ = typed("jobs", "--all", "--database", "other.sqlite")
    assert code == 0
    assert "stopped at its start" in out
    assert "go on with" not in out


def test_an_error_names_commands_with_the_database(interrupted, typed):
    on = ("--database", "other.sqlite")
    with closing(Database("other.sqlite")) as store:
        queue_job(store, folder=interrupted.path, settings=JobSettings())
    code, _, err = typed("jobs", "resume", "mine", *on)
    assert code == 2
    assert err.endswith("watch it with: tastemaker jobs --database other.sqlite watch mine\n")


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--set momentum=1.5", "momentum=1.5 is not from 0 to below 1"),
        ("--database mysql://here/there", "mysql"),
        ("--soundfont broken.sf2", "broken.sf2"),
    ],
)
def test_what_cannot_work_is_told_before_a_run_is_made(
    tmp_path, tiny_policy, monkeypatch, capsys, options, says
):
    save_policy(tiny_policy, tmp_path / "checkpoints" / "base")
    (tmp_path / "broken.sf2").write_bytes(b"no sound")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TASTEMAKER_DATABASE", raising=False)
    line = f"ppo {SMALL} {options}".replace("liking:high", "music-theory")
    # In this process, because another one would import torch anew.
    monkeypatch.setattr(sys, "argv", ["tastemaker", *line.split()])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "checkpoints" / "runs").exists()
