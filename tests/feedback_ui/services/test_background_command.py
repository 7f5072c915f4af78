import time

import pytest

from feedback_ui.services.background_command import CommandError, CommandProcess

PATIENCE_S = 120


@pytest.fixture
def command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = CommandProcess("a training")
    yield command
    wait(command)
    command.forget()


def wait(command):
    until = time.monotonic() + PATIENCE_S
    while command.is_busy:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_what_a_command_says_is_read_while_and_after_it_runs(command):
    assert (command.has_run, command.is_busy, command.lines) == (False, False, [])
    command.start(["--version"], database="ratings.db")
    assert command.has_run
    wait(command)
    assert command.failure is None
    assert "tastemaker" in command.lines[-1]
    command.forget()
    assert (command.has_run, command.lines) == (False, [])


def test_an_error_is_the_commands_own_line(command):
    command.start(["ppo", "--policy=nobody"], database="ratings.db")
    wait(command)
    assert "nobody" in command.failure
    assert "\n" not in command.failure


@pytest.mark.slow
def test_one_at_a_time(command, tmp_path):
    command.start(["taste"], database="ratings.db")
    with pytest.raises(CommandError, match="a training is under way"):
        command.start(["--version"], database="ratings.db")
    wait(command)
    command.start(["--version"], database="ratings.db")
    wait(command)
    assert command.failure is None


def test_the_database_is_not_in_the_process_list(command, monkeypatch):
    import subprocess

    seen = {}
    real = subprocess.Popen

    def popen(arguments, **options):
        seen.update(arguments=arguments, env=options["env"], session=options["start_new_session"])
        return real(arguments, **options)

    monkeypatch.setattr(subprocess, "Popen", popen)
    command.start(["--version"], database="postgresql://me:secret@host/db")
    wait(command)
    assert "secret" not in str(seen["arguments"])
    assert "secret" in seen["env"]["TASTEMAKER_DATABASE"]
    assert seen["session"], "it outlives the studio"
