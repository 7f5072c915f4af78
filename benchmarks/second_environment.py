"""A second environment: the running one's packages, with TRL 1.12 in the place of its own TRL.

TRL dropped its PPO trainer in 1.13. The environment holds that one package; everything else,
torch and transformers among it, is found by path in the environment that runs, so that both sides
of a benchmark compute with the same installed libraries.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

TRL_VERSION = "1.12.0"
_PATH_FILE = "running-environment.pth"
_PROBE = """
import inspect, json, sys, torch, transformers, trl
from trl.experimental.ppo import PPOTrainer
print(json.dumps({
    "trl": trl.__version__, "trainer": inspect.getfile(PPOTrainer), "torch": torch.__version__,
    "torch_file": torch.__file__, "transformers": transformers.__version__,
}))
"""


class EnvironmentFault(RuntimeError):
    """The second environment cannot be made, or is not what it must be."""


def second_environment(folder: Path) -> Path:
    """The Python of the second environment in `folder`, made there unless it stands already.

    Raises:
        EnvironmentFault: when the folder is something else, or the package cannot be installed.
    """
    return environment_of(folder, [f"trl=={TRL_VERSION}"])


def environment_of(folder: Path, own: Sequence[str]) -> Path:
    """The Python of an environment in `folder` with packages of its own before the running ones.

    The path to the running environment is written last, so that one that was not finished, or that
    belongs to another Python, is made anew. A folder that holds anything else is left alone.

    Args:
        folder: where it is made unless it stands already.
        own: what it holds itself, as pip is told; nothing that these need is installed.

    Raises:
        EnvironmentFault: when the folder is something else, or a package cannot be installed.
    """
    folder = folder.absolute()
    python = folder / "bin" / "python"
    library = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    seal = library / "site-packages" / _PATH_FILE
    packages = "\n".join(running_packages()) + "\n"
    if not (python.exists() and seal.is_file() and seal.read_text() == packages):
        if folder.is_dir() and any(folder.iterdir()) and not (folder / "pyvenv.cfg").is_file():
            raise EnvironmentFault(
                f"{folder} holds something that is not a virtual environment; name another folder"
            )
        venv.EnvBuilder(with_pip=True, clear=True, symlinks=True).create(folder)
        # Before the path file: with it, pip would see the running environment's own packages.
        run_in(python, "-m", "pip", "install", "--quiet", "--no-deps", *own)
        seal.write_text(packages)
    return python


def described(python: Path) -> dict[str, Any]:
    """Versions and places of what the second environment imports.

    Raises:
        EnvironmentFault: when that is not TRL 1.12 from there, beside the running torch.
    """
    found = json.loads(run_in(python, "-c", _PROBE))
    own = Path(found["trainer"]).is_relative_to(python.parents[1])
    if found["trl"] != TRL_VERSION or not own:
        raise EnvironmentFault(
            f"{python} imports TRL {found['trl']} from {found['trainer']}, not {TRL_VERSION} of "
            f"its own; remove {python.parents[1]} and run again"
        )
    packages = running_packages()
    if not any(Path(found["torch_file"]).is_relative_to(folder) for folder in packages):
        raise EnvironmentFault(
            f"{python} imports torch from {found['torch_file']}, not from {packages}; remove "
            f"{python.parents[1]} and run again"
        )
    return found


def process_variables(threads: int) -> dict[str, str]:
    """Environment variables of a process there: our rooms on its path, its threads, no network."""
    root = Path(__file__).resolve().parents[1]
    return {
        **os.environ,
        "PYTHONPATH": str(root),
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "HF_HUB_OFFLINE": "1",
        "TRL_EXPERIMENTAL_SILENCE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }


def running_packages() -> list[str]:
    """Where the running environment keeps its packages: two places on some systems."""
    return sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})


def run_in(python: Path, *arguments: str) -> str:
    """What a Python prints.

    Raises:
        EnvironmentFault: when it fails, with its last words.
    """
    done = subprocess.run(
        [python, *arguments], capture_output=True, text=True, env=process_variables(1)
    )
    if done.returncode:
        said = " ".join(done.stderr.split())[-400:]
        raise EnvironmentFault(
            f"{python} {' '.join(arguments[:5])} failed: {said}; with a package index within "
            f"reach, remove {python.parents[1]} and run again"
        )
    return done.stdout
