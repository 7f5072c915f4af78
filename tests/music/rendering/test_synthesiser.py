"""The synthesiser in a process of its own: the same sound, and it survives what happens to it."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from music.rendering import sound
from music.rendering.sound import SoundfontError, find_soundfont, render_wav
from music.rendering.synthesiser import Synthesiser
from tests.support.project import PROJECT


@pytest.fixture
def synthesiser(monkeypatch):
    monkeypatch.setattr(sound, "_elsewhere", None)
    synthesiser = sound.use_synthesiser_process()
    assert sound.use_synthesiser_process() is synthesiser
    yield synthesiser
    synthesiser.close()


@pytest.fixture
def melody(random_melodies):
    return random_melodies(1)[0]


def test_it_is_the_same_sound_made_in_another_process(synthesiser, melody, monkeypatch):
    made_elsewhere = render_wav(melody)
    assert synthesiser.pid not in (None, os.getpid())
    with monkeypatch.context() as here:
        here.setattr(sound, "_elsewhere", None)
        assert render_wav(melody) == made_elsewhere
    # The renderer of this process holds Python's lock: in a server it is not called.
    monkeypatch.setattr("midirenderer.render_wave_from", lambda *_: pytest.fail("here"))
    assert render_wav(melody) == made_elsewhere


def test_a_process_that_was_killed_is_started_again(synthesiser, melody):
    before = render_wav(melody)
    killed = synthesiser.pid
    os.kill(killed, signal.SIGKILL)
    assert render_wav(melody) == before
    assert synthesiser.pid != killed


def test_threads_get_their_own_melodies(synthesiser, random_melodies):
    melodies = random_melodies(6, seed=1)
    alone, together = [render_wav(melody) for melody in melodies], [b""] * len(melodies)

    def render(number):
        together[number] = render_wav(melodies[number])

    threads = [threading.Thread(target=render, args=(n,)) for n in range(len(melodies))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone


def test_a_font_that_cannot_be_played_is_told_and_the_next_can(synthesiser, melody, tmp_path):
    broken = tmp_path / "broken.sf2"
    broken.write_bytes(b"RIFF" + (4).to_bytes(4, "little") + b"sfbk")  # whole, and empty
    with pytest.raises(SoundfontError, match=r"broken\.sf2.*cannot be played"):
        render_wav(melody, soundfont=broken)
    shutil.copy(find_soundfont(), broken)
    assert render_wav(melody, soundfont=broken) == render_wav(melody)


def test_where_no_process_can_be_made_it_is_done_here(synthesiser, melody, monkeypatch):
    before = render_wav(melody)
    synthesiser.close()

    def fails(*_, **__):
        raise OSError("no more processes")

    monkeypatch.setattr(subprocess, "Popen", fails)
    assert render_wav(melody) == before
    assert synthesiser.pid is None


def test_it_ends_with_its_parent():
    code = (
        "import os, signal\n"
        "from pathlib import Path\n"
        "from music.rendering.sound import find_soundfont, use_synthesiser_process\n"
        "synthesiser = use_synthesiser_process()\n"
        "try: synthesiser.render(find_soundfont(), b'no MIDI')\n"
        "except RuntimeError: pass\n"
        "print(synthesiser.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    parent = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=False
    )
    pid, until = int(parent.stdout), time.monotonic() + 60
    while is_alive(pid):
        assert time.monotonic() < until
        time.sleep(0.02)


def is_alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_nothing_is_started_before_it_is_needed():
    assert Synthesiser().pid is None
