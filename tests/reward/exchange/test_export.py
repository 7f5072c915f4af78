"""Ratings as files: nothing lost, nothing half written, only decided votes for TRL."""

import csv
import json
from itertools import count

import pandas as pd
import pytest

from music.tokens import encode, from_text
from reward.exchange import export
from reward.exchange.export import export_preferences, export_ratings
from reward.store import frames
from reward.store.store import RatingsError, RatingsStore
from reward.store.votes import Answer

OUTCOMES = ("left", "right", "tie", "both_bad", "skip")
COLUMNS = {
    "votes": frames.VOTE_COLUMNS,
    "comparisons": frames.COMPARISON_COLUMNS,
    "melodies": frames.MELODY_COLUMNS,
    "raters": frames.RATER_COLUMNS,
}


def lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.fixture
def store(ratings_url):
    with RatingsStore(ratings_url) as opened:
        yield opened


def rate(store, random_melodies):
    """Anna and a simulated listener give every outcome; one vote of Anna's is undone."""
    ids = store.add_melodies(random_melodies(8), policy_id="base", sampler="t=1", seed=1)
    first = store.add_comparisons([(ids[n], ids[n + 1]) for n in range(5)], round=1)
    store.add_comparisons(
        [(ids[1], ids[0])], round=1, purpose="repeat", repeat_of=[first[0]], strategy="repeat"
    )
    store.add_comparisons([(ids[6], ids[7])], round=1, purpose="blind_test", probability=0.5)
    nonce = (str(number) for number in count())
    for name, kind in (("=Anna", "person"), ("robot", "simulated")):
        rater = store.add_rater(name, kind=kind)
        for number in range(7):
            pair = store.issue(rater.id)
            outcome = OUTCOMES[number % 5]
            store.vote(
                pair.assignment_id,
                Answer(
                    outcome=outcome,
                    nonce=next(nonce),
                    strength=1 + number % 2,
                    reasons=["ending"] if number else [],
                    comment='+1, "schön"\nöfter',
                ),
            )
        if kind == "person":
            again = store.undo(rater.id)
            store.vote(again.assignment_id, Answer(outcome="left", nonce=next(nonce)))


@pytest.fixture
def rated(store, random_melodies):
    rate(store, random_melodies)
    return store


def test_frames_have_the_same_columns_and_types_when_empty(store, random_melodies):
    def all_frames():
        return {name: getattr(store, f"{name}_frame")() for name in COLUMNS}

    empty = all_frames()
    rate(store, random_melodies)
    full = all_frames()
    for name, columns in COLUMNS.items():
        assert len(empty[name]) == 0
        assert len(full[name]) > 0
        assert list(full[name].columns) == list(empty[name].columns) == list(columns)
        assert full[name].dtypes.to_dict() == empty[name].dtypes.to_dict()


def test_every_format_holds_every_row(rated, tmp_path):
    paths = export_ratings(rated, tmp_path / "out", current_only=False)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        f"{table}.{suffix}" for table in COLUMNS for suffix in ("csv", "jsonl", "parquet")
    )
    assert len(paths) == 12
    for table in COLUMNS:
        options = {"current_only": False} if table == "votes" else {}
        frame = getattr(rated, f"{table}_frame")(**options)
        from_parquet = pd.read_parquet(tmp_path / "out" / f"{table}.parquet")
        from_json = lines(tmp_path / "out" / f"{table}.jsonl")
        with (tmp_path / "out" / f"{table}.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert list(rows[0]) == list(from_json[0]) == list(from_parquet) == list(frame)
        assert len(rows) == len(from_json) == len(from_parquet) == len(frame)
    votes = rated.votes_frame(current_only=False)
    assert len(votes) == 15
    from_json = lines(tmp_path / "out/votes.jsonl")
    for got, vote in zip(from_json, votes.to_dict("records"), strict=True):
        for name in ("vote_id", "outcome_a", "left_is_a", "reasons", "comment", "melody_a"):
            assert got[name] == vote[name]
        assert pd.Timestamp(got["created_at"]) == vote["created_at"]
        assert got["supersedes"] == (None if pd.isna(vote["supersedes"]) else vote["supersedes"])
    melodies = pd.read_parquet(tmp_path / "out/melodies.parquet")
    for row in melodies.itertuples():
        stored = rated.melody(row.melody_id).melody
        assert row.tokens.tolist() == encode(stored).tolist()
        assert (row.meter, row.bars) == (stored.header.meter, stored.header.bars)


def test_csv_gives_spreadsheets_no_formula_and_lists_as_json(rated, tmp_path):
    export_ratings(rated, tmp_path, formats=["csv"])
    with (tmp_path / "votes.csv").open(encoding="utf-8", newline="") as file:
        votes = list(csv.DictReader(file))
    assert {vote["comment"] for vote in votes} == {"", '\'+1, "schön"\nöfter'}
    assert json.loads(votes[1]["reasons"]) == ["ending"]
    with (tmp_path / "raters.csv").open(encoding="utf-8", newline="") as file:
        assert [rater["nickname"] for rater in csv.DictReader(file)] == ["'=Anna", "robot"]


def test_one_kind_of_rater_can_be_exported(rated, tmp_path):
    export_ratings(rated, tmp_path, formats=["jsonl"], kind="person")
    for table in ("votes", "raters"):
        rows = lines(tmp_path / f"{table}.jsonl")
        assert {row["rater_kind"] for row in rows} == {"person"}


def test_trl_gets_decided_votes_of_people_with_the_winner_chosen(rated, tmp_path):
    path = tmp_path / "preferences.jsonl"
    number = export_preferences(rated, path)
    pairs = lines(path)
    votes = rated.votes_frame(kind="person").set_index("vote_id")
    decided = votes[votes["outcome"].isin(["left", "right"]) & (votes["purpose"] != "blind_test")]
    assert 0 < number == len(pairs) == len(decided) < len(votes)
    assert {pair["vote_id"] for pair in pairs} == set(decided.index)
    for pair in pairs:
        vote = decided.loc[pair["vote_id"]]
        a, b = rated.melodies([vote["melody_a"], vote["melody_b"]])
        left, right = (a, b) if vote["left_is_a"] else (b, a)
        chosen, rejected = (left, right) if vote["outcome"] == "left" else (right, left)
        assert pair["chosen_ids"] == encode(chosen.melody).tolist()
        assert pair["rejected_ids"] == encode(rejected.melody).tolist()
        for name in ("chosen", "rejected"):
            assert from_text(f"{pair['prompt']} {pair[name]}") == pair[f"{name}_ids"]
        assert pair["strength"] == vote["strength"]
        assert pair["rater_kind"] == "person"


def test_a_repeat_is_in_the_group_of_its_original(rated, tmp_path):
    path = tmp_path / "preferences.jsonl"
    export_preferences(rated, path, kind=None, purposes=["train", "repeat"])
    votes = rated.votes_frame().set_index("vote_id")
    pairs = lines(path)
    repeats = [p for p in pairs if votes.loc[p["vote_id"], "purpose"] == "repeat"]
    assert len(repeats) == 2
    original = rated.comparisons_frame()["comparison_id"][0]
    assert {pair["group"] for pair in repeats} == {original}
    assert {pair["rater_kind"] for pair in pairs} == {"person", "simulated"}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda store, to: export_ratings(store, to, formats=["xlsx"]), "format='xlsx'"),
        (lambda store, to: export_ratings(store, to, kind="robot"), "kind='robot'"),
        (lambda store, to: export_preferences(store, to / "x", purposes=["all"]), "purpose='all'"),
        (lambda store, to: export_ratings(store, to / "file"), "file cannot be written"),
        (lambda store, to: export_preferences(store, to), "cannot be written"),
    ],
)
def test_exports_that_are_refused(store, tmp_path, call, message):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RatingsError, match=message):
        call(store, tmp_path)
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_folder_in_the_place_of_a_file_keeps_the_export_of_before(rated, tmp_path):
    export_ratings(rated, tmp_path, formats=["csv"])
    (tmp_path / "votes.csv").unlink()
    (tmp_path / "votes.csv").mkdir()
    before = (tmp_path / "melodies.csv").stat().st_mtime_ns
    with pytest.raises(RatingsError, match=r"votes\.csv cannot be written: Is a directory"):
        export_ratings(rated, tmp_path, formats=["csv"])
    assert (tmp_path / "melodies.csv").stat().st_mtime_ns == before
    assert sorted(path.suffix for path in tmp_path.iterdir() if path.is_dir()) == [".csv"]
    with pytest.raises(RatingsError, match=r"votes\.csv cannot be written: Is a directory"):
        export_preferences(rated, tmp_path / "votes.csv", kind=None)


def test_parquet_needs_pyarrow_only_when_asked_for(rated, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "find_spec", lambda name: None)
    suffixes = {path.suffix for path in export_ratings(rated, tmp_path)}
    assert suffixes == {".csv", ".jsonl"}
    with pytest.raises(RatingsError, match="needs pyarrow; install it"):
        export_ratings(rated, tmp_path, formats=["parquet"])
