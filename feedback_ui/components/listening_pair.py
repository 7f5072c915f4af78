"""The listening pair: plays two clips one at a time, measures what was heard, sends one vote.

One component plays and votes. With plain Streamlit buttons a held key voted 13 times, and a page
from before a restart voted for a pair that was never shown. Here a vote carries the assignment that
the server issued for the two clips, and the component locks itself when it sends a vote.

To the page: the assignment, two audio addresses made of hashes, durations, positions of the bars,
how much of each clip must be heard, a note, reasons to choose from, and pictures if asked for.
Back: `vote` {assignment_id, nonce, outcome, strength, report, reasons, comment, heard_ms_left,
heard_ms_right, plays_left, plays_right, latency_ms} or `undo` {assignment_id, nonce}; they are read
by `feedback_ui.services.answers`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence

from feedback_ui.components.media import clip_data
from feedback_ui.components.parts import component_of
from feedback_ui.services.answers import REASONS
from feedback_ui.services.session import Pair

KEY = "listening_pair"
"""one key for all pairs, so that the component stays mounted and keeps the focus"""
_mount = component_of("listening_pair", styles=["player"], scripts=["player", "heard", "keys"])


def listening_pair(
    pair: Pair,
    *,
    note: str,
    on_vote: Callable[[], None],
    on_undo: Callable[[], None],
    pictures: Mapping[str, Sequence[str]] | None = None,
    practice: bool = False,
) -> dict[str, object]:
    """Mount the component; return what the page sent in this run as `vote` and as `undo`, or None.

    Args:
        pair: the two clips and their assignment.
        note: a line to show, such as the result of the last vote; text, never HTML.
        on_vote: called before the script body when a vote comes.
        on_undo: the same for an undo.
        pictures: SVGs of the melodies, by side; None hides the notes.
        practice: ask for the answer only, without reasons or a report.
    """
    sent = _mount(
        key=KEY,
        data={
            "assignment_id": str(pair.assignment_id),
            "left": clip_data(pair.left, f"{KEY}-left"),
            "right": clip_data(pair.right, f"{KEY}-right"),
            "can_undo": pair.can_undo,
            "note": note,
            "practice": practice,
            "reasons": [] if practice else list(REASONS.items()),
            "pictures": None if pictures is None else {k: list(v) for k, v in pictures.items()},
            # A new value each run: the same pair in a new run tells the page that its vote was not
            # stored.
            "run": secrets.token_hex(4),
        },
        on_vote_change=on_vote,
        on_undo_change=on_undo,
    )
    return {"vote": sent.vote, "undo": sent.undo}
