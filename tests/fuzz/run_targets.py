"""Readers of run folders, of jobs, and of what a person types about them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

from feedback_ui.services.jobs import FineTuningJobs, Progress
from music.descriptors.yardsticks import YARDSTICKS
from policy.runs import RunError, newest_run, open_run, readable_runs
from reward.store.schema import JobRow
from reward.store.store import RatingsStore
from rl.jobs.queue import check_resumable, find_job, list_jobs
from rl.jobs.record import JobError
from rl.ppo.config import PPOConfig, config_record
from rl.ppo.guards import broken_guards, kept_row
from rl.ppo.settings import read_settings
from rl.rewards.spec import RewardError, read_spec
from rl.runs.run_comparison import compare_runs
from tests.fuzz.table_targets import emptied
from tests.fuzz.target import Target, workplace
from tests.support.project import PROJECT

THEN = PROJECT / "tests" / "data" / "v0_1_0" / "checkpoints" / "runs"


@cache
def _root(name: str) -> Path:
    """Folders of two runs, of which one is spoilt."""
    root = workplace(name)
    for run in ("finished", "stopped"):
        shutil.copytree(
            THEN / run, root / run, ignore=shutil.ignore_patterns("policy", "best", "steps", "lock")
        )
    (root / "finished" / "policy").mkdir()
    return root


def read_record(data: bytes) -> None:
    """`run.json`, as the lists of runs, a comparison and a resume use it."""
    root = _root("run-record")
    (root / "finished" / "run.json").write_bytes(data)
    readable_runs(root)
    newest_run("ppo", root=root)
    run = open_run("finished", kind="ppo", root=root)
    compare_runs([run, open_run("stopped", root=root)])
    config = PPOConfig.from_record(run.record["config"])
    assert PPOConfig.from_record(config_record(config)) == config


def read_metrics(data: bytes) -> None:
    """`metrics.jsonl`, as the studio, a comparison, a report and a resume use it."""
    root = _root("metrics")
    run = open_run("stopped", root=root)
    (run.path / "metrics.jsonl").write_bytes(data)
    compare_runs([run, open_run("finished", root=root)])
    rows = run.rows()
    progress = Progress(rows, 16, run.record["config"])
    assert isinstance(progress.done, int)
    assert progress.seconds_left is None or progress.seconds_left == progress.seconds_left
    kept_row(rows, PPOConfig())
    for row in rows:
        broken_guards(row, rows[0], PPOConfig())
    run.forget_after(2)
    assert all(row["update"] < 2 for row in run.rows())


def draw_metrics(data: bytes) -> None:
    """`metrics.jsonl` as a plot in a report."""
    from reward.training.svg import training_plot

    run = open_run("finished", root=_root("report-plot"))
    (run.path / "metrics.jsonl").write_bytes(data)
    rows = run.rows()
    if rows and kept_row(rows, PPOConfig()):
        training_plot(rows, 1, 8.0)


def read_result(data: bytes) -> None:
    """`result.json`, in a comparison."""
    root = _root("result")
    run = open_run("finished", root=root)
    (run.path / "result.json").write_bytes(data)
    compare_runs([run, open_run("stopped", root=root)])


def read_samples(data: bytes) -> None:
    """`samples/0004/melodies.txt`, in the studio."""
    root = _root("samples")
    file = root / "finished" / "samples" / "0004" / "melodies.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    (root / "secret.abc").write_text("X:1")  # where a name with .. would lead
    job = SimpleNamespace(folder=root / "finished")
    found = FineTuningJobs.samples(SimpleNamespace(), job)  # type: ignore[arg-type]
    read = [sample.wav.resolve() for samples in found.values() for sample in samples]
    inside = file.parents[1].resolve()
    assert all(wav.is_relative_to(inside) for wav in read), "a sample is read from elsewhere"


@cache
def _jobs(name: str) -> RatingsStore:
    return RatingsStore(workplace(name) / "ratings.sqlite")


def _add_job(store: RatingsStore, config: object) -> RatingsStore:
    """The store with this job alone."""
    now = datetime.now(UTC)
    with emptied(store).writing() as session:
        session.add(
            JobRow(
                id=UUID(int=7), kind="ppo", run_id="ppo-0001", config=config, state="stopped",
                created_at=now, started_at=now, finished_at=now, host="here", pid=1,
                process_created_s=1.0, heartbeat_at=now, lease_expires_at=now,
                cancel_requested=False, exit_code=0, last_checkpoint=None, resumes=None,
                message="",
            )
        )  # fmt: skip
    return store


@cache
def _one_job() -> RatingsStore:
    return _add_job(_jobs("job-name"), {"folder": "/tmp/run", "settings": {}})


def read_job(data: bytes) -> None:
    """A job's configuration, as its row in the database has it."""
    try:
        config = json.loads(data)
    except (ValueError, RecursionError):
        return  # a database does not hold it
    if config is None:
        return  # nor that
    try:
        store = _add_job(_jobs("job"), config)
    except Exception:  # noqa: BLE001  what SQLAlchemy cannot store is not there to be read
        return
    for job in list_jobs(store):
        check_resumable(job)
        assert job.folder.name is not None
        assert job.settings.slots > 0
        assert job.log_file.name == "job.log"


def name_job(data: bytes) -> None:
    """What is typed after `tastemaker jobs watch`."""
    find_job(_one_job(), data.decode("utf-8", "surrogateescape"))


def name_run(data: bytes) -> None:
    """What is typed as the name of a run."""
    name = data.decode("utf-8", "surrogateescape")
    from policy.runs import free_name

    open_run(name, root=_root("run-name"))
    free_name(name, root=_root("run-name"))


def read_reward(data: bytes) -> None:
    """A reward as it is typed; as text again it is the same."""
    spec = read_spec(data.decode("utf-8", "surrogateescape"))
    assert read_spec(str(spec)) == spec, f"{str(spec)!r} is another reward"


def read_reward_record(data: bytes) -> None:
    """What `run.json` says of a run's reward, when it is resumed."""
    from rl.rewards.scaled import reward_of, same_reward

    try:
        record = json.loads(data)
    except (ValueError, RecursionError):
        return  # `Run.record` refuses the file
    if not isinstance(record, dict):
        return
    reward = reward_of("music-theory", root=workplace("reward-record")).standardised_as(record)
    same_reward(record, reward)


def set_ppo(data: bytes) -> None:
    """Settings as `--set` takes them, a line each."""
    changes = read_settings(data.decode("utf-8", "surrogateescape").split("\n"))
    PPOConfig(**changes)


def _files(name: str, *runs: str) -> list[bytes]:
    return [(THEN / run / name).read_bytes() for run in runs]


def _reward_records() -> list[bytes]:
    record = open_run("stopped", root=THEN).record["reward"]
    rules = {**record, "spec": "music-theory", "constraints": []}
    rules["parts"] = [{**record["parts"][1], "weight": 1.0}]
    rules["standard"] = {**record["standard"], "mixture": None}
    return [json.dumps(record).encode(), json.dumps(rules).encode()]


RUN_WORDS: Sequence[bytes] = (
    *(b'"update"', b'"seconds"', b'"reward"', b'"kl_nats"', b'"guards_broken"', b"[]", b'["kl"]'),
    *(b'"config"', b'"parents"', b'"commit"', b'"created_at"', b"null", b"true", b"{}", b"NaN"),
)  # fmt: skip
SETTING_WORDS: Sequence[bytes] = (
    *(b"=", b"\n", b"none", b"any", b"yes", b"no", b"6/8", b"meter", b"melodies_per_update"),
    *(b"minibatch=1", b"processes=1", b"updates=1000000000", b"melodies_per_update=1000000000"),
    *(b"kl_target_nats=none", b"good_enough=1", b"bars=16", b"clip=0.1", b"seed=99999999999999"),
)  # fmt: skip
SPEC_WORDS: Sequence[bytes] = (
    *(b" + ", b" - ", b"*", b" where ", b"<=", b">=", b",", b"music-theory", b"reward-0001", b":"),
    *(b"my_rules:calm", b".5", b"1e308", *(name.encode() for name in list(YARDSTICKS)[:6])),
)  # fmt: skip

TARGETS = (
    Target(
        name="run-record",
        read=read_record,
        refuses=(RunError, ValueError),
        seeds=partial(_files, "run.json", "finished", "stopped"),
        words=RUN_WORDS,
        share=2,
    ),
    Target(
        name="metrics",
        read=read_metrics,
        refuses=(RunError,),
        seeds=partial(_files, "metrics.jsonl", "finished", "stopped"),
        words=RUN_WORDS,
        share=2,
    ),
    Target(
        name="report-plot",
        read=draw_metrics,
        refuses=(RunError,),
        seeds=partial(_files, "metrics.jsonl", "finished", "stopped"),
        words=RUN_WORDS,
        share=0.01,
    ),
    Target(
        name="result",
        read=read_result,
        refuses=(RunError,),
        seeds=partial(_files, "result.json", "finished"),
        words=RUN_WORDS,
    ),
    Target(
        name="samples",
        read=read_samples,
        refuses=(RunError, JobError),
        seeds=partial(_files, "samples/0004/melodies.txt", "finished"),
    ),
    Target(
        name="job",
        read=read_job,
        refuses=(JobError,),
        seeds=lambda: [
            b'{"folder": "/tmp/runs/ppo-0001", "settings": {"slots": 1, "samples_every": 6, '
            b'"soundfont": null}, "cwd": "/tmp"}',
        ],
        share=0.1,
    ),
    Target(
        name="job-name",
        read=name_job,
        refuses=(JobError,),
        seeds=lambda: [b"ppo-0001", b"00000000", b"00000000-0000-0000-0000-000000000007"],
        share=0.2,
    ),
    Target(
        name="run-name",
        read=name_run,
        refuses=(RunError,),
        seeds=lambda: [b"ppo-0001", b"finished", b"base", b"my-run-2"],
        words=(b"/", b"..", b"~", b"-", b"music-theory"),
        share=2,
    ),
    Target(
        name="reward-spec",
        read=read_reward,
        refuses=(RewardError,),
        seeds=lambda: [
            b"reward-0004",
            b"0.7*reward-0004 + 0.3*music-theory",
            b"my_rules:calm where leap_share<=0.1, range_semitones<=19",
            b"2*music-theory - .5*a.b:c where in_key_share>=-0.5",
        ],
        words=SPEC_WORDS,
        share=5,
    ),
    Target(
        name="reward-record",
        read=read_reward_record,
        refuses=(RewardError, RunError),
        seeds=_reward_records,
        share=2,
    ),
    Target(
        name="ppo-setting",
        read=set_ppo,
        refuses=(ValueError,),
        seeds=lambda: [
            b"clip=0.1\nmeter=6/8\nbars=16",
            b"melodies_per_update=256\nminibatch=32\nkl_target_nats=none\nbf16=yes",
            *(f"{k}={v}".encode() for k, v in config_record(PPOConfig()).items()),
        ],
        words=SETTING_WORDS,
        share=5,
    ),
)
