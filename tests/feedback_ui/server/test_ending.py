"""`tastemaker studio` ends when it is told to, in whatever way, and frees its port."""

import os
import signal
import socket
import subprocess
import sys
import termios
import time
from contextlib import closing, suppress

import psutil
import pytest

from music.corpora.corpus import load_corpus
from reward.store.store import RatingsStore
from tests.support.project import PROJECT
from tests.support.studio_server import soon

pytestmark = [pytest.mark.slow]
WITHIN_S = 30.0


@pytest.fixture
def database(tmp_path):
    """With a pair, so that the command need not write any."""
    with RatingsStore(tmp_path / "ratings.db") as store:
        tunes = [strain.melody for strain in load_corpus("test")[:2]]
        ids = store.add_melodies(tunes, policy_id="p", sampler="s", seed=0)
        store.add_comparisons([(ids[0], ids[1])], round=1)
    return tmp_path / "ratings.db"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def connected(port):
    """A connection to the studio, or None while there is none."""
    with suppress(OSError):
        return socket.create_connection(("127.0.0.1", port), timeout=5)
    return None


def answers(port):
    """Whether something listens there."""
    connection = connected(port)
    if connection is not None:
        connection.close()
    return connection is not None


class Studio:
    """`tastemaker studio` as a person, a terminal or a service manager starts it."""

    def __init__(self, database, *, before=(), after=(), **options):
        self.port = free_port()
        self.log = database.with_name("studio.log")
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [
                    *before,
                    *(sys.executable, "-m", "tastemaker", "studio", "--no-browser"),
                    *("--database", str(database), "--port", str(self.port), *after),
                ],
                cwd=PROJECT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **{"start_new_session": True, **options},
            )
        self.wait_until_up()

    def wait_until_up(self):
        def is_up():
            assert self.process.poll() is None, self.log.read_text()
            return answers(self.port)

        assert soon(is_up), self.log.read_text()
        self.of_it = [self.process.pid, *self.children()]

    def children(self):
        return [child.pid for child in psutil.Process(self.process.pid).children(recursive=True)]

    def has_ended(self):
        """Whether no process of it is left, and the port can be taken."""
        self.process.poll()
        left = [pid for pid in self.of_it if psutil.pid_exists(pid)]
        return not left and not answers(self.port)

    def ends(self):
        assert soon(self.has_ended, WITHIN_S), self.log.read_text()
        with socket.socket() as again:
            again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            again.bind(("127.0.0.1", self.port))
        return self.process.wait(5)

    def kill(self):
        for pid in self.of_it:
            with suppress(psutil.NoSuchProcess):
                psutil.Process(pid).kill()
        self.process.wait()


@pytest.fixture
def start(database):
    started = []

    def start(**options):
        started.append(Studio(database, **options))
        return started[-1]

    yield start
    for studio in started:
        studio.kill()


@pytest.mark.parametrize("sent", ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGKILL"])
def test_a_signal_to_the_command_alone_ends_the_studio(start, sent):
    studio = start()
    os.kill(studio.process.pid, getattr(signal, sent))
    code = studio.ends()
    if sent == "SIGINT":
        assert code == 130
        assert "stopped" in studio.log.read_text()
    assert "Traceback" not in studio.log.read_text()


def test_a_signal_to_the_group_ends_the_studio(start):
    studio = start()
    os.killpg(studio.process.pid, signal.SIGTERM)
    studio.ends()


def test_a_browser_and_a_request_that_never_ends_do_not_hold_the_studio(start):
    studio = start()
    with closing(connected(studio.port)) as page, closing(connected(studio.port)) as request:
        page.sendall(
            b"GET /_stcore/stream HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
            b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: c2l4dGVlbiBieXRlcyEhIQ==\r\n\r\n"
        )
        assert b"101" in page.recv(4096).split(b"\r\n")[0]
        request.sendall(
            b"POST /tastemaker/cookies HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n"
        )
        time.sleep(0.5)
        os.kill(studio.process.pid, signal.SIGTERM)
        studio.ends()


def test_a_closed_terminal_ends_the_studio(start):
    ours, theirs = os.openpty()

    def take_terminal():
        os.setsid()
        import fcntl

        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    studio = start(preexec_fn=take_terminal, start_new_session=False, pass_fds=(theirs,))
    os.close(theirs)
    os.close(ours)  # the window is closed
    studio.ends()


def test_a_studio_on_all_network_cards_asks_nobody_for_its_address(start):
    # The guard around all tests fails this one otherwise.
    studio = start(after=["--address", "0.0.0.0", "--host", "studio.example.org"])
    os.kill(studio.process.pid, signal.SIGTERM)
    studio.ends()
    assert "External URL" not in studio.log.read_text()
    assert "?organiser=" in studio.log.read_text()


def test_nohup_keeps_the_studio_when_its_terminal_is_closed(start):
    studio = start(before=["nohup"])
    os.kill(studio.process.pid, signal.SIGHUP)
    time.sleep(2)
    assert answers(studio.port)
    os.kill(studio.process.pid, signal.SIGTERM)
    studio.ends()


def test_the_studio_starts_again_at_once_on_its_port(start, database):
    studio = start()
    os.kill(studio.process.pid, signal.SIGTERM)
    studio.ends()
    command = [
        *(sys.executable, "-m", "tastemaker", "studio", "--no-browser"),
        *("--database", str(database), "--port", str(studio.port)),
    ]
    with studio.log.open("w") as log:
        studio.process = subprocess.Popen(command, cwd=PROJECT, stdout=log, stderr=log)
    studio.wait_until_up()
    os.kill(studio.process.pid, signal.SIGTERM)
    studio.ends()
