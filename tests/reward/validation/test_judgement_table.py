"""Tables of judgements: the same in every format, and what is said of rows that say nothing."""

import pandas as pd
import pytest

from music.limits import TableLimits
from reward.comparisons.preferences import LEFT, RIGHT, TIE
from reward.validation.judgement_table import ChoiceRow, RefusedRow, ScoreRow, read_judgements
from reward.validation.melody_folds import ValidationError


@pytest.fixture
def read(tmp_path):
    def call(text, name="table.csv"):
        file = tmp_path / name
        file.write_text(text, encoding="utf-8")
        return read_judgements(file, TableLimits())

    return call


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ("a", LEFT), ("A", LEFT), ("left", LEFT), ("one.abc", LEFT), ("songs/one.abc", LEFT),
        ("b", RIGHT), (" right ", RIGHT), ("two.mid", RIGHT), ("more/two.mid", RIGHT),
        ("tie", TIE), ("Draw", TIE),
    ],
)  # fmt: skip
def test_who_wins(read, said, outcome):
    table = read(f"melody_a,melody_b,winner\nsongs/one.abc,more/two.mid,{said}\n")
    assert table.judgements == [ChoiceRow(2, "songs/one.abc", "more/two.mid", outcome, "")]


def test_a_name_that_both_files_have_says_nothing(read):
    table = read(
        "melody_a,melody_b,winner\nx/one.abc,y/one.abc,one.abc\nx/one.abc,y/one.abc,y/one.abc\n"
    )
    assert [row.row for row in table.refused] == [2]
    assert [one.outcome for one in table.judgements] == [RIGHT]


def test_every_format_says_the_same(tmp_path, read):
    frame = pd.DataFrame({"file": ["a.abc", "b.abc"], "score": [0.5, 2.0], "rater": ["x", "y"]})
    frame.to_json(tmp_path / "t.jsonl", orient="records", lines=True)
    frame.to_parquet(tmp_path / "t.parquet")
    wanted = [("a.abc", 0.5, "x"), ("b.abc", 2.0, "y")]
    tables = [
        read("File,Score,Rater ID\na.abc,0.5,x\nb.abc,2,y\n"),
        read("File;Score;Rater ID\na.abc;0,5;x\nb.abc;2;y\n"),
        read("File\tScore\tRater ID\na.abc\t0.5\tx\nb.abc\t2\ty\n", "t.tsv"),
        *(read_judgements(tmp_path / f"t.{kind}", TableLimits()) for kind in ("jsonl", "parquet")),
    ]
    for table in tables:
        assert [(one.melody, one.score, one.rater) for one in table.judgements] == wanted
        assert table.has_raters
        assert not table.refused


def test_a_bad_row_is_refused_and_the_rest_is_kept(read):
    table = read("melody,score\na.abc,1\nb.abc,much\nc.abc\n,3\nd.abc,\ne.abc,nan\nf.abc,2\n")
    assert table.judgements == [ScoreRow(2, "a.abc", 1.0, ""), ScoreRow(8, "f.abc", 2.0, "")]
    assert [row.row for row in table.refused] == [3, 4, 5, 6, 7]
    assert table.refused[0] == RefusedRow(3, "score='much' is not a finite number")
    assert "is empty; give a number" in table.refused[3].reason


def test_an_object_without_a_name_does_not_hide_the_column(read):
    lines = [
        '{"melody": "a.abc"}',
        '{"melody": "b.abc", "score": 2}',
        *['{"melody": "c.abc", "score": 3}'] * 1500,
        '{"melody": "d.abc", "score": 4, "rater": "x"}',
    ]
    table = read("\n".join(lines[:-1]), "t.jsonl")
    assert not table.has_raters
    assert [(one.melody, one.score) for one in table.judgements][:2] == [("b.abc", 2), ("c.abc", 3)]
    assert [row.row for row in table.refused] == [1]
    table = read("\n".join(lines), "t.jsonl")
    assert table.has_raters
    assert table.judgements == [ScoreRow(1503, "d.abc", 4.0, "x")]
    assert "rater has length 0" in table.refused[-1].reason


def test_a_first_row_that_cannot_be_read_does_not_refuse_the_table(read):
    assert read("melody,score,rater\na.abc,1\nb.abc,2,x\n").has_raters
    table = read('["no object"]\n{"melody": "a.abc", "score": 1}\n', "t.jsonl")
    assert [row.row for row in table.refused] == [1]
    assert len(table.judgements) == 1
    with pytest.raises(ValidationError, match=r"row 1 of .*: it is not JSON"):
        read("{\n}\n", "t.jsonl")


def test_two_names_matter_only_for_a_column_that_is_needed(read):
    table = read("melody,score,melody_a,left\na.abc,1,x,y\n")
    assert table.judgements == [ScoreRow(2, "a.abc", 1.0, "")]
    with pytest.raises(ValidationError, match="'rater' and 'listener', which both mean 'rater'"):
        read("melody,score,rater,listener\na.abc,1,x,y\n")
