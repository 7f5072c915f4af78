import json

import pytest

from policy.runs import RunError, new_run
from rl.runs.run_comparison import compare_runs


def a_run(root, name, *, updates=2, clip=0.2, finished=True):
    parents = {"base": "abc", "reward": "reward-0001"}
    run = new_run("ppo", {"clip": clip, "epochs": 1}, root=root, name=name, parents=parents)
    for update in range(updates):
        run.log({"update": update, "kl_nats": update / 2, "reward": -update, "seconds": 1.5})
    if finished:
        (run.path / "result.json").write_text(json.dumps(run.rows()[0]))
    return run


def test_what_differs_and_what_came_of_it(tmp_path):
    found = compare_runs([a_run(tmp_path, "one"), a_run(tmp_path, "two", clip=0.1, updates=4)])
    assert found.names == ["one", "two"]
    assert found.differences == {"clip": [0.2, 0.1]}
    assert found.figures["update"] == [0, 0]
    assert found.figures["seconds in all"] == [3.0, 6.0]
    assert found.figures["vendi"] == [None, None]


def test_of_what_is_not_finished_the_newest_update_stands(tmp_path):
    new = new_run("ppo", {"clip": 0.2, "momentum": 0.9}, root=tmp_path, name="new")
    found = compare_runs([a_run(tmp_path, "one"), a_run(tmp_path, "two", finished=False), new])
    assert found.figures["finished"] == ["yes", "no", "no"]
    assert found.figures["update"] == [0, 1, None]
    assert found.figures["kl_nats"] == [0.0, 0.5, None]
    assert found.differences["momentum"] == [None, None, 0.9]
    assert found.differences["parent base"] == ["abc", "abc", None]


def test_a_run_without_a_record_is_told(tmp_path):
    run = a_run(tmp_path, "one")
    (run.path / "run.json").unlink()
    with pytest.raises(RunError, match="damaged"):
        compare_runs([run])
