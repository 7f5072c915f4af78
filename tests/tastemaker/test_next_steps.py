"""Each next step that a command prints can be run as it is printed."""

import re
import shlex
import shutil
from functools import partial

import pytest

from music.corpora import books
from music.formats.notation import to_abc
from policy.checkpoint import save_policy
from rl.loop import LoopConfig
from rl.ppo.config import PPOConfig
from tastemaker.__main__ import cli
from tests.support.project import PROJECT

pytestmark = pytest.mark.slow

MARKS = r"\bnext\b|with:|first:|some:|one:|let it finish:?|collect some|simulate them"
STEP = re.compile(rf"(?:{MARKS})[^\n]*?\b(tastemaker [^\n);]*[^\n); ])")
"""a step, after the words by which the commands and their errors announce one"""
SMALLER = {
    "ppo": "--updates 1 --melodies 16 --minibatch 8 --threads 1 --kl-limit 50 --samples-every 0 "
    "--set patience=1000000",
    "evaluate": "--count 256 --best-of 2",
    "pretrain": "--epochs 1 --width 16 --layers 1",
    "pairs": "--melodies 20 --pairs 5",
    "compose": "--count 1 --no-sound",
}
"""options that make a long step short, and change nothing of what it does"""
LONG = ("tastemaker evaluate base",)
"""how steps begin of which one is run; the others must be commands with known options"""
ran = set()
"""those of them that a test of this file has run"""


@pytest.fixture
def run_with_steps(base, typed, monkeypatch):
    """Runs a command and then each step that it and its steps print; the steps, as printed."""
    # The studio itself is a server that does not end; that it would be started is enough.
    monkeypatch.setattr("feedback_ui.server.launch.become_studio", lambda command, env: None)
    known = {}

    def run(line, *, code=0):
        returned, out, err = typed(*shlex.split(line)[1:])
        assert returned == code, f"{line}\n{out}{err}"
        for step in STEP.findall(out + err):
            if step not in known:
                known[step] = None
                beginning = next((words for words in LONG if step.startswith(words)), None)
                if beginning in ran:
                    _, name, *options = shlex.split(step)
                    cli.commands[name].make_context(name, options).close()
                    continue
                ran.update({beginning} - {None})
                # a run that is resumed keeps its settings, and takes none
                smaller = "" if "--resume" in step else SMALLER.get(step.split()[1], "")
                # and a policy that another one begins with keeps its shape
                smaller = "--epochs 1" if "--start-from" in step else smaller
                run(f"{step} {smaller}")
        return list(known)

    return run


PAIRS = "tastemaker pairs --melodies 20 --pairs 12 --traps 0"


def test_from_pairs_to_a_taste(run_with_steps):
    assert run_with_steps(PAIRS) == ["tastemaker studio"]
    steps = run_with_steps("tastemaker rate --simulate")
    assert steps[1:] == ["tastemaker reward", "tastemaker taste"]


def test_in_another_database(run_with_steps, folder):
    where = "--database 'the other.sqlite'"
    assert run_with_steps(f"{PAIRS} {where}") == [f"tastemaker studio {where}"]
    assert f"tastemaker reward {where}" in run_with_steps(f"tastemaker rate --simulate {where}")
    assert not (folder / "checkpoints" / "ratings.sqlite").exists()


def test_an_address_with_a_password_is_not_printed(monkeypatch):
    from tastemaker.options import on_database

    monkeypatch.delenv("TASTEMAKER_DATABASE", raising=False)
    assert on_database("tastemaker jobs", "postgresql://me:secret@host/x") == "tastemaker jobs"


def test_from_an_empty_store(run_with_steps):
    where = "--database other.sqlite"
    assert run_with_steps(f"tastemaker reward {where}", code=2) == [
        f"tastemaker studio {where}",
        f"tastemaker rate {where} --simulate",
        f"tastemaker reward {where}",
        "tastemaker taste",
    ]


def test_from_a_database_that_is_not_there(run_with_steps, folder):
    where = "--database other.sqlite"
    assert run_with_steps(f"tastemaker ratings stats {where}", code=2) == [
        f"tastemaker studio {where}"
    ]
    assert not (folder / "checkpoints" / "ratings.sqlite").exists()


def test_without_a_reward_model(run_with_steps, typed):
    typed(*shlex.split(PAIRS)[1:])
    typed("rate", "--simulate", "--count", "12")
    assert run_with_steps("tastemaker taste", code=2) == ["tastemaker reward", "tastemaker taste"]


@pytest.mark.parametrize(("table", "field"), [("comparisons", ",train,"), ("votes", ",left,")])
def test_rows_that_are_mended_are_imported(run_with_steps, folder, table, field):
    run_with_steps(PAIRS)
    run_with_steps("tastemaker rate --simulate --count 12")
    run_with_steps("tastemaker ratings export --format csv --out 'my ratings'")
    file = folder / "my ratings" / f"{table}.csv"
    whole = file.read_text()
    assert field in whole
    file.write_text(whole.replace(field, ",spoilt,", 1))
    step = "tastemaker ratings import 'my ratings' --database other.sqlite"
    assert step in run_with_steps(step)  # which is run again, and refuses the same rows again
    file.write_text(whole)
    assert run_with_steps(step)


def test_of_a_blind_test(run_with_steps, folder, tiny_policy):
    from policy.runs import new_run

    save_policy(tiny_policy, new_run("ppo", {}, name="tuned").path / "policy")
    with pytest.raises(AssertionError, match="the same policy"):
        run_with_steps("tastemaker blind-test base tuned --votes 3")
    shutil.rmtree(folder / "checkpoints" / "base")  # so that `base` is the shipped policy
    steps = run_with_steps("tastemaker blind-test base tuned --votes 3 --meter 2/4 --bars 4")
    assert steps == ["tastemaker studio"]


@pytest.mark.timeout(1800)
def test_from_a_run_to_its_report_and_on(run_with_steps, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    small = SMALLER["ppo"]
    steps = run_with_steps(f"tastemaker ppo --reward music-theory --name rules {small}")
    assert steps[:2] == [
        "tastemaker evaluate base rules",
        "tastemaker pairs --policy rules --round 2",
    ]
    steps = run_with_steps(f"tastemaker ppo --reward music-theory --name more --detach {small}")
    assert "tastemaker jobs watch more" in steps


@pytest.mark.timeout(1800)
def test_of_a_job_that_is_stopped(run_with_steps, typed, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    where = "--database 'the other.sqlite'"
    line = f"ppo --reward music-theory --name rules --detach {SMALLER['ppo']} --updates 8 {where}"
    assert typed(*shlex.split(line))[0] == 0
    # its process still imports torch, so it is asked to stop before its last update
    steps = run_with_steps(f"tastemaker jobs stop rules {where}")
    assert steps[:3] == [
        f"tastemaker jobs watch rules {where}",
        f"tastemaker jobs resume rules {where}",
        "tastemaker evaluate base rules",
    ]


@pytest.mark.timeout(1800)
def test_of_a_run_that_is_not_finished(run_with_steps, typed, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    line = f"ppo --reward music-theory --name rules --detach {SMALLER['ppo']} --updates 8"
    assert typed(*shlex.split(line))[0] == 0
    said = typed("jobs", "stop", "rules", "--wait")[1]
    assert re.search(r"^stopped: .*; go on with: tastemaker jobs resume rules$", said, re.M)
    steps = run_with_steps("tastemaker blind-test base rules", code=2)
    assert steps[:2] == ["tastemaker ppo --resume rules", "tastemaker evaluate base rules"]


@pytest.mark.timeout(1800)
def test_of_the_demo(run_with_steps, folder, monkeypatch):
    # What has no option is made small here.
    small = partial(
        PPOConfig, melodies_per_update=16, minibatch=8, meter="2/4", bars=4, threads=1,
        kl_limit_nats=50.0,
    )  # fmt: skip
    monkeypatch.setattr("rl.ppo.config.PPOConfig", small)
    few = partial(LoopConfig, best_of=2, best_of_melodies=8, evaluation_melodies=256)
    monkeypatch.setattr("rl.loop.LoopConfig", few)
    assert run_with_steps("tastemaker demo --votes 20 --updates 1") == ["tastemaker studio"]
    assert (folder / "demo" / "report.html").is_file()


@pytest.mark.timeout(1800)
def test_from_the_corpus_to_melodies(run_with_steps, monkeypatch):
    # The books are not at hand; what is built from them is shipped.
    monkeypatch.setattr(books, "find_books", lambda: PROJECT)
    monkeypatch.setattr(books, "build_corpus", lambda folder, progress: books.Counter(strains=1))
    assert run_with_steps("tastemaker corpus build --books")[0] == "tastemaker pretrain"


@pytest.mark.timeout(1800)
def test_from_a_folder_of_tunes_to_melodies(run_with_steps, folder, real_melodies):
    (folder / "my tunes").mkdir()
    for number, melody in enumerate(real_melodies[:12]):
        (folder / "my tunes" / f"{number}.abc").write_text(to_abc(melody))
    steps = run_with_steps("tastemaker corpus build 'my tunes' --name mine")
    assert steps[0] == "tastemaker pretrain --corpus mine --start-from base"
    assert any(step.startswith("tastemaker compose") for step in steps)


@pytest.mark.timeout(1800)
def test_from_more_styles_than_fit_beside_those_of_the_base(run_with_steps, folder, real_melodies):
    for number, melody in enumerate(real_melodies[:40]):
        (folder / "tunes" / f"region {number % 30}").mkdir(parents=True, exist_ok=True)
        file = folder / "tunes" / f"region {number % 30}" / f"{number}.abc"
        file.write_text(to_abc(melody))
    steps = run_with_steps("tastemaker corpus build tunes --name mine --style-from folder")
    assert steps[0] == "tastemaker pretrain --corpus mine --start-from base"
    assert any(step.startswith("tastemaker compose") for step in steps)


@pytest.mark.timeout(1800)
def test_of_the_baselines(run_with_steps):
    run_with_steps(PAIRS)
    run_with_steps("tastemaker rate --simulate")
    steps = run_with_steps("tastemaker baselines --methods best-of-n --best-of 2")
    assert "tastemaker ppo" in steps
