"""A PostgreSQL server that may be crashed, and a folder for sockets."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.chaos.postgres_server import PROGRAM, PostgresServer


@pytest.fixture
def postgres():
    """A private PostgreSQL server; skips the test where there are no programs for it."""
    found = subprocess.run([PROGRAM, "find"], capture_output=True)
    if found.returncode:
        pytest.skip("TASTEMAKER_TEST_POSTGRES_URL names no server, and PostgreSQL is not installed")
    folder = Path(tempfile.mkdtemp(prefix="tastemaker-"))
    folder.chmod(0o711)  # the server may run as another user
    server = PostgresServer(folder)
    yield server
    server.close()
    shutil.rmtree(folder)


@pytest.fixture
def sockets():
    """A folder with a short name, which the address of a socket must have."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)
