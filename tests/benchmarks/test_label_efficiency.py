"""The benchmark of votes: its arithmetic by hand, and once as a user would run it."""

import json
import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest

from tests.support.project import PROJECT

pytestmark = pytest.mark.slow

SCRIPT = PROJECT / "benchmarks" / "votes" / "label_efficiency.py"


@pytest.fixture
def module():
    return import_module("label_efficiency")


def run_of(module, listener, seed, ours, random):
    return {
        "listener": listener,
        "seed": seed,
        "ours": {votes: ours + votes / 10_000 for votes in {*module.STEPS, *module.BUDGETS}},
        "random": dict.fromkeys(module.BUDGETS, random),
        "logistic": dict.fromkeys(module.BUDGETS, 0.6),
        "ece": 0.02 + 0.02 * seed,
    }


def test_summary_by_hand(module):
    runs = [run_of(module, name, seed, 0.7, 0.725) for name in module.EASY for seed in (0, 1)]
    found = module.summary(runs, module.EASY)
    assert found["agreement_200_easy"] == pytest.approx(0.72)
    assert found["agreement_200_hard"] is None  # those families were not run
    # .7 + votes / 10,000 passes .725 at 250 votes.
    assert found["active_votes_for_random_400"] == pytest.approx(250)
    assert found["ece"] == pytest.approx(0.03)
    assert found["listeners"]["linear"]["ours"][200] == {
        "mean": pytest.approx(0.72), "plus_minus": pytest.approx(0, abs=1e-9),
    }  # fmt: skip


def test_a_target_that_is_never_reached_is_said(module):
    runs = [run_of(module, "linear", 0, 0.5, 0.9)]
    found = module.summary(runs, ["linear"])
    assert found["active_votes_for_random_400"] is None
    assert found["listeners"]["linear"]["ours"][50]["plus_minus"] is None


def test_agreement_leaves_out_equals(module):
    utility = np.array([0.0, 0.0, 1.0])
    assert module.agreement(np.array([5.0, -5.0, 9.0]), utility) == 1.0
    assert module.agreement(-utility, utility) == 0.0


@pytest.mark.timeout(900)  # the benchmark fits a hundred profiles
def test_a_users_own_listener_runs_through(tmp_path):
    (tmp_path / "mine.py").write_text("def few_notes(melody):\n    return -len(melody.notes)\n")
    command = [sys.executable, SCRIPT, "--listener", "mine:few_notes"]
    done = subprocess.run(
        [*command, "--seeds", "1", "--workers", "1"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    votes = found["listeners"]["mine:few_notes"]["ours"]
    assert votes["400"]["mean"] > 0.8
    assert found["camps"].keys() == {"personal", "shared", "separate"}
    wrong = subprocess.run(
        [*command[:-1], "mine:loud"], cwd=tmp_path, capture_output=True, text=True
    )
    assert wrong.returncode == 2
    assert "mine:loud names no function" in wrong.stderr
