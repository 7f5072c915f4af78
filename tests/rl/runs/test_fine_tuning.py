"""Fine-tuning runs by name: a resume checks the base policy and the reward."""

import hashlib
import json
import sys

import pytest

from policy.checkpoint import save_policy
from policy.runs import Run, RunError
from rl.ppo.trainer import Callback
from rl.runs.fine_tuning import evaluate_run, only_writer, resume_run, start_run

LIKING = """
def high(melodies):
    return [sum(note.pitch >= 12 for note in m.notes) / len(m.notes) for m in melodies]
"""
SMALL = {
    "updates": 2, "melodies_per_update": 8, "minibatch": 8, "bars": 4, "meter": "2/4",
    "kl_limit_nats": 50.0, "threads": 1, "saturation_point": 3.0,
}  # fmt: skip


@pytest.fixture
def here(tmp_path, tiny_policy, monkeypatch):
    """A working folder with a base policy and a reward, and a small index of training tunes."""
    from music.corpora.corpus import load_corpus
    from music.corpora.originality import TrainingIndex

    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "liking_here", raising=False)
    (tmp_path / "liking_here.py").write_text(LIKING)
    save_policy(tiny_policy, tmp_path / "base")
    index = TrainingIndex.from_melodies([s.melody for s in load_corpus("validation")][:50])
    monkeypatch.setattr("rl.runs.fine_tuning.training_index", lambda policy: index)
    monkeypatch.setattr("rl.rewards.scaled.STANDARD_MELODIES", 32)
    return tmp_path


def start(here, **changes):
    return start_run("liking_here:high", here / "base", SMALL | changes, root=here / "runs")


class StopAfter(Callback):
    """Stops a run after an update."""

    def __init__(self, update):
        self.update, self.seen = update, []

    def updated(self, row, rollout):
        self.seen.append(row["update"])

    def stop_asked(self):
        return self.seen[-1] >= self.update


def test_a_run_remembers_its_reward_and_goes_on_with_it(here):
    tuning = start(here)
    record = tuning.run.record
    assert record["parents"]["reward"] == record["reward"]["spec"] == "liking_here:high"
    assert record["reward"]["standard"]["melodies"] > 0
    assert tuning.go(StopAfter(0)) is None
    assert not (tuning.run.path / "result.json").exists()
    resumed = resume_run("ppo-0001", root=here / "runs")
    assert resumed.reward.record == tuning.reward.record
    callback = StopAfter(9)
    kept = resumed.go(callback)
    assert callback.seen == [1, 2]
    assert kept is not None
    assert json.loads((tuning.run.path / "result.json").read_text()) == kept
    assert kept in tuning.run.rows()
    # and again after a kill before it could write the result
    (tuning.run.path / "result.json").unlink()
    assert resume_run("ppo-0001", root=here / "runs").go() == kept
    assert len(tuning.run.rows()) == 3


def test_a_policy_of_other_styles_keeps_them_and_asks_for_what_it_knows(here):
    waltzes = {
        "styles": ["other", "waltz", "mazurka"],
        "corpora": ["mine"],
        "base_corpora": ["books"],
        "trained_on": {
            "meters": ["3/4"], "modes": ["major", "lydian"], "bars": [2, 3], "pickups_ticks": [0],
        },
    }  # fmt: skip
    file = here / "base" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | waltzes))
    small = {name: value for name, value in SMALL.items() if name not in ("bars", "meter")}
    with pytest.raises(ValueError, match=r"style='reel' .* choose one of \['other', 'waltz'"):
        start_run("liking_here:high", here / "base", small | {"style": "reel"}, root=here / "runs")
    assert not (here / "runs").exists(), "a run that cannot begin leaves no folder"
    tuning = start_run("liking_here:high", here / "base", small, root=here / "runs")
    assert (tuning.config.meter, tuning.config.bars) == (None, None), "4/4 and 8 are not known"
    seen = []

    class Heard(Callback):
        def updated(self, row, rollout):
            seen.extend(melody.header for melody in rollout.melodies)

    assert tuning.go(Heard()) is not None
    assert {header.meter for header in seen} == {"3/4"}
    assert {header.style for header in seen} <= set(waltzes["styles"])
    assert {header.bars for header in seen} <= {2, 3}
    said = json.loads((tuning.run.path / "policy" / "config.json").read_text())
    assert {name: said[name] for name in waltzes} == waltzes


def test_a_reward_that_has_changed_is_refused(here):
    start(here)
    (here / "liking_here.py").write_text(LIKING.replace("12", "7"))
    with pytest.raises(RunError, match=r"reward of run ppo-0001 is not what it was.*liking_here"):
        resume_run("ppo-0001", root=here / "runs")


def test_a_base_that_has_changed_is_refused(here, tiny_policy):
    start(here)
    weights = here / "base" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(RunError, match=r"holds another policy .*other weights"):
        resume_run("ppo-0001", root=here / "runs")


@pytest.mark.parametrize(
    "changes",
    [{"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}, {"rms_norm_eps": 0.01}],
)
def test_a_base_whose_configuration_has_changed_is_refused(here, changes):
    start(here)
    file = here / "base" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    with pytest.raises(RunError, match=r"another policy .*another configuration; put that one"):
        resume_run("ppo-0001", root=here / "runs")


def test_a_record_of_0_1_0_names_the_base_by_its_weights(here):
    record = start(here).run.record
    weights = (here / "base" / "model.safetensors").read_bytes()
    assert record["record_version"] == 2
    record["parents"]["base"] = hashlib.sha256(weights).hexdigest()[:16]
    file = here / "runs" / "ppo-0001" / "run.json"
    file.write_text(json.dumps(record))
    with pytest.raises(RunError, match="holds another policy"):
        resume_run("ppo-0001", root=here / "runs")
    del record["record_version"]
    file.write_text(json.dumps(record))
    assert resume_run("ppo-0001", root=here / "runs").run.name == "ppo-0001"


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda record: record["config"].update(updates="2"), "updates='2' is not a whole number"),
        (lambda record: record["config"].update(clip=7.0), "clip=7.0 is not between 0 and 1"),
        (lambda record: record["parents"].pop("base"), "does not say where its base"),
        (lambda record: record["reward"].update(spec=1), "does not say what its reward is"),
        (lambda record: record["reward"].update(parts=[1]), "does not say what its reward is"),
        (lambda record: record.update(reward=[]), "does not say what its reward is"),
        (lambda record: record["reward"].update(standard=None), "cannot be read"),
    ],
    ids=["text", "too much", "no base", "no spec", "no parts", "no reward", "no unit"],
)
def test_a_damaged_record_is_told_in_one_line(here, harm, says):
    record = start(here).run.record
    harm(record)
    (here / "runs" / "ppo-0001" / "run.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match=says) as told:
        resume_run("ppo-0001", root=here / "runs")
    assert "\n" not in str(told.value)


def test_a_run_that_the_demo_made_is_refused(here):
    record = start(here).run.record
    del record["parents"]["base_folder"], record["reward"]
    (here / "runs" / "ppo-0001" / "run.json").write_text(json.dumps(record))
    with pytest.raises(RunError, match="start a new run"):
        resume_run("ppo-0001", root=here / "runs")


@pytest.mark.parametrize(
    ("spec", "changes", "message"),
    [
        ("liking_here:low", {}, "low"),
        ("liking_here:high", {"minibatch": 7}, "minibatch=7 does not divide"),
        ("reward-0007", {}, "reward-0007"),
        (None, {}, "no reward model yet"),
    ],
)
def test_what_cannot_be_started_leaves_no_run(here, spec, changes, message):
    with pytest.raises(ValueError, match=message):
        start_run(spec, here / "base", SMALL | changes, root=here / "runs")
    assert not (here / "runs").exists() or not list((here / "runs").iterdir())


def test_a_run_has_one_writer_whatever_the_database(tmp_path):
    # Each opening of the file is a separate owner of the lock, even in one process.
    with only_writer(Run(tmp_path)), pytest.raises(RunError, match="by another process"):
        only_writer(Run(tmp_path)).__enter__()
    with only_writer(Run(tmp_path)):
        pass


@pytest.mark.slow
def test_a_run_towards_a_reward_that_is_not_learnt_has_a_report(here):
    tuning = start(here)
    with pytest.raises(RunError, match="has not finished"):
        evaluate_run(here / "base", "ppo-0001", None, count=256, best_of=0, out=None, seed=0,
                     root=here / "runs")  # fmt: skip
    tuning.go()
    path, summary = evaluate_run(
        here / "base", "ppo-0001", None, count=256, best_of=0, out=None, seed=0, root=here / "runs"
    )
    page = path.read_text()
    assert "this reward is not learnt from votes" in page
    assert "What it learnt" not in page
    assert summary["score_tuned"] != summary["score_base"]
