"""Answers: what a page sent back, read field by field, because it comes from outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from feedback_ui.services.clips import Clip
from reward.store.store import RatingsError

REPORTS = ("no_sound",)
"""reasons that a page may give for a skip"""
REASONS = {
    "rhythm": "rhythm",
    "contour": "shape of the line",
    "ending": "ending",
    "repetition": "what comes again",
    "catchy": "catchy",
    "surprising": "surprising",
    "dull": "dull",
    "wrong_note": "wrong note",
    "restless": "restless",
}
"""what a rater may say was decisive, and how the page calls it"""


def read_answer(payload: object) -> tuple[UUID, dict[str, Any]]:
    """The assignment and the fields of `RatingsStore.vote` in what a page sent.

    Raises:
        RatingsError: for a field that is missing or of another type, a report that is not a skip,
            or an unknown reason.
    """
    fields = _mapping(payload)
    assignment_id = _assignment_id(fields)
    answer: dict[str, Any] = {
        "outcome": str(fields.get("outcome")),
        "nonce": _text(fields, "nonce"),
    }
    for name in (
        *("strength", "heard_ms_left", "heard_ms_right"),
        *("plays_left", "plays_right", "latency_ms"),
    ):
        value = fields.get(name)
        if isinstance(value, bool) or not isinstance(value, int):
            raise RatingsError(f"{name}={value!r} is not a whole number; reload the page")
        answer[name] = value
    report = fields.get("report")
    if report is not None and (report not in REPORTS or answer["outcome"] != "skip"):
        raise RatingsError(
            f"report={report!r} with outcome={answer['outcome']!r}: a report is one of "
            f"{REPORTS} and a skip; reload the page"
        )
    reasons, known = fields.get("reasons", []), tuple(REASONS)
    if not isinstance(reasons, list) or not all(reason in known for reason in reasons):
        raise RatingsError(f"reasons={reasons!r} are not all of {known}; reload the page")
    answer["reasons"] = [*dict.fromkeys(reasons), *([] if report is None else [report])]
    answer["comment"] = _text({"comment": "", **fields}, "comment").strip()
    return assignment_id, answer


def check_heard(answer: Mapping[str, Any], left: Clip, right: Clip) -> None:
    """Refuse an opinion of what was not heard for long enough; a skip is none.

    Raises:
        RatingsError: with how much was heard and how much has to be.
    """
    if answer["outcome"] == "skip":
        return
    for letter, side, clip in (("A", "left", left), ("B", "right", right)):
        heard_ms = answer[f"heard_ms_{side}"]
        if heard_ms < clip.needed_ms:
            raise RatingsError(
                f"{heard_ms / 1000:.1f} s of {letter} were heard and {clip.needed_ms / 1000:.1f} s "
                "are needed; listen to both, or skip"
            )


def read_undo(payload: object) -> UUID | None:
    """The assignment that the page shows, in what it sent; None when it shows none.

    Raises:
        RatingsError: when it is not an id.
    """
    fields = _mapping(payload)
    return None if fields.get("assignment_id") is None else _assignment_id(fields)


def _mapping(payload: object) -> Mapping[str, Any]:
    if not isinstance(payload, Mapping):
        raise RatingsError(f"a page sent {type(payload).__name__}, not fields; reload the page")
    return payload


def _assignment_id(fields: Mapping[str, Any]) -> UUID:
    try:
        return UUID(_text(fields, "assignment_id"))
    except ValueError as error:
        raise RatingsError(
            f"assignment_id={fields.get('assignment_id')!r} is not an id; reload the page"
        ) from error


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise RatingsError(f"{name}={value!r} is not text; reload the page")
    return value
