"""What is told of building a corpus: refusals, decisions, the card, and why nothing is kept."""

import csv
import re

import pytest

from music.corpora import file_reading
from music.corpora.catalogue import reading_decisions, refused_passages
from music.corpora.corpus_file import CorpusError
from music.formats.musicxml import to_musicxml
from music.messages import one_line
from tests.support.tune_files import abc, built, music


def test_each_refused_passage_is_listed(folder, root):
    card, _ = built(folder, root)
    rows = list(refused_passages("mine", root))
    assert len(rows) == sum(card["refused"].values())
    (bar,) = [row for row in rows if row["reason"] == "bar length"]
    assert (bar["file"], bar["tune"], bar["bar"]) == ("c.abc", "1", "5")
    assert "84 ticks" in bar["detail"]
    assert str(folder) not in (root / "mine.refused.csv").read_text()


def test_each_decision_is_counted_once(tmp_path, root):
    sixteenths = f"X:2\nT:Two\nM:4/16\nL:1/16\nK:C\n{music(1)}|]\n"
    (tmp_path / "a.abc").write_text(abc(1, music(2, 40)) + sixteenths)
    card, _ = built(tmp_path / "a.abc", root)
    assert (card["strains"], card["notices"]) == (3, {"cut": 1, "note values changed": 1})


def test_each_decision_is_listed(folder, root):
    (folder / "long.abc").write_text(abc(7, music(60, 40)) + abc(8, music(61, 50)))
    card, _ = built(folder, root)
    rows = list(reading_decisions("mine", root))
    assert [(row["file"], row["tune"], row["bar"], row["reason"]) for row in rows] == [
        ("long.abc", "7", "1", "cut"), ("long.abc", "8", "1", "cut")
    ]  # fmt: skip
    assert "40 bars" in rows[0]["detail"]
    assert card["notices"] == {"cut": 2}
    assert "`mine.decisions.csv`" in (root / "mine.md").read_text()
    assert str(folder) not in (root / "mine.decisions.csv").read_text()
    (folder / "long.abc").unlink()
    assert built(folder, root)[0]["notices"] == {}
    assert list(reading_decisions("mine", root)) == []


def test_the_card_for_people_says_what_is_in_it(folder, root):
    (folder / "<b>|.abc").write_text(abc(1, music(50), head="Z:<i>me</i> | you\n"))
    card, _ = built(folder, root, licence="CC-BY 4.0 |")
    text = (root / "mine.md").read_text()
    assert "13 of 14 tunes" in text
    assert "Licence: CC-BY 4.0 \\|" in text
    assert "&lt;i>me&lt;/i> \\| you (1)" in text
    assert "| bar length | 1 |" in text
    assert "<" not in text.replace("&lt;", "")
    assert card["transcribers"] == {"A. Nyone": 6, "<i>me</i> | you": 1}


def test_nothing_kept_writes_nothing(tmp_path, root):
    (tmp_path / "a.abc").write_text("X:1\nK:C\nz4|\n")
    with pytest.raises(CorpusError, match=r"no strain of 1 file can be used: no notes \(1\), such"):
        built(tmp_path / "a.abc", root)
    assert not root.exists()
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "a.abc").write_text("X:1\nT:no music\nK:C\n")
    with pytest.raises(CorpusError, match=r"no strain of 1 file can be used"):
        built(tmp_path / "empty", root)


def test_when_nothing_is_kept_examples_of_the_reasons_are_told(tmp_path, root):
    """With file, bar and remedy, and whole also where they are long."""
    place = tmp_path / "tunes"
    place.mkdir()
    for number in range(3):
        (place / f"{number}-{'x' * 60}.abc").write_text(abc(4, "CDEFG|ABcde|fgfed|cBAGF"))
    (place / "b.mid").write_bytes(b"no MIDI")
    with pytest.raises(CorpusError) as told:
        built(place, root)
    said = one_line(told.value)
    assert said == str(told.value), "nothing of it is cut"
    assert said.startswith("no strain of 4 files can be used: ")
    assert re.search(rf" \(\d+\), such as 0-{'x' * 60}\.abc, tune 4, bar \d: .*\d", said)
    assert "; b.mid: " in said


def test_the_parts_that_there_are_are_told_when_another_is_asked_for(tmp_path, root, real_melodies):
    text = to_musicxml(real_melodies[0]).replace("<part-name>", "<part-name>Flute ", 1)
    (tmp_path / "a.musicxml").write_text(text)
    with pytest.raises(CorpusError, match=r"no such part \(1\), such as a.musicxml: .*Flute"):
        built(tmp_path / "a.musicxml", root, part="Oboe")


def test_files_that_are_refused_as_a_whole_are_no_tunes(tmp_path, root, monkeypatch):
    (tmp_path / "a.abc").write_text(abc(1, music(1)) + "X:2\nK:C\nz4|\n")
    for name in ("empty.abc", "empty.mid", "b.musicxml", "c.mxl"):
        (tmp_path / name).write_text("")
    (tmp_path / "closed.abc").write_text(abc(1, music(2)))
    read = file_reading.read_tunes

    def read_or_denied(path, *, part):
        if path.stem == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path, part=part)

    monkeypatch.setattr(file_reading, "read_tunes", read_or_denied)
    card, _ = built(tmp_path, root)
    assert [card[name] for name in ("files", "files_refused", "tunes", "tunes_kept")] == [
        6,
        5,
        2,
        1,
    ]
    assert sum(card["refused"].values()) == 6


def test_cells_that_a_spreadsheet_would_run_are_quoted(tmp_path, root):
    place = tmp_path / "tunes"
    place.mkdir()
    (place / "=SUM(1).abc").write_text(abc(1, f"{music(1)}|CDEFGAB|{music(2)}"))
    (place / "a.abc").write_text(abc(1, music(3)))
    built(place, root)
    with (root / "mine.refused.csv").open(newline="") as table:
        rows = list(csv.reader(table))
    assert rows[1][0] == "'=SUM(1).abc"


def test_a_file_that_may_not_be_opened_is_refused(folder, root, monkeypatch):
    def denied(path, *, part):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(file_reading, "read_tunes", denied)
    with pytest.raises(CorpusError, match=r"used: damaged \(4\), such as .* denied\)"):
        built(folder, root)


def test_who_wrote_a_score_is_told(tmp_path, root, real_melodies):
    text = to_musicxml(real_melodies[0], title="A tune")
    credit = (
        '<identification><creator type="composer">B. Else</creator>'
        '<creator type="transcriber">A. Nyone</creator>'
        "<encoding><encoder> C. \n Pist </encoder><software>x</software></encoding>"
    )
    begin = "<identification>" if "<identification>" in text else "<part-list>"
    end = "" if begin == "<identification>" else "</identification><part-list>"
    (tmp_path / "a.musicxml").write_text(text.replace(begin, credit + end, 1))
    card, _ = built(tmp_path / "a.musicxml", root)
    assert card["transcribers"] == {"A. Nyone": 1, "C. Pist": 1}
