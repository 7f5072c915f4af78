"""The page Corpora, without a browser."""

import json
from functools import partial

import pytest
from streamlit import cache_resource

from feedback_ui.services.corpora.uploads import About, Upload, keep_files
from feedback_ui.views.corpus_adaptation import in_words
from music.corpora.catalogue import CORPORA
from music.formats.notation import to_abc
from policy.runs import new_run
from tests.support.small_corpus import make_corpus
from tests.support.studio_pages import open_page, press, words


@pytest.fixture
def page(corpora, tmp_path, monkeypatch, new_database):
    cache_resource.clear()
    database = tmp_path / "ratings.db"
    database.write_bytes(new_database.read_bytes())
    yield partial(
        open_page, monkeypatch, "corpora", f"--database={database}", f"--clips={tmp_path / 'clips'}"
    )
    cache_resource.clear()


def tables(app):
    found = [json.loads(each.proto.json or "{}") for each in app.get("bidi_component")]
    return {table["caption"]: table["rows"] for table in found if "caption" in table}


def test_a_stranger_sees_nothing(page):
    make_corpus()
    app = page(organiser=False)
    assert not app.exception
    assert "for the person who runs the studio" in words(app)
    assert "mine" not in words(app)
    assert not app.get("file_uploader")


def test_the_first_visit_offers_to_make_one(page):
    app = page()
    assert not app.exception
    assert app.expander[0].proto.expanded
    assert [row[0] for row in tables(app)["The corpora on this machine"]] == ["books"]


def test_a_corpus_is_shown_as_text(page):
    make_corpus()
    app = page(corpus="mine")
    assert not app.exception
    said = [text.value for text in app.text]
    facts = dict(tables(app)["What is in mine"])
    assert facts["Licence"] == "public domain"
    assert facts["Transcribed by"] == "**Ada** (12)"
    assert facts["Kept apart, to check what was learnt"] == "2 tunes"
    assert any(
        "3 files with 14 tunes were read. 12 of 14 can be used, in 12 strains." in s for s in said
    )
    rows = tables(app)["Why passages were refused"]
    assert rows == [["a bar is too long or too short for its metre", "3"], ["<b>new</b>", "1"]]
    assert "<b>" not in "".join(str(e.value) for e in (*app.markdown, *app.caption))
    assert tables(app)["What was decided while reading"] == [["grace notes dropped", "4"]]
    (listed,) = [code.value for code in app.code if "bar 2" in code.value]
    assert "0001-my-book.abc, tune 3, bar 2: the bar has 5 eighths" in listed


def record(name, arguments, *, log="", code=None):
    """What an ended command leaves on the disk; `code` is None for one that was killed."""
    jobs = CORPORA / "jobs"
    jobs.mkdir(parents=True, exist_ok=True)
    fields = {"pid": 1, "created_s": 5.0, "asked_to_stop": False, "arguments": arguments}
    (jobs / f"{name}.json").write_text(json.dumps(fields))
    (jobs / f"{name}.log").write_text(log)
    if code is not None:
        (jobs / f"{name}.ended").write_text(str(code))


def adapted(run, *, log="", code=None, bits=(3.0, 2.5), result=None):
    """A run that learns or has learnt from the corpus `mine`."""
    arguments = ["pretrain", "--corpus=mine", "--start-from=base", f"--run={run}"]
    record(f"adapt-{run}", arguments, log=log, code=code)
    made = new_run("pretrain", {}, name=run)
    for place, value in enumerate(bits):
        made.log({"step": 10 * place, "validation_bits_per_note": value})
    if result is not None:
        (made.path / "result.json").write_text(json.dumps(result))


@pytest.mark.parametrize(
    ("code", "says", "offers"),
    [
        (2, "The corpus mine was not made", "no strain of My Book.abc can be used"),
        (130, "The reading was stopped", ""),
        (None, "The reading was interrupted", "as when the machine is switched off"),
    ],
)
def test_files_that_did_not_become_a_corpus_are_told_and_can_be_read_again(
    page, code, says, offers
):
    keep_files(CORPORA / "uploads" / "mine", [Upload("My Book.abc", b"X:1")], About())
    log = "reading files: 1 of 1\ntastemaker: no strain of 0001-my-book.abc can be used\n"
    record("build-mine", ["corpus", "build"], log=log, code=code)
    app = page(corpus="mine")
    assert not app.exception
    assert says in words(app)
    assert offers in words(app)
    labels = [button.label for button in app.button]
    assert "Read the files again" in labels
    assert "Adapt it" not in labels, "there is nothing to learn from"
    assert "Remove the corpus" in labels


@pytest.mark.parametrize(
    ("code", "says", "failure"),
    [
        (2, "ended by an error", "step 5: the loss is nan <b>"),
        (130, "stopped; it can go on where it was", ""),
        (None, "interrupted; it can go on where it was", ""),
    ],
)
def test_a_policy_that_is_not_finished_goes_on(page, code, says, failure, monkeypatch):
    make_corpus()
    adapted("mine-base", code=code, log="tastemaker: step 5: the loss is nan <b>\n")
    app = page(corpus="mine")
    assert not app.exception
    assert says in words(app)
    assert not failure or failure in [text.value for text in app.text], "as text"
    asked = []
    monkeypatch.setattr(
        "feedback_ui.services.corpora.recorded_command.RecordedCommand.start",
        lambda self, arguments, database: asked.append(arguments),
    )
    press(app, "Go on")
    assert asked == [["pretrain", "--corpus=mine", "--start-from=base", "--run=mine-base"]]


RESULT = {
    "steps": 10, "bits_per_note": 2.5, "bits_before": 3.0, "gain": 0.5, "tunes": 12,
    "gain_standard_error": 0.1, "standard_error": 0.2, "tells": True, "stopped_early": True,
}  # fmt: skip


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (RESULT, "surprises it by 2.50 bits instead of 3.00: 0.50 ± 0.10 fewer"),
        ({**RESULT, "tells": False}, "too little to tell whether it is more than chance"),
        ({**RESULT, "tunes": 1, "tells": False}, "On one tune that was kept apart, its surprise"),
        ({**RESULT, "bits_per_note": 3.1}, "It has not become better"),
        ({"steps": "<b>"}, "It has learnt what it could"),
        ({**RESULT, "tunes": None, "gain_standard_error": None}, "0.50 fewer"),
    ],
)
def test_a_finished_policy_tells_what_it_has_learnt(result, says):
    assert says in in_words(result)


def test_a_finished_policy_is_shown_and_can_be_heard(page, tune):
    make_corpus()
    adapted("mine-base", code=0, result=RESULT)
    adapted("mine-again", code=0, result={**RESULT, "tells": False})
    folder = CORPORA / "jobs" / "heard-mine-base"
    folder.mkdir()
    (folder / "melody-1.abc").write_text(to_abc(tune((0, 24), (2, 24), (4, 48), bars=2)))
    (folder / "melody-2.abc").write_text("damaged")
    record("hear-mine-base", ["compose", "--policy=mine-base", "--seed=4"], code=0)
    app = page(corpus="mine")
    assert not app.exception
    assert "0.50 ± 0.10 fewer" in words(app)
    assert "too little to tell" in words(app)
    assert len(app.get("vega_lite_chart")) == 2
    labels = [button.label for button in app.button]
    assert "Other melodies" in labels
    players = [json.loads(e.proto.json or "{}").get("label", "") for e in app.get("bidi_component")]
    assert len([label for label in players if label.startswith("Melody 1 by mine-base")]) == 1
    assert not [label for label in players if label.startswith("Melody 2")]


def test_a_bad_name_and_no_files_are_told_and_what_was_typed_stays(page):
    app = page()
    fill = {"Name of the corpus": "My Tunes!", "Name of the one style": "Slow"}
    for label, text in fill.items():
        next(box for box in app.text_input if box.label == label).set_value(text)
    press(app, "Make the corpus")
    assert not app.exception
    assert any("'My Tunes!' is not the name of a corpus" in text.value for text in app.text)
    assert next(b for b in app.text_input if b.label == "Name of the corpus").value == "My Tunes!"
    next(b for b in app.text_input if b.label == "Name of the corpus").set_value("mine")
    press(app, "Make the corpus")
    assert any("is not a label" in text.value for text in app.text)
    next(b for b in app.text_input if b.label == "Name of the one style").set_value("")
    press(app, "Make the corpus")
    assert any("there is no file" in text.value for text in app.text)
    assert not CORPORA.exists()


def test_files_are_uploaded_and_those_left_out_are_told(page, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "feedback_ui.services.corpora.recorded_command.RecordedCommand.start",
        lambda self, arguments, database: asked.append(arguments),
    )
    app = page()
    app.get("file_uploader")[0].set_value(
        [("My *Book*.abc", b"X:1\nK:D\nDEF|", "text/plain"), ("empty.abc", b"", "text/plain")]
    )
    next(b for b in app.text_input if b.label == "Name of the corpus").set_value("mine")
    press(app, "Make the corpus")
    assert not app.exception
    assert app.query_params["corpus"] == "mine"
    assert "A file was left out" in words(app)
    assert "empty.abc: it is empty; save it again and upload it" in [t.value for t in app.text]
    assert [argument for argument in asked[0] if argument.startswith("--name")] == ["--name=mine"]
    files = CORPORA / "uploads" / "mine" / "files"
    assert [path.name for path in files.iterdir()] == ["0001-my-book.abc"]
    press(app, "Dismiss")
    assert "left out" not in words(app)


def test_a_corpus_is_removed_when_the_organiser_is_sure(page):
    make_corpus()
    app = page(corpus="mine")
    button = next(b for b in app.button if b.label == "Remove the corpus")
    assert button.disabled
    next(box for box in app.checkbox if box.label == "I want to remove it").check().run()
    press(app, "Remove the corpus")
    assert not app.exception
    assert not (CORPORA / "mine.npz").exists()
    assert [row[0] for row in tables(app)["The corpora on this machine"]] == ["books"]


def test_a_damaged_corpus_is_told_in_a_line(page):
    make_corpus().write_bytes(b"no arrays")
    app = page(corpus="mine")
    assert not app.exception
    assert any("mine.npz' is damaged" in text.value for text in app.text)
    (CORPORA / "mine.json").write_text("{")
    assert not page(corpus="mine").exception
