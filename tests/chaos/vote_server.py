"""A server of the studio's services: python -m tests.chaos.vote_server and five arguments.

Each connection is a page with a `StudioSession` of its own, over one store. A request is
`(call, *arguments)`; the reply is `("ok", result)`, `("error", text)` for an error that a page
shows, or `("crash", traceback)` for any other. The server is made to be killed.
"""

import os
import subprocess
import sys
import threading
import time
import traceback
from contextlib import ExitStack
from multiprocessing.connection import Client, Listener
from pathlib import Path

from tests.support.project import PROJECT

LEAST_HEARD_MS = 1
START_S = 120


class VoteServer:
    """A server in a process of its own, to be started, killed and started again."""

    def __init__(self, folder, number, database, clips, *, host="here", ahead_s=0.0):
        """Nothing runs yet."""
        self.socket, self.log_file = folder / f"socket-{number}", folder / f"server-{number}.log"
        self.command = [
            sys.executable, "-m", "tests.chaos.vote_server", str(self.socket), str(database),
            str(clips), host, str(ahead_s),
        ]  # fmt: skip
        self.process = None

    def start(self):
        """Start it and wait until it answers."""
        self.socket.unlink(missing_ok=True)
        with self.log_file.open("a") as log:
            self.process = subprocess.Popen(
                self.command,
                env=os.environ | {"PYTHONPATH": str(PROJECT)},
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + START_S
        while True:
            try:
                self.connect().close()
                return
            except OSError:
                assert self.process.poll() is None, self.log_file.read_text()
                assert time.monotonic() < until, "the server does not start"
                time.sleep(0.05)

    def connect(self):
        """A new connection, as a page that is opened."""
        return Client(str(self.socket))

    def kill(self):
        """End it as a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def signal(self, number):
        """Send its process a signal."""
        self.process.send_signal(number)


def main():
    """Serve until killed."""
    import feedback_ui.services.session as services
    from reward.store.store import RatingsStore
    from tests.support.clocks import another_machine

    address, database, clips, host, ahead_s = sys.argv[1:]
    machine = ExitStack()
    machine.enter_context(another_machine(host, float(ahead_s)))
    store = RatingsStore(database if "://" in database else Path(database))

    def serve(connection):
        session = services.StudioSession(store, Path(clips), least_heard_ms=LEAST_HEARD_MS)
        try:
            while True:
                connection.send(reply(session, connection.recv()))
        except (EOFError, OSError):
            connection.close()

    def reply(session, request):
        call, *arguments = request
        try:
            if call == "pair":
                return "ok", shown(session.current_pair(*arguments))
            if call == "answer":
                given = session.answer(*arguments)
                return "ok", (given.done, given.message)
            if call == "undo":
                given = session.undo(*arguments)
                return "ok", (given.done, given.message)
            if call == "clock":
                machine.close()
                machine.enter_context(another_machine(host, *arguments))
                return "ok", None
        except ValueError as error:  # a RatingsError, which a page shows
            return "error", str(error)
        except Exception:  # noqa: BLE001 (the rater's test fails with it)
            return "crash", traceback.format_exc()
        return "crash", f"{request} is not known"

    def shown(pair):
        if pair is None:
            return None
        return str(pair.assignment_id), pair.left.path.name, pair.right.path.name

    with Listener(address, backlog=64) as listener:
        while True:
            threading.Thread(target=serve, args=(listener.accept(),), daemon=True).start()


if __name__ == "__main__":
    main()
