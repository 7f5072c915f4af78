"""Where torch comes from: `.ci/torch_index.py` chooses between CPU wheels and the usual package."""

import importlib.util
import socket
import threading
import time
import tomllib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.project import PROJECT

PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())


@pytest.fixture
def torch_index(monkeypatch):
    """`.ci/torch_index.py` as a module, on a Linux machine without a GPU."""
    spec = importlib.util.spec_from_file_location("torch_index", PROJECT / ".ci" / "torch_index.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "NVIDIA_DRIVER", Path("/nowhere"))
    monkeypatch.setattr(module.sys, "platform", "linux")
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("NO_PROXY", "*")
    return module


@pytest.fixture
def index(tmp_path):
    """The address of an index that has a page for torch."""

    class Index(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/torch/" else 404)
            self.end_headers()

        def log_message(self, format, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Index) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def silent_index():
    """The address of a server that takes a connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_without_a_gpu_torch_comes_from_the_cpu_index(torch_index, index):
    assert torch_index.choose("auto", index)[0] == index


def test_the_driver_is_a_sign_of_a_gpu(torch_index, index, tmp_path, monkeypatch):
    monkeypatch.setattr(torch_index, "NVIDIA_DRIVER", tmp_path)
    assert torch_index.choose("auto", index)[0] is None
    assert torch_index.choose("cpu", index)[0] == index  # what was asked for is done


@pytest.mark.parametrize(
    ("nvidia_smi", "found"),
    [
        ("echo 'GPU 0: NVIDIA H200 (UUID: GPU-1)'", True),
        ("echo 'No devices found.'", False),
        ("echo 'NVIDIA-SMI has failed: no GPU driver'; exit 9", False),
    ],
)
def test_nvidia_smi_is_asked_for_a_gpu(torch_index, tmp_path, monkeypatch, nvidia_smi, found):
    (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{nvidia_smi}\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert torch_index.has_nvidia_gpu() is found


def test_a_system_without_cuda_takes_the_usual_package(torch_index, index, monkeypatch):
    monkeypatch.setattr(torch_index.sys, "platform", "darwin")
    assert torch_index.choose("auto", index)[0] is None


def test_a_silent_index_is_not_waited_for(torch_index, silent_index, monkeypatch):
    monkeypatch.setattr(torch_index, "ANSWER_SECONDS", 0.5)
    begun = time.monotonic()
    chosen, reason = torch_index.choose("auto", silent_index)
    assert chosen is None
    assert "cannot be reached within 0.5 seconds" in reason
    assert time.monotonic() - begun < 10  # it would wait for ever


def test_a_slow_name_look_up_is_not_waited_for(torch_index, monkeypatch):
    released = threading.Event()

    def look_up(*_, **__):
        released.wait(60)
        raise OSError("no such name")

    monkeypatch.setattr(torch_index, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(torch_index.urllib.request, "urlopen", look_up)
    begun = time.monotonic()
    assert not torch_index.answers("http://index.invalid")
    assert time.monotonic() - begun < 10
    released.set()


@pytest.mark.parametrize("index", ["http://index.invalid:x", "no address", "http://127.0.0.1:1"])
def test_an_index_that_is_none(torch_index, index):
    assert not torch_index.answers(index)


def test_an_index_without_torch_is_none(torch_index, index):
    assert not torch_index.answers(f"{index}/nothing")


def test_a_wish_that_is_unknown_is_refused(torch_index, index):
    with pytest.raises(torch_index.TorchIndexError, match=r"TORCH=gpu .* auto, cpu and default"):
        torch_index.choose("gpu", index)


def test_the_range_of_torch_is_the_projects(torch_index):
    assert torch_index.torch_requirement() in PYPROJECT["project"]["dependencies"]
    assert torch_index.torch_requirement().startswith("torch>=")


def test_no_dependency_is_pinned():
    extras = PYPROJECT["project"]["optional-dependencies"].values()
    wanted = [*PYPROJECT["project"]["dependencies"], *(name for extra in extras for name in extra)]
    pinned = [name for name in wanted if "==" in name.split(";")[0]]  # a marker may compare
    assert pinned == []
