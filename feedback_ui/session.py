"""What the studio does, without Streamlit: people come in, hear pairs, answer, take back.

Nothing here is kept between calls but the open store and a folder of rendered audio: the current
pair lives in the database, so that a reload, a second tab or a restarted server shows the same pair
on the same sides. An answer names the assignment that the server issued, and is stored for that one
or not at all; sent again it is acknowledged.

A page is given `Pair` only. It has no word of who wrote what: no melody, no policy, no purpose.
It says which pairs it is for: by default training, with its repeats and traps.
"""

from __future__ import annotations

import wave
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from uuid import UUID

from music.melody import Melody
from music.sound import cached_wav, renderer_id
from reward.ratings import Rater, RatingsError, RatingsStore

CONSENT_VERSION = "studio-2"
CONSENT = (
    "The studio stores your nickname, your answers, and how long you listened before each. Nothing "
    "else about you: no name, no e-mail, no address. Your answers teach a model of taste, and may "
    "be shared as data under your nickname. You may stop whenever you like. On the page People you "
    "can take your answers along, and remove yourself with all that is yours."
)
PURPOSES = ("train", "repeat", "trap")
MIN_HEARD_MS = 3000
"""enough to have met the motif (two bars at a walking tempo), too long to vote by reflex"""
WHOLE_CLIP = 0.9
"""share of a short clip that counts as all of it: the last tenth is the sound dying away"""
REPORTS = ("no_sound",)
"""reasons that a page may give for a skip"""


@dataclass(frozen=True, slots=True)
class Clip:
    """One side of a pair as audio; it says nothing of where it came from."""

    path: Path
    duration_ms: int

    least_heard_ms: int = MIN_HEARD_MS

    @property
    def needed_ms(self) -> int:
        """How much must be heard before voting."""
        return min(self.least_heard_ms, int(WHOLE_CLIP * self.duration_ms))


@dataclass(frozen=True, slots=True)
class Pair:
    """What a rater hears now."""

    assignment_id: UUID
    left: Clip
    right: Clip
    votes_cast: int
    """pairs that this rater has answered"""
    total: int
    """pairs that there are for this rater, answered ones included"""
    reopened: bool
    """shown again by an undo"""

    @property
    def can_undo(self) -> bool:
        """Whether there is an earlier answer to take back; a reopened pair's own has been."""
        return self.votes_cast > int(self.reopened)


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of a vote or an undo, for the page to say in a line."""

    done: bool
    """False when nothing was stored or taken back"""
    message: str


class StudioSession:
    """The studio over one ratings store; safe to share between the threads of a server.

    Args:
        store: an open ratings store.
        clips_folder: where rendered audio is kept; made when it is not there.
        soundfont: a .sf2 file, or None for the usual one.
        least_heard_ms: how much of each side must be heard before a vote.

    Raises:
        SoundfontError: when the soundfont cannot be used.
    """

    def __init__(
        self,
        store: RatingsStore,
        clips_folder: Path,
        *,
        soundfont: Path | None = None,
        least_heard_ms: int | None = None,
    ) -> None:
        self.store = store
        self._clips_folder = clips_folder
        self._soundfont = soundfont
        self._least_heard_ms = MIN_HEARD_MS if least_heard_ms is None else least_heard_ms
        self._renderer = renderer_id(soundfont)
        self._app_version = app_version()

    def sign_up(self, nickname: str, *, consents: bool) -> Rater:
        """A new rater, with the token that lets them come back.

        Raises:
            RatingsError: without consent, or for a nickname that is taken, empty or too long.
        """
        if not consents:
            raise RatingsError("there is no rating without consent; tick the box to agree")
        return self.store.add_rater(nickname, consent_version=CONSENT_VERSION)

    def sign_in(self, token: str) -> Rater | None:
        """The person whom a token belongs to; None for no one, or a simulated listener.

        Raises:
            RatingsError: when the database cannot be read.
        """
        rater = self.store.rater_by_token(token) if token else None
        return rater if rater is not None and rater.kind == "person" else None

    def current_pair(
        self,
        rater_id: int,
        *,
        purposes: Collection[str] = PURPOSES,
        campaign_id: int | None = None,
    ) -> Pair | None:
        """The rater's live pair, or the next; None when all are answered or there are none.

        Raises:
            RatingsError: when the database cannot be used, or for an unknown rater.
            SoundfontError: when the audio cannot be rendered.
        """
        issued = self.store.issue(rater_id, purposes=purposes, campaign_id=campaign_id)
        if issued is None:
            return None
        return Pair(
            assignment_id=issued.assignment_id,
            left=self.clip(issued.left.melody),
            right=self.clip(issued.right.melody),
            votes_cast=issued.votes_cast,
            total=issued.votes_cast + issued.remaining,
            reopened=issued.reopened,
        )

    def answer(self, payload: object) -> Reply:
        """Store what the page sent back, once; it comes from outside, so each field is checked."""
        try:
            assignment_id, fields = read_answer(payload)
            receipt = self.store.vote(
                assignment_id, renderer=self._renderer, app_version=self._app_version, **fields
            )
        except RatingsError as error:
            return Reply(False, str(error))
        if receipt.duplicate:
            # No error: the first may have been stored while the word of it got lost.
            return Reply(True, "That pair has your answer already. Here is the next.")
        if fields["reasons"]:
            return Reply(True, "Reported and skipped, thank you. Here is the next pair.")
        return Reply(True, "Saved. Here is the next pair.")

    def undo(
        self,
        rater_id: int,
        payload: object,
        *,
        purposes: Collection[str] = PURPOSES,
        campaign_id: int | None = None,
    ) -> Reply:
        """Show the last answered pair again, if the page still shows what the database has live.

        The page says which assignment it shows (None when it shows none). A click that is repeated,
        by a held key or a second tab, then names one that is gone, and does nothing.
        """
        try:
            shown = read_undo(payload)
            live = self.store.issue(rater_id, purposes=purposes, campaign_id=campaign_id)
            if (None if live is None else live.assignment_id) != shown:
                return Reply(True, "")
            undone = self.store.undo(rater_id, purposes=purposes, campaign_id=campaign_id)
            if undone is None:
                return Reply(False, "There is no earlier answer to take back.")
        except RatingsError as error:
            return Reply(False, str(error))
        return Reply(True, "Your last pair again. Answer anew.")

    def clip(self, melody: Melody) -> Clip:
        """A melody as audio, rendered if it has not been.

        Raises:
            SoundfontError: when it cannot be rendered.
        """
        path = cached_wav(melody, self._clips_folder, soundfont=self._soundfont)
        return Clip(path, duration_ms(path), self._least_heard_ms)


def read_answer(payload: object) -> tuple[UUID, dict[str, Any]]:
    """The assignment and the fields of `RatingsStore.vote` in what a page sent.

    Raises:
        RatingsError: for a field that is missing or of another type, a report that is not a skip,
            or a preference between melodies of which one was not heard.
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
    answer["reasons"] = [] if report is None else [report]
    heard = min(answer["heard_ms_left"], answer["heard_ms_right"])
    if answer["outcome"] != "skip" and heard <= 0:
        raise RatingsError("one of the two was not heard; listen to both, or skip")
    return assignment_id, answer


def read_undo(payload: object) -> UUID | None:
    """The assignment that the page shows, in what it sent; None when it shows none.

    Raises:
        RatingsError: when it is not an id.
    """
    fields = _mapping(payload)
    return None if fields.get("assignment_id") is None else _assignment_id(fields)


def duration_ms(path: Path) -> int:
    """How long a WAV file plays."""
    with wave.open(str(path), "rb") as clip:
        return round(1000 * clip.getnframes() / clip.getframerate())


def app_version() -> str:
    """What is stored with each vote, so that a fault of one release can be found later."""
    try:
        return f"tastemaker {version('tastemaker')}"
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "tastemaker, not installed"


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
