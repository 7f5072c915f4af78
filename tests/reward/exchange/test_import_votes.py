"""Ratings from files: a round trip loses nothing, bad rows are told one by one, none doubles."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path
from uuid import UUID, uuid4

import pandas as pd
import pytest

from music.tokens import ID
from reward.exchange import import_votes, table_files
from reward.exchange.export import export_ratings
from reward.exchange.import_votes import import_ratings
from reward.store.store import RatingsError, RatingsStore
from reward.store.votes import Answer

TABLES = ("melodies", "comparisons", "raters", "votes")
FORMATS = ("csv", "jsonl", "parquet")
OUTCOMES = ("left", "right", "tie", "both_bad", "skip")
COMMENTS = ('+1, "schön"\nöfter', "'tis", "'=1+1", "", "=HYPERLINK(0)", "tab\tand\rreturn")
COUNTS = {"melodies": 8, "comparisons": 7, "raters": 2, "votes": 15}


@pytest.fixture
def store(ratings_url):
    with RatingsStore(ratings_url) as opened:
        yield opened


@pytest.fixture(scope="module")
def made(tmp_path_factory, random_melodies):
    """A store with a person, a listener, every outcome, a repeat, an undone vote; its export."""
    folder = tmp_path_factory.mktemp("made")
    with RatingsStore(folder / "ratings.sqlite") as source:
        melodies = random_melodies(8)
        origin = {"policy_id": "base", "sampler": "t=1", "seed": 2**63 - 1, "step": 3}
        ids = source.add_melodies(melodies[:4], **origin)
        features = [{"leaps": 0.1 * number, "arch": -1.0} for number in range(4)]
        ids += source.add_melodies(melodies[4:], **origin, features=features)
        pairs = [(ids[n], ids[n + 1]) for n in range(4)]
        first = source.add_comparisons([*pairs, (ids[1], ids[3])], round=1)
        source.add_comparisons(
            [(ids[1], ids[0])], round=1, purpose="repeat", repeat_of=[first[0]], strategy="repeat"
        )
        source.add_comparisons([(ids[5], ids[6])], round=2, purpose="blind_test", probability=1 / 3)
        nonce = (str(number) for number in count())
        for name, kind in (("=Anna", "person"), ("robot", "simulated")):
            rater = source.add_rater(name, kind=kind)
            for number in range(7):
                pair = source.issue(rater.id)
                source.vote(
                    pair.assignment_id,
                    Answer(
                        outcome=OUTCOMES[number % 5],
                        nonce=next(nonce),
                        strength=1 + number % 2,
                        reasons=["ending", "=x"] if number else [],
                        comment=COMMENTS[number % 6],
                        heard_ms_left=number,
                        latency_ms=1000 * number,
                        renderer="simulated" if kind == "simulated" else "timgm6mb",
                    ),
                )
            if kind == "person":
                again = source.undo(rater.id)
                source.vote(again.assignment_id, Answer(outcome="left", nonce=next(nonce)))
        export_ratings(source, folder / "out", current_only=False)
        yield source, folder / "out"


@pytest.fixture
def exported(made, tmp_path):
    """A copy of the export, to damage."""
    return Path(shutil.copytree(made[1], tmp_path / "exported"))


def same(one, other, table):
    """Whether two exports of a table say the same, byte by byte where files are text."""
    for ending in ("csv", "jsonl"):
        assert (one / f"{table}.{ending}").read_bytes() == (
            other / f"{table}.{ending}"
        ).read_bytes()
    pd.testing.assert_frame_equal(
        pd.read_parquet(one / f"{table}.parquet"), pd.read_parquet(other / f"{table}.parquet")
    )


def edit(path, change):
    """Rewrite a CSV, each row changed in place."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    change(rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def refusals(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def append(path, text):
    """Add text to the end of a file."""
    path.write_text(path.read_text("utf-8") + text, "utf-8")


def only(folder, ending):
    """Leave the files of one format."""
    for path in folder.iterdir():
        if path.suffix != f".{ending}":
            path.unlink()


@pytest.mark.parametrize("ending", FORMATS)
def test_export_import_export_is_equal(store, made, exported, tmp_path, ending):
    only(exported, ending)
    done = import_ratings(store, exported / f"votes.{ending}")
    assert done.added == COUNTS
    assert done.refused_files == []
    assert set(done.duplicates.values()) == {0}
    export_ratings(store, tmp_path / "again", current_only=False)
    for table in TABLES:
        same(made[1], tmp_path / "again", table)


def test_the_same_again_is_counted_and_not_stored(store, exported, tmp_path):
    import_ratings(store, exported)
    done = import_ratings(store, exported)
    assert set(done.added.values()) == {0}
    assert done.duplicates == COUNTS
    assert done.refused_files == []
    export_ratings(store, tmp_path / "again", current_only=False)
    same(exported, tmp_path / "again", "votes")


def test_a_store_with_ratings_of_its_own_keeps_them_and_gives_new_ids(
    store, exported, made, random_melodies
):
    melodies = random_melodies(10, seed=5)[:3]
    shared = made[0].melody(1).melody
    ids = store.add_melodies([*melodies, shared], policy_id="mine", sampler="t=2", seed=1)
    store.add_comparisons([(ids[0], ids[1])], round=1)
    ben = store.add_rater("Ben")
    pair = store.issue(ben.id)
    store.vote(pair.assignment_id, Answer(outcome="right", nonce=uuid4().hex))
    before = store.votes_frame()
    done = import_ratings(store, exported)
    assert done.added == COUNTS | {"melodies": 7}
    assert done.duplicates["melodies"] == 1
    pd.testing.assert_frame_equal(store.votes_frame().iloc[:1], before)
    assert store.melody(ids[3]).policy_id == "mine", "the first origin stays"
    # what was compared and said is the same, whatever the numbers
    theirs, ours = (
        {
            row["nonce"]: (opened.melody(row["melody_a"]).melody, row["outcome_a"], row["current"])
            for row in opened.votes_frame(current_only=False).to_dict("records")
        }
        for opened in (made[0], store)
    )
    assert {nonce: ours[nonce] for nonce in theirs} == theirs
    positions = store.comparisons_frame().set_index("comparison_id")["position"]
    first = made[0].comparisons_frame()
    assert [positions[key] - 1 for key in first["comparison_id"]] == first["position"].tolist()
    # and rating goes on: what Anna has answered elsewhere does not come to her again
    raters = store.raters_frame().set_index("nickname")["rater_id"]
    assert store.issue(int(raters["=Anna"])).comparison_id == pair.comparison_id
    assert store.issue(ben.id).comparison_id in {UUID(key) for key in first["comparison_id"]}


def test_people_and_listeners_stay_apart(store, exported):
    import_ratings(store, exported)
    votes = store.votes_frame(current_only=False)
    raters = store.raters_frame().set_index("rater_id")
    assert votes["rater_kind"].value_counts().to_dict() == {"person": 8, "simulated": 7}
    assert raters.loc[votes["rater_id"], "rater_kind"].tolist() == votes["rater_kind"].tolist()


def test_a_listener_is_not_taken_for_a_person(store, exported):
    def relabel(rows):
        for row in rows:
            row["rater_kind"] = "person"

    edit(exported / "votes.csv", relabel)
    done = import_ratings(store, exported / "votes.csv")
    assert len(done.refused["votes"]) == 7
    assert "told apart" in done.refused["votes"][0].reasons[0]
    edit(exported / "raters.csv", relabel)
    done = import_ratings(store, exported / "votes.csv")
    assert "belongs to a rater of kind 'simulated'" in done.refused["raters"][0].reasons[0]
    with RatingsStore(exported / "fresh.sqlite") as fresh:
        done = import_ratings(fresh, exported / "votes.csv")
        assert {row.reasons[0] for row in done.refused["votes"]} == {
            "a simulated listener gave this vote, and it is marked as a person's"
        }
        assert fresh.counts()["votes_person"] == 7


BAD_VOTES = {
    "outcome": ("lft", "outcome='lft' is not known"),
    "nonce": ("", "nonce has length 0"),
    "strength": ("3", "strength='3' is not a whole number within 1..2"),
    "left_is_a": ("perhaps", "neither True nor False"),
    "created_at": ("yesterday", "is not a moment"),
    "issued_at": ("2026-11-22T12:00:00", "is not a moment"),
    "rater_id": ("99", "rater_id=99 is no rater"),
    "comparison_id": ("7", "is not the id of a comparison"),
    "reasons": ("ending", "is not a list in JSON"),
    "heard_ms_left": ("-1", "heard_ms_left='-1'"),
    "latency_ms": ("nan", "latency_ms='nan'"),
    "outcome_a": ("b", "one of them was changed"),
    "comment": ("x" * 2001, "comment has length 2001"),
    "vote_id": ("2.5", "vote_id='2.5'"),
}


def test_bad_rows_are_refused_one_by_one_and_the_good_are_kept(store, exported):
    only(exported, "csv")

    def damage(rows):
        for row, (name, (value, _)) in zip(rows, BAD_VOTES.items(), strict=False):
            row[name] = "a" if name == "outcome_a" and row["outcome_a"] != "a" else value

    edit(exported / "votes.csv", damage)
    done = import_ratings(store, exported / "votes.csv")
    told = refusals(exported / "votes.csv.refused.csv")
    assert done.refused_files == [exported / "votes.csv.refused.csv"]
    assert len(told) == len(BAD_VOTES) == 14
    for number, (row, (name, (_, reason))) in enumerate(
        zip(told, BAD_VOTES.items(), strict=True), start=2
    ):
        assert int(row["refused_row"]) == number
        assert reason in row["refused_because"], name
    assert done.added["votes"] == len(store.votes_frame(current_only=False)) == 1


def test_all_that_is_wrong_with_a_row_is_told_at_once(store, exported):
    edit(exported / "votes.csv", lambda rows: rows[0].update(strength="9", left_is_a="?"))
    (row,) = import_ratings(store, exported / "votes.csv").refused["votes"]
    assert len(row.reasons) == 2


def test_what_was_refused_can_be_mended_and_imported(store, made, exported, tmp_path):
    only(exported, "csv")
    edit(exported / "votes.csv", lambda rows: rows[3].update(outcome="no", comment="=cmd()"))
    import_ratings(store, exported)
    refused = exported / "votes.csv.refused.csv"
    assert refusals(refused)[0]["comment"] == "'=cmd()", "nothing that a spreadsheet runs"
    edit(refused, lambda rows: rows[0].update(outcome="both_bad"))
    done = import_ratings(store, refused)
    assert done.added["votes"] == 1
    vote = store.votes_frame(current_only=False).set_index("nonce").loc["3"]
    assert (vote["outcome"], vote["comment"]) == ("both_bad", "=cmd()")
    shutil.copy(made[1] / "votes.csv", exported)
    import_ratings(store, exported)
    assert not refused.exists(), "nothing is refused any more"


def test_a_bad_melody_takes_along_what_rests_on_it_and_nothing_else(store, exported):
    only(exported, "csv")

    def damage(rows):
        rows[0]["tokens"] = json.dumps(json.loads(rows[0]["tokens"])[:-1])
        changed = json.loads(rows[7]["tokens"])
        reel, jig = ID["STYLE_1"], ID["STYLE_2"]
        changed[3] = reel if changed[3] != reel else jig  # another style, and the old sha256
        rows[7]["tokens"] = json.dumps(changed)

    edit(exported / "melodies.csv", damage)
    done = import_ratings(store, exported)
    cut, changed = (row.reasons[0] for row in done.refused["melodies"])
    assert "no EOS" in cut
    assert "sha256" in changed
    first, repeat = (row.reasons for row in done.refused["comparisons"])
    assert first == ["melody_a=1 is no melody that came in"]
    assert repeat[0] == "melody_b=1 is no melody that came in"
    assert repeat[1].startswith("repeat_of=")
    assert done.added == {"melodies": 6, "comparisons": 5, "raters": 2, "votes": 11}
    assert len(done.refused["votes"]) == 4
    assert sorted(path.name for path in done.refused_files) == [
        f"{table}.csv.refused.csv" for table in ("comparisons", "melodies", "votes")
    ]


BAD_ROWS = [
    ("melodies", "tokens", "[1, 70000]", "whole numbers within"),
    ("melodies", "tokens", "[1, true]", "whole numbers within"),
    ("melodies", "tokens", "", "malformed"),
    ("melodies", "tonic_midi", "12", "tonic_midi=12"),
    ("melodies", "policy_id", "", "policy_id has length 0"),
    ("melodies", "seed", str(2**63), "seed="),
    ("melodies", "features", '{"leaps": NaN}', "not finite"),
    ("melodies", "features", '{"leaps": []}', "float"),
    ("comparisons", "probability", "1.5", "probability=1.5"),
    ("comparisons", "probability", "inf", "not a finite number"),
    ("comparisons", "purpose", "fun", "purpose='fun'"),
    (
        "comparisons",
        "repeat_of",
        "638e2f25-0849-45ea-9ae8-47c0fdb55276",
        "no comparison that came in",
    ),
    ("comparisons", "melody_b", "1", "paired with itself"),
    ("comparisons", "strategy", "x" * 41, "strategy has length 41"),
    ("raters", "nickname", " ", "nickname"),
    ("raters", "rater_kind", "robot", "kind='robot'"),
    ("raters", "consent_version", "", "consent_version"),
]


@pytest.mark.parametrize(("table", "name", "value", "reason"), BAD_ROWS)
def test_each_rule_of_the_other_tables(tmp_path, made, exported, table, name, value, reason):
    only(exported, "csv")
    edit(exported / f"{table}.csv", lambda rows: rows[0].update({name: value}))
    with RatingsStore(tmp_path / "one.sqlite") as store:
        done = import_ratings(store, exported)
    assert reason in "; ".join(done.refused[table][0].reasons)
    assert done.added[table] < COUNTS[table]
    assert done.added["votes"] < COUNTS["votes"] or name == "features" or table == "melodies"


@pytest.mark.parametrize(
    ("table", "name"),
    [("melodies", "melody_id"), ("comparisons", "comparison_id"), ("votes", "vote_id")],
)
def test_a_key_that_stands_twice(store, exported, table, name):
    edit(exported / f"{table}.csv", lambda rows: rows[1].update({name: rows[0][name]}))
    done = import_ratings(store, exported / "votes.csv")
    assert f"{name}=" in done.refused[table][0].reasons[0]
    assert "stands twice" in done.refused[table][0].reasons[0]


def test_a_row_copied_within_the_file_is_a_duplicate_and_a_forged_one_is_refused(store, exported):
    def copy(rows):
        rows.append(rows[2] | {"vote_id": "100"})
        rows.append(rows[1] | {"vote_id": "101", "outcome": "left", "outcome_a": ""})

    edit(exported / "votes.csv", copy)
    done = import_ratings(store, exported / "votes.csv")
    assert (done.added["votes"], done.duplicates["votes"]) == (15, 1)
    (forged,) = done.refused["votes"]
    assert "came with another vote" in forged.reasons[0]


def test_a_second_vote_on_a_comparison_must_supersede_the_first(store, exported, made, tmp_path):
    # the history in two parts: first without what was undone and voted anew later
    only(exported, "csv")
    edit(exported / "votes.csv", lambda rows: rows.pop(7))
    import_ratings(store, exported)
    before = store.votes_frame()
    export_ratings(made[0], tmp_path / "newer", formats=["csv"], current_only=True)
    done = import_ratings(store, tmp_path / "newer")
    (row,) = done.refused["votes"]
    assert "export with superseded votes" in row.reasons[0]
    pd.testing.assert_frame_equal(store.votes_frame(), before)
    done = import_ratings(store, made[1])
    assert done.added["votes"] == 1
    votes = store.votes_frame(current_only=False).set_index("nonce")
    assert votes.loc["7", "supersedes"] == votes.loc["6", "vote_id"]
    assert votes["current"].tolist().count(False) == 1


def test_an_export_without_superseded_votes_is_whole_too(store, made, tmp_path):
    export_ratings(made[0], tmp_path / "current", formats=["jsonl"])
    done = import_ratings(store, tmp_path / "current")
    assert (done.added["votes"], done.refused_files) == (14, [])
    assert store.votes_frame(current_only=False)["supersedes"].isna().all()


def test_a_plan_that_grew_comes_in_line(store, exported, made, tmp_path, random_melodies):
    def newest(rows):
        del rows[5:]

    only(exported, "csv")
    edit(exported / "comparisons.csv", newest)
    import_ratings(store, exported)
    import_ratings(store, made[1])
    pd.testing.assert_frame_equal(store.comparisons_frame(), made[0].comparisons_frame())


def test_a_line_that_is_no_json_is_one_refused_row(store, exported):
    path = exported / "votes.jsonl"
    lines = path.read_text("utf-8").splitlines()
    lines[2:4] = ['{"vote_id": 3,', "[1]", '{"nonce": "\\ud800"}']
    path.write_text("\n".join(lines) + "\n\n", "utf-8")
    done = import_ratings(store, path)
    assert [row.number for row in done.refused["votes"]] == [3, 4, 5]
    assert done.added["votes"] == 13
    assert [row["refused_row"] for row in refusals(done.refused_files[0])] == ["3", "4", "5"]


def test_spreadsheets_write_numbers_and_truth_in_their_way(store, exported, tmp_path):
    def saved(rows):
        for row in rows:
            row["left_is_a"] = row["left_is_a"].upper()
            row["rater_id"] += ".0"

    edit(exported / "votes.csv", saved)
    text = (exported / "votes.csv").read_bytes()
    (exported / "votes.csv").write_bytes(b"\xef\xbb\xbf" + text)  # the mark of 'CSV UTF-8'
    assert import_ratings(store, exported / "votes.csv").added == COUNTS


def test_a_csv_row_of_another_length(store, exported):
    path = exported / "votes.csv"
    with path.open("a", encoding="utf-8") as file:
        file.write("1,2,3\n\n")
    (row,) = import_ratings(store, path).refused["votes"]
    assert "3 cells" in row.reasons[0]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda out: (out / "melodies.csv").unlink(), r"melodies\.csv is not there"),
        (lambda out: (out / "votes.csv").write_bytes(b"caf\xe9\n"), "not UTF-8 at byte 3"),
        (lambda out: (out / "votes.csv").write_text("a;b\n1;2\n"), "no column 'vote_id'"),
        (lambda out: append(out / "votes.csv", '"1,2\n'), "close its quotes"),
        (lambda out: (out / "votes.csv").write_text(""), "no column 'vote_id'"),
    ],
    ids=["a table is gone", "another encoding", "semicolons", "an open quote", "empty"],
)
def test_files_that_are_refused_whole(store, exported, damage, message):
    only(exported, "csv")
    damage(exported)
    with pytest.raises(RatingsError, match=message):
        import_ratings(store, exported)
    assert set(store.counts().values()) == {0}


def test_other_files_are_refused(store, exported, tmp_path, monkeypatch):
    (exported / "votes.parquet").write_bytes(b"PAR1")
    with pytest.raises(RatingsError, match="is no Parquet file"):
        import_ratings(store, exported / "votes.parquet")
    with pytest.raises(RatingsError, match=r"does not end in \.csv"):
        import_ratings(store, exported / "votes.xlsx")
    with pytest.raises(RatingsError, match="is not there"):
        import_ratings(store, tmp_path / "nowhere" / "votes.csv")
    monkeypatch.setattr(table_files, "find_spec", lambda name: None)
    with pytest.raises(RatingsError, match="needs pyarrow"):
        import_ratings(store, exported / "votes.parquet")


def test_what_fails_half_way_stores_nothing(store, exported, monkeypatch):
    def fail(*_):
        raise OSError("the disk is gone")

    monkeypatch.setattr(import_votes, "store_votes", fail)
    with pytest.raises(OSError, match="gone"):
        import_ratings(store, exported)
    assert set(store.counts().values()) == {0}


KILLED = """
import os, signal, sys
from reward.exchange import import_votes
from reward.store.store import RatingsStore

stored = import_votes.store_votes
def then_die(*arguments):
    assert stored(*arguments) == 15
    os.kill(os.getpid(), signal.SIGKILL)

import_votes.store_votes = then_die
import_votes.import_ratings(RatingsStore(sys.argv[1]), sys.argv[2])
"""


def test_kill_9_half_way_stores_nothing_and_the_next_import_all(store, exported, ratings_url):
    done = subprocess.run(
        [sys.executable, "-c", KILLED, ratings_url, exported],
        cwd=Path(import_votes.__file__).parents[1],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert set(store.counts().values()) == {0}
    assert import_ratings(store, exported).added == COUNTS


# What spreadsheets make of a CSV


@pytest.mark.parametrize("delimiter", [";", "\t", ","])
def test_a_csv_that_a_spreadsheet_saved_is_read(store, made, exported, delimiter):
    only(exported, "csv")
    for path in exported.iterdir():
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
        if path.stem == "comparisons" and delimiter == ";":
            column = rows[0].index("probability")
            for row in rows[1:]:  # a decimal comma, as where cells are separated by semicolons
                row[column] = row[column].replace(".", ",")
        path.unlink()
        saved = path.with_name(f"{path.stem.upper()}.Csv")
        with saved.open("w", encoding="utf-8-sig", newline="") as file:
            csv.writer(file, delimiter=delimiter).writerows(rows)
    done = import_ratings(store, exported)
    assert done.added == COUNTS
    assert not any(done.refused.values())
    probability = store.comparisons_frame()["probability"].dropna().tolist()
    assert probability == made[0].comparisons_frame()["probability"].dropna().tolist() != []


@pytest.mark.parametrize("name", ["votes.CSV", "votes.Jsonl", "votes.PARQUET"])
def test_the_ending_of_a_file_may_be_in_capitals(store, exported, name):
    stem, ending = name.split(".")
    only(exported, ending.lower())
    (exported / f"{stem}.{ending.lower()}").rename(exported / name)
    assert import_ratings(store, exported / name).added == COUNTS
