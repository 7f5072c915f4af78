"""Readers of what a browser sends, of what stands in an address, and of database addresses."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

from feedback_ui.services.answers import read_answer, read_undo
from feedback_ui.services.blind_tests import find_test, invited_to
from feedback_ui.services.corpora.policies import PolicyCorpora
from feedback_ui.services.library import MelodyLibrary, Visitor
from feedback_ui.services.library_query import MINE, SORTS, LibraryQuery
from feedback_ui.services.reference_corpus import ReferenceCorpora
from feedback_ui.services.session import CONSENT_VERSION, StudioSession
from reward.exchange.import_votes import import_ratings
from reward.store.database import Database, parse_url
from reward.store.schema import AssignmentRow, RaterRow, VoteRow
from reward.store.store import RatingsError, RatingsStore
from reward.store.votes import Answer
from tests.fuzz.table_targets import written
from tests.fuzz.target import Target, workplace
from tests.support.project import PROJECT

ASSIGNMENT = "0d8f5a0e-7f6e-4a55-9a1e-3f0c8a1d2b3c"
"""stands in an input for the id of the pair that is on the page"""
PAYLOAD: dict[str, Any] = {
    "assignment_id": ASSIGNMENT,
    "nonce": "b3e1b1e0-9d1a-4c58-8a52-000000000001",
    "outcome": "left",
    "strength": 1,
    "heard_ms_left": 9000,
    "heard_ms_right": 9000,
    "plays_left": 1,
    "plays_right": 2,
    "latency_ms": 12000,
    "reasons": ["rhythm", "ending"],
    "comment": "a quiet one",
}
REPORTED = {**PAYLOAD, "outcome": "skip", "report": "no_sound", "reasons": []}
ANSWER_WORDS: Sequence[bytes] = (
    *(b'"left"', b'"right"', b'"tie"', b'"both_bad"', b'"skip"', b'"report": "no_sound",'),
    *(b'"reasons"', b'"heard_ms_left"', b'"strength"', b"2", b"true", b"null", b"1.5"),
)  # fmt: skip


def _payload(data: bytes) -> Any:
    """What Streamlit hands to a page; text that is no JSON does not reach it."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def check_answer(data: bytes) -> None:
    """The fields of an answer, one by one."""
    _, fields = read_answer(_payload(data))
    Answer(renderer="r", app_version="a", **fields)


def check_undo(data: bytes) -> None:
    """The fields of an undo."""
    read_undo(_payload(data))


@cache
def _studio() -> tuple[StudioSession, int]:
    """A studio with a few pairs, and a rater."""
    folder = workplace("studio")
    for name, content in written().items():
        (folder / name).write_bytes(content)
    store = RatingsStore(folder / "ratings.sqlite")
    import_ratings(store, folder)
    studio = StudioSession(store, folder / "clips")
    return studio, studio.sign_up("Fuzz", consents=True).id


def vote(data: bytes) -> None:
    """An answer through the whole of the studio's services, to the pair that the rater hears."""
    studio, rater_id = _studio()
    with studio.store.writing() as session:  # an input does the same each time
        mine = AssignmentRow.rater_id == rater_id
        ids = [row.id for row in session.query(AssignmentRow).filter(mine)]
        session.query(VoteRow).filter(VoteRow.assignment_id.in_(ids)).delete()
        session.query(AssignmentRow).filter(mine).delete()
    pair = studio.current_pair(rater_id)
    assert pair is not None, "there is no pair to hear"
    shown = str(pair.assignment_id).encode()
    payload = _payload(data.replace(ASSIGNMENT.encode(), shown))
    reply = studio.answer(rater_id, payload)
    if not reply.done:
        raise RatingsError(reply.message)
    undone = studio.undo(rater_id, {"assignment_id": None})
    assert undone.message


@cache
def _library() -> MelodyLibrary:
    studio, _ = _studio()
    references = ReferenceCorpora(lambda _: PolicyCorpora())
    return MelodyLibrary(studio.store, studio.melodies, studio.tastes, references)


def _params(data: bytes) -> dict[str, str]:
    """The query of an address, as a browser's is read."""
    return dict(parse_qsl(data.decode("utf-8", "replace"), keep_blank_values=True))


def open_library(data: bytes) -> None:
    """The library's page, as an address asks for it."""
    query = LibraryQuery.from_params(_params(data))
    assert LibraryQuery.from_params(query.params()) == query, "its own address asks for more"
    for visitor in (Visitor(None, organiser=True), Visitor(_studio()[1], organiser=False)):
        found = _library().find(query, visitor)
        _library().melody(query.melody, visitor)
        if found.trouble:
            raise RatingsError(found.trouble)


def open_link(data: bytes) -> None:
    """A rater's link, an invitation, a link to a blind test."""
    text = data.decode("utf-8", "replace")
    studio, _ = _studio()
    assert studio.sign_in(text) is None, "somebody came in"
    invited_to(studio.store, text)
    find_test(studio.store, text)


def sign_up(data: bytes) -> None:
    """A nickname, as it is typed at the door."""
    studio, _ = _studio()
    nickname = data.decode("utf-8", "replace")
    rater = studio.sign_up(nickname, consents=True)
    with studio.store.writing() as session:
        row = session.get_one(RaterRow, rater.id)
        assert row.nickname.strip() == row.nickname != ""
        assert row.consent_version == CONSENT_VERSION
        session.delete(row)


def read_url(data: bytes) -> None:
    """The address of a database, as it is typed."""
    url = parse_url(data.decode("utf-8", "surrogateescape"))
    if url.get_backend_name() != "sqlite":
        shown = url.render_as_string(hide_password=True)
        assert url.password in (None, "***") or f":{url.password}@" not in shown


def open_database(data: bytes) -> None:
    """The content of a database's file."""
    folder = workplace("database-file")
    for left in folder.iterdir():
        left.unlink()
    file = folder / "ratings.sqlite"
    file.write_bytes(data)
    with RatingsStore(file) as store:
        store.counts()
        for frame in (store.votes_frame, store.melodies_frame, store.raters_frame):
            frame()
    Database(file).close()


@cache
def _database() -> list[bytes]:
    return [(PROJECT / "tests" / "data" / "v0_1_0" / "ratings.sqlite").read_bytes()]


def _library_links() -> list[bytes]:
    return [
        b"sort=original&page=1",  # the first: it loads the tunes that melodies are compared with
        b"q=D+F%23+A&mine=rated&meter=6%2F8&mode=major&type=jig&bars=8&sort=votes&page=2",
        b"q=12&policy=base&round=1&melody=34090cf4cbca&sort=newest",
    ]


TARGETS = (
    Target(
        name="answer",
        read=check_answer,
        refuses=(RatingsError,),
        seeds=lambda: [json.dumps(p).encode() for p in (PAYLOAD, REPORTED)],
        words=ANSWER_WORDS,
        share=5,
    ),
    Target(
        name="undo",
        read=check_undo,
        refuses=(RatingsError,),
        seeds=lambda: [json.dumps({"assignment_id": ASSIGNMENT}).encode()],
        share=2,
    ),
    Target(
        name="vote",
        read=vote,
        refuses=(RatingsError,),
        seeds=lambda: [json.dumps(p).encode() for p in (PAYLOAD, REPORTED)],
        words=ANSWER_WORDS,
        share=0.05,
    ),
    Target(
        name="library-link",
        read=open_library,
        refuses=(RatingsError,),
        seeds=_library_links,
        words=(
            *(b"&", b"=", b"%00", b"%ff", b"page=99999999", b"melody=", b"q=", b"+2+2+-4"),
            *(name.encode() for name in (*MINE, *SORTS)),
        ),
        share=0.1,
    ),
    Target(
        name="link",
        read=open_link,
        seeds=lambda: [b"k3Yc0pQm1w", b"3", b"0" * 43],
        refuses=(RatingsError,),
        share=0.3,
    ),
    Target(
        name="nickname",
        read=sign_up,
        refuses=(RatingsError,),
        seeds=lambda: [b"Ada", "Zoë".encode(), b"two words"],
        share=0.2,
    ),
    Target(
        name="database-url",
        read=read_url,
        refuses=(RatingsError,),
        seeds=lambda: [
            b"postgresql://user:secret@host:5432/db?sslmode=require",
            b"checkpoints/ratings.sqlite",
            b"sqlite:////tmp/ratings.sqlite",
            b"postgres://host/db",
        ],
        words=(b"://", b"@", b":", b"/", b"?", b"~", b"~nobody", b":memory:", b"mysql", b"[::1]"),
        share=5,
    ),
    Target(
        name="database-file",
        read=open_database,
        refuses=(RatingsError,),
        seeds=_database,
        words=(b"SQLite format 3\x00", b"votes", b"CREATE TABLE"),
        share=0.03,
    ),
)
