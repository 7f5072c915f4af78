"""`tastemaker ratings`: export, import and stats as a person calls them."""

import csv
import json
import re

import numpy as np
import pytest
from click.testing import CliRunner

from reward.comparisons.rater_statistics import ratings_statistics
from reward.pairs.random_pairs import random_pairs
from reward.store.store import RatingsError, RatingsStore
from reward.store.votes import Answer
from tastemaker.__main__ import cli
from tests.support.project import PROJECT


@pytest.fixture
def type_in(tmp_path, monkeypatch):
    """Calls a command in an empty folder; what it printed to stdout."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TASTEMAKER_DATABASE", raising=False)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*words):
        done = CliRunner().invoke(cli, [str(word) for word in words])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done.stdout

    return call


@pytest.fixture
def rated(tmp_path, random_melodies):
    """Anna and Ben, who differ on one pair of four, Cleo who only skips, and a robot."""
    path = tmp_path / "rated.sqlite"
    says = {
        ("[Anna]", "person"): "aaba",
        ("Ben", "person"): "aaat",
        ("Cleo", "person"): "ssss",
        ("robot", "simulated"): "bbbb",
    }
    with RatingsStore(path) as store:
        ids = store.add_melodies(random_melodies(8), policy_id="base", sampler="t=1", seed=1)
        pairs = [(ids[2 * n], ids[2 * n + 1]) for n in range(4)]
        plan = store.add_comparisons(pairs[:3], round=1)
        plan += store.add_comparisons(pairs[3:], round=1, purpose="trap")
        for (name, kind), words in says.items():
            rater = store.add_rater(name, kind=kind)
            for place in range(4):
                pair = store.issue(rater.id)
                word = words[plan.index(pair.comparison_id)]
                a_left = pair.left.id < pair.right.id
                decided = "left" if (word == "a") == a_left else "right"
                store.vote(
                    pair.assignment_id,
                    Answer(
                        outcome={"t": "tie", "s": "skip"}.get(word, decided),
                        nonce=f"{name}{place}",
                        latency_ms=4000,
                    ),
                )
    return path


@pytest.mark.slow
def test_out_and_in_again(type_in, rated, tmp_path):
    said = type_in("ratings", "export", "--database", rated)
    assert "ratings/votes.csv" in said
    assert "next, elsewhere: tastemaker ratings import ratings" in said
    said = type_in("ratings", "import", "ratings", "--database", "other.sqlite")
    assert "votes: 16 added, 0 there already, 0 refused" in said
    said = type_in("ratings", "import", "ratings/votes.parquet", "--database", "other.sqlite")
    assert "votes: 0 added, 16 there already, 0 refused" in said
    with RatingsStore(rated) as one, RatingsStore(tmp_path / "other.sqlite") as other:
        assert ratings_statistics(one) == ratings_statistics(other)


def test_a_bad_row_is_told_with_what_to_do(type_in, rated, tmp_path):
    type_in("ratings", "export", "--database", rated, "--format", "csv", "--out", "out")
    path = tmp_path / "out" / "votes.csv"
    path.write_bytes(path.read_bytes().replace(b",tie,", b",tied,", 1))
    said = type_in("ratings", "import", "out", "--database", "other.sqlite")
    assert "votes: 15 added, 0 there already, 1 refused" in said
    assert "outcome='tied' is not known" in said
    assert "wrote out/votes.csv.refused.csv" in said
    assert said.endswith(
        "mend these rows in their tables   next: tastemaker ratings import out "
        "--database other.sqlite\n"
    )


def test_people_only_and_superseded(type_in, rated, tmp_path):
    with RatingsStore(rated) as store:
        anna = store.raters_frame()["rater_id"][0]
        pair = store.undo(int(anna))
        store.vote(pair.assignment_id, Answer(outcome="tie", nonce="again"))

    def kinds(*words):
        type_in("ratings", "export", "--database", rated, "--format", "csv", *words)
        with (tmp_path / "ratings" / "votes.csv").open(encoding="utf-8", newline="") as file:
            return [row["rater_kind"] for row in csv.DictReader(file)]

    assert kinds("--votes-of", "person") == ["person"] * 12
    assert sorted(set(kinds())) == ["person", "simulated"]
    assert len(kinds("--superseded", "--votes-of", "both")) == 17


def test_pairs_for_trl_are_never_mixed_unasked(type_in, rated, tmp_path):
    words = ("ratings", "export", "--database", rated, "--format", "trl")
    with pytest.raises(RatingsError, match="not mixed unasked; choose with --votes-of"):
        type_in(*words)
    assert not (tmp_path / "ratings").exists()
    said = type_in(*words, "--votes-of", "person")
    assert said.startswith("6 pairs: ratings/preferences.jsonl")
    assert (PROJECT / re.search(r"next: .*: (\S+)$", said.strip())[1]).is_file()
    assert type_in(*words, "--votes-of", "simulated").startswith("3 pairs")
    assert type_in(*words, "--votes-of", "both").startswith("9 pairs")
    assert sorted(path.name for path in (tmp_path / "ratings").iterdir()) == ["preferences.jsonl"]
    from datasets import Dataset  # here, because it takes seconds

    with (tmp_path / "ratings" / "preferences.jsonl").open(encoding="utf-8") as file:
        trl = Dataset.from_list([json.loads(line) for line in file])
    assert trl.column_names[:2] == ["chosen_ids", "rejected_ids"]
    assert all(row["chosen_ids"][0] == row["rejected_ids"][0] == 1 for row in trl)  # BOS


def test_an_export_without_a_decided_vote_leads_to_the_studio(type_in, tmp_path, random_melodies):
    with RatingsStore(tmp_path / "ties.sqlite") as store:
        ids = store.add_melodies(random_melodies(2), policy_id="base", sampler="t=1", seed=1)
        store.add_comparisons([(ids[0], ids[1])], round=1)
        pair = store.issue(store.add_rater("Anna").id)
        store.vote(pair.assignment_id, Answer(outcome="tie", nonce="one", latency_ms=4000))
    said = type_in("ratings", "export", "--database", "ties.sqlite", "--format", "trl")
    step = "tastemaker studio --database ties.sqlite"
    assert said.strip() == f"0 pairs: ratings/preferences.jsonl   next: {step}"


def test_stats_in_json(type_in, rated):
    found = json.loads(type_in("ratings", "stats", "--database", rated, "--json"))
    anna, ben, cleo, robot = found["raters"]
    assert (anna["nickname"], anna["votes"], anna["ties"]) == ("[Anna]", 4, 0)
    assert (ben["ties"], cleo["skips"], robot["kind"]) == (1, 4, "simulated")
    # on three pairs that both decided, they differ on one; the robot is not among the others
    for rater in (anna, ben):
        assert rater["agreement_with_others"]["share"] == pytest.approx(2 / 3)
        assert rater["agreement_with_others"]["count"] == 3
        assert rater["median_seconds"] == 4.0
    assert cleo["left"] is cleo["reliability"] is robot["agreement_with_others"] is None
    assert [r["traps_passed"] and r["traps_passed"]["share"] for r in found["raters"]] == [
        1.0, 0.0, None, 0.0,
    ]  # fmt: skip
    people, listeners = found["kinds"]
    assert (people["kind"], people["raters"], people["votes"], people["ties"]) == (
        "person",
        3,
        12,
        1,
    )
    assert people["alpha_nominal"]["units"] == 4
    assert listeners["alpha_nominal"] is None
    assert found["counts"]["votes_person"] == 12


def test_stats_as_a_table(type_in, rated):
    lines = type_in("ratings", "stats", "--database", rated).splitlines()
    assert lines[0].split()[:4] == ["rater", "kind", "votes", "ties"]
    assert lines[1].startswith("[Anna]")
    assert "0.67 [0.21, 0.94]" in lines[1]
    assert any(line.startswith("simulated: 4 votes of 1 rater(s), 0 ties, left") for line in lines)


def test_stats_flag_who_presses_left(type_in, tmp_path, random_melodies):
    with RatingsStore(tmp_path / "left.sqlite") as store:
        ids = store.add_melodies(random_melodies(12), policy_id="base", sampler="t=1", seed=1)
        store.add_comparisons(random_pairs(ids, 30, np.random.default_rng(0)), round=1)
        rater = store.add_rater("Lefty")
        while pair := store.issue(rater.id):
            store.vote(pair.assignment_id, Answer(outcome="left", nonce=str(pair.votes_cast)))
    assert "always left" in type_in("ratings", "stats", "--database", "left.sqlite")


def test_stats_of_an_empty_store(type_in, tmp_path):
    RatingsStore(tmp_path / "empty.sqlite").close()
    said = type_in("ratings", "stats", "--database", "empty.sqlite")
    assert said == "0 melodies, 0 comparisons, 0 votes undone   chance 0.50\n"
    with pytest.raises(RatingsError, match="no votes yet"):
        type_in("ratings", "export", "--database", "empty.sqlite", "--format", "trl")


@pytest.mark.parametrize("command", ["export", "stats"])
def test_where_there_are_no_ratings_nothing_is_made(type_in, tmp_path, command):
    with pytest.raises(RatingsError, match="there are no ratings yet"):
        type_in("ratings", command)
    assert list(tmp_path.iterdir()) == []


def test_limits_of_an_import_are_told_in_a_line_and_can_be_raised(type_in, rated, tmp_path):
    type_in("ratings", "export", "--database", rated, "--format", "csv")
    words = ("ratings", "import", "ratings", "--database", "other.sqlite")
    with pytest.raises(RatingsError, match=r"votes\.csv has more than 15 rows; .*--max-rows 60"):
        type_in(*words, "--max-rows", 15)
    said = type_in(*words, "--max-rows", 60, "--max-mib", 1)
    assert "votes: 16 added, 0 there already, 0 refused" in said
    with (tmp_path / "ratings/votes.csv").open("ab") as file:
        file.truncate(3 * 2**20)
    with pytest.raises(RatingsError, match=r"has 3 MiB, and 2 MiB is the most; .*--max-mib 3\)"):
        type_in(*words, "--max-mib", 2)
