"""Choose where torch comes from, so that a machine without a GPU installs no CUDA.

    python .ci/torch_index.py auto|cpu|default

Prints the address of PyTorch's CPU index and the project's requirement for torch, or nothing when
torch is to come from where everything else comes from. The reason goes to stderr.
TASTEMAKER_TORCH_INDEX names another CPU index, such as a mirror.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import tomllib
import urllib.request
from http.client import HTTPException
from pathlib import Path

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
ANSWER_SECONDS = 5.0
"""how long the CPU index may take to answer, name look-up and all"""
NVIDIA_DRIVER = Path("/proc/driver/nvidia")
PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


class TorchIndexError(ValueError):
    """What was asked for cannot be had."""


def has_nvidia_gpu() -> bool:
    """Whether the driver is loaded, or nvidia-smi lists a GPU (as on WSL)."""
    if NVIDIA_DRIVER.exists():
        return True
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return listed.returncode == 0 and "GPU" in listed.stdout


def answers(index: str) -> bool:
    """Whether the index has a page for torch, and sends it in time."""
    found = threading.Event()

    def ask() -> None:
        try:
            with urllib.request.urlopen(f"{index}/torch/", timeout=ANSWER_SECONDS):
                found.set()
        except (OSError, ValueError, HTTPException):  # unreachable, not found; not an address
            pass
        finally:
            done.set()

    # In a thread, because no time-out of urllib's ends a slow name look-up.
    done = threading.Event()
    threading.Thread(target=ask, daemon=True).start()
    done.wait(ANSWER_SECONDS)
    return found.is_set()


def choose(wish: str, index: str) -> tuple[str | None, str]:
    """The index for torch, or None for the usual one, and the reason.

    Args:
        wish: `cpu`, `default`, or `auto`: CPU wheels on a Linux machine without an NVIDIA GPU.
        index: the address of the CPU index.

    Raises:
        TorchIndexError: when there is no such wish, or `cpu` is wished and the index is silent.
    """
    if wish not in ("auto", "cpu", "default"):
        raise TorchIndexError(f"TORCH={wish} is none of auto, cpu and default; try make TORCH=auto")
    if wish == "default":
        return None, "the usual package, as asked"
    if wish == "auto":
        if sys.platform != "linux":
            return None, "the usual package, which has no CUDA here"
        if has_nvidia_gpu():
            return None, "the usual package with CUDA, because there is an NVIDIA GPU"
    if answers(index):
        return index, f"CPU wheels from {index}"
    silent = f"{index} cannot be reached within {ANSWER_SECONDS:g} seconds"
    if wish == "auto":
        return None, f"the usual package, because {silent}"
    raise TorchIndexError(
        f"TORCH=cpu: {silent}; check the network, name a mirror in TASTEMAKER_TORCH_INDEX, or "
        "take the usual package: make TORCH=default"
    )


def torch_requirement() -> str:
    """What pyproject.toml asks of torch."""
    project = tomllib.loads(PROJECT.read_text())["project"]
    return next(said for said in project["dependencies"] if re.match(r"torch(?![\w.-])", said))


def main() -> None:
    """Print the choice."""
    index = (os.environ.get("TASTEMAKER_TORCH_INDEX") or CPU_INDEX).rstrip("/")
    try:
        chosen, reason = choose(sys.argv[1], index)
    except TorchIndexError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
    sys.stderr.write(f"torch: {reason}\n")
    if chosen:
        sys.stdout.write(f"{chosen} {torch_requirement()}\n")


if __name__ == "__main__":
    main()
