"""What version 0.1.0 has stored still opens, and says what it said then.

`tests/data/v0_1_0/` is a working folder of that version; its README says how it was made.
`expected.json` is what these same readings gave there.
"""

import json
import lzma
import shutil
from collections import Counter
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from sqlalchemy import text

from feedback_ui.services import blind_tests
from music.earlier_tokens import TODAY_OF_EARLIER
from music.formats.notation import read_melody
from policy.checkpoint import load_policy, policy_hash
from policy.compose import compose
from policy.earlier import tensors_today
from policy.pretraining.train import PretrainConfig, pretrain
from policy.runs import EARLIER_NAMES, open_run
from reward.exchange.export import export_preferences, export_ratings
from reward.exchange.import_votes import import_ratings
from reward.neural.model import NeuralReward
from reward.profile.profile import TasteProfile
from reward.store.favourites import favourites
from reward.store.store import RatingsError, RatingsStore
from reward.store.votes import Answer
from reward.training.models import load_model
from rl.jobs.queue import check_resumable, find_job, list_jobs
from rl.ppo.config import PPOConfig
from rl.runs.fine_tuning import own_reward, resume_run
from tests.support.project import PROJECT

DATA = PROJECT / "tests" / "data" / "v0_1_0"
RESUMED = PROJECT / "tests" / "data" / "resumed_0_1_0.safetensors"
"""the stopped run's policy at its end, as version 0.1.0 wrote it"""
BEN_WAS_SHOWN = datetime(2026, 11, 28, 23, 20, tzinfo=UTC)
"""while a pair was on his screen"""
FIRST_THREE = [1, 2, 3]
"""ids of melodies"""


@pytest.fixture(scope="module")
def expected():
    return json.loads((DATA / "expected.json").read_text())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder, copied and made the current one."""
    copy_folder(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def store(folder):
    with RatingsStore(folder / "ratings.sqlite") as opened:
        yield opened


def copy_folder(to):
    shutil.copytree(DATA, to, dirs_exist_ok=True)
    for packed in to.rglob("*.xz"):
        packed.with_suffix("").write_bytes(lzma.decompress(packed.read_bytes()))
        packed.unlink()


# What is read; each returns what JSON can hold.


def read_tables(store):
    """Rows by table, votes by what they say, and how many votes each run learnt from."""
    names = (
        "raters", "melodies", "campaigns", "comparisons", "assignments", "votes", "favourites",
        "trainings", "training_votes", "jobs",
    )  # fmt: skip
    with store.reading() as session:
        rows = {name: session.scalar(text(f"SELECT count(*) FROM {name}")) for name in names}
        trainings = session.execute(
            text("SELECT run_id, votes_used, votes_withdrawn FROM trainings ORDER BY run_id")
        )
        trainings = [list(row) for row in trainings]
    votes = store.votes_frame(current_only=False)
    kinds = Counter(
        f"{v.purpose} {v.rater_kind} {v.outcome_a} {'current' if v.current else 'superseded'}"
        for v in votes.itertuples()
    )
    return {
        "rows": rows,
        "votes": dict(sorted(kinds.items())),
        "counts": store.counts(),
        "trainings": trainings,
    }


def read_raters(store):
    """What is known of each person."""
    found = {}
    for row in store.raters_frame().itertuples():
        newest = store.votes_frame().query("rater_id == @row.rater_id")["created_at"].max()
        with store.reading() as session:
            kept = sorted(favourites(session, row.rater_id))
        listening_session = store.listening_session(
            row.rater_id, now=newest + timedelta(seconds=30)
        )
        found[row.nickname] = {
            "kind": row.rater_kind,
            "consent_version": row.consent_version,
            "favourites": kept,
            "votes_of_session": listening_session.votes,
            "session_s": round(listening_session.lasted.total_seconds()),
            "runs": store.runs_trained_on(row.rater_id),
        }
    return found


def read_campaigns(store):
    """Each blind test as everyone may see it; the result of the one that has ended."""
    tests = {
        test.name: {
            "votes": test.votes,
            "votes_wanted": test.votes_wanted,
            "raters": test.raters,
            "has_ended": test.has_ended,
        }
        for test in blind_tests.list_tests(store)
    }
    ended = next(test for test in blind_tests.list_tests(store) if test.has_ended)
    result = blind_tests.outcome(store, ended.id)
    return {
        "tests": tests,
        "result": {
            "a": result.a,
            "b": result.b,
            "wins_a": result.tally.wins_a,
            "wins_b": result.tally.wins_b,
            "ties": result.tally.ties,
            "undecided": result.undecided,
            "claim": result.claim and [result.claim.better, result.claim.at_vote],
            "words": result.words,
        },
    }


def read_jobs(store):
    """Each job, but for its process."""
    return {
        job.run_id: {
            "state": job.state,
            "message": job.message,
            "folder": str(job.folder),
            "samples_every": job.settings.samples_every,
            "last_checkpoint": job.last_checkpoint,
        }
        for job in list_jobs(store, every=True)
    }


def read_scores(store):
    """Mean and std of three melodies by each model, as flat lists."""
    melodies = [stored.melody for stored in store.melodies(FIRST_THREE)]
    likes = TasteProfile.load(open_run("likes", kind="reward").path / "taste.json")
    mixed = open_run("mixed", kind="reward")
    scores = {
        "likes": load_model(open_run("likes")).score(melodies),
        **{f"likes, rater {rater}": likes.score(melodies, rater) for rater in sorted(likes.raters)},
        "mixed": load_model(mixed).score(melodies),
        "mixed, neural part": NeuralReward.load(mixed.path / "neural.safetensors").score(melodies),
        "reward of the stopped run": own_reward(open_run("stopped")).score(melodies),
    }
    return {name: [*map(float, mean), *map(float, std)] for name, (mean, std) in scores.items()}


def read_finished():
    """What came of the run that ended."""
    run = open_run("finished", kind="ppo")
    return {
        "rows": len(run.rows()),
        "last": without_time(run.rows()[-1]),
        "kept": without_time(json.loads((run.path / "result.json").read_text())),
        "policy": policy_hash(run.path / "policy"),
    }


def read_resumed():
    """What comes of the stopped run when it goes on to its end."""
    tuning = resume_run("stopped")
    before = len(tuning.run.rows())
    kept = tuning.go()
    return {
        "rows_before": before,
        "rows": len(tuning.run.rows()),
        "kept_update": kept["update"],
        "last": without_time(tuning.run.rows()[-1]),
        "policy": policy_hash(tuning.run.path / "policy"),
        "machine": machine(),
    }


def read_composed():
    """Tunes of the base and of the tuned policy."""
    folders = {
        "base": Path("checkpoints/base"),
        "finished": open_run("finished").path / "policy",
        "best of the stopped run": open_run("stopped").path / "best" / "3",
    }
    return {name: compose(load_policy(at), 2, seed=0) for name, at in folders.items()}


def without_time(row):
    return {key: value for key, value in row.items() if key != "seconds"}


def machine():
    """What the bits of a training depend on."""
    return {"torch": torch.__version__, "cpu": torch.backends.cpu.get_cpu_capability()}


# The tests.


def test_every_table_is_whole(store, expected):
    assert read_tables(store) == expected["tables"]
    outcomes = " ".join(expected["tables"]["votes"])
    for what in ("train", "repeat", "trap", "blind_test", "tie", "both_bad", "skip", "superseded"):
        assert what in outcomes, "this fixture has lost what it is for"


def test_raters_keep_what_is_theirs(store, expected):
    assert read_raters(store) == expected["raters"]


def test_a_blind_test_that_has_ended_says_what_it_said(store, expected):
    assert read_campaigns(store) == expected["campaigns"]


def test_a_blind_test_that_goes_on_stays_sealed_and_can_be_ended(store):
    going_on = next(test for test in blind_tests.list_tests(store) if not test.has_ended)
    with pytest.raises(RatingsError, match="has not ended"):
        blind_tests.outcome(store, going_on.id)
    assert blind_tests.end(store, going_on.id).has_ended
    assert blind_tests.outcome(store, going_on.id).tally.votes == going_on.votes


def test_the_pair_on_a_screen_is_still_there_and_can_be_answered(store, expected):
    ben = store.rater_named("Ben")
    pair = store.issue(ben.id, now=BEN_WAS_SHOWN)
    assert str(pair.assignment_id) == expected["pair of Ben"]
    store.vote(pair.assignment_id, Answer(outcome="left", nonce="now"))
    assert len(store.votes_frame()) == sum(
        number for name, number in expected["tables"]["votes"].items() if "current" in name
    ) + 1  # fmt: skip
    assert store.undo(ben.id).comparison_id == pair.comparison_id


def test_jobs_are_found_and_one_may_go_on(store, expected):
    # The step that was stored in a message is left out: it has no database. Who shows it adds one.
    step = "; go on with: tastemaker jobs resume stopped"
    assert expected["jobs"]["stopped"]["message"].endswith(step)
    then = {
        name: job | {"message": job["message"].removesuffix(step)}
        for name, job in expected["jobs"].items()
    }
    assert read_jobs(store) == then
    job = find_job(store, "stopped")
    assert job.was_interrupted
    check_resumable(job)


def test_a_job_that_died_may_go_on(store):
    with store.writing() as session:
        session.execute(
            text(
                "UPDATE jobs SET state = 'failed', message = "
                "'process died; go on with: tastemaker jobs resume stopped' "
                "WHERE run_id = 'stopped'"
            )
        )
    job = find_job(store, "stopped")
    assert job.message == "process died"
    assert job.was_interrupted


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_an_export_is_taken_up_by_a_new_store(folder, expected, kind):
    alone = folder / kind
    alone.mkdir()
    for file in (folder / "export").glob(f"*.{kind}"):
        shutil.copy(file, alone)
    rows = expected["tables"]["rows"]
    with RatingsStore(folder / "new.sqlite") as store:
        done = import_ratings(store, alone / f"votes.{kind}")
        assert done.added == {
            name: rows[name] for name in ("melodies", "comparisons", "raters", "votes")
        }
        assert not done.refused_files
        tables = read_tables(store)
        assert tables["votes"] == expected["tables"]["votes"]
        with RatingsStore(folder / "ratings.sqlite") as migrated:
            known = ["sha256", "style", "bars", "tonic_midi", "policy_id", "tokens"]
            melodies = [
                one.melodies_frame().sort_values("sha256", ignore_index=True)[known]
                for one in (store, migrated)
            ]
        pd.testing.assert_frame_equal(*melodies)
        again = import_ratings(store, alone / f"votes.{kind}")
        assert set(again.added.values()) == {0}


def test_an_export_holds_what_it_held(store, folder):
    written = export_ratings(store, folder / "now", formats=["csv"], current_only=False)
    assert {path.name for path in written} == {p.name for p in (folder / "export").glob("*.csv")}
    for path in written:
        then, now = pd.read_csv(folder / "export" / path.name), pd.read_csv(path)
        if path.stem == "melodies":
            then = then.rename(columns={"tune_type": "style"})
            ids = [today(json.loads(tokens)) for tokens in then["tokens"]]
            then["tokens"] = [json.dumps(some) for some in ids]
            then["sha256"] = [sha256(np.array(some, "<u2").tobytes()).hexdigest() for some in ids]
        pd.testing.assert_frame_equal(now[list(then.columns)], then)


def test_preference_pairs_are_those_that_trl_was_given(store, folder):
    export_preferences(store, folder / "now.jsonl", kind=None)
    then, now = (
        [json.loads(line) for line in (folder / file).read_text().splitlines()]
        for file in ("export/preferences.jsonl", "now.jsonl")
    )
    for pair in then:
        for column in ("chosen_ids", "rejected_ids"):
            pair[column] = today(pair[column])
    assert [{column: pair[column] for column in then[0]} for pair in now] == then


def today(ids):
    """Token ids of version 0.1.0 as they are today."""
    return TODAY_OF_EARLIER[ids].tolist()


def test_rewards_score_as_they_did(store, expected):
    scores = read_scores(store)
    assert scores.keys() == expected["scores"].keys()
    for name, values in expected["scores"].items():
        assert scores[name] == pytest.approx(values, rel=1e-4, abs=1e-4), name


def test_a_finished_run_says_what_came_of_it(folder, expected):
    assert read_finished() == expected["finished"]
    config = PPOConfig.from_record(open_run("finished").record["config"])
    assert (config.updates, config.kl_target_nats) == (4, 5.0)


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [
        ("finished", "good_enough", 2.5),
        ("stopped", "good_enough", 1.0),
        ("stopped", "kl_coefficient", 0.1),
        ("stopped", "critic_knows_rules", True),
        ("stopped", "layers_trained", None),
    ],
)
def test_settings_are_read_under_their_old_names(folder, name, setting, value):
    written = json.loads((folder / f"checkpoints/runs/{name}/run.json").read_text())["config"]
    assert written[setting] == value
    config = PPOConfig.from_record(open_run(name).record["config"])
    assert getattr(config, EARLIER_NAMES.get(setting, setting)) == value


@pytest.mark.slow
def test_a_stopped_run_goes_on_to_the_end_that_it_would_have_had(folder, expected):
    resumed, then = read_resumed(), expected["resumed"]
    for name in ("rows_before", "rows", "kept_update"):
        assert resumed[name] == then[name]
    for name, value in then["last"].items():
        assert resumed["last"][name] == (
            pytest.approx(value, rel=1e-3, abs=1e-3) if isinstance(value, float) else value
        ), name
    # The weights as version 0.1.0 wrote them. The last bits are others: there are fewer logits now.
    expected_weights = tensors_today(load_file(RESUMED))
    weights = load_file(open_run("stopped").path / "policy" / "model.safetensors")
    assert weights.keys() == expected_weights.keys()
    for name, tensor in weights.items():
        torch.testing.assert_close(tensor, expected_weights[name], rtol=1e-3, atol=1e-4)


def test_policies_write_the_tunes_that_they_wrote(folder, expected):
    then = {
        name: [read_melody(abc) for abc in tunes] for name, tunes in expected["composed"].items()
    }
    assert read_composed() == then


def test_a_pretraining_run_opens_where_it_stood(folder, expected):
    run = open_run("tiny", kind="pretrain")
    trained = pretrain(PretrainConfig(**run.record["config"]), run.path)
    assert policy_hash(run.path / "policy") == expected["pretrained"]
    weights = trained.state_dict()
    for name, tensor in load_policy(Path("checkpoints/base")).state_dict().items():
        assert torch.equal(weights[name], tensor), name
