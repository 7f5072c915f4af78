"""Run folders: `checkpoints/runs/<name>/`, what a run was given, what it logged, what it made.

A name is ours, `<kind>-NNNN`, or one that the user chose: `RUN_NAME` says what it may be.
`run.json` is written once at the start: configuration, seed, code version, libraries, parents.
`metrics.jsonl` is appended to, and synced before the checkpoint that relies on it; on resume, rows
after the resumed step are dropped.
"""

from __future__ import annotations

import json
import logging
import math
import os
import platform
import re
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from music.files import append_line, make_folder, sync, write_whole
from music.json_text import JsonError, parse_json, read_json, whole_number, write_json
from music.messages import shortened

RUNS = Path("checkpoints/runs")
EARLIER_NAMES = {
    "asked": "conditioning",
    "good_enough": "saturation_point",
    "tune_type": "style",
}
"""settings and fields of a record by their names in version 0.1.0, and by those of today"""
RUN_NAME = re.compile(r"[a-z0-9-]{1,64}")
"""the name of a run, which is never a path; a new one does not begin with a dash either"""
RESERVED_NAMES = {
    "base": "the shipped policy",
    "music-theory": "a built-in reward",
    "where": "a word of reward specifications",
}
"""names that mean something else where the name of a run may stand"""
METRICS = "metrics.jsonl"
"""name of the log, a row an update or checkpoint"""
RECORD_VERSION = 2
"""of `run.json`. Records of version 0.1.0 have none; they name policies by their weights alone"""
_LIBRARIES = ("torch", "transformers", "numpy", "gymnasium", "trl", "sqlalchemy")
_FIGURES = (
    *("reward", "score_mean", "score_std", "kl_nats", "kl_coefficient", "notes"),
    *("vendi", "originality", "seconds"),
)
"""fields of a log row that are numbers wherever they are"""
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
            record = read_json(
                self.path / "run.json",
                object_hook=lambda fields: {
                    EARLIER_NAMES.get(name, name): value for name, value in fields.items()
                },
            )
        except (OSError, JsonError) as error:
            raise RunError(
                f"{self.path}/run.json cannot be read ({error}); the run is damaged, start a new "
                "one"
            ) from error
        if (
            not isinstance(record, dict)
            or not all(isinstance(record.get(n), kind) for n, kind in _RECORD_FIELDS.items())
            or not all(isinstance(parent, str) for parent in record["parents"].values())
        ):
            raise RunError(
                f"{self.path}/run.json is not the record of a run, which has the fields "
                f"{', '.join(_RECORD_FIELDS)}; move the folder elsewhere, or start a new run"
            )
        return record

    def count(self, setting: str) -> int:
        """A setting of the run that is a whole number from 1, such as `updates`.

        Raises:
            RunError: when the record cannot be read, or has no such number.
        """
        try:
            return whole_number(self.record["config"].get(setting), setting, low=1, high=10**9)
        except JsonError as error:
            raise RunError(
                f"the settings in {self.path}/run.json cannot be used: {error}; put the file back "
                "from a copy, or start a new run"
            ) from error

    def log(self, row: Mapping[str, Any]) -> None:
        """Append one row, whose numbers are finite, to `metrics.jsonl`; it is on the disk then."""
        append_line(self.path / METRICS, json.dumps(row, allow_nan=False))

    def rows(self) -> list[dict[str, Any]]:
        """The logged rows, up to a line that is damaged, as a kill may leave the last one."""
        file = self.path / METRICS
        rows: list[dict[str, Any]] = []
        text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
        for line in text.splitlines(keepends=True):
            try:
                row = parse_json(line, finite=False)
            except JsonError:
                break
            # A line that was cut short may be JSON by chance; the line's end was written last.
            if not _is_row(row) or not line.endswith("\n"):
                break
            rows.append(row)
        return rows

    def forget_after(self, step: int, key: str = "update") -> None:
        """Drop the rows of `step` and later: a resumed run writes them again.

        Raises:
            RunError: for a row without a number under `key`.
        """
        rows = self.rows()
        for row in rows:
            if not isinstance(row.get(key), int):
                raise RunError(
                    f"{self.path / METRICS} has a row whose {key} is {shortened(row.get(key))}, "
                    "not a number; put the file back from a copy, or start a new run"
                )
        kept = "".join(json.dumps(row) + "\n" for row in rows if row[key] < step)
        write_whole(self.path / METRICS, kept)

    def check_rows(self, step: int) -> None:
        """Refuse a log that does not have the rows of updates 0 to `step` - 1, once and in order.

        Which policy a run keeps is decided by all of them.

        Raises:
            RunError: with the first update that is missing.
        """
        updates = [row.get("update") for row in self.rows()]
        for update in range(step):
            if updates[update : update + 1] != [update]:
                raise RunError(
                    f"{self.path / METRICS} lacks the row of update {update}, and the run's "
                    f"checkpoint is at update {step}; put the file back from a copy, or start a "
                    "new run"
                )


def check_fields(rows: Iterable[Mapping[str, Any]], names: Sequence[str]) -> None:
    """Refuse log rows that lack a field.

    Raises:
        RunError: with the row and the field.
    """
    for row in rows:
        lacking = next((name for name in names if name not in row), None)
        if lacking is not None:
            raise RunError(
                f"the row of update {shortened(row.get('update'))} in {METRICS} has no {lacking}; "
                "put the file back from a copy, or start a new run"
            )


def _is_row(row: object) -> bool:
    """Whether a line of a log is a row: a number is one, and guards are named."""
    if not isinstance(row, dict):
        return False
    figures = [row[name] for name in _FIGURES if name in row]
    broken = row.get("guards_broken", [])
    return (
        not any(isinstance(value, bool) for value in figures)
        and all(isinstance(value, int | float) for value in figures)
        and math.isfinite(row.get("seconds", 0.0))
        and isinstance(broken, list)
        and all(isinstance(name, str) for name in broken)
    )


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
        make_folder(root)
        try:
            path.mkdir()
        except FileExistsError:
            raise RunError(_taken(name)) from None
    else:
        make_folder(root)
        number = 1 + max((_number(p.name, kind) for p in root.iterdir()), default=0)
        while True:
            path = root / f"{kind}-{number:04d}"
            try:
                path.mkdir()
                break
            except FileExistsError:
                number += 1
    sync(root)
    record = {
        "record_version": RECORD_VERSION,
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
    write_json(path / "run.json", record)
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
