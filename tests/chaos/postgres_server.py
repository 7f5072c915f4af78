"""A PostgreSQL server of one test, which may be crashed."""

import os
import subprocess
import sys

from tests.support.project import PROJECT

PROGRAM = str(PROJECT / ".ci" / "postgres")


class PostgresServer:
    """A server of its own, which may be crashed. What it has committed outlives that."""

    def __init__(self, folder):
        """Start it."""
        import psycopg

        self.folder = folder
        self.url = self._run("start").strip()
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET synchronous_commit = on")
            connection.execute("SELECT pg_reload_conf()")

    def crash(self):
        """End it without a word to anybody, and start it again."""
        self._run("restart")

    def close(self):
        """End it."""
        self._run("stop")

    def _run(self, order):
        command = [PROGRAM, order, str(self.folder / "server")]
        done = subprocess.run(
            command, capture_output=True, text=True, env=os.environ | {"PYTHON": sys.executable}
        )
        assert done.returncode == 0, done.stderr
        return done.stdout
