"""Run folders: `checkpoints/runs/<name>/`, what a run was given, what it logged, what it made.

A name is ours, `<kind>-NNNN`, or one that the user chose: `RUN_NAME` says what it may be.
`run.json` is written once at the start: configuration, seed, code version, libraries, parents.
`metrics.jsonl` is appended to; on resume, rows after the resumed step are dropped.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from music.files import write_whole

RUNS = Path("checkpoints/runs")
EARLIER_NAMES = {"asked": "conditioning", "good_enough": "saturation_point"}
"""settings and fields of a record by their names in version 0.1.0, and by those of today"""
RUN_NAME = re.compile(r"[a-z0-9-]{1,64}")
"""the name of a run, which is never a path; a new one does not begin with a dash either"""
RESERVED_NAMES = {
    "base": "the shipped policy",
    "music-theory": "a built-in reward",
    "where": "a word of reward specifications",
}
"""names that mean something else where the name of a run may stand"""
_LIBRARIES = ("torch", "transformers", "numpy", "gymnasium", "trl", "sqlalchemy")
_RECORD_FIELDS = {"kind": str, "created_at": str, "config": dict, "parents": dict}

log = logging.getLogger(__name__)


class RunError(ValueError):
    """A run that is not there, not finished or not what was asked for."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run folder."""

    path: Path

    @property
    def name(self) -> str:
        """The run's name."""
        return self.path.name

    @property
    def record(self) -> dict[str, Any]:
        """What `run.json` says, in the names of today.

        Raises:
            RunError: when it is not there, not JSON or not the record of a run.
        """
        try:
            record = json.loads(
                (self.path / "run.json").read_text(),
                object_hook=lambda fields: {
                    EARLIER_NAMES.get(name, name): value for name, value in fields.items()
                },
            )
        except (OSError, ValueError) as error:
            raise RunError(
                f"{self.path}/run.json cannot be read; the run is damaged, start a new one"
            ) from error
        if not isinstance(record, dict) or not all(
            isinstance(record.get(name), kind) for name, kind in _RECORD_FIELDS.items()
        ):
            raise RunError(
                f"{self.path}/run.json is not the record of a run, which has the fields "
                f"{', '.join(_RECORD_FIELDS)}; move the folder elsewhere, or start a new run"
            )
        return record

    def log(self, row: Mapping[str, Any]) -> None:
        """Append one row to `metrics.jsonl`."""
        with (self.path / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")

    def rows(self) -> list[dict[str, Any]]:
        """The logged rows; a last line that a kill cut short is left out."""
        file = self.path / "metrics.jsonl"
        rows: list[dict[str, Any]] = []
        for line in file.read_text().splitlines() if file.is_file() else []:
            try:
                rows.append(json.loads(line))
            except ValueError:
                break
        return rows

    def forget_after(self, step: int, key: str = "update") -> None:
        """Drop the rows of `step` and later: a resumed run writes them again."""
        kept = [row for row in self.rows() if row[key] < step]
        write_whole(self.path / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in kept))


def new_run(
    kind: str,
    config: Mapping[str, Any],
    *,
    root: Path = RUNS,
    name: str | None = None,
    parents: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> Run:
    """Make a run folder; two callers at once get two.

    Args:
        kind: what it is ('ppo', 'reward', …), the first part of its name and a field of its record.
        config: what the run is given, as JSON.
        root: folder of all runs.
        name: a name of the user's choice instead of `<kind>-NNNN`.
        parents: names and hashes of what it starts from.
        more: further fields for the record.

    Raises:
        RunError: when the asked name is taken or not a name.
    """
    if name is not None:
        path = root / free_name(name, root=root)
        root.mkdir(parents=True, exist_ok=True)
        try:
            path.mkdir()
        except FileExistsError:
            raise RunError(_taken(name)) from None
    else:
        root.mkdir(parents=True, exist_ok=True)
        number = 1 + max((_number(p.name, kind) for p in root.iterdir()), default=0)
        while True:
            path = root / f"{kind}-{number:04d}"
            try:
                path.mkdir()
                break
            except FileExistsError:
                number += 1
    record = {
        "kind": kind,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": dict(config),
        "parents": dict(parents or {}),
        "commit": _commit(),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in _LIBRARIES},
        "hardware": {"machine": platform.machine(), "cores": os.cpu_count()},
        **(more or {}),
    }
    write_whole(path / "run.json", json.dumps(record, indent=1))
    return Run(path)


def open_run(name: str, *, kind: str | None = None, root: Path = RUNS) -> Run:
    """The run of this name.

    Raises:
        RunError: when there is none (those there are, are named), or it is of another kind.
    """
    run = Run(root / checked_name(name))
    if not (run.path / "run.json").is_file():
        there = sorted(run.name for run, _ in readable_runs(root))
        raise RunError(
            f"there is no run {name!r} in {root}; there are: {', '.join(there) or 'none yet'}"
        )
    if kind is not None and run.record["kind"] != kind:
        raise RunError(f"run {name!r} is a {run.record['kind']} run; a {kind} run is needed here")
    return run


def newest_run(
    kind: str, *, root: Path = RUNS, usable: Callable[[Run], bool] = lambda run: True
) -> Run | None:
    """The newest run of a kind, by when it was made, of those that are `usable`."""
    runs = [
        (record["created_at"], run.name, run)
        for run, record in readable_runs(root)
        if record["kind"] == kind and usable(run)
    ]
    return max(runs, default=(None, None, None))[2]


def readable_runs(root: Path = RUNS) -> list[tuple[Run, dict[str, Any]]]:
    """All runs with their records; a damaged or foreign one is left out, which is logged once."""
    found: list[tuple[Run, dict[str, Any]]] = []
    for file in sorted(root.glob("*/run.json")):
        run = Run(file.parent)
        try:
            found.append((run, run.record))
        except RunError as error:
            _log_once(str(error))
    return found


@cache
def _log_once(message: str) -> None:
    log.warning("left out: %s", message)


def free_name(name: str, *, root: Path = RUNS) -> str:
    """The name itself, which a new run may have.

    Raises:
        RunError: when it is not a name, begins with a dash, is reserved or is taken.
    """
    checked_name(name)
    if name.startswith("-"):
        raise RunError(
            f"{name!r} begins with a dash, as options do; begin the name of a run with a-z or 0-9"
        )
    if name in RESERVED_NAMES:
        raise RunError(f"{name!r} is {RESERVED_NAMES[name]}; choose another name for the run")
    if (root / name).exists():
        raise RunError(_taken(name))
    return name


def _taken(name: str) -> str:
    return f"run {name!r} is there already; choose another name or resume it"


def checked_name(name: str) -> str:
    """The name itself.

    Raises:
        RunError: when it is not of the form `RUN_NAME`.
    """
    if not RUN_NAME.fullmatch(name):
        raise RunError(f"{name!r} is not the name of a run; use a-z, 0-9 and -, at most 64 of them")
    return name


def _number(name: str, kind: str) -> int:
    tail = name.removeprefix(f"{kind}-")
    return int(tail) if tail != name and tail.isdecimal() else 0


def _commit() -> str | None:
    """The checkout's commit, with a + where files differ from it; None outside of a checkout."""
    try:
        here = Path(__file__).parent
        said = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--abbrev=12"],
            cwd=here,
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
        return said.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
