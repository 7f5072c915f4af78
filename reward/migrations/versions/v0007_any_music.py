"""Melodies get the ids that their tokens have since 0.2.0, and their tune types become styles.

Notes, keys and headers stay. A melody's hash is that of its tokens, so it changes with them. A
melody whose tokens are not those of version 0.1.0 stops the migration, and nothing is changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import sqlalchemy as sa
from alembic import op

from reward.store.database import RatingsError

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

BATCH_MELODIES = 1000
STORED = np.dtype("<u2")
EARLIER_SIZE, SIZE = 709, 918
"""tokens of both vocabularies"""
RUNS = (
    (0, 0, 3),  # PAD BOS EOS
    (3, 7, 1), (4, 5, 2), (6, 11, 1), (7, 13, 1),  # METER: 4/4, 2/4 and 3/4, 6/8, 9/8
    (8, 15, 3), (11, 20, 1),  # MODE: major, minor and dorian, mixolydian
    (12, 23, 7), (19, 22, 1),  # TYPE, now STYLE: the first seven of TYPES, other
    (20, 56, 1), (21, 60, 1), (22, 68, 1),  # BARS: 4, 8, 16
    (23, 85, 1), (24, 88, 1), (25, 94, 1), (26, 100, 1), (27, 106, 1), (28, 118, 1), (29, 130, 1),
    # PICKUP: 0, 6, 12, 18, 24, 36, 48
    (30, 223, 16),  # BAR: 1 to 16
    (46, 255, 663),  # REST, HOLD and NOTE
)  # fmt: skip
"""of ids that follow one another in both: the first then, the first now, how many"""
TODAY_OF_EARLIER = np.zeros(EARLIER_SIZE, STORED)
EARLIER_OF_TODAY = np.full(SIZE, EARLIER_SIZE, STORED)
"""id now -> id then; `EARLIER_SIZE` where there was none"""
for _earlier, _today, _count in RUNS:
    TODAY_OF_EARLIER[_earlier : _earlier + _count] = np.arange(_today, _today + _count)
    EARLIER_OF_TODAY[_today : _today + _count] = np.arange(_earlier, _earlier + _count)
TYPES = ("reel", "jig", "slipjig", "hornpipe", "strathspey", "march", "waltz", "other")
FIRST_TYPE = 12
"""id of TYPE_reel in version 0.1.0"""
TYPE_PLACE = 3
"""where the type stands among the tokens of a melody"""
FIRST_BAR, FIRST_REST, FIRST_HOLD, FIRST_NOTE = 30, 46, 63, 80
"""ids in version 0.1.0"""
MELODIES = sa.table(
    "melodies",
    sa.column("id", sa.Integer()),
    sa.column("sha256", sa.String()),
    sa.column("tokens", sa.LargeBinary()),
    sa.column("header", sa.JSON()),
)


class _DamagedError(ValueError):
    """A melody that cannot be converted; the message says what it has."""


def upgrade() -> None:
    """Convert all melodies."""
    _convert(
        _upgraded,
        "restore a backup, or leave it out: with version 0.1.0, run tastemaker ratings export; "
        "then import its files here into a new database",
    )


def downgrade() -> None:
    """Convert them back, if version 0.1.0 had their metres, modes, styles and lengths."""
    _convert(_downgraded, "leave it out, by an export of the others into a new database")


def _convert(
    converted: Callable[[np.ndarray, Mapping[str, Any]], tuple[np.ndarray, dict[str, Any]]],
    remedy: str,
) -> None:
    """Convert tokens and header of each melody, and store their hash.

    Raises:
        RatingsError: for a melody that cannot be converted.
    """
    connection = op.get_bind()
    columns = (MELODIES.c.id, MELODIES.c.sha256, MELODIES.c.tokens, MELODIES.c.header)
    change = (
        MELODIES.update()
        .where(MELODIES.c.id == sa.bindparam("key"))
        .values({name: sa.bindparam(f"new_{name}") for name in ("sha256", "tokens", "header")})
    )
    query = sa.select(*columns).order_by(MELODIES.c.id).limit(BATCH_MELODIES)
    rows = connection.execute(query).all()
    while rows:
        changes = []
        for key, sha256, packed, header in rows:
            try:
                tokens, new_header = converted(_tokens(bytes(packed), sha256), _mapping(header))
            except _DamagedError as error:
                raise RatingsError(
                    f"melody {key} in the table melodies of the ratings database {error}; nothing "
                    f"was changed: {remedy}"
                ) from error
            new = tokens.astype(STORED).tobytes()
            changes.append(
                {
                    "key": key,
                    "new_sha256": hashlib.sha256(new).hexdigest(),
                    "new_tokens": new,
                    "new_header": new_header,
                }
            )
        connection.execute(change, changes)
        rows = connection.execute(query.where(MELODIES.c.id > rows[-1][0])).all()


def _tokens(packed: bytes, sha256: str) -> np.ndarray:
    if len(packed) % STORED.itemsize or hashlib.sha256(packed).hexdigest() != sha256:
        raise _DamagedError(f"is damaged: its {len(packed)} bytes of tokens do not have its hash")
    return np.frombuffer(packed, STORED)


def _mapping(header: object) -> Mapping[str, Any]:
    if not isinstance(header, Mapping):
        raise _DamagedError(f"is damaged: its header {str(header)[:40]!r} is not a JSON object")
    return header


def _upgraded(tokens: np.ndarray, header: Mapping[str, Any]) -> tuple[np.ndarray, dict[str, Any]]:
    beyond = tokens[tokens >= EARLIER_SIZE]
    place = int(tokens[TYPE_PLACE]) - FIRST_TYPE if len(tokens) > TYPE_PLACE else -1
    if len(beyond) or not 0 <= place < len(TYPES):
        what = f"token id {beyond[0]}" if len(beyond) else "no tune type"
        raise _DamagedError(f"has {what}, which no melody of version 0.1.0 has")
    return TODAY_OF_EARLIER[tokens], _renamed(header, "tune_type", "style", TYPES[place])


def _downgraded(tokens: np.ndarray, header: Mapping[str, Any]) -> tuple[np.ndarray, dict[str, Any]]:
    ids = EARLIER_OF_TODAY[tokens] if (tokens < SIZE).all() else tokens[:0]
    style = header.get("style")
    if not len(ids) or (ids == EARLIER_SIZE).any() or style not in TYPES or not _is_plain(ids):
        raise _DamagedError("has a header, a style or durations that version 0.1.0 cannot store")
    return ids, _renamed(header, "style", "tune_type", style)


def _is_plain(ids: np.ndarray) -> bool:
    """Whether each HOLD is the first token of a bar, and no rest follows a rest."""
    is_bar = (ids >= FIRST_BAR) & (ids < FIRST_REST)
    is_hold = (ids >= FIRST_HOLD) & (ids < FIRST_NOTE)
    is_rest = ((ids >= FIRST_REST) & (ids < FIRST_HOLD))[~is_bar]
    return not (is_hold[1:] & ~is_bar[:-1]).any() and not (is_rest[1:] & is_rest[:-1]).any()


def _renamed(header: Mapping[str, Any], name: str, new_name: str, value: str) -> dict[str, Any]:
    """The header with that field under its new name, in its place."""
    fields = {new_name if field == name else field: said for field, said in header.items()}
    return fields | {new_name: value}
