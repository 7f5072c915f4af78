"""`tastemaker ratings check`: tables with a known answer, and tables with all that can be wrong."""

import csv
import json

import numpy as np
import pytest

from music.corpora.corpus import load_corpus
from music.formats.midi import to_midi
from music.formats.musicxml import to_musicxml
from music.formats.notation import to_abc
from reward.profile.features import FEATURE_NAMES, feature_matrix
from reward.validation.check import MOST_MELODIES
from tests.support.project import PROJECT

MELODIES, SCORED = 60, 30


@pytest.fixture(scope="module")
def strains():
    every = [s.melody for s in load_corpus("train")[::20]]
    return [melody for melody in every if melody.header.bars == 8][:MELODIES]


@pytest.fixture(scope="module")
def liked(strains):
    """A listener who minds one thing: how wide the intervals are."""
    return feature_matrix(strains)[:, FEATURE_NAMES.index("mean_absolute_interval")]


def write_melodies(folder, strains):
    """In turn as ABC, MIDI and MusicXML; the names of the files."""
    folder.mkdir(exist_ok=True)
    names = []
    for number, melody in enumerate(strains):
        names.append(f"m{number}{('.abc', '.mid', '.musicxml')[number % 3]}")
        file = folder / names[-1]
        if file.suffix == ".mid":
            file.write_bytes(to_midi(melody))
        else:
            writes = to_abc if file.suffix == ".abc" else to_musicxml
            file.write_text(writes(melody), encoding="utf-8")
    return names


def write_table(path, names, rows, delimiter=","):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(names)
        writer.writerows(rows)


def choices(names, liked, count, seed=0):
    """Rows of a table by the listener, who is right about themselves in most cases."""
    rng = np.random.default_rng(seed)
    one, other = rng.integers(len(names), size=(2, count))
    one, other = one[one != other], other[one != other]
    gap = 8 * (liked[one] - liked[other]) / liked.std()
    first = gap + rng.logistic(size=len(gap)) > 0
    return [
        [names[a], names[b], "a" if wins else "b"]
        for a, b, wins in zip(one, other, first, strict=True)
    ]


@pytest.mark.slow
def test_a_taste_for_one_feature_is_found_and_shuffled_winners_are_not(
    typed, folder, strains, liked
):
    names = write_melodies(folder / "songs", strains)
    rows = choices(names, liked, 500)
    write_table(folder / "known.csv", ["melody_a", "melody_b", "winner"], rows)
    winners = np.random.default_rng(1).permutation([row[2] for row in rows])
    shuffled = [[*row[:2], winner] for row, winner in zip(rows, winners, strict=True)][:150]
    write_table(folder / "shuffled.csv", ["melody_a", "melody_b", "winner"], shuffled)
    code, said, told = typed("ratings", "check", "known.csv", "--melodies", "songs", "--json")
    assert code == 0
    assert "reading melodies" in told
    known = json.loads(said.splitlines()[-1])
    assert known["judgements"] == len(rows)
    assert known["melodies"] == MELODIES
    assert known["refused"] == 0
    assert round(known["sizes"][0]["pairs"]) == 100
    assert 250 < known["sizes"][1]["pairs"] < 400  # of five folds four
    last = known["sizes"][-1]
    assert last["agreement"]["low"] > 0.7
    assert last["agreement"]["low"] < last["agreement"]["value"] < last["agreement"]["high"]
    assert last["logistic"]["agreement"]["low"] > 0.7
    assert known["people"] is None
    assert known["profile"][0]["label"] == "moving in wide intervals"
    assert known["profile"][0]["weight"] > 0
    code, said, _ = typed("ratings", "check", "shuffled.csv", "--melodies", "songs")
    assert code == 0
    assert "so this may be luck" in said
    assert "logistic regression" in said
    assert list(folder.glob("**/*.sqlite")) == []  # nothing is stored


def scored(folder, strains, liked, raters=4, noise=0.5):
    """A table of scores, each rater on a scale of their own."""
    names = write_melodies(folder, strains)
    rng = np.random.default_rng(2)
    rows = []
    for rater in range(raters):
        said = (liked - liked.mean()) / liked.std() + noise * rng.normal(size=len(liked))
        rows += [
            [name, round(10**rater * score, 3), f"rater {rater}"]
            for name, score in zip(names, said, strict=True)
        ]
    return names, rows


@pytest.mark.slow
def test_scores_of_several_raters(typed, folder, strains, liked):
    """Semicolons and decimal commas, as a spreadsheet writes them; melodies beside the table."""
    strains, liked = strains[:SCORED], liked[:SCORED]
    _, rows = scored(folder, strains, liked)
    rows.append(["gone.abc", 1.0, "rater 0"])
    told = [[name, str(score).replace(".", ","), rater] for name, score, rater in rows]
    write_table(folder / "scores.csv", ["Melody file", "Rating", "Participant"], told, ";")
    code, said, _ = typed("ratings", "check", "scores.csv", "--json")
    assert code == 0
    found = json.loads(said)
    assert (found["form"], found["raters"], found["judgements"]) == ("scores", 4, 4 * SCORED)
    (refused_row,) = found["refused_rows"]
    assert refused_row["row"] == 4 * SCORED + 2
    assert "gone.abc" in refused_row["reason"]
    assert found["sizes"][-1]["agreement"]["low"] > 0.7
    assert 0.75 < found["people"]["value"] < 0.95
    assert found["people"]["low"] < found["people"]["value"] < found["people"]["high"]


# What is wrong with a table. These tables are small, so that each takes no time.


@pytest.fixture
def check(typed, folder, strains):
    """Checks a table of these rows, beside files of twelve melodies; what was said."""
    names = write_melodies(folder, strains[:12])

    def call(columns, rows, *words, file="table.csv"):
        write_table(folder / file, columns, rows)
        return typed("ratings", "check", file, *words)

    call.names = names
    return call


def refused(answer):
    code, out, err = answer
    assert code == 2
    assert out == ""
    assert "Traceback" not in err
    return err.splitlines()[-1]


CHOICES = ["melody_a", "melody_b", "winner"]


@pytest.mark.parametrize(
    ("columns", "rows", "says"),
    [
        (
            ["song", "stars"],
            [["m0.abc", 3]],
            "has the columns song, stars; give the columns melody",
        ),
        (["melody", "file", "score"], [["m0.abc", "m0.abc", 3]], "both mean 'melody'"),
        (CHOICES, [], "has no rows below its header"),
        (CHOICES, [["m0.abc", "m1.mid", "a"]], "of the melodies in table.csv, 2 can be read"),
        (
            ["melody", "score"],
            [["m0.abc", 3], ["m0.abc", 4]],
            "table.csv, 1 can be read and are not variants",
        ),
        (CHOICES, [["x.abc", "y.abc", "a"]], "row 2: 'x.abc': there is no such file"),
    ],
)
def test_a_table_that_cannot_be_checked_is_refused_in_one_line(check, columns, rows, says):
    assert says in refused(check(columns, rows))


def test_ties_alone_say_nothing(check):
    names = check.names
    rows = [[a, b, "tie"] for a in names for b in names if a != b]
    assert "all choices are ties, so no melody is preferred" in refused(check(CHOICES, rows))
    same = [[name, 3] for name in names]
    assert "all melodies have the same score" in refused(check(["melody", "score"], same))


def test_melodies_of_refused_rows_alone_do_not_count(check):
    rows = [[name, "gone.abc", "a"] for name in check.names]
    said = refused(check(CHOICES, rows))
    assert "of the melodies in table.csv, 0 can be read" in said
    assert "refused rows: 12; row 2: 'gone.abc'" in said


def test_raters_whose_scores_do_not_differ_say_nothing(check):
    columns, names = ["melody", "score", "rater"], check.names
    alone = [[name, place, f"rater {place}"] for place, name in enumerate(names)]
    said = refused(check(columns, alone))
    assert "no rater scores two melodies differently" in said
    assert "let each rater score at least two melodies differently, or leave out the" in said
    some = [[name, place, "one"] for place, name in enumerate(names[:9])]
    said = refused(check(columns, some + alone[9:]))
    assert "9 can be read" in said
    assert "refused rows: 3; row 11: the scores of its rater do not differ; let each" in said


def test_too_many_melodies_are_refused_before_they_are_read(check, monkeypatch):
    for page in ("limits.md", "checking.md"):
        assert f"{MOST_MELODIES:,} files" in (PROJECT / "docs" / page).read_text()
    monkeypatch.setattr("reward.validation.check.MOST_MELODIES", 11)
    monkeypatch.setattr("reward.validation.check.read_melodies", None)
    said = refused(check(["melody", "score"], [[name, 1.0] for name in check.names]))
    assert "table.csv names 12 melodies, and 11 is the most; check a part of them" in said


def test_a_file_that_is_no_table(typed, folder):
    (folder / "table.txt").write_text("melody,score\n")
    assert "does not end in .csv, .tsv, .jsonl or .parquet" in refused(
        typed("ratings", "check", "table.txt")
    )
    (folder / "latin.csv").write_bytes("melody,score\nm\xe9lodie.abc,3\n".encode("latin-1"))
    assert "is not UTF-8 at byte 14" in refused(typed("ratings", "check", "latin.csv"))
    assert "nowhere.csv" in refused(typed("ratings", "check", "nowhere.csv"))


def test_a_table_that_is_too_large(check):
    rows = [[name, 1.0] for name in check.names]
    said = refused(check(["melody", "score"], rows, "--max-rows", 5))
    assert "has more than 5 rows; divide it, or raise the limit (--max-rows 20)" in said


def test_the_rest_goes_on_when_rows_are_refused(check, folder, strains):
    names, rng = check.names, np.random.default_rng(0)
    rows = [
        [a, b, winner]
        for place, a in enumerate(names)
        for b in names[:place]
        for winner in [rng.choice([a, b, "left", "right", "tie"], p=[0.2, 0.2, 0.2, 0.2, 0.2])]
    ]
    good = len(rows)
    (folder / "unused.abc").write_text(to_abc(strains[12]))
    (folder / "noise.mid").write_bytes(b"no midi at all")
    rows += [
        ["gone.abc", names[0], "a"],
        [names[0], "noise.mid", "b"],
        [names[1], "noise.mid", "b"],
        [names[2], names[2], "a"],
        [names[2], f"./{names[2]}", "a"],
        [names[3], names[4], "the second"],
        [names[3], names[4], ""],
        ["", names[4], "a"],
        [names[2], str(folder / names[2]), "a"],
        ["unused.abc", "gone.abc", "a"],  # and is no melody of the table's
    ]
    code, said, _ = check(CHOICES, rows)
    assert code == 0
    assert f"{good} choices, 12 melodies" in said
    assert "refused rows: 10" in said
    assert f"rows {good + 2}, {good + 11}: 'gone.abc': there is no such file; give the" in said
    assert f"rows {good + 3}, {good + 4}: 'noise.mid': " in said
    assert f"rows {good + 5}, {good + 6}: '{names[2]}' is compared with itself" in said
    assert f"row {good + 10}: '{names[2]}' and '" in said
    assert "are one file; name two melodies" in said
    assert f"row {good + 8}: winner has length 0" in said
    assert "winner='the second' is neither a, b, left, right or tie, nor the name of" in said
