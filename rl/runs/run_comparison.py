"""Comparison of runs: the settings in which they differ, and their results.

Reads `run.json`, `metrics.jsonl` and `result.json` (the log row of the update that a finished run
kept). For an unfinished run, the newest update is used. This module does not import torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from music.json_text import JsonError, read_json
from policy.runs import Run, RunError

RESULT_FILE = "result.json"
FIGURES = (
    "reward",
    "score_mean",
    "score_std",
    "kl_nats",
    "vendi",
    "originality",
    "notes",
)


@dataclass(frozen=True, slots=True)
class RunComparison:
    """Rows of a table with a value for each run; None if a run has no value."""

    names: list[str]
    differences: dict[str, list[Any]]
    """settings and parents in which the runs are not all equal"""
    figures: dict[str, list[Any]]
    """figures of the kept update, or of the newest one"""


def compare_runs(runs: Sequence[Run]) -> RunComparison:
    """Compare the settings and figures of runs.

    Raises:
        RunError: when a run's record cannot be read.
    """
    given = [_given(run) for run in runs]
    settings = list(dict.fromkeys(name for settings in given for name in settings))
    table = {name: [settings.get(name) for settings in given] for name in settings}
    logs = [run.rows() for run in runs]
    rows = [_result(run, log) for run, log in zip(runs, logs, strict=True)]
    figures: dict[str, list[Any]] = {
        "finished": ["yes" if (run.path / RESULT_FILE).is_file() else "no" for run in runs],
        "update": [row.get("update") for row in rows],
        **{name: [row.get(name) for row in rows] for name in FIGURES},
        "seconds in all": [sum(row.get("seconds", 0.0) for row in log) for log in logs],
    }
    differences = {name: values for name, values in table.items() if len(set(map(str, values))) > 1}
    return RunComparison([run.name for run in runs], differences, figures)


def _given(run: Run) -> dict[str, Any]:
    record = run.record
    parents = {f"parent {name}": value for name, value in record["parents"].items()}
    return {**record["config"], **parents, "code": record.get("commit")}


def _result(run: Run, log: list[dict[str, Any]]) -> dict[str, Any]:
    file = run.path / RESULT_FILE
    if file.is_file():
        try:
            result = read_json(file)
        except JsonError as error:
            raise RunError(
                f"{file} cannot be read ({error}); remove it, and write it again with: tastemaker "
                f"ppo --resume {run.name}"
            ) from error
        return result if isinstance(result, dict) else {}
    return log[-1] if log else {}
