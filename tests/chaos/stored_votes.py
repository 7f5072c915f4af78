"""What a ratings database holds, read with plain SQL and without the code under test."""

import sqlite3
from dataclasses import dataclass

QUERY = """
SELECT votes.id, assignments.rater_id, votes.assignment_id, assignments.comparison_id,
       CASE WHEN assignments.left_is_a THEN melody_a ELSE melody_b END,
       CASE WHEN assignments.left_is_a THEN melody_b ELSE melody_a END,
       votes.outcome, votes.nonce, votes.supersedes
FROM votes JOIN assignments ON assignments.id = votes.assignment_id
JOIN comparisons ON comparisons.id = assignments.comparison_id ORDER BY votes.id
"""


@dataclass(frozen=True, slots=True)
class StoredVote:
    """A row of the table of votes, with who and what it is about; ids in hexadecimal."""

    id: int
    rater_id: int
    assignment_id: str
    comparison_id: str
    left: int
    right: int
    """melodies as the rater had them"""
    outcome: str
    nonce: str
    supersedes: int | None


def read_votes(address):
    """All votes of an SQLite file or a PostgreSQL database, in the order in which they came."""
    return [
        StoredVote(row[0], row[1], _hex(row[2]), _hex(row[3]), *row[4:])
        for row in _rows(address, QUERY)
    ]


def check_sound(address):
    """The database itself is whole: its pages, its constraints, and each vote's chain."""
    if "://" not in str(address):
        assert _rows(address, "PRAGMA integrity_check") == [("ok",)]
        assert _rows(address, "PRAGMA foreign_key_check") == []
    votes = read_votes(address)
    for name in ("assignment_id", "nonce"):
        values = [getattr(vote, name) for vote in votes]
        assert len(values) == len(set(values)), f"a {name} has two votes"
    by_id = {vote.id: vote for vote in votes}
    followed = [vote.supersedes for vote in votes if vote.supersedes is not None]
    assert len(followed) == len(set(followed)), "two votes supersede one"
    for vote in votes:
        if vote.supersedes is not None:
            before = by_id[vote.supersedes]
            same = (before.rater_id, before.comparison_id) == (vote.rater_id, vote.comparison_id)
            assert same, f"{vote} supersedes {before}"
    counting = [(v.rater_id, v.comparison_id) for v in votes if v.id not in set(followed)]
    assert len(counting) == len(set(counting)), "a rater has two votes on one comparison"


def _rows(address, query):
    if "://" not in str(address):
        connection = sqlite3.connect(address)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()
    import psycopg

    with psycopg.connect(str(address).replace("+psycopg", "")) as connection:
        return connection.execute(query).fetchall()


def _hex(value):
    return str(value).replace("-", "")
