"""The base policy that comes with Tastemaker: where its folder is."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path("checkpoints/base")


def shipped_policy() -> Path:
    """The folder of the base policy.

    A working folder that has a `checkpoints/base` of its own uses that one. Every other folder uses
    the one beside the packages: the checkout's, or the one that the wheel installed.
    """
    if (FOLDER / "config.json").is_file():
        return FOLDER
    return Path(__file__).resolve().parents[1] / FOLDER
