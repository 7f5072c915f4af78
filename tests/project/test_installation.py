"""`.ci/install` puts the right torch into `.venv`, by pip and by uv.

The script runs whole, on a project of a few lines. Its packages are empty wheels from indexes on
this machine: the usual one has a torch that needs CUDA, the CPU index an older one.
"""

import os
import shutil
import socket
import subprocess
import sys
import threading
import zipfile
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.project import PROJECT

pytestmark = pytest.mark.slow
UV = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
CUDA, CPU = "9.9", "9.8+cpu"
"""versions of torch on the usual index and on the CPU index"""
FAKE_PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "melodies"
version = "1"
dependencies = ["torch>=2.6", "torchless"]
"""
FAKE_BACKEND = """
import shutil


def build_editable(folder, settings=None, metadata=None):
    return shutil.copy("melodies-1-py3-none-any.whl", folder).rpartition("/")[2]
"""


def write_wheel(folder, name, version, *requires):
    """An empty package."""
    info = f"{name}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {name}\n" for name in requires)
    files = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for file, text in files.items():
            wheel.writestr(file, text)
        wheel.writestr(f"{info}/RECORD", "".join(f"{f},,\n" for f in [*files, f"{info}/RECORD"]))


class QuietHandler(SimpleHTTPRequestHandler):
    """A folder's list of files is the page of a package."""

    def log_message(self, format, *args):
        """Say nothing."""


@dataclass
class Indexes:
    """Addresses of package indexes on this machine."""

    usual: str
    cpu: str
    old: str
    """a CPU index whose only torch is too old for the project"""
    wheels: Path
    """the usual index's wheels of torch, in a folder"""


@pytest.fixture(scope="module")
def indexes(tmp_path_factory):
    """Three indexes, served on loopback."""
    folder = tmp_path_factory.mktemp("indexes")
    write_wheel(folder / "usual" / "torch", "torch", CUDA, "filelike", "nvidia-cuda")
    write_wheel(folder / "usual" / "nvidia-cuda", "nvidia_cuda", "13")
    write_wheel(folder / "usual" / "filelike", "filelike", "1")
    write_wheel(folder / "usual" / "torchless", "torchless", "1", "torch>=2.3")
    write_wheel(folder / "cpu" / "torch", "torch", CPU, "filelike")
    write_wheel(folder / "old" / "torch", "torch", "1.0+cpu")
    handler = partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        at = f"http://127.0.0.1:{server.server_port}"
        yield Indexes(f"{at}/usual", f"{at}/cpu", f"{at}/old", folder / "usual" / "torch")
        server.shutdown()


@pytest.fixture(scope="module")
def new_venv(tmp_path_factory):
    """An environment with nothing but pip, to copy; making one takes seconds."""
    folder = tmp_path_factory.mktemp("new") / ".venv"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=240)
    return folder


@dataclass
class Project:
    """A project of a few lines with our `.ci/install`."""

    folder: Path
    programs: Path
    """the only folder on the path: no uv, npm or nvidia-smi but those put there"""
    settings: dict[str, str] = field(default_factory=dict)

    def install(self, **settings):
        """Run `.ci/install` with these environment variables beside the project's."""
        return subprocess.run(
            [shutil.which("bash"), self.folder / ".ci" / "install"],
            env={"PATH": str(self.programs), **self.settings, **settings},
            capture_output=True,
            text=True,
            timeout=120,
        )

    def installed(self):
        """Version of each installed package but pip and what came with it."""
        found = (p.stem for p in self.folder.glob(".venv/lib/python*/site-packages/*.dist-info"))
        versions = dict(name.split("-") for name in found)
        return {n: v for n, v in versions.items() if n not in ("pip", "setuptools")}


@pytest.fixture
def project(tmp_path, indexes, new_venv):
    """A project whose settings name the usual and the CPU index; pip is what it has."""
    folder, programs = tmp_path / "project", tmp_path / "programs"
    (folder / ".ci").mkdir(parents=True)
    for script in ("install", "torch_index.py"):
        shutil.copy(PROJECT / ".ci" / script, folder / ".ci")
    (folder / "pyproject.toml").write_text(FAKE_PYPROJECT)
    (folder / "backend.py").write_text(FAKE_BACKEND)
    write_wheel(folder, "melodies", "1", "torch>=2.6", "torchless")
    shutil.copytree(new_venv, folder / ".venv", symlinks=True)
    programs.mkdir()
    for name in ("bash", "dirname", "env"):
        (programs / name).symlink_to(shutil.which(name))
    settings = {
        "HOME": str(tmp_path),
        "NO_PROXY": "*",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_INDEX_URL": indexes.usual,
        "PIP_NO_CACHE_DIR": "1",
        "PYTHON": sys.executable,
        "TASTEMAKER_TORCH_INDEX": indexes.cpu,
    }
    return Project(folder, programs, settings)


@pytest.fixture
def closed_index():
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return f"http://127.0.0.1:{port}"


@pytest.fixture(params=["pip", "uv"])
def either(request, project):
    """The project, once with pip and once with uv."""
    if request.param == "uv":
        if UV is None:
            pytest.skip("no uv; install the extra 'test'")
        (project.programs / "uv").symlink_to(UV)
    return project


FROM_CPU = {"torch": CPU, "filelike": "1", "torchless": "1", "melodies": "1"}
FROM_USUAL = {**FROM_CPU, "torch": CUDA, "nvidia_cuda": "13"}


def test_torch_comes_from_the_cpu_index_alone(either, indexes):
    # A newer torch elsewhere, with CUDA, is not taken. What torch depends on is.
    done = either.install(
        TORCH="cpu", PIP_EXTRA_INDEX_URL=indexes.usual, PIP_FIND_LINKS=str(indexes.wheels)
    )
    assert done.returncode == 0, done.stderr
    assert either.installed() == FROM_CPU
    assert f"CPU wheels from {indexes.cpu}" in done.stderr


@pytest.mark.skipif(Path("/proc/driver/nvidia").exists(), reason="this machine has a GPU")
def test_nothing_said_and_no_gpu_means_the_cpu_index(project):
    assert project.install().returncode == 0
    assert project.installed() == FROM_CPU


def test_nothing_said_and_a_gpu_means_the_usual_package(either):
    nvidia_smi = either.programs / "nvidia-smi"
    nvidia_smi.write_text("#!/bin/sh\necho 'GPU 0: NVIDIA H200 (UUID: GPU-1)'\n")
    nvidia_smi.chmod(0o755)
    done = either.install()
    assert done.returncode == 0, done.stderr
    assert either.installed() == FROM_USUAL
    assert "there is an NVIDIA GPU" in done.stderr


def test_the_usual_package_may_be_asked_for(project):
    assert project.install(TORCH="default").returncode == 0
    assert project.installed() == FROM_USUAL


def test_an_index_that_does_not_answer_is_done_without(project, closed_index):
    done = project.install(TASTEMAKER_TORCH_INDEX=closed_index)
    assert done.returncode == 0, done.stderr
    assert project.installed() == FROM_USUAL


def test_cpu_wheels_that_were_asked_for_are_not_replaced_by_cuda(project, closed_index):
    done = project.install(TORCH="cpu", TASTEMAKER_TORCH_INDEX=closed_index)
    assert done.returncode == 2
    assert closed_index in done.stderr
    assert "make TORCH=default" in done.stderr
    assert project.installed() == {}


def test_an_index_with_no_torch_that_fits_is_done_without(either, indexes):
    done = either.install(TORCH="cpu", TASTEMAKER_TORCH_INDEX=indexes.old)
    assert done.returncode == 2
    assert "torch>=2.6 could not be installed" in done.stderr
    assert either.installed() == {}
    done = either.install(TORCH="auto", TASTEMAKER_TORCH_INDEX=indexes.old)
    assert done.returncode == 0, done.stderr
    assert either.installed() == FROM_USUAL


def test_an_installed_torch_is_kept(either):
    assert either.install(TORCH="default").returncode == 0
    done = either.install(TORCH="cpu")
    assert done.returncode == 0, done.stderr
    assert either.installed() == FROM_USUAL


def test_the_wish_is_checked_before_anything_is_installed(project):
    done = project.install(TORCH="gpu")
    assert done.returncode == 2
    assert "TORCH=gpu is none of auto, cpu and default" in done.stderr
    assert project.installed() == {}
