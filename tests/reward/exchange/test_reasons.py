"""Reasons that raters gave reach what learns, from a database of 0.1.0 and from its exports."""

import shutil
from collections import Counter

import pytest

from reward.comparisons.preferences import Preferences
from reward.exchange.import_votes import import_ratings
from reward.store.store import RatingsStore
from tests.support.project import PROJECT

EARLIER = PROJECT / "tests" / "data" / "v0_1_0"


def reasons(store: RatingsStore) -> Counter[tuple[str, ...]]:
    """How many comparisons have which reasons."""
    votes = store.votes_frame(current_only=False)
    items = sorted({*votes["melody_a"], *votes["melody_b"]})
    found = Preferences.from_votes(votes, items)
    return Counter(
        tuple(name for name, given in zip(found.reason_names, row, strict=True) if given)
        for row in found.reasons
    )


@pytest.fixture(scope="module")
def of_earlier(tmp_path_factory):
    """What the database of 0.1.0 has."""
    copy = tmp_path_factory.mktemp("earlier") / "ratings.sqlite"
    shutil.copy(EARLIER / "ratings.sqlite", copy)
    with RatingsStore(copy) as store:
        return reasons(store)


def test_a_database_of_an_earlier_version_has_its_reasons(of_earlier):
    assert of_earlier["rhythm", "ending"] > 0
    assert set(of_earlier) == {(), ("rhythm", "ending")}


@pytest.mark.parametrize("kind", ["csv", "jsonl", pytest.param("parquet", marks=pytest.mark.slow)])
def test_an_export_of_an_earlier_version_has_its_reasons(of_earlier, kind, tmp_path):
    folder = tmp_path / "export"
    folder.mkdir()
    for file in (EARLIER / "export").glob(f"*.{kind}"):
        shutil.copy(file, folder / file.name)
    with RatingsStore(tmp_path / "new.sqlite") as store:
        import_ratings(store, folder / f"votes.{kind}")
        assert reasons(store) == of_earlier
