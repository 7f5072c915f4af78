"""`tastemaker pretrain`: corpora of one's own, from nothing or from another policy."""

import json

import pytest

from music.corpora.catalogue import CORPORA
from policy.folder import read_policy_folder
from policy.runs import RUNS
from tests.support.small_corpus import make_corpus

TINY = (
    "--width", "16", "--layers", "1", "--epochs", "2", "--learning-rate", "0.01", "--warmup", "1",
)  # fmt: skip


@pytest.fixture
def mine(folder):
    return make_corpus("mine")


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


def test_few_tunes_adapt_the_base_and_that_is_said(folder, typed, mine, monkeypatch):
    typed("pretrain", "--corpus", "mine", "--from-nothing", "--run", "own", *TINY)
    monkeypatch.setattr("tastemaker.options.base_folder", lambda: RUNS / "own" / "policy")
    code, _, err = typed("pretrain", "--corpus", "mine", "--run", "few", "--epochs", "1")
    assert code == 0, err
    assert (
        "10 training tunes are few (under 500), so the base is adapted to them; --from-nothing "
        "trains without it\n"
    ) in err
    record = json.loads((RUNS / "few" / "run.json").read_text())
    assert record["config"]["start_from"] == str(RUNS / "own" / "policy")
    assert record["config"]["hidden_size"] == 16


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            ("--corpus", "myne"),
            "there is no corpus 'myne' in checkpoints/corpora; there are: books, mine. Build one "
            "with: tastemaker corpus build FOLDER --name myne",
        ),
        (
            ("--corpus", "mine", "--start-from", "base", "--from-nothing"),
            "--start-from and --from-nothing exclude each other; give one",
        ),
        (("--corpus", "mine", "--start-from", "nobody"), "there is no run 'nobody'"),
        (("--corpus", "mine", "--from-nothing", "--learning-rate", "-1"), "learning_rate=-1.0 is"),
        (("--corpus", "elsewhere/far.npz"), "does not lie in checkpoints/corpora, where its"),
    ],
)
def test_what_cannot_be_trained_is_told_in_one_line_and_makes_no_run(
    folder, typed, mine, options, says
):
    make_corpus("far", root=folder / "elsewhere")
    code, out, err = typed("pretrain", "--run", "new", *options)
    assert code == 2
    assert says in err
    assert "Traceback" not in err
    assert out == ""
    assert not (RUNS / "new").exists()
    assert (CORPORA / "mine.npz").is_file()
