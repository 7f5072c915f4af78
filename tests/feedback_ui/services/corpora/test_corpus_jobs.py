"""Corpora are made of uploaded files by the program's own command, and removed."""

import time
from types import SimpleNamespace

import pytest

from feedback_ui.services.corpora.adaptations import bits_of, result_of
from feedback_ui.services.corpora.corpus_jobs import CorpusJobs
from feedback_ui.services.corpora.overview import CorpusOverviews
from feedback_ui.services.corpora.uploads import About, Upload, UploadError
from feedback_ui.services.subcommand import CommandError
from music.corpora.catalogue import CORPORA, CorpusError
from music.corpora.corpus import load_corpus
from music.formats.notation import to_abc
from music.styles import StyleError
from policy.runs import RunError, new_run
from tests.support.small_corpus import make_corpus

PATIENCE_S = 120
ABOUT = About("my own tunes", "slow air")
LEARNING = SimpleNamespace(run="mine-base", command=SimpleNamespace(is_live=True))


@pytest.fixture(scope="module")
def book():
    """Eight tunes in one ABC file, and a passage that cannot be read."""
    tunes = [
        to_abc(strain.melody).replace("X:1", f"X:{number}", 1)
        for number, strain in enumerate(load_corpus("test")[:8], start=1)
    ]
    broken = "X:9\nT:Broken\nM:4/4\nL:1/4\nK:D\nDEFGABc|D2|\n"
    return Upload("My Book.abc", "\n".join([*tunes, broken]).encode())


def wait_for(command):
    until = time.monotonic() + PATIENCE_S
    while command.is_live and time.monotonic() < until:
        time.sleep(0.05)
    return command.state


def test_a_corpus_is_made_of_uploaded_files(corpora, book):
    refused = corpora.create("mine", [book, Upload("notes.txt", b"x")], ABOUT)
    assert [name for name, _ in refused] == ["notes.txt"]
    assert wait_for(corpora.build("mine")) == "done", corpora.build("mine").lines
    found = CorpusOverviews().of("mine")
    assert (found.tunes, found.licence, found.styles) == (8, "my own tunes", ("slow air",))
    assert "8 of 9 can be used" in found.reading
    lines, count = CorpusOverviews().refusals("mine")
    assert count == len(lines) >= 1
    assert "0001-my-book.abc, tune 9" in lines[0]
    assert corpora.names() == ["books", "mine"]
    strains = CorpusOverviews().examples("mine", 3, seed=1)
    assert len({strain.tune for strain in strains}) == 3

    # more files, fewer files, none, and no corpus
    corpora.add("mine", [Upload("more.abc", book.content.replace(b"X:9", b"X:10"))])
    assert wait_for(corpora.build("mine")) == "done"
    assert CorpusOverviews().of("mine").card["files"] == 2
    assert corpora.remove_files("mine", ["0002-more.abc"]) == 1
    assert corpora.remove_files("mine") == 1
    assert CorpusOverviews().of("mine").tunes == 8, "the corpus stays"
    with pytest.raises(UploadError, match="no uploaded files"):
        corpora.start_build("mine")
    corpora.remove("mine")
    assert corpora.names() == ["books"]
    assert [path for path in CORPORA.rglob("*") if path.is_file()] == []


def test_files_that_hold_no_tune_make_no_corpus(corpora):
    corpora.create("mine", [Upload("letter.abc", b"Dear Ada,\nI have no tunes.\n")], About())
    assert wait_for(corpora.build("mine")) == "refused"
    assert "no strain of 1 file can be used" in corpora.build("mine").failure
    assert not (CORPORA / "mine.npz").exists()
    assert not CorpusOverviews().of("mine").is_built
    assert corpora.names() == ["books", "mine"], "its files can be removed or added to"
    corpora.remove("mine")
    assert corpora.names() == ["books"]


@pytest.mark.parametrize("name", ["", "..", "a/b", "books", "A", "x" * 33, "-x", "a.npz"])
def test_a_bad_name_keeps_no_file(corpora, book, name):
    with pytest.raises(CorpusError):
        corpora.create(name, [book], ABOUT)
    for act in (corpora.files, corpora.build, corpora.remove, corpora.start_build):
        with pytest.raises(CorpusError):
            act(name)
    assert not CORPORA.exists()


def test_a_bad_style_or_licence_keeps_no_file(corpora, book):
    with pytest.raises(StyleError):
        corpora.create("mine", [book], About("", "Slow <Air>"))
    for licence in ("x" * 501, "two\nlines", "\x1b[2J"):
        with pytest.raises(UploadError, match="one line of at most 500"):
            corpora.create("mine", [book], About(licence))
    assert not CORPORA.exists()


def test_a_taken_name_changes_nothing(corpora, book):
    path = make_corpus()
    before = path.read_bytes()
    with pytest.raises(UploadError, match="already"):
        corpora.create("mine", [book], ABOUT)
    with pytest.raises(UploadError, match="no uploaded files"):
        corpora.add("mine", [book])
    assert path.read_bytes() == before
    assert corpora.files("mine") == []


def test_options_are_those_of_the_command(corpora, book, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "feedback_ui.services.corpora.recorded_command.RecordedCommand.start",
        lambda self, arguments, database: asked.append(arguments),
    )
    corpora.create("mine", [book], ABOUT)
    corpora.create("other", [book], About("", "", styles_of_tunes=True))
    corpora.adaptations.start("mine", run="mine-base")
    assert asked == [
        [
            *("corpus", "build", "checkpoints/corpora/uploads/mine/files", "--name=mine"),
            *("--style=slow air", "--licence=my own tunes", "--json"),
        ],
        [
            *("corpus", "build", "checkpoints/corpora/uploads/other/files", "--name=other"),
            *("--style-from=field", "--json"),
        ],
        ["pretrain", "--corpus=mine", "--start-from=base", "--run=mine-base"],
    ]


@pytest.mark.parametrize("run", ["", "../x", "base", "-x", "A"])
def test_a_policy_gets_a_name_that_is_free(corpora, run):
    make_corpus()
    with pytest.raises(RunError):
        corpora.adaptations.start("mine", run=run)
    assert corpora.adaptations.free_run("mine") == "mine-base"
    new_run("pretrain", {}, name="mine-base")
    assert corpora.adaptations.free_run("mine") == "mine-base-2"
    with pytest.raises(RunError, match="already"):
        corpora.adaptations.start("mine", run="mine-base")


def test_what_a_run_has_logged_is_read_as_far_as_it_is_whole(tmp_path):
    assert (bits_of(tmp_path), result_of(tmp_path)) == ((), None)
    (tmp_path / "metrics.jsonl").write_text(
        '{"step": 0, "validation_bits_per_note": 3.0}\n{"step": 5, "train_nats": 1.0}\n'
        '{"step": 10, "validation_bits_per_note": 2.5}\n{"step": 20, "valid'
    )
    assert bits_of(tmp_path) == ((0, 3.0), (10, 2.5))
    (tmp_path / "result.json").write_text("[]")
    assert result_of(tmp_path) is None


def test_one_adaptation_at_a_time_and_no_removal_meanwhile(corpora, monkeypatch):
    make_corpus()
    make_corpus("second")
    monkeypatch.setattr(
        "feedback_ui.services.corpora.adaptations.Adaptations.all",
        lambda self, name=None: [LEARNING] if name in (None, "mine") else [],
    )
    with pytest.raises(CommandError, match="mine-base is being adapted"):
        corpora.adaptations.start("second", run="second-base")
    with pytest.raises(CommandError, match="mine-base is learning from 'mine'"):
        corpora.remove("mine")
    corpora.remove("second")


def test_two_servers_see_the_same(corpora, book, tmp_path):
    corpora.create("mine", [book], ABOUT)
    other = CorpusJobs(str(tmp_path / "ratings.db"))
    with pytest.raises(CommandError, match="being built"):
        other.add("mine", [book])
    with pytest.raises(CommandError, match="being built"):
        other.remove("mine")
    assert wait_for(other.build("mine")) == "done"
