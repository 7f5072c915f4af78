"""Styles in the store and in exports: a label is kept, whichever policy knows it."""

import hashlib
import json

import numpy as np
import pytest

from music.earlier_tokens import EARLIER_VOCABULARY
from music.melody import Header, Melody, Note
from music.styles import SHIPPED_STYLES, Styles
from music.tokens import ID, VOCABULARY, encode, from_text
from reward.exchange.export import export_preferences, export_ratings
from reward.exchange.import_pool import _EARLIER_MODES
from reward.exchange.import_votes import import_ratings
from reward.store.catalogue import entries_after
from reward.store.store import RatingsStore
from reward.store.votes import Answer

ORIGIN = {"policy_id": "base", "sampler": "t=1", "seed": 0}


@pytest.fixture
def store(ratings_url):
    with RatingsStore(ratings_url) as opened:
        yield opened


def melody_in(style, pitch=0, **header):
    fields = {"meter": "4/4", "mode": "major", "bars": 2} | header
    whole = Header(**fields, style=style)
    ticks = whole.bar_ticks
    return Melody(whole, tuple(Note(bar * ticks, ticks, pitch) for bar in range(whole.bars)))


NEW_MUSIC = (
    melody_in("jig"),
    melody_in("tango", 1),
    melody_in("reel", 2, meter="5/4", mode="locrian"),
    melody_in("other", 3, meter="3/2", mode="lydian", bars=32),
    melody_in("kyrie-9 b", 4),
)


def test_a_label_that_no_shipped_policy_knows_is_kept(store):
    ids = store.add_melodies(NEW_MUSIC, **ORIGIN)
    assert [one.melody for one in store.melodies(ids)] == list(NEW_MUSIC)
    labels = [melody.header.style for melody in NEW_MUSIC]
    assert store.melodies_frame()["style"].tolist() == labels
    with store.reading() as session:
        entries = entries_after(session, 0)
    assert [entry.header for entry in entries] == [melody.header for melody in NEW_MUSIC]
    assert [entry.melody for entry in entries] == list(NEW_MUSIC)
    assert {entry.earlier_sha256 for entry in entries} == {None}, "their lengths are new"
    assert store.melodies(ids[1:2])[0].tokens[3] == ID["STYLE_0"]


def test_melodies_that_differ_in_an_unknown_label_only_are_one(store):
    first, again = store.add_melodies([melody_in("tango"), melody_in("milonga")], **ORIGIN)
    assert first == again
    assert store.melodies([first])[0].melody.header.style == "tango"
    assert store.add_melodies([melody_in("jig")], **ORIGIN) != [first]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_labels_and_new_headers_survive_an_export(store, tmp_path, ending):
    store.add_melodies(NEW_MUSIC, **ORIGIN)
    folder = tmp_path / "out"
    export_ratings(store, folder, formats=[ending])
    with RatingsStore(tmp_path / "other.sqlite") as other:
        done = import_ratings(other, folder / f"votes.{ending}")
        assert done.added["melodies"] == len(NEW_MUSIC)
        assert not done.refused["melodies"]
        ids = other.melodies_frame()["melody_id"].tolist()
        assert [one.melody for one in other.melodies(ids)] == list(NEW_MUSIC)


@pytest.fixture
def imported(tmp_path):
    """Imports rows of melodies; their reasons if they are refused, and the melodies."""

    def read(*rows):
        folder = tmp_path / "rows"
        with RatingsStore(tmp_path / "from.sqlite") as source:
            export_ratings(source, folder, formats=["jsonl"])
        origin = {**ORIGIN, "step": 0, "tonic_midi": 62, "created_at": "2026-11-22T12:00:00+00:00"}
        (folder / "melodies.jsonl").write_text(
            "".join(
                json.dumps(origin | {"melody_id": number} | row) + "\n"
                for number, row in enumerate(rows, start=1)
            )
        )
        with RatingsStore(tmp_path / "to.sqlite") as target:
            done = import_ratings(target, folder / "votes.jsonl")
            ids = target.melodies_frame()["melody_id"].tolist()
            found = [one.melody for one in target.melodies(ids)]
        return [row.reasons for row in done.refused["melodies"]], found

    return read


def ids_then(melody, tune_type):
    """Token ids of version 0.1.0."""
    names = [VOCABULARY[token] for token in encode(melody)]
    names[3] = f"TYPE_{tune_type}"
    return [EARLIER_VOCABULARY.index(name) for name in names]


def test_no_mode_has_an_id_that_a_mode_of_version_0_1_0_had():
    now = {token for token, name in enumerate(VOCABULARY) if name.startswith("MODE_")}
    assert now.isdisjoint(_EARLIER_MODES)
    assert len(_EARLIER_MODES) == 4


def test_rows_of_version_0_1_0_are_read_with_and_without_their_other_columns(imported):
    jig = melody_in("jig", bars=4)
    ids = ids_then(jig, "jig")
    hashed = hashlib.sha256(np.array(ids, "<u2").tobytes()).hexdigest()
    for more in ({}, {"tune_type": "jig"}, {"sha256": hashed}, {"tune_type": None}):
        assert imported({"tokens": ids, **more}) == ([], [jig])


def test_the_label_of_the_column_counts(imported):
    reel, tango = melody_in("reel"), melody_in("tango")
    assert imported({"tokens": encode(reel).tolist(), "style": "tango"}) == ([], [tango])


@pytest.mark.parametrize("style", [None, ""])
def test_without_a_label_it_is_that_of_the_token(imported, style):
    reel = melody_in("reel")
    assert imported({"tokens": encode(reel).tolist(), "style": style}) == ([], [reel])


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"style": "Tango!"}, "style='Tango!' is not a label; write 1 to 32 lower-case"),
        ({"style": ["reel"]}, "style=['reel'] is not text"),
        ({"sha256": "0" * 64}, "tokens are not those of its sha256"),
        ({"tokens": [*ids_then(melody_in("reel", bars=4), "reel")[:-1], 917, 2]}, "id 917 is none"),
        ({"vocabulary": "0123456789abcdef"}, "vocabulary='0123456789abcdef' is not"),
        ({"tokens": [1, 4, 8]}, "tokens are no melody: header="),
        ({"tokens": [int(t) for t in encode(melody_in("reel"))[:3]]}, "tokens are no melody"),
    ],
)
def test_rows_with_wrong_labels_or_ids_are_refused(imported, row, reason):
    [reasons], found = imported({"tokens": encode(melody_in("reel")).tolist(), **row})
    assert reason in reasons[0]
    assert found == []


def test_an_export_names_its_vocabulary_which_is_taken(imported, tmp_path):
    reel = melody_in("reel")
    with RatingsStore(tmp_path / "one.sqlite") as store:
        store.add_melodies([reel], **ORIGIN)
        [vocabulary] = store.melodies_frame()["vocabulary"]
    assert imported({"tokens": encode(reel).tolist(), "vocabulary": vocabulary}) == ([], [reel])


def test_a_style_token_without_a_label_is_refused(imported):
    tokens = encode(melody_in("reel")).tolist()
    tokens[3] = ID["STYLE_8"]
    [reasons], found = imported({"tokens": tokens})
    assert "STYLE_8 has no label" in reasons[0]
    assert found == []


def test_pairs_for_trl_have_the_style_tokens_of_the_policy_that_is_trained(store, tmp_path):
    melodies = [melody_in("tango"), melody_in("jig", 1)]
    store.add_comparisons([tuple(store.add_melodies(melodies, **ORIGIN))], round=1)
    pair = store.issue(store.add_rater("Ada").id)
    store.vote(pair.assignment_id, Answer(outcome="left", nonce="n"))
    for styles in (SHIPPED_STYLES, Styles(("other", "jig", "tango"))):
        export_preferences(store, tmp_path / "preferences.jsonl", styles=styles)
        [line] = (tmp_path / "preferences.jsonl").read_text().splitlines()
        written = json.loads(line)
        for name in ("chosen", "rejected"):
            assert written[f"{name}_ids"] in [encode(one, styles).tolist() for one in melodies]
            assert from_text(f"{written['prompt']} {written[name]}") == written[f"{name}_ids"]
