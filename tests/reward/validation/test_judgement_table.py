"""Tables of judgements: the same in every format, and what is said of rows that say nothing."""

import pandas as pd
import pytest

from music.limits import TableLimits
from reward.comparisons.preferences import LEFT, RIGHT, TIE
from reward.validation.judgement_table import ChoiceRow, RefusedRow, ScoreRow, read_judgements


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
