"""`tastemaker pretrain`: corpora of one's own, from nothing or from another policy."""

import json
import re
import shutil

import pytest

from music.corpora.catalogue import CORPORA
from policy.folder import WEIGHTS_FILE, read_policy_folder
from policy.runs import RUNS, new_run
from tastemaker.options import base_folder
from tests.support.small_corpus import make_corpus

TINY = (
    "--width", "16", "--layers", "1", "--epochs", "2", "--learning-rate", "0.01", "--warmup", "1",
)  # fmt: skip


ANY_HEADER = ("--meter", "any", "--bars", "any", "--mode", "any", "--style", "any")


@pytest.fixture
def mine(folder):
    return make_corpus("mine")


@pytest.mark.slow
def test_a_policy_of_ones_own_corpus_names_it_and_its_styles(folder, typed, mine):
    code, out, err = typed("pretrain", "--corpus", "mine", "--from-nothing", "--run", "own", *TINY)
    assert code == 0, err
    assert "training steps: 2 of 2" in err
    assert "too few tunes to tell" in out
    assert out.endswith("next: tastemaker compose --policy own\n")
    run = RUNS / "own"
    said = read_policy_folder(run / "policy")
    assert said.corpora == ("mine",)
    assert said.base_corpora == ()
    assert said.scope.styles.labels == ("other", "mine")
    result = json.loads((run / "result.json").read_text())
    assert result["tunes"] == 1
    assert result["standard_error"] is None
    assert not result["tells"]
    card = (run / "policy" / "README.md").read_text()
    assert "license: other" in card
    assert "`mine`: 10 strains for training, 1 for validation, 1 for the test" in card
    assert "Licence, as whoever built the corpus gave it: public domain" in card
    assert "Transcribed by: **Ada**" in card
    assert "Styles: other, mine." in card
    assert "`tastemaker pretrain --corpus mine --from-nothing --run own" in card
    assert re.search(r"`, on \w+ with \d+ cores?\b", card)
    assert "The fewest are 1, too few to tell small differences" in card
    assert "O'Neill" not in card

    make_corpus("second")
    code, out, err = typed(
        "pretrain", "--corpus", "second", "--start-from", "own", "--run", "then", "--epochs", "1"
    )
    assert code == 0, err
    then = read_policy_folder(RUNS / "then" / "policy")
    assert then.corpora == ("second",)
    assert then.base_corpora == ("mine",)
    assert then.scope.styles.labels == ("other", "mine", "second")
    card = (RUNS / "then" / "policy" / "README.md").read_text()
    assert "It was started from a policy that was trained on:\n\n`mine`: 10 strains" in card


@pytest.mark.slow
def test_few_tunes_adapt_the_base_and_that_is_said(folder, typed, mine, monkeypatch):
    typed("pretrain", "--corpus", "mine", "--from-nothing", "--run", "own", *TINY)
    monkeypatch.setattr("tastemaker.options.base_folder", lambda: RUNS / "own" / "policy")
    code, _, err = typed("pretrain", "--corpus", "mine", "--run", "few", "--epochs", "1")
    assert code == 0, err
    assert (
        "few training tunes (10, under 500), so the base is adapted to them; --from-nothing trains "
        "without it\n"
    ) in err
    record = json.loads((RUNS / "few" / "run.json").read_text())
    assert record["config"]["start_from"] == str(RUNS / "own" / "policy")
    assert record["config"]["hidden_size"] == 16


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            ("--corpus", "myne"),
            "there is no corpus 'myne' in checkpoints/corpora; there are: books, mine, "
            "unvalidated. Build one with: tastemaker corpus build FOLDER --name myne",
        ),
        (
            ("--corpus", "mine", "--start-from", "base", "--from-nothing"),
            "--start-from and --from-nothing exclude each other; give one",
        ),
        (("--corpus", "mine", "--start-from", "nobody"), "there is no run 'nobody'"),
        (("--corpus", "mine", "--from-nothing", "--learning-rate", "-1"), "learning_rate=-1.0 is"),
        (("--corpus", "unvalidated"), "the corpora unvalidated have no validation strain; build"),
        (
            ("--corpus", "mine", "--width", "100", "--from-nothing"),
            "hidden_size=100 (--width) does",
        ),
        (
            ("--corpus", "mine", "--start-from", "base", "--width", "16"),
            "--width=16 is not that of the policy to start from, which is",
        ),
        (("--corpus", "mine", "--start-from", "damaged"), "damaged/policy"),
        (("--corpus", "elsewhere/far.npz"), "does not lie in checkpoints/corpora, where its"),
    ],
)
def test_what_cannot_be_trained_is_told_in_one_line_and_makes_no_run(
    folder, typed, mine, options, says
):
    make_corpus("far", root=folder / "elsewhere")
    make_corpus("unvalidated", splits=[0] * 12)
    damaged = new_run("pretrain", {}, name="damaged").path
    shutil.copytree(base_folder(), damaged / "policy")
    (damaged / "policy" / WEIGHTS_FILE).write_bytes(b"damaged")
    code, out, err = typed("pretrain", "--run", "new", *options)
    assert code == 2
    assert says in err
    assert "Traceback" not in err
    assert out == ""
    assert not (RUNS / "new").exists()
    assert (CORPORA / "mine.npz").is_file()


class Killed(BaseException):
    """Stands for a kill."""


@pytest.fixture
def killed(typed, mine, monkeypatch):
    """A run that was killed after its first step was saved."""
    with monkeypatch.context() as context:
        context.setattr("policy.pretraining.train.batches", die)
        with pytest.raises(Killed):
            typed("pretrain", "--corpus", "mine", "--from-nothing", "--run", "own", *TINY)
    return RUNS / "own"


def die(*arguments):
    raise Killed


def test_the_name_alone_goes_on_with_the_settings_of_the_run(typed, killed):
    record = (killed / "run.json").read_text()
    code, out, err = typed("pretrain", "--run", "own")
    assert code == 0, err
    assert "training steps: 2 of 2" in err
    assert out.endswith("next: tastemaker compose --policy own\n")
    assert (killed / "run.json").read_text() == record
    assert read_policy_folder(killed / "policy").corpora == ("mine",)
    card = (killed / "policy" / "README.md").read_text()
    assert "`tastemaker pretrain --corpus mine --from-nothing --run own --width 16" in card


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--corpus", "second"), "--corpus second (it has mine)"),
        (("--epochs", "3"), "--epochs 3 (it has 2)"),
        (("--seed", "1"), "--seed 1 (it has 0)"),
        (("--width", "24"), "--width 24 (it has 16)"),
        (("--start-from", "base"), "--start-from base (it began with nothing)"),
    ],
)
def test_options_that_contradict_the_run_are_named(typed, killed, options, says):
    make_corpus("second")
    before = {path: path.read_bytes() for path in killed.rglob("*") if path.is_file()}
    code, out, err = typed("pretrain", "--run", "own", *options)
    assert code == 2
    assert f"run 'own' was started with other settings than {says}; to go on, leave these" in err
    assert "tastemaker pretrain --run own; or choose a new --run" in err
    assert out == ""
    assert before == {path: path.read_bytes() for path in killed.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_the_same_command_goes_on_too(typed, killed):
    code, _, err = typed(
        "pretrain", "--corpus", "mine", "--from-nothing", "--run", "own", "--seed", "0", *TINY
    )
    assert code == 0, err


def test_a_policy_of_a_run_that_has_not_finished_is_told(typed, killed):
    words = ("compose", "--policy", "own", "--count", "1", "--no-sound", *ANY_HEADER)
    says = "run 'own' has not finished, so this is its best policy so far; go on with: tastemaker"
    code, _, err = typed(*words)
    assert code == 0, err
    assert err.count(says) == 1
    typed("pretrain", "--run", "own")
    code, _, err = typed(*words)
    assert code == 0, err
    assert says not in err


def test_a_policy_that_0_1_0_trained_is_finished_without_a_result(typed, killed):
    record = json.loads((killed / "run.json").read_text())
    del record["record_version"]
    (killed / "run.json").write_text(json.dumps(record))
    code, _, err = typed("compose", "--policy", "own", "--count", "1", "--no-sound", *ANY_HEADER)
    assert code == 0, err
    assert "has not finished" not in err


def test_a_record_without_settings_is_refused(typed, killed):
    record = json.loads((killed / "run.json").read_text())
    (killed / "run.json").write_text(json.dumps({**record, "config": {"updates": 3}}))
    code, _, err = typed("pretrain", "--run", "own")
    assert code == 2
    assert "the settings in checkpoints/runs/own/run.json cannot be used" in err
