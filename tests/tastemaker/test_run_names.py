"""Names of runs: what may be one is told before any work; a damaged run harms no other command."""

import json
import logging
import sys

import pytest

from policy.runs import RESERVED_NAMES, new_run
from reward.store.store import RatingsStore
from rl.rewards.spec import MUSIC_THEORY, read_spec

COMMANDS = {
    "ppo": ("ppo", "--reward", "music-theory", "--name"),
    "reward": ("reward", "--name"),
    "pretrain": ("pretrain", "--run"),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("base", "'base' is the shipped policy"),
        ("music-theory", "'music-theory' is a built-in reward"),
        ("where", "a word of reward specifications"),
        ("-rf", "begins with a dash"),
        ("../up", "not the name of a run"),
        ("A", "not the name of a run"),
    ],
)
def test_a_name_that_means_something_else_is_refused_before_any_work(
    folder, typed, monkeypatch, command, name, says
):
    # Without these nothing can be sampled or trained.
    for module in ("policy.checkpoint", "policy.pretraining.train", "rl.runs.fine_tuning"):
        monkeypatch.setitem(sys.modules, module, None)
    code, out, err = typed(*COMMANDS[command], name)
    assert code == 2
    assert says in err
    assert len(err.splitlines()) == 1
    assert out == ""
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("command", ["ppo", "reward"])
def test_a_taken_name_is_refused_before_any_work(folder, typed, monkeypatch, command):
    new_run("reward", {}, name="mine")
    monkeypatch.setitem(sys.modules, "policy.checkpoint", None)
    code, _, err = typed(*COMMANDS[command], "mine")
    assert code == 2
    assert "run 'mine' is there already" in err


def test_each_word_of_reward_specifications_is_reserved_or_no_problem():
    assert MUSIC_THEORY in RESERVED_NAMES
    spec = read_spec("where-1 + 2*nowhere where leap_share<=0.1")
    assert [term.name for term in spec.terms] == ["where-1", "nowhere"]
    assert len(spec.constraints) == 1


RECORDS = {
    "cut short": '{"kind": "rew',
    "a list": "[1, 2]",
    "of another program": json.dumps({"name": "experiment", "config": {}}),
    "of another shape": json.dumps({"kind": 3, "created_at": None, "config": [], "parents": {}}),
}


@pytest.mark.parametrize("damage", RECORDS)
def test_a_foreign_record_breaks_no_other_command(folder, typed, caplog, damage):
    (folder / "checkpoints" / "runs" / "foreign").mkdir(parents=True)
    (folder / "checkpoints" / "runs" / "foreign" / "run.json").write_text(RECORDS[damage])
    RatingsStore(str(folder / "checkpoints" / "ratings.sqlite")).close()
    new_run("ppo", {}, name="good")
    with caplog.at_level(logging.WARNING, "policy.runs"):
        code, _, err = typed("taste")  # looks for the newest reward run
        assert (code, err) == (2, "tastemaker: there is no reward model yet; learn one: "
                                  "tastemaker reward\n")  # fmt: skip
        code, _, err = typed("compose", "--policy", "nobody")
        assert code == 2
        assert "there are: good" in err
        code, _, err = typed("jobs")
        assert code == 0
    told = [record.getMessage() for record in caplog.records if record.name == "policy.runs"]
    assert len(told) <= 1  # by each process once
    assert all("foreign/run.json" in line for line in told)
    # asked for by name, it is told what is wrong
    code, _, err = typed("taste", "foreign")
    assert code == 2
    assert "foreign/run.json" in err
