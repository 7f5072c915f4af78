"""Nothing reaches beyond this machine. The guard is around all tests; here it is tested itself.

A list below says which tests run each command, so that a new command cannot be without. The pages
are opened by test_pages.py, which reads them from `navigation.py`.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tastemaker.__main__ import cli
from tests.support.network_guard import SITE, VARIABLE
from tests.support.project import PROJECT

OUTSIDE = "192.0.2.1"
"""an address of nobody (RFC 5737)"""


@pytest.fixture
def run(tmp_path):
    """Runs Python code in a process of its own; what it reached for is written to a file of it."""

    def run(code, **environment):
        log = tmp_path / "network.log"
        log.write_text("")
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("HF_", "TRANSFORMERS_")) and name not in ("CI", "DO_NOT_TRACK")
        }
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code],
            cwd=PROJECT,
            env={**kept, VARIABLE: str(log), "HF_HOME": str(tmp_path), **environment},
            capture_output=True,
            text=True,
            timeout=280,
        )
        assert done.returncode == 0, done.stderr
        return log.read_text()

    return run


# The guard

ATTEMPTS = {
    "connect": f"socket.create_connection(('{OUTSIDE}', 80), timeout=1)",
    "datagram": f"socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('{OUTSIDE}', 53))",
    "datagram's address": f"socket.socket(type=socket.SOCK_DGRAM).connect(('{OUTSIDE}', 1))",
    "version 6": "socket.socket(socket.AF_INET6).connect(('2001:db8::1', 80))",
    "look-up": "socket.getaddrinfo('nobody.invalid', 80)",
    "old look-up": "socket.gethostbyname('nobody.invalid')",
    "request": "__import__('urllib.request').request.urlopen('http://nobody.invalid/')",
    "grandchild": (
        "__import__('subprocess').run([sys.executable, '-c', "
        "\"import socket; socket.gethostbyname('nobody.invalid')\"], env={}, check=True)"
    ),
}
SWALLOWED = """
import socket, sys
try:
    {}
except Exception:
    pass
"""


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_an_attempt_is_stopped_and_written_down_even_if_the_error_is_swallowed(run, attempt):
    said = run(SWALLOWED.format(ATTEMPTS[attempt]))
    assert OUTSIDE in said or "2001:db8::1" in said or "nobody.invalid" in said
    assert "socket." in said


def test_what_stays_on_this_machine_is_left_alone(run, tmp_path):
    code = f"""
import asyncio, socket
with socket.create_server(("127.0.0.1", 0)) as server:
    port = server.getsockname()[1]
    for host in ("127.0.0.1", "localhost"):
        socket.create_connection((host, port)).close()
socket.getaddrinfo(None, 80), socket.getaddrinfo("0.0.0.0", 80)
with socket.socket(socket.AF_UNIX) as server:
    server.bind({str(tmp_path / "a-socket")!r})
    server.listen()
    socket.socket(socket.AF_UNIX).connect({str(tmp_path / "a-socket")!r})
asyncio.run(asyncio.sleep(0))
"""
    assert run(code) == ""


def test_the_guard_is_around_this_test_and_what_it_starts():
    assert hasattr(sys, "tastemaker_network_guard")
    assert Path(os.environ[VARIABLE]).is_file()
    assert SITE in os.environ["PYTHONPATH"].split(os.pathsep)
    asked = "import sys; print(hasattr(sys, 'tastemaker_network_guard'))"
    for environment in (None, {}, {**os.environ, "PYTHONPATH": str(PROJECT)}):
        done = subprocess.run(
            [sys.executable, "-c", asked], env=environment, capture_output=True, text=True
        )
        assert done.stdout.strip() == "True", done.stderr


# What the libraries would do

REPORT = """
from huggingface_hub.utils import send_telemetry, build_hf_headers
from huggingface_hub.utils._telemetry import _TELEMETRY_QUEUE
send_telemetry("trl/DPOTrainer")
_TELEMETRY_QUEUE.join()
build_hf_headers()
"""


@pytest.mark.parametrize("order", ["import policy", "import huggingface_hub.constants, policy"])
def test_a_program_that_imports_a_policy_reports_nothing(run, order):
    assert "huggingface" in run(REPORT), "the library reports, left alone"
    assert run(f"{order}\n{REPORT}") == ""


def test_who_wants_the_telemetry_of_hugging_face_keeps_it(run):
    assert "huggingface" in run(f"import policy\n{REPORT}", HF_HUB_DISABLE_TELEMETRY="0")


TRAINER = """
import tempfile
import policy.model
from datasets import Dataset
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer
from policy.shipped import shipped_policy
from huggingface_hub.utils._telemetry import _TELEMETRY_QUEUE

SFTTrainer(
    model=str(shipped_policy()),
    args=SFTConfig(tempfile.mkdtemp(), use_cpu=True, bf16=False, report_to="none"),
    train_dataset=Dataset.from_list([{"input_ids": [1, 2, 3]}]),
)
_TELEMETRY_QUEUE.join()
"""


@pytest.mark.slow
def test_a_trainer_of_trl_reports_nothing(run):
    assert "huggingface" in run(TRAINER, HF_HUB_DISABLE_TELEMETRY="0"), "it would"
    assert run(TRAINER) == ""


ORIGIN_CHECK = """
from streamlit import net_util
from streamlit.web.server.server_util import is_url_from_allowed_origins
{}
assert not is_url_from_allowed_origins("https://evil.example")
assert net_util.get_internal_ip() in (None, "127.0.0.1")
"""


def test_streamlit_asks_nobody_for_this_machines_address(run):
    assert "checkip" in run(ORIGIN_CHECK.format("")), "Streamlit asks, left alone"
    ours = "from feedback_ui.server.own_address import ask_nobody; ask_nobody()"
    assert run(ORIGIN_CHECK.format(ours)) == ""


# Every command

STEPS, README = "tests/tastemaker/test_next_steps.py", "README.md"
JOBS = "tests/tastemaker/test_job_commands.py"
CORPUS = "tests/tastemaker/test_corpus_commands.py"
RUN_BY = {
    "demo": STEPS,
    "compose": README,
    "corpus build": STEPS,
    "corpus list": CORPUS,
    "corpus show": CORPUS,
    "pretrain": STEPS,
    "pairs": STEPS,
    "rate": STEPS,
    "reward": STEPS,
    "taste": STEPS,
    "ppo": STEPS,
    "ratings check": "tests/tastemaker/test_ratings_check.py",
    "ratings export": STEPS,
    "ratings import": STEPS,
    "ratings stats": STEPS,
    "jobs": README,
    "jobs watch": README,
    "jobs stop": STEPS,
    "jobs resume": JOBS,
    "jobs logs": JOBS,
    "jobs compare": README,
    "baselines": STEPS,
    "evaluate": README,
    "blind-test": STEPS,
    "studio": "tests/feedback_ui/server/test_ending.py",
}
"""command -> the file of tests that runs it; test_readme.py runs what README.md names"""


def commands(group, *before):
    for name, command in group.commands.items():
        yield " ".join([*before, name])
        if isinstance(command, click.Group):
            yield from commands(command, *before, name)


def test_every_command_is_run_under_the_guard():
    assert sorted(RUN_BY) == sorted({*commands(cli)} - {"ratings", "corpus"})
    for command, file in RUN_BY.items():
        words = [re.escape(word) for word in command.split()]
        named = r"[ \"',]+".join(words)
        assert re.search(rf"\b{named}\b", (PROJECT / file).read_text()), f"{file}: {command}"
