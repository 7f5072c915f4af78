"""Building a corpus of one's own: what is kept, told and refused, and nothing that is half done."""

import csv
import json
import os
import re
import time
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest

from music.corpora import build as build_module
from music.corpora import file_reading
from music.corpora.build import build
from music.corpora.build_options import BuildOptions
from music.corpora.catalogue import (
    data_card,
    open_corpus,
    reading_decisions,
    refused_passages,
)
from music.corpora.corpus_file import CorpusError
from music.corpora.file_reading import label_of, read_files
from music.corpora.sources import find_sources
from music.formats.midi import to_midi
from music.formats.musicxml import to_musicxml
from music.formats.notation import read_melody, to_abc
from music.messages import one_line
from music.styles import StyleError

HEAD = "M:2/4\nL:1/8\nK:C\n"


def music(seed: int, bars: int = 4) -> str:
    """Random bars of 2/4 in eighths."""
    rng = np.random.default_rng(seed)
    return "|".join("".join(rng.choice(list("CDEFGABcdefg"), 4)) for _ in range(bars))


def abc(number: int, *strains: str, head: str = "") -> str:
    return f"X:{number}\nT:Tune {number}\n{head}{HEAD}{'||'.join(strains)}|]\n\n"


@pytest.fixture
def folder(tmp_path):
    """Twelve tunes in three files, one of them with a bar too long; a broken file, and no tune."""
    place = tmp_path / "tunes"
    for name in ("reels", "jigs"):
        (place / name).mkdir(parents=True)
    tunes = [abc(n, music(n), music(100 + n), head="Z:Transcribed by A. Nyone\n") for n in range(6)]
    (place / "reels" / "a.abc").write_text("".join(tunes))
    tunes = [abc(n, music(n), head="R:Slip Jig\n") for n in range(10, 15)]
    (place / "jigs" / "b.abc").write_text("".join(tunes))
    (place / "c.abc").write_text(abc(1, f"{music(20)}|CDEFGAB|{music(21)}") + "X:2\nK:C\nz4|\n")
    (place / "broken.mid").write_bytes(b"no MIDI")
    (place / "notes.txt").write_text("no tune")
    return place


@pytest.fixture
def root(tmp_path):
    return tmp_path / "corpora"


def built(folder: Path, root: Path, **options):
    given = {"rebuild": options.pop("rebuild", False), "report": options.pop("report", None)}
    given = {name: value for name, value in given.items() if value is not None}
    return build([folder], BuildOptions(name="mine", **options), root=root, **given)


def test_building_by_hand(folder, root):
    card, is_new = built(folder, root, licence="CC0")
    assert is_new
    assert {name: card[name] for name in (
        "name", "files", "files_refused", "other_files", "tunes", "tunes_kept", "tunes_in_corpus",
        "strains_read", "near_duplicates", "strains", "refused", "licence", "transcribers",
        "styles", "meters", "modes", "bars", "style_bits",
    )} == {
        "name": "mine", "files": 4, "files_refused": 1, "other_files": 1, "tunes": 13,
        "tunes_kept": 12, "tunes_in_corpus": 12, "strains_read": 19, "near_duplicates": 0,
        "strains": 19, "refused": {"bar length": 1, "no notes": 1, "damaged": 1}, "licence": "CC0",
        "transcribers": {"A. Nyone": 6}, "styles": {"mine": 19}, "meters": {"2/4": 19},
        "modes": {"major": 19}, "bars": {"4": 19}, "style_bits": 0.0,
    }  # fmt: skip
    corpus = open_corpus("mine", root)
    assert (len(corpus), corpus.tunes) == (19, 12)
    assert corpus.fingerprint == card["fingerprint"]
    assert card["notes"] == sum(len(melody.notes) for melody in corpus.melodies()) == 19 * 16
    strain = corpus.strains()[0]
    assert (strain.file, strain.title) == ("c.abc", "Tune 1")
    splits = {split: side["tunes"] for split, side in card["splits"].items()}
    assert splits == {"train": 8, "validation": 2, "test": 2}
    assert data_card("mine", root) == json.loads(json.dumps(card))
    assert sorted(path.name for path in root.iterdir()) == [
        "mine.decisions.csv", "mine.json", "mine.md", "mine.npz", "mine.refused.csv",
    ]  # fmt: skip


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


def test_a_second_time_nothing_is_done_until_something_changes(folder, root):
    first, _ = built(folder, root)
    files = {path.name: path.stat().st_mtime_ns for path in root.iterdir()}
    again, is_new = built(folder, root)
    assert (again, is_new) == (json.loads(json.dumps(first)), False)
    assert {path.name: path.stat().st_mtime_ns for path in root.iterdir()} == files
    assert built(folder, root, style="tango")[1], "another option"
    assert not built(folder, root, style="tango")[1]
    (folder / "reels" / "new.abc").write_text(abc(1, music(30)))
    card, is_new = built(folder, root, style="tango")
    assert (card["strains"], is_new) == (20, True)
    assert built(folder, root, style="tango", rebuild=True)[1]


def test_a_name_of_another_folder_is_taken(folder, root, tmp_path):
    first, _ = built(folder, root)
    other = tmp_path / "other"
    other.mkdir()
    (other / "x.abc").write_text(abc(1, music(40)))
    with pytest.raises(CorpusError, match=r"'mine' from other folders \(.*tunes\); choose .*--reb"):
        built(other, root)
    assert data_card("mine", root)["fingerprint"] == first["fingerprint"]
    assert built(other, root, rebuild=True)[0]["strains"] == 1


def test_what_a_kill_left_is_built_again(folder, root):
    """The data card is moved last, so a corpus without its own is not whole."""
    card, _ = built(folder, root)
    (root / "mine.json").unlink()
    assert built(folder, root)[1]
    (root / "mine.json").write_text(json.dumps({**card, "fingerprint": "of the one before"}))
    assert built(folder, root)[1]
    (root / "mine.npz").write_bytes(b"damaged")
    with pytest.raises(CorpusError, match="'mine' that cannot be read; choose another --name, or"):
        built(folder, root)
    assert built(folder, root, rebuild=True)[1]


def test_near_duplicates_are_left_out_and_their_tunes_held_out_together(tmp_path, root):
    place = tmp_path / "tunes"
    place.mkdir()
    pairs = [abc(n, music(n), music(100 + n)) for n in range(40)]
    pairs += [abc(40 + n, music(n), music(200 + n)) for n in range(40)]
    (place / "a.abc").write_text("".join(pairs))
    card, _ = built(place, root)
    assert (card["strains_read"], card["near_duplicates"], card["strains"]) == (160, 40, 120)
    sides = {strain.title: strain.split for strain in open_corpus("mine", root).strains()}
    assert all(sides[f"Tune {n}"] == sides[f"Tune {40 + n}"] for n in range(40))
    counts = {split: side["tunes"] for split, side in card["splits"].items()}
    assert counts == {"train": 64, "validation": 8, "test": 8}


@pytest.mark.parametrize(
    ("options", "styles"),
    [
        ({}, {"mine": 19}),
        ({"style": "tango"}, {"tango": 19}),
        ({"style_from": "folder"}, {"reels": 12, "jigs": 5, "other": 2}),
        ({"style_from": "field"}, {"other": 14, "slipjig": 5}),
    ],
)
def test_styles(folder, root, options, styles):
    card, _ = built(folder, root, **options)
    assert card["styles"] == styles == open_corpus("mine", root).styles
    assert card["style_bits"] == (0 if len(styles) == 1 else pytest.approx(card["style_bits"]))
    assert (card["style_bits"] > 0.8) == (len(styles) > 1)


@pytest.mark.parametrize(
    ("head", "label"),
    [
        ("R:Slip Jig\n", "slipjig"), ("R:double jig\n", "jig"), ("R:my-tunes\n", "my-tunes"),
        ("R:Valse (musette)\n", "valse musette"), ("", "other"), ("T:The Bird's Reel\n", "reel"),
        ("R:jig\n%%tastemaker-style slow air\n", "slow air"),
        ("R:air\n%%tastemaker-style No label!\n", "air"),
    ],
)  # fmt: skip
def test_the_style_of_a_field_is_that_of_all_readers(tmp_path, root, head, label):
    (tmp_path / "a.abc").write_text(abc(1, music(1), head=head))
    card, _ = built(tmp_path / "a.abc", root, style_from="field")
    assert card["styles"] == {label: 1}
    if label != "valse musette":  # which is no label as it is written
        assert read_melody((tmp_path / "a.abc").read_text()).header.style == label


def test_a_style_may_depend_on_the_metre_of_a_part(tmp_path, root):
    parts = f"{music(1)}||\n[M:9/8] CDE FGA Bcd|efg agf edc|BAG FED CDE|GFE DCB, C3|]\n"
    (tmp_path / "a.abc").write_text(f"X:1\nT:A jig\nR:double jig\n{HEAD}{parts}")
    card, _ = built(tmp_path / "a.abc", root, style_from="field")
    assert card["styles"] == {"jig": 1, "slipjig": 1}
    assert (card["tunes_kept"], card["strains"]) == (1, 2)


def test_of_many_styles_the_commonest_stay(tmp_path, root):
    for number in range(40):
        place = tmp_path / "tunes" / f"Region Nº {number}"
        place.mkdir(parents=True)
        strains = [music(10 * number + n) for n in range(2 if number < 31 else 1)]
        (place / "a.abc").write_text(abc(1, *strains))
    card, _ = built(tmp_path / "tunes", root, style_from="folder")
    assert len(card["styles"]) == 32
    assert (card["styles"]["other"], card["styles_joined"]) == (9, 9)
    assert card["styles"]["region no 4"] == 2


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Reels", "reels"), ("Ångström/Élan", "angstrom elan"), ("", "other"), ("日本", "other"),
        ("--", "other"), ("x" * 40, "x" * 32), ("a " * 20, "a a a a a a a a a a a a a a a a"),
        ("Slip Jig (9/8)", "slip jig 9 8"), ("Slip-Jig", "slipjig"), ("My-Tunes", "my-tunes"),
        ("- x -", "x"), ("_reels_", "reels"),
    ],
)  # fmt: skip
def test_a_text_as_a_label(text, label):
    assert label_of(text) == label


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"name": "a b"}, CorpusError, "is not the name of a corpus"),
        ({"name": "books"}, CorpusError, "is the shipped corpus"),
        ({"style": "Tango!"}, StyleError, "is not a label"),
        ({"style_from": "file"}, CorpusError, "is none of"),
        ({"style": "a", "style_from": "folder"}, CorpusError, "exclude one another"),
        ({"licence": "x" * 2001}, CorpusError, "has 2001 characters"),
    ],
)
def test_options_that_cannot_be_are_refused(options, error, words):
    with pytest.raises(error, match=words):
        BuildOptions(**{"name": "mine", **options})


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


def test_more_than_a_corpus_may_hold_is_refused(folder, root, monkeypatch):
    monkeypatch.setattr(build_module, "STRAINS", 15)
    with pytest.raises(CorpusError, match=r"more than 15 strains .* build several corpora"):
        built(folder, root)
    monkeypatch.undo()
    monkeypatch.setattr(build_module, "TOKENS", 300)
    with pytest.raises(CorpusError, match="or 300 tokens"):
        built(folder, root)
    assert not root.exists()


def test_an_interruption_leaves_the_corpus_as_it_was(folder, root):
    before, _ = built(folder, root)

    def interrupt(stage, done, total):
        if stage == "comparing strains":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        built(folder, root, rebuild=True, report=interrupt)
    assert built(folder, root) == (json.loads(json.dumps(before)), False)
    assert len(list(root.iterdir())) == 5


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


def test_a_file_whose_name_is_not_utf_8_is_read(tmp_path, root):
    place = tmp_path / "tunes"
    place.mkdir()
    with Path(os.fsdecode(os.fsencode(place) + b"/\xff.abc")).open("w") as file:
        file.write(abc(1, f"{music(1)}|CDEFGAB|{music(2)}"))
    card, _ = build([place, *place.iterdir()], BuildOptions(name="mine"), root=root)
    assert (card["files"], card["strains"]) == (1, 2)
    assert len(open_corpus("mine", root).strains()) == 2
    assert len(list(refused_passages("mine", root))) == 1
    assert not built(place, root, rebuild=True)[0]["files_refused"]


def test_a_file_that_may_not_be_opened_is_refused(folder, root, monkeypatch):
    def denied(path, *, part):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(file_reading, "read_tunes", denied)
    with pytest.raises(CorpusError, match=r"used: damaged \(4\), such as .* denied\)"):
        built(folder, root)


def test_midi_and_musicxml_are_read_as_well(tmp_path, root, real_melodies):
    place = tmp_path / "tunes"
    place.mkdir()
    (place / "a.mid").write_bytes(to_midi(real_melodies[0]))
    (place / "b.musicxml").write_text(to_musicxml(real_melodies[100]))
    card, _ = built(place, root)
    assert (card["files"], card["tunes_kept"], card["strains"]) == (2, 2, 2)
    notes = [melody.notes for melody in open_corpus("mine", root).melodies()]
    assert notes == [real_melodies[0].notes, real_melodies[100].notes]


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


@pytest.mark.parametrize("ending", ["abc", "mid", "musicxml"])
def test_the_style_that_our_files_name_is_kept_on_request(tmp_path, root, ending, tune):
    melody = tune(*((pitch, 24) for pitch in (0, 2, 4, 5, 7, 9, 11, 12)))
    melody = replace(melody, header=replace(melody.header, style="slow air"))
    write = {"abc": to_abc, "mid": to_midi, "musicxml": to_musicxml}[ending]
    written = write(melody)
    content = written if isinstance(written, bytes) else written.encode()
    (tmp_path / f"a.{ending}").write_bytes(content)
    card, _ = built(tmp_path / f"a.{ending}", root, style_from="field")
    assert card["styles"] == {"slow air": 1}
    assert built(tmp_path / f"a.{ending}", root)[0]["styles"] == {"mine": 1}


@pytest.mark.slow
def test_two_processes_read_what_one_reads(folder, monkeypatch):
    sources, _ = find_sources([folder])
    alone = list(read_files(sources))
    told = []
    monkeypatch.setattr(file_reading, "PARALLEL_BYTES", 0)
    both = list(read_files(sources, progress=lambda done, total: told.append((done, total))))
    assert told == [(n, 4) for n in range(5)]
    for one, other in zip(alone, both, strict=True):
        assert one.refusals == other.refusals
        assert one.notices == other.notices
        assert [t.title for t in one.tunes] == [t.title for t in other.tunes]
        for mine, theirs in zip(one.tunes, other.tunes, strict=True):
            assert all((a == b).all() for a, b in zip(mine.rows, theirs.rows, strict=True))


def ended(*_):
    os._exit(1)


@pytest.mark.slow
def test_a_process_that_is_ended_is_told_in_a_line(folder, root, monkeypatch):
    """As the kernel ends one that takes too much memory."""
    monkeypatch.setattr(file_reading, "PARALLEL_BYTES", 0)
    monkeypatch.setattr(file_reading, "read_file", ended)
    with pytest.raises(CorpusError, match=r"reading stopped near .* build from fewer or smaller"):
        built(folder, root)
    assert not root.exists()


def stays(*_):
    time.sleep(600)


@pytest.mark.slow
def test_whoever_stops_does_not_wait_for_a_long_file(folder, monkeypatch):
    def stop(done, total):
        raise KeyboardInterrupt

    monkeypatch.setattr(file_reading, "PARALLEL_BYTES", 0)
    monkeypatch.setattr(file_reading, "read_file", stays)
    before, started_s = active_children(), time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(read_files(find_sources([folder])[0], progress=stop))
    assert time.monotonic() - started_s < 60
    assert set(active_children()) <= set(before)
