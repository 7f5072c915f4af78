"""Progress is on stderr, a bar on a terminal and lines elsewhere; stdout is for results."""

import os
import subprocess
import sys

import pytest

from tastemaker import progress
from tastemaker.progress import shown_progress
from tests.support.project import PROJECT


@pytest.fixture
def now_s(monkeypatch):
    """What the clock of the progress shows, in a list of one."""
    now_s = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now_s[0])
    return now_s


def test_a_line_at_the_start_and_the_end_of_a_stage_and_now_and_then_between(now_s, capsys):
    with shown_progress() as shown:
        shown("loading")
        for done in range(101):
            now_s[0] += 0.11
            shown("writing", done, 100)
        shown("choosing")
    assert capsys.readouterr().err.splitlines() == [
        "loading", "writing: 0 of 100", "writing: 46 of 100", "writing: 92 of 100",
        "writing: 100 of 100", "choosing",
    ]  # fmt: skip


def test_a_result_goes_to_stdout(capsys):
    with shown_progress() as shown:
        shown("loading")
        shown.say("agreement 0.71")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("agreement 0.71\n", "loading\n")


SCRIPT = """
import time
from tastemaker.progress import shown_progress
with shown_progress() as shown:
    shown("writing melodies", 0, 8)
    for done in range(9):
        shown("writing melodies", done, 8)
        time.sleep(0.05)
    shown.say("a result between")
    shown("choosing pairs")
    time.sleep(0.3)
print("the result")
"""


def test_a_bar_on_a_terminal(tmp_path):
    drawn, held = b"", os.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "TERM": "xterm", "COLUMNS": "100"},
        stdout=subprocess.PIPE,
        stderr=held[1],
    ) as process:
        os.close(held[1])
        try:
            while piece := os.read(held[0], 4096):
                drawn += piece
        except OSError:  # how Linux says that the other side has closed
            pass
        os.close(held[0])
        assert process.stdout.read() == b"a result between\nthe result\n"
    assert process.returncode == 0
    text = drawn.decode()
    assert "━" in text
    assert "8 of 8" in text
    assert "choosing pairs" in text
    assert "8" not in text.rpartition("choosing pairs")[2].partition("0:00")[0]  # nothing counted
    assert text.rstrip().endswith("\x1b[2K")  # taken away at the end


@pytest.mark.slow
def test_commands_say_what_they_do_on_stderr_only(base, typed):
    asked = ("--meter", "2/4", "--bars", "4")
    code, out, err = typed("pairs", "--melodies", 12, "--pairs", 4, "--traps", 0, *asked)
    assert code == 0, err
    assert "writing melodies: 0 of 12" in err.splitlines()
    assert "writing melodies: 12 of 12" in err.splitlines()
    assert [line.split()[0] for line in out.splitlines()] == ["wrote", "4"]
    code, out, err = typed("rate", "--simulate", "--count", 4)
    assert code == 0, err
    assert "voting: 0 of 4" in err
    assert out.startswith("4 votes of")
    code, out, err = typed("compose", "--count", 2, "--no-sound", *asked)
    assert "writing melodies: 2 of 2" in err
    assert len(out.splitlines()) == 3
    code, out, err = typed("reward", "--more-votes", 5, *asked)
    assert code == 0, err
    assert "writing melodies of the base policy: 1000 of 1000" in err
    assert "writing" not in out
    code, out, err = typed("ratings", "export", "--format", "csv")
    assert "writing files: 0 of 4" in err
    code, out, err = typed("ratings", "import", "ratings", "--database", "other.sqlite")
    assert code == 0, err
    assert "storing 4 votes" in err
    assert "storing" not in out
