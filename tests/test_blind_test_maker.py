"""Blind tests are made by a command in a process of its own; the studio sees how it gets on."""

import copy
import json
import sys
import time
from pathlib import Path

import pytest
import torch

from feedback_ui.blind_test_maker import BlindTestMaker, MakerError, blind_test_command, policies
from feedback_ui.blind_tests import list_tests
from policy.checkpoint import save_policy
from reward.ratings import RatingsStore
from rl.runs import new_run


def test_policies_are_the_base_and_finished_ppo_runs_the_newest_first(tmp_path):
    for name, kind, made, finished in (
        ("ppo-0001", "ppo", "2026-11-01", True),
        ("ppo-0002", "ppo", "2026-11-02", True),
        ("ppo-0003", "ppo", "2026-11-03", False),
        ("reward-0001", "reward", "2026-11-04", True),
    ):
        (tmp_path / name / "policy").mkdir(parents=True)
        (tmp_path / name / "run.json").write_text(json.dumps({"kind": kind, "created_at": made}))
        if finished:
            (tmp_path / name / "policy" / "model.safetensors").touch()
    for name, text in (("ppo-broken", "{"), ("ppo-list", "[]")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(text)
    assert policies(tmp_path) == ["base", "ppo-0002", "ppo-0001"]
    assert policies(tmp_path / "not there") == ["base"]


@pytest.fixture
def maker():
    maker = BlindTestMaker()
    yield maker
    maker.close()


def until_ready(maker, seconds=120):
    lines, until = [], time.monotonic() + seconds
    while maker.is_busy and time.monotonic() < until:
        if maker.line and maker.line not in lines:
            lines.append(maker.line)
        time.sleep(0.05)
    assert not maker.is_busy
    return lines


def test_a_test_is_made_and_a_failure_is_told_in_a_line(tmp_path, tiny_policy, maker, monkeypatch):
    monkeypatch.chdir(tmp_path)
    other = copy.deepcopy(tiny_policy)
    with torch.no_grad():
        other.model.embed_tokens.weight.mul_(0.5)
    runs = tmp_path / "runs"
    for name, policy in (("one", tiny_policy), ("two", other)):
        save_policy(policy, new_run("ppo", {}, root=runs, name=name).path / "policy")
    asked = {"name": "--help", "votes": 4, "meter": "2/4", "bars": "4", "seed": 1, "runs": runs}
    database = str(tmp_path / "ratings.db")
    assert (maker.is_busy, maker.line, maker.failure) == (False, "", None)

    maker.start(blind_test_command("one", "two", **asked), database)
    assert maker.is_busy
    with pytest.raises(MakerError, match="another blind test is being made"):
        maker.start(blind_test_command("one", "two", **asked), database)
    until_ready(maker)
    assert maker.failure is None, maker.line
    assert "made the blind test '--help'" in maker.line
    with RatingsStore(database) as store:
        [made] = list_tests(store)
        assert (made.name, made.votes_wanted) == ("--help", 4)
        assert store.counts()["comparisons"] == 5

    # The same name again; and a policy that looks like an option.
    maker.start(blind_test_command("one", "two", **asked), database)
    until_ready(maker)
    assert maker.failure.startswith("name='--help' is taken")
    maker.start(blind_test_command("one", "--version", **asked), database)
    until_ready(maker)
    assert "'--version'" in maker.failure
    assert "\n" not in maker.failure


def test_a_process_that_dies_or_does_not_start_is_told(tmp_path, maker):
    maker.start([sys.executable, "-c", "raise SystemExit(3)"], "x")
    until_ready(maker)
    assert maker.failure == "it ended with exit code 3"
    with pytest.raises(MakerError, match="cannot be made"):
        maker.start([str(tmp_path / "no such program")], "x")
    assert (maker.is_busy, maker.failure) == (False, None)


def test_the_database_is_told_by_the_environment(maker):
    secret = "postgresql://me:secret@host/ratings"
    code = "import os; print(os.environ['TASTEMAKER_DATABASE'])"
    maker.start([sys.executable, "-c", code], secret)
    until_ready(maker)
    assert maker.line == secret
    command = blind_test_command(
        "a", "b", name="", votes=9, meter="any", bars="8", seed=0, runs=Path("runs")
    )
    assert not [part for part in command if "database" in part or "name" in part]
