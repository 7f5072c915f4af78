"""Nicknames that look alike, or mix scripts."""

import unicodedata

import pytest

from reward.store.nicknames import check_readable, skeleton
from reward.store.store import RatingsError, RatingsStore

CYRILLIC_APE = "\u0430\u0440\u0435"
CYRILLIC_AN = "\u0430"


@pytest.fixture
def store(ratings_url):
    with RatingsStore(ratings_url) as store:
        yield store


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Anna", "ANNA"),
        ("Anna", "anna "),
        ("Ida", "lda"),
        ("bill", "b1ll"),
        ("Bob", "B0b"),
        ("mary", "rnary"),
        ("ape", CYRILLIC_APE),
        ("Ada", "Ada\ufe0f"),  # a variation selector, which prints as nothing
        ("Ada", "Ad\u034fa"),
        ("Ada", "\uff21da"),  # full width
        ("Stra\u00dfe", "strasse"),
        ("a-b", "a\u2010b"),
        ("Zoë", unicodedata.normalize("NFD", "Zoë")),
    ],
)
def test_a_newcomer_does_not_take_a_name_that_looks_like_one(store, one, other):
    store.add_rater(one)
    with pytest.raises(RatingsError, match="is taken"):
        store.add_rater(other)
    assert store.counts()["raters_person"] == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [("Anna", "Hanna"), ("Zoë", "Zoe"), ("rater 1", "rater 2"), ("\u674e", "\u674e\u4e00")],
)
def test_names_that_can_be_told_apart_may_both_be(store, one, other):
    store.add_rater(one)
    assert store.add_rater(other).nickname == other


@pytest.mark.parametrize("mixed", [f"{CYRILLIC_AN}nna", "\u0391nna", f"{CYRILLIC_AN}\u03b1"])
def test_scripts_are_not_mixed(store, mixed):
    with pytest.raises(RatingsError, match="in one alphabet"):
        store.add_rater(mixed)


@pytest.mark.parametrize(
    "nickname",
    [
        "Łódź 2",
        "Анна",
        "Ζωή",
        "李Li",
        "ゆきユキ雪",
        "김 Kim",
        "مريم",
        "🎻",
        "x²",
        "O'Brien-Å",
        "ʻOkina",
    ],
)
def test_one_script_is_fine(nickname):
    check_readable(nickname)
    assert skeleton(nickname)


def test_a_name_of_nothing_to_see_is_none(store):
    with pytest.raises(RatingsError, match="nothing that can be seen"):
        store.add_rater("\u3164")


def test_raters_who_come_with_data_keep_names_that_look_alike(store):
    one, other = store.rater_named("Anna"), store.rater_named("anna")
    listener = store.rater_named("anna 1", kind="simulated")
    assert len({one.id, other.id, listener.id}) == 3
    assert store.rater_named("anna").id == other.id
    with pytest.raises(RatingsError, match="is taken"):
        store.add_rater("ANNA")
