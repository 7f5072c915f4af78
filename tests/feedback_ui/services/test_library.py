"""The library: search, order, and which melodies' authors a rater may see."""

import hashlib
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from threading import Event

import pytest
from streamlit.testing.v1 import AppTest

from feedback_ui.services.corpora.policies import PolicyCorpora
from feedback_ui.services.downloads import melody_files, name_of
from feedback_ui.services.library import PAGE_SIZE, MelodyLibrary, Visitor
from feedback_ui.services.library_query import LibraryQuery
from feedback_ui.services.pool_cache import CODE_DIGITS, PoolCache
from feedback_ui.services.profiles import LEAST_VOTES, LearntTastes
from feedback_ui.services.reference_corpus import RealTunes, ReferenceCorpora
from music.corpora.catalogue import open_corpus
from music.corpora.corpus import load_corpus
from music.formats.notation import read_melody, to_abc
from music.melody import Header, Melody, Note
from reward.store.campaigns import Policies, create_campaign, reveal_campaign
from reward.store.pool import PlannedPair, tokens_to_bytes
from reward.store.store import RatingsError, RatingsStore
from reward.store.votes import Answer
from tests.support.project import PROJECT
from tests.support.small_corpus import make_corpus

ORGANISER = Visitor(None, organiser=True)
COLD_IMPORT_S = 90
NOW = datetime(2026, 11, 23, tzinfo=UTC)
PAGE = PROJECT / "feedback_ui" / "app_pages" / "library.py"


@pytest.fixture(scope="session")
def strains():
    return load_corpus("test")


@pytest.fixture(scope="session")
def real_tunes(strains):
    """A small corpus of real tunes, so that no test waits for all of them."""
    return RealTunes(load_corpus("validation"), strains[:100])


@pytest.fixture
def store(ratings_url, new_database):
    if "://" not in ratings_url:
        shutil.copy(new_database, ratings_url)
    with RatingsStore(ratings_url) as store:
        yield store


@pytest.fixture
def pool(strains):
    return [strain.melody for strain in strains[::8][:40]]


@pytest.fixture
def ids(store, pool):
    """Twenty melodies of each of two policies."""
    first = store.add_melodies(pool[:20], policy_id="policy-one", sampler="t-one", seed=1)
    second = store.add_melodies(pool[20:], policy_id="policy-two", sampler="t-two", seed=2)
    return first + second


def library_of(store, real_tunes):
    melodies = PoolCache(store)
    references = ReferenceCorpora(lambda _: PolicyCorpora(), lambda _: real_tunes())
    return MelodyLibrary(store, melodies, LearntTastes(store, melodies), references)


@pytest.fixture
def library(store, ids, real_tunes):
    return library_of(store, lambda: real_tunes)


@pytest.fixture
def ada(store):
    return store.add_rater("Ada")


def code_of(melody: Melody) -> str:
    return hashlib.sha256(tokens_to_bytes(melody)).hexdigest()[:CODE_DIGITS]


def rate(store, rater, outcomes=(), *, prefer=None):
    """Answer that many pairs; `prefer` says, given the melody ids, whether the left is better."""
    for place, outcome in enumerate(outcomes):
        pair = store.issue(rater.id)
        if prefer is not None:
            outcome = "left" if prefer(pair.left.id) > prefer(pair.right.id) else "right"
        nonce = f"nonce-{rater.id}-{place}-{pair.assignment_id.hex[:12]}"
        store.vote(pair.assignment_id, Answer(outcome=outcome, nonce=nonce))


def found(library, visitor, **query):
    """Codes of the melodies on all pages."""
    codes, page = [], 1
    while True:
        answer = library.find(LibraryQuery(page=page, **query), visitor)
        codes += [item.code for item in answer.melodies]
        if page == answer.pages:
            return codes
        page += 1


# Finding


def test_every_melody_stands_on_one_page_newest_first(library, pool):
    codes = found(library, ORGANISER)
    assert codes == [code_of(melody) for melody in pool][::-1]
    first = library.find(LibraryQuery(), ORGANISER)
    assert (len(first.melodies), first.total, first.pages) == (PAGE_SIZE, 40, 4)
    assert library.find(LibraryQuery(page=99), ORGANISER).page == 4, "beyond the end is the end"


@pytest.mark.parametrize("name", ["meter", "mode", "style", "bars"])
def test_a_filter_leaves_what_it_names_and_all_of_it(library, pool, name):
    values = {str(getattr(melody.header, name)) for melody in pool}
    shares = [set(found(library, ORGANISER, **{name: value})) for value in values]
    assert len(values) > 1
    assert sum(map(len, shares)) == len(set().union(*shares)) == 40
    for value, share in zip(values, shares, strict=True):
        expected = {code_of(m) for m in pool if str(getattr(m.header, name)) == value}
        assert share == expected


def test_filters_offer_what_the_library_holds_and_no_more(library, store, ids, pool):
    header = Header("7/8", "lydian", "slow air", 5, 0)
    seven = Melody(header, tuple(Note(84 * bar, 84, bar % 3) for bar in range(5)))
    hidden = Melody(replace(header, style="sealed style"), seven.notes[1:])
    store.add_melodies([seven], policy_id="policy-two", sampler="t", seed=3)
    sealed = store.add_melodies([hidden], policy_id="policy-two", sampler="t", seed=4)
    policies = Policies(a="one", b="two", a_id="policy-one", b_id="policy-two")
    with store.writing() as session:
        made = create_campaign(
            session, "t", purpose="blind_test", votes_wanted=9, policies=policies, now=NOW
        )
    plan = [PlannedPair(ids[0], sealed[0], "blind_test")]
    store.add_plan(plan, round=1, strategy="blind", campaign_id=made.id)
    offered = library.choices(ORGANISER)
    seen = [melody.header for melody in (*pool[1:], seven)]
    assert set(offered.meters) == {header.meter for header in seen}
    assert set(offered.styles) == {header.style for header in seen}
    assert "slow air" in offered.styles
    assert set(offered.modes) == {header.mode for header in seen}
    assert list(offered.bars) == sorted({header.bars for header in seen})
    assert found(library, ORGANISER, style="slow air", bars="5") == [code_of(seven)]


def test_an_address_of_0_1_0_filters_by_style(library, pool):
    query = LibraryQuery.from_params({"type": "jig"})
    assert query == LibraryQuery(style="jig")
    assert query.params() == {"style": "jig"}
    assert LibraryQuery.from_params({"type": "jig", "style": "reel"}).style == "reel"


def test_a_search_finds_by_notes_and_by_number(library, pool):
    melody = pool[7]
    assert found(library, ORGANISER, q=f"#{code_of(melody)[:8].upper()}") == [code_of(melody)]
    key, music = to_abc(melody).split("K:")[1].split("\n", 1)
    snippet = f"K:{key} {music.splitlines()[0]}"
    assert code_of(melody) in found(library, ORGANISER, q=snippet)
    assert found(library, ORGANISER, q="+11 -13 +17") == []
    answer = library.find(LibraryQuery(q="<script>"), ORGANISER)
    assert (answer.total, "no notes to look for" in answer.trouble) == (40, True)


def test_newer_melodies_join_the_list(library, store, strains):
    assert len(found(library, ORGANISER)) == 40
    fresh = strains[50].melody
    store.add_melodies([fresh], policy_id="policy-three", sampler="t", seed=3)
    assert found(library, ORGANISER)[0] == code_of(fresh)


def test_a_page_decodes_what_it_shows_and_a_search_the_rest(library):
    def decoded():
        return sum("melody" in vars(entry) for entry in library._melodies.pool().entries)

    library.choices(ORGANISER)
    first = library.find(LibraryQuery(meter="6/8", bars="8"), ORGANISER)
    assert 0 < decoded() == len(first.melodies) < 40
    library.find(LibraryQuery(q="+2"), ORGANISER)
    assert decoded() == 40


def test_who_only_looks_does_not_wait_for_who_measures(store, ids, real_tunes):
    measures, goes_on = Event(), Event()

    def slow_tunes():
        measures.set()
        assert goes_on.wait(60)
        return real_tunes

    library = library_of(store, slow_tunes)
    with ThreadPoolExecutor() as threads:
        slow = threads.submit(library.find, LibraryQuery(sort="original"), ORGANISER)
        assert measures.wait(60)
        assert library.find(LibraryQuery(), ORGANISER).total == 40
        assert not slow.done()
        goes_on.set()
        assert slow.result(60).total == 40


def test_an_empty_pool_is_an_empty_page(store, real_tunes):
    library = library_of(store, lambda: real_tunes)
    answer = library.find(LibraryQuery(q="+2"), ORGANISER)
    assert (answer.melodies, answer.total, answer.pages, answer.pool) == ((), 0, 1, 0)


# What is mine


def test_favourites_and_what_i_liked(library, store, ids, pool, ada):
    store.add_comparisons([(ids[0], ids[1]), (ids[0], ids[2])], round=1)
    rate(store, ada, "xx", prefer=lambda melody_id: -melody_id)  # the older is better
    visitor = Visitor(ada.id, organiser=False)
    codes = [code_of(melody) for melody in pool]
    assert found(library, visitor, sort="votes")[0] == codes[0]
    assert set(found(library, visitor, sort="votes")[-2:]) != set(codes[1:3])
    assert found(library, visitor, mine="liked") == [codes[0]]
    assert set(found(library, visitor, mine="rated")) == set(codes[:3])
    assert set(found(library, visitor, mine="unrated")) == set(codes[3:])
    item = library.melody(codes[0], visitor)
    assert (item.verdicts.preferred, item.verdicts.heard) == (2, 2)

    library.keep(codes[5], ada.id, kept=True)
    assert found(library, visitor, mine="favourites") == [codes[5]]
    assert library.melody(codes[5], visitor).favourite
    library.keep(codes[5], ada.id, kept=False)
    assert found(library, visitor, mine="favourites") == []
    with pytest.raises(RatingsError, match="no melody #nowhere"):
        library.keep("nowhere", ada.id, kept=True)


def test_the_groups_taste_orders_the_library_once_it_is_known(library, store, ids, pool, ada):
    store.add_comparisons([(a, b) for a in ids[:8] for b in ids[20:28] if a != b], round=1)
    answer = library.find(LibraryQuery(sort="score"), ORGANISER)
    assert f"it needs {LEAST_VOTES} answers" in answer.trouble
    # Ada likes many notes.
    notes = {melody_id: len(melody.notes) for melody_id, melody in zip(ids, pool, strict=True)}
    rate(store, ada, "x" * 60, prefer=notes.__getitem__)
    answer = library.find(LibraryQuery(sort="score"), ORGANISER)
    assert answer.trouble == ""
    order = found(library, ORGANISER, sort="score")
    count = {code_of(melody): len(melody.notes) for melody in pool}
    top, bottom = (sum(count[code] for code in part) for part in (order[:10], order[-10:]))
    assert top > 1.3 * bottom
    best, worst = (library.group_score(library.melody(order[at], ORGANISER)) for at in (0, -1))
    assert best[0] > 0 > worst[0]
    assert best[1] > 0.9
    assert worst[1] == 0


def test_the_most_original_come_first(store, strains, real_tunes):
    copied = load_corpus("validation")[0].melody
    fresh = strains[3].melody
    store.add_melodies([copied, fresh], policy_id="p", sampler="t", seed=1)
    library = library_of(store, lambda: real_tunes)
    assert found(library, ORGANISER, sort="original") == [code_of(fresh), code_of(copied)]
    store.add_melodies([load_corpus("validation")[1].melody], policy_id="p", sampler="t", seed=1)
    assert found(library, ORGANISER, sort="original")[0] == code_of(fresh)


# Blinding


def origins(library, visitor):
    codes = found(library, visitor)
    return {code: library.melody(code, visitor).origin for code in codes}


def test_a_rater_learns_who_wrote_what_they_have_answered_and_no_more(
    library, store, ids, pool, ada
):
    visitor = Visitor(ada.id, organiser=False)
    codes = [code_of(melody) for melody in pool]
    assert not any(origins(library, visitor).values()), "nothing is rated: nothing is told"
    assert library.choices(visitor).policies == ()

    # Melodies 0 and 1 are in an answered pair, but 1 is also in a pair that waits.
    store.add_comparisons([(ids[0], ids[1])], round=1)
    rate(store, ada, ["left"])
    told = origins(library, visitor)
    assert {code for code, origin in told.items() if origin} == set(codes[:2])
    assert told[codes[0]].policy_id == "policy-one"
    store.add_comparisons([(ids[1], ids[30])], round=2)
    told = origins(library, visitor)
    assert {code for code, origin in told.items() if origin} == {codes[0]}
    assert library.choices(visitor) == replace(
        library.choices(visitor), policies=("policy-one",), rounds=(1,)
    )

    rate(store, ada, ["right"])
    assert {code for code, origin in origins(library, visitor).items() if origin} == {
        *codes[:2],
        codes[30],
    }
    assert library.choices(visitor).policies == ("policy-one", "policy-two")


@pytest.mark.slow
def test_melodies_of_a_blind_test_come_to_nobody_until_it_is_revealed(
    library, store, ids, pool, ada
):
    policies = Policies(a="one", b="two", a_id="policy-one", b_id="policy-two")
    codes = [code_of(melody) for melody in pool]
    in_test, visitor = {codes[0], codes[30], codes[1], codes[31]}, Visitor(ada.id, organiser=False)
    library.keep(codes[0], ada.id, kept=True)
    store.add_comparisons([(a, b) for a in ids[2:12] for b in ids[22:30]], round=1)
    rate(store, ada, "x" * 60, prefer=lambda melody_id: melody_id)
    assert set(found(library, visitor)) == set(codes), "before the test all are there"
    with store.writing() as session:
        made = create_campaign(
            session, "t", purpose="blind_test", votes_wanted=9, policies=policies, now=NOW
        )
    plan = [PlannedPair(ids[a], ids[b], "blind_test") for a, b in ((0, 30), (1, 31))]
    store.add_plan(plan, round=1, campaign_id=made.id)
    blind = store.issue(ada.id, purposes=["blind_test"])
    store.vote(blind.assignment_id, Answer(outcome="left", nonce="blind"))
    searches = [
        {}, {"q": f"#{codes[0][:8]}"}, {"q": "+2"}, {"q": f"id {ids[0]}"}, {"sort": "score"},
        {"sort": "original"}, {"mine": "favourites"}, {"mine": "rated"}, {"policy": "policy-one"},
    ]  # fmt: skip
    for who in (visitor, Visitor(ada.id, organiser=True), ORGANISER):
        for query in searches:
            if "mine" in query and who.rater_id is None:
                continue
            assert not set(found(library, who, **query)) & in_test, query
        assert library.melody(codes[0], who) is None
        answer = library.find(LibraryQuery(), who)
        assert (answer.total, answer.pool, answer.sealed) == (36, 36, 4)
    with pytest.raises(RatingsError, match="there is no melody"):
        library.keep(codes[1], ada.id, kept=True)
    assert not {ids[0], ids[30]} & {*library._tastes.pool().ids}, "nor are they scored"
    with store.writing() as session:
        reveal_campaign(session, made.id, now=NOW)
    assert set(found(library, visitor)) == set(codes)
    assert found(library, visitor, mine="favourites") == [codes[0]]
    told = origins(library, visitor)
    heard = {codes[ids.index(melody.id)] for melody in (blind.left, blind.right)}
    assert {code for code in in_test if told[code]} == heard
    assert library.group_score(library.melody(codes[0], ORGANISER)) is not None


def test_an_organiser_who_rates_is_blind_to_what_waits(library, store, ids, pool, ada):
    store.add_comparisons([(ids[0], ids[30])], round=1)
    told = origins(library, Visitor(ada.id, organiser=True))
    waiting = {code_of(pool[0]), code_of(pool[30])}
    assert {code for code, origin in told.items() if origin is None} == waiting


def test_no_filter_order_or_number_gives_away_who_wrote_it(library, store, ids, pool, ada):
    pairs = list(zip(ids[:20], ids[20:], strict=True))
    store.add_comparisons(pairs[:10], round=1)
    store.add_comparisons(pairs[10:], round=2)
    visitor = Visitor(ada.id, organiser=False)
    rate(store, ada, ["left"] * 4)
    rated = {code_of(pool[at]) for at in (*range(4), *range(20, 24))}
    # A filter on hidden origins never finds a melody whose origin is hidden.
    for query in ({"policy": "policy-one"}, {"policy": "policy-two"}, {"round": "1"}):
        assert set(found(library, visitor, **query)) <= rated
    assert found(library, visitor, round="2") == []
    for melody_id in ids:
        assert set(found(library, visitor, q=f"id {melody_id}")) <= rated
    # In every order, melodies with a hidden origin come last, sorted by their codes.
    for sort in ("newest", "votes", "score", "original"):
        rest = [code for code in found(library, visitor, sort=sort) if code not in rated]
        assert rest == sorted(rest)
        assert found(library, visitor, sort=sort)[8:] == rest
    waiting = library.melody(code_of(pool[30]), visitor)
    assert library.group_score(waiting) is None
    assert not re.search(r"policy|t-two", repr(waiting))


def test_a_style_of_ones_own_does_not_tell_who_wrote_a_melody(store, real_tunes, strains, ada):
    melodies = [
        replace(strain.melody, header=replace(strain.melody.header, style=style))
        for strain, style in zip(strains[:2], ("reel", "slow air"), strict=True)
    ]
    store.add_melodies(melodies, policy_id="policy-one", sampler="t", seed=1)
    library = library_of(store, lambda: real_tunes)
    visitor = Visitor(ada.id, organiser=False)
    codes = found(library, ORGANISER)[::-1]
    assert [library.melody(code, ORGANISER).melody.header.style for code in codes] == [
        "reel",
        "slow air",
    ]
    assert [library.melody(code, visitor).melody.header.style for code in codes] == [
        "reel",
        "other",
    ]
    assert library.choices(ORGANISER).styles == ("reel", "slow air")
    assert library.choices(visitor).styles == ("other", "reel")
    assert found(library, visitor, style="slow air") == []
    assert found(library, visitor, style="other") == codes[1:]
    assert found(library, ORGANISER, style="slow air") == codes[1:]


# Compared with real tunes


def test_a_copy_is_told_from_a_new_tune(real_tunes, strains):
    source = load_corpus("validation")[5]
    higher = replace(source.melody, tonic_midi=60 + (source.melody.tonic_midi + 3) % 12)
    copied = real_tunes.likeness(higher)
    assert copied.verdict == "copied"
    assert copied.shared_notes == copied.notes == len(source.melody.notes)
    assert copied.strain == source, "in any key"
    assert f"tune {source.tune + 1} " in copied.source
    verdicts = [real_tunes.likeness(strain.melody).verdict for strain in strains[100:200]]
    assert sum(verdict in ("new", "usual") for verdict in verdicts) >= 85


@pytest.fixture
def two_corpora(store, ids, strains):
    """A library whose first policy learnt other tunes than its second."""
    trained_on = {
        "policy-one": PolicyCorpora(("one",), ("books",)),
        "policy-two": PolicyCorpora(("two",)),
    }

    def load(corpora):
        names = corpora.corpora
        learnt = [*(strains[::8][:20] if "one" in names else []), *load_corpus("validation")[:60]]
        return RealTunes(learnt, strains[201:301:2], said=" and ".join(names), missing=names[1:])

    melodies = PoolCache(store)
    references = ReferenceCorpora(lambda one: trained_on.get(one, PolicyCorpora()), load)
    return MelodyLibrary(store, melodies, LearntTastes(store, melodies), references)


def test_a_melody_is_compared_with_the_corpora_of_its_own_policy(two_corpora, pool):
    one, two = (two_corpora.melody(code_of(pool[place]), ORGANISER) for place in (0, len(pool) - 1))
    assert two_corpora.real_tunes(one).said == "one"
    assert two_corpora.real_tunes(two).said == "two"
    assert two_corpora.real_tunes(one) is two_corpora.real_tunes(one), "made once"
    assert two_corpora.real_tunes(one).likeness(one.melody).verdict == "copied"
    assert two_corpora.real_tunes(two).likeness(one.melody).verdict != "copied"
    order = found(two_corpora, ORGANISER, sort="original")
    assert set(order[-20:]) == {code_of(melody) for melody in pool[:20]}, "all copies of its corpus"


def test_what_a_melody_is_compared_with_does_not_tell_who_wrote_it(two_corpora, pool, ada):
    visitor = Visitor(ada.id, organiser=False)
    shown = [
        two_corpora.real_tunes(two_corpora.melody(code_of(melody), visitor)) for melody in pool
    ]
    assert {real.said for real in shown} == {"one and two"}


@pytest.mark.slow
def test_tunes_of_a_corpus_that_is_gone_are_missed_and_the_rest_compared(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    real = RealTunes.load(PolicyCorpora(("gone",), ("books", "lost")))
    assert real.missing == ("gone", "lost")
    assert len(real.training) == len(load_corpus("train"))
    assert real.said.startswith("the two public-domain books, among those held out")


@pytest.mark.slow
def test_a_corpus_of_few_tunes_is_compared_as_far_as_it_goes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_corpus("mine")
    real = RealTunes.load(PolicyCorpora(("mine",), ("books",)))
    own = open_corpus("mine").strains()
    learnt = [strain.melody for strain in own if strain.split == "train"]
    assert real.missing == ()
    assert [strain.melody for strain in real.training[:10]] == learnt
    assert len(real.training) == 10 + len(load_corpus("train")), "originality counts its base too"
    assert real.compared_with(learnt[0]) == "the strains in any metre of the corpus mine"
    copied = real.likeness(learnt[0])
    assert copied.verdict == "copied"
    assert copied.source.startswith("mine, ")
    alone = RealTunes.load(PolicyCorpora(("mine",)))
    assert len(alone.training) == 10


def test_measures_are_told_beside_those_of_the_metre(real_tunes, strains, tune):
    lines = {line.label: line for line in real_tunes.compare(strains[0].melody)}
    assert len(lines) >= 10
    dull = tune(*[(0, 48)] * 4)
    lines = {line.label: line for line in real_tunes.compare(dull)}
    assert (lines["Range, lowest to highest"].here, lines["Range, lowest to highest"].word) == (
        "0 semitones",
        "narrow",
    )
    assert lines["Notes a beat"].word == "calm"
    assert lines["Bars that come again"].word == "repeats"
    assert lines["Ends on its home note"].here == "yes"


# Files


def test_files_have_sensible_names_and_hold_the_melody(strains):
    melody = strains[0].melody
    files = {f.format: f for f in melody_files(melody, "3fa9c1", lambda: b"RIFF")}
    assert list(files) == ["MIDI", "ABC", "MusicXML", "WAV"]
    for file in files.values():
        assert re.fullmatch(r"[a-z0-9-]+-3fa9c1\.(mid|abc|musicxml|wav)", file.name)
    assert read_melody(files["ABC"].content().decode()) == melody
    assert files["MIDI"].content().startswith(b"MThd")
    assert name_of(melody) in files["MusicXML"].content().decode()
    assert files["WAV"].content() == b"RIFF"


# The address


@pytest.mark.parametrize(
    "query",
    [
        LibraryQuery(),
        LibraryQuery(q="D F# A", mine="liked", meter="6/8", sort="votes", page=3),
        LibraryQuery(policy="ppo-0003", round="2", bars="8", style="jig", mode="dorian"),
        LibraryQuery(melody="0123456789ab"),
    ],
)
def test_a_query_comes_back_from_its_address(query):
    assert LibraryQuery.from_params(query.params()) == query


def test_what_an_address_does_not_know_is_left_out():
    params = {
        "page": "-1",
        "sort": "best",
        "bars": "33",
        "round": "x",
        "meter": "13/8",
        "rater": "t",
    }
    assert LibraryQuery.from_params(params) == LibraryQuery()
    assert LibraryQuery.from_params({"page": "0", "q": " x " * 400}).page == 1
    assert len(LibraryQuery.from_params({"q": "x" * 400}).q) == 200


# The page


@pytest.fixture
def app(tmp_path, ratings_url, store, ids, ada, monkeypatch):
    """The library page as the rater Ada sees it from another machine."""
    arguments = ["studio", f"--database={ratings_url}", f"--clips={tmp_path / 'clips'}"]
    monkeypatch.setattr("sys.argv", arguments)
    monkeypatch.setenv("TASTEMAKER_ORGANISER_KEY", "the-organiser")

    def run(**params):
        test = AppTest.from_file(str(PAGE), default_timeout=COLD_IMPORT_S)
        test.session_state["rater"] = ada.token
        for name, value in params.items():
            test.query_params[name] = value
        return test.run()

    return run


def texts(app):
    return [str(element.value) for element in (*app.markdown, *app.caption, *app.text, *app.info)]


@pytest.mark.slow
def test_nothing_of_the_page_tells_who_wrote_what_waits(app, store, ids, ada, pool):
    store.add_comparisons([(ids[0], ids[30])], round=1)
    for params in ({}, {"melody": code_of(pool[30])}):
        page = app(**params)
        assert not page.exception
        everything = repr(page.main) + repr([b.options for b in page.selectbox])
        assert "policy-" not in everything
        assert "t-two" not in everything
    assert any("your votes should be blind" in text for text in texts(page))
    rate(store, ada, ["left"])
    page = app(melody=code_of(pool[30]))
    assert "policy-two" in texts(page)


@pytest.mark.slow
def test_a_link_shows_the_same_again_and_widgets_write_to_it(app, pool):
    page = app(q="D", meter="6/8", sort="votes")
    assert page.text_input(key="library-q").value == "D"
    assert page.selectbox(key="library-meter").value == "6/8"
    assert page.selectbox(key="library-sort").value == "votes"
    page.selectbox(key="library-meter").set_value("4/4").run()
    assert page.query_params["meter"] == "4/4"
    assert page.query_params["q"] == "D"
    page.text_input(key="library-q").set_value("no notes at all").run()
    assert any("no notes to look for" in text for text in texts(page))
    page.text_input(key="library-q").set_value("+11 -13 +17").run()
    assert any("No melody matches" in text for text in texts(page))
    page.button[-1].click().run()
    assert not page.query_params
    assert not page.exception


@pytest.mark.slow
def test_a_melody_is_kept_from_its_page_and_the_way_back_is_the_list_as_it_was(
    app, store, ada, pool
):
    code = code_of(pool[3])
    page = app(meter=pool[3].header.meter, melody=code)
    page.button(key=f"keep-{code}").click().run()
    assert page.button(key=f"keep-{code}").label == "Kept"
    page.button[0].click().run()
    assert not page.exception
    assert "melody" not in page.query_params
    assert page.query_params["meter"] == pool[3].header.meter
    page = app(melody="nowhere")
    assert any("no melody" in warning.value for warning in page.warning)
