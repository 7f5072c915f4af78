"""A long command with a record on the disk, on a command of the tests' own."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from feedback_ui.services.corpora import recorded_command
from feedback_ui.services.corpora.recorded_command import Progress, RecordedCommand
from feedback_ui.services.subcommand import CommandError, environment
from tests.support.project import PROJECT

COMMAND = """
import subprocess, sys, time
said, *rest = sys.argv[1:]
print(said, *rest, flush=True)
if said == "refuse":
    sys.exit("tastemaker: 'x' is no corpus; choose another")
if said == "break":
    raise RuntimeError("a fault of ours")
if said == "wait":
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        for step in range(600):
            print(f"training steps: {step + 1} of 600", file=sys.stderr, flush=True)
            time.sleep(0.1)
    except KeyboardInterrupt:
        sys.exit(130)
"""
PATIENCE_S = 30


@pytest.fixture
def command(tmp_path, monkeypatch):
    """A recorded command whose `tastemaker` is the one above."""
    package = tmp_path / "rooms" / "tastemaker"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(COMMAND)

    def of_the_tests(database):
        path = os.pathsep.join((str(package.parent), str(PROJECT)))
        return {**environment(database), "PYTHONPATH": path}

    monkeypatch.setattr(recorded_command, "environment", of_the_tests)
    made = RecordedCommand(tmp_path / "jobs", "adapt-one", "the adaptation of one")
    yield made
    if made.is_live:
        made.stop()


def again(tmp_path):
    """The same command, as another server would see it."""
    return RecordedCommand(tmp_path / "jobs", "adapt-one", "the adaptation of one")


def wait_for(command, state):
    until = time.monotonic() + PATIENCE_S
    while command.state != state and time.monotonic() < until:
        time.sleep(0.05)
    assert command.state == state, command.lines


def pid_of(command):
    return command._fields["pid"]


def test_one_that_was_never_started(command):
    assert (command.state, command.lines, command.progress) == ("none", [], None)
    assert command.seconds == 0
    for act in (command.stop, lambda: command.go_on(database="x")):
        with pytest.raises(CommandError):
            act()


def test_it_ends_and_its_record_stays(command, tmp_path):
    command.start(["say", "a b"], database="x")
    wait_for(command, "done")
    assert again(tmp_path).state == "done"
    assert again(tmp_path).lines == ["say a b"]
    assert again(tmp_path).arguments == ["say", "a b"]
    command.forget()
    assert list((tmp_path / "jobs").iterdir()) == []


def test_a_refusal_is_its_own_line(command):
    command.start(["refuse"], database="x")
    wait_for(command, "refused")
    assert command.failure == "'x' is no corpus; choose another"


def test_a_fault_is_told_without_a_traceback(command):
    command.start(["break"], database="x")
    wait_for(command, "refused")
    assert command.failure == "RuntimeError: a fault of ours"


def test_it_is_watched_stopped_and_goes_on_whoever_looks(command, tmp_path):
    command.start(["wait"], database="x")
    until = time.monotonic() + PATIENCE_S
    while command.progress is None and time.monotonic() < until:
        time.sleep(0.05)
    other = again(tmp_path)
    assert other.state == "running"
    assert isinstance(other.progress, Progress)
    assert (other.progress.stage, other.progress.total) == ("training steps", 600)
    assert 0 < other.seconds < PATIENCE_S
    with pytest.raises(CommandError, match="under way already"):
        other.start(["say"], database="x")
    pid = pid_of(command)
    children = psutil.Process(pid).children(recursive=True)
    assert children
    other.stop()
    wait_for(command, "stopped")
    _gone, alive = psutil.wait_procs(children, timeout=PATIENCE_S)
    assert not alive, "what it had started ends too"
    assert command.arguments == ["wait"]
    other.go_on(database="x")
    wait_for(command, "running")
    assert pid_of(command) != pid


def test_a_kill_is_told_and_it_goes_on(command):
    command.start(["wait"], database="x")
    wait_for(command, "running")
    os.killpg(pid_of(command), signal.SIGKILL)
    wait_for(command, "interrupted")
    command.go_on(database="x")
    wait_for(command, "running")


def test_it_outlives_its_starter_and_is_stopped_where_signals_were_ignored(command, tmp_path):
    script = f"""
import os, signal
from pathlib import Path
from feedback_ui.services.corpora import recorded_command
from feedback_ui.services.corpora.recorded_command import RecordedCommand
from feedback_ui.services.subcommand import environment
signal.signal(signal.SIGINT, signal.SIG_IGN)
path = {str(tmp_path / "rooms")!r} + os.pathsep + {str(PROJECT)!r}
recorded_command.environment = lambda database: {{**environment(database), "PYTHONPATH": path}}
RecordedCommand(Path({str(tmp_path / "jobs")!r}), "adapt-one", "x").start(["wait"], database="x")
"""
    env = {**os.environ, "PYTHONPATH": str(PROJECT)}
    subprocess.run([sys.executable, "-c", script], env=env, check=True, timeout=PATIENCE_S)
    wait_for(command, "running")
    until = time.monotonic() + PATIENCE_S
    while command.progress is None and time.monotonic() < until:
        time.sleep(0.05)
    command.stop()
    wait_for(command, "stopped")


def test_a_disk_that_takes_no_record_is_told_and_nothing_runs(command, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device", "adapt-one.json")

    monkeypatch.setattr(recorded_command, "write_json", fail)
    with pytest.raises(CommandError, match=r"cannot be started .*disk.*is full"):
        command.start(["say"], database="x")
    assert (command.state, command.lines) == ("none", [])


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"pid": "1", "created_s": 2}', '{"pid": true, "created_s": true}']
)
def test_a_damaged_record_is_none(command, tmp_path, text):
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "adapt-one.json").write_text(text)
    assert command.state == "none"


@pytest.mark.parametrize("pid", ["own", 2**40, -1, 0, 1])
def test_a_number_that_is_another_process_is_not_taken_for_it(command, tmp_path, pid):
    pid = os.getpid() if pid == "own" else pid
    (tmp_path / "jobs").mkdir()
    record = tmp_path / "jobs" / "adapt-one.json"
    record.write_text(f'{{"pid": {pid}, "created_s": 5.0, "arguments": ["say"]}}')
    assert command.state == "interrupted"
    with pytest.raises(CommandError, match="not under way"):
        command.stop()
