import json
import math
import multiprocessing

import pytest

from music import files
from policy.runs import Run, RunError, checked_name, new_run, newest_run, open_run


def test_runs_are_numbered_and_remember_what_they_were_given(tmp_path):
    first = new_run("ppo", {"updates": 3}, root=tmp_path, parents={"base": "abc"})
    second = new_run("ppo", {"updates": 4}, root=tmp_path)
    assert (first.name, second.name) == ("ppo-0001", "ppo-0002")
    record = open_run("ppo-0001", root=tmp_path).record
    assert record["config"] == {"updates": 3}
    assert record["parents"] == {"base": "abc"}
    assert set(record["libraries"]) >= {"torch", "numpy"}
    newest = newest_run("ppo", root=tmp_path)
    assert newest is not None
    assert newest.name == "ppo-0002"
    assert newest_run("reward", root=tmp_path) is None


def test_names_of_digits_do_not_derail_the_numbers(tmp_path):
    new_run("ppo", {}, root=tmp_path, name="20261123")
    assert new_run("ppo", {}, root=tmp_path).name == "ppo-0001"


def test_an_unknown_run_is_told_with_those_that_are_there(tmp_path):
    new_run("ppo", {}, root=tmp_path)
    with pytest.raises(RunError, match=r"no run 'ppo-0007'.*there are: ppo-0001"):
        open_run("ppo-0007", root=tmp_path)


def test_a_run_of_another_kind_is_refused(tmp_path):
    new_run("reward", {}, root=tmp_path)
    with pytest.raises(RunError, match="a ppo run is needed"):
        open_run("reward-0001", kind="ppo", root=tmp_path)


@pytest.mark.parametrize("name", ["", "../up", "A", "a b", "x" * 65, "ünder"])
def test_names_are_never_paths(name):
    with pytest.raises(RunError, match="not the name of a run"):
        checked_name(name)


def test_a_taken_name_is_refused_and_the_run_kept(tmp_path):
    new_run("ppo", {"updates": 1}, root=tmp_path, name="mine")
    with pytest.raises(RunError, match="there already"):
        new_run("ppo", {"updates": 2}, root=tmp_path, name="mine")
    assert open_run("mine", root=tmp_path).record["config"] == {"updates": 1}


def _make_five(root, names):
    names += [new_run("ppo", {}, root=root).name for _ in range(5)]


def test_two_starters_at_once_get_different_runs(tmp_path):
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager:
        names = manager.list()
        both = [context.Process(target=_make_five, args=(tmp_path, names)) for _ in range(2)]
        for process in both:
            process.start()
        for process in both:
            process.join(60)
        assert len(set(names)) == len(names) == 10


def test_rows_after_a_resumed_step_are_forgotten_and_a_torn_line_is_left_out(tmp_path):
    run = Run(tmp_path)
    for update in range(4):
        run.log({"update": update, "reward": update / 2})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"update": 4, "rew')
    assert [row["update"] for row in run.rows()] == [0, 1, 2, 3]
    run.forget_after(2)
    assert (tmp_path / "metrics.jsonl").read_text() == "".join(
        json.dumps({"update": u, "reward": u / 2}) + "\n" for u in range(2)
    )


def test_a_row_is_on_the_disk_when_it_is_logged(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(files.os, "fsync", lambda _: synced.append(Run(tmp_path).rows()))
    Run(tmp_path).log({"update": 0})
    assert synced[0] == [{"update": 0}]
    assert len(synced) == 2, "the file, and once the name of it"
    Run(tmp_path).log({"update": 1})
    assert synced[2:] == [[{"update": 0}, {"update": 1}]]


@pytest.mark.parametrize(
    "torn",
    ['{"update": 1, "rew', '{"update": 1}', "1", "[]\n", "\0\0\0\n", '{"a":' * 10_000 + "\n"],
    ids=["a part", "no end of line", "a number", "no object", "nothing written", "deep"],
)
def test_a_line_that_is_no_row_ends_the_log(tmp_path, torn):
    (tmp_path / "metrics.jsonl").write_text('{"update": 0}\n' + torn)
    assert Run(tmp_path).rows() == [{"update": 0}]


def test_a_row_of_0_1_0_may_hold_what_is_not_finite(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"update": 0, "reward": NaN}\n{"update": 1}\n')
    (first, second) = Run(tmp_path).rows()
    assert math.isnan(first["reward"])
    assert second == {"update": 1}
    with pytest.raises(ValueError, match="JSON compliant"):
        Run(tmp_path).log({"update": 2, "reward": math.nan})


@pytest.mark.parametrize(
    ("updates", "missing"),
    [
        ([], 0), ([0, 1], 2), ([0, 2, 3], 1), ([1, 2, 3], 0), ([0, 1, 1, 2], 2), ([0, "1", 2], 1),
        ([2, 1, 0], 0), ([0, 1, None], 2),
    ],
)  # fmt: skip
def test_a_log_that_lacks_a_row_is_refused(tmp_path, updates, missing):
    lines = [json.dumps({"update": update} if update is not None else {}) for update in updates]
    (tmp_path / "metrics.jsonl").write_text("".join(line + "\n" for line in lines))
    with pytest.raises(RunError, match=f"lacks the row of update {missing}, .* at update 3; put"):
        Run(tmp_path).check_rows(3)


def test_a_log_may_go_further_than_the_checkpoint(tmp_path):
    run = Run(tmp_path)
    run.check_rows(0)
    for update in range(4):
        run.log({"update": update})
    run.check_rows(3)
    run.check_rows(4)
    run.forget_after(3)
    assert [row["update"] for row in run.rows()] == [0, 1, 2]


def test_rows_without_a_number_are_told(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"update": "0"}\n')
    with pytest.raises(RunError, match="a row whose update is '0', not a number; put"):
        Run(tmp_path).forget_after(1)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[" * 10_000, "cannot be read .*nested more than 32 deep"),
        ('{"kind": "ppo", "config": {"learning_rate": NaN}}', "cannot be read .*holds NaN"),
        ('{"kind": "ppo", "config": {"updates": 1e999}}', "cannot be read .*holds 1e999"),
        ("[]", "is not the record of a run"),
        ('{"kind": "ppo", "created_at": "", "config": {}, "parents": {"base": 1}}', "is not the"),
    ],
    ids=["deep", "NaN", "infinity", "a list", "a parent that is no text"],
)
def test_a_record_that_no_run_has_is_told_in_one_line(tmp_path, text, says):
    run = new_run("ppo", {}, root=tmp_path)
    (run.path / "run.json").write_text(text)
    with pytest.raises(RunError, match=says) as told:
        open_run("ppo-0001", kind="ppo", root=tmp_path)
    assert "\n" not in str(told.value)
    assert newest_run("ppo", root=tmp_path) is None


def test_a_count_is_a_whole_number(tmp_path):
    assert new_run("ppo", {"updates": 3}, root=tmp_path).count("updates") == 3
    for value in ("3", 0, 3.0, None, 10**12):
        run = new_run("ppo", {"updates": value}, root=tmp_path)
        with pytest.raises(RunError, match=r"settings in .* cannot be used: updates=.*; put"):
            run.count("updates")


def test_what_is_not_finite_is_null_in_a_record(tmp_path):
    run = new_run("reward", {}, root=tmp_path, more={"agreement": {"share": math.nan}})
    assert run.record["agreement"] == {"share": None}


def test_a_damaged_record_is_told_in_one_line(tmp_path):
    run = new_run("ppo", {}, root=tmp_path)
    (run.path / "run.json").write_text("{")
    with pytest.raises(RunError, match="damaged"):
        open_run("ppo-0001", kind="ppo", root=tmp_path)


def test_a_record_of_0_1_0_is_read_in_the_names_of_today(tmp_path):
    run = new_run("ppo", {"good_enough": 1.5, "asked": {"bars": 8}}, root=tmp_path)
    assert run.record["config"] == {"saturation_point": 1.5, "conditioning": {"bars": 8}}
