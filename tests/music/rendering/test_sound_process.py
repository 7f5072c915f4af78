"""The process that renders clips: the same files, refusals in a line, another after a crash."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from music.rendering.sound import SoundfontError, cached_wav
from music.rendering.sound_process import SoundProcess


@pytest.fixture(scope="module")
def process():
    made = SoundProcess()
    yield made
    made.close()


@pytest.fixture
def short(tune):
    return tune((0, 24), (4, 24), (7, 24), (12, 24), (7, 24), (4, 24), (0, 48))


def children() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children()
        if "music.rendering.sound_process" in " ".join(child.cmdline())
    ]


def test_it_writes_the_file_that_cached_wav_writes(process, short, tmp_path):
    process.render(short, tmp_path / "there")
    [made] = (tmp_path / "there").glob("*.wav")
    here = cached_wav(short, tmp_path / "here")
    assert (made.name, made.read_bytes()) == (here.name, here.read_bytes())


def test_what_it_refuses_is_said_and_it_goes_on(process, short, tmp_path):
    with pytest.raises(SoundfontError, match=r"none\.sf2"):
        process.render(short, tmp_path, tmp_path / "none.sf2")
    process.render(short, tmp_path)
    assert len(list(tmp_path.glob("*.wav"))) == 1


def test_after_a_crash_another_is_begun(process, short, tmp_path):
    process.render(short, tmp_path / "before")
    before = {child.pid for child in children()}
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(SoundfontError, match="has ended; ask again"):
        process.render(short, tmp_path / "after")
    process.render(short, tmp_path / "after")
    assert len(list((tmp_path / "after").glob("*.wav"))) == 1
    assert not before & {child.pid for child in children()}


def test_it_ends_with_whoever_began_it(tmp_path):
    code = (
        "import time\n"
        "from music.rendering.sound_process import SoundProcess\n"
        "process = SoundProcess()\n"
        "print(process._running().pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        assert psutil.pid_exists(pid)
        owner.kill()  # it has no time to end anything
    until = time.monotonic() + 60
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < until
        time.sleep(0.05)
