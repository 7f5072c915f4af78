"""What the studio does, without Streamlit: people come in, hear pairs, answer, take back.

Nothing here is kept between calls but the open store, a folder of rendered audio and what may be
learnt anew from the votes: the current pair lives in the database, so that a reload, a second tab
or a restarted server shows the same pair on the same sides. An answer names the assignment that the
server issued, and is stored for that one or not at all; sent again it is acknowledged. What it
claims to have heard is held against the time since then (`reward.store.heard_time`).

A page is given `Pair` only. It has no word of who wrote what: no melody, no policy, no purpose.
It says which pairs it is for: by default training, with its repeats and traps.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from uuid import UUID

from feedback_ui.services.answers import REPORTS, check_heard, read_answer, read_undo
from feedback_ui.services.clips import Clip, ClipFolder, Sound
from feedback_ui.services.limits import Limits, Source
from feedback_ui.services.notation import pictures_of
from feedback_ui.services.pool_cache import PoolCache
from feedback_ui.services.profiles import LearntTastes
from music.melody import Melody
from music.messages import one_line
from reward.store.pool import StoredMelody
from reward.store.schema import ROUND_PURPOSES
from reward.store.store import Rater, RatingsError, RatingsStore
from reward.store.votes import Answer, StalePageError

CONSENT_VERSION = "studio-4"
CONSENT = (
    "The studio stores your nickname, the melodies that you keep as favourites, your answers, when "
    "and how long you listened before each, the blind tests that you were invited to, and when the "
    "library last told you who wrote what. Nothing else about you: no name, no e-mail, no address "
    "(yours is kept in memory for some minutes after you sign up, so that no program signs up "
    "again and again). Your answers teach a model of taste, and may "
    "be shared as data under your nickname. You may stop whenever you like. On the page People you "
    "can take your answers along, and remove yourself with all that is yours."
)
BREAK_AFTER = timedelta(minutes=20)
"""after this long a break is offered (ITU-T P.808: sessions of 20 to 30 minutes)"""
PAIRS_AHEAD = 2
"""pairs whose sound is made ready while one is heard"""


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
class Heard:
    """One side of a pair, once its notes may be seen."""

    clip: Clip
    pictures: Mapping[str, str]
    """name -> SVG"""


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
        limits: rates of sign-ups and answers; None for a program that is to have none.
        clock: tells when pairs are issued and answered, aware of its time zone; the database's
            clock by default.

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
        limits: Limits | None = None,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self.store, self.limits, self._clock = store, limits, clock
        self._clips = ClipFolder(clips_folder, soundfont=soundfont, least_heard_ms=least_heard_ms)
        self.melodies = PoolCache(store)
        self.tastes = LearntTastes(store, self.melodies)
        self._app_version = app_version()

    def _now(self) -> datetime | None:
        return None if self._clock is None else self._clock()

    def sign_up(self, nickname: str, *, consents: bool, source: Source | None = None) -> Rater:
        """A new rater, with the token that lets them come back.

        Raises:
            RatingsError: without consent, for a nickname that is taken, looks like one that is, is
                empty or too long, or when too many have signed up just now.
        """
        if not consents:
            raise RatingsError("there is no rating without consent; tick the box to agree")
        if self.limits is not None:
            self.limits.sign_up(source or Source())
        return self.store.add_rater(nickname, consent_version=CONSENT_VERSION)

    def sign_in(self, token: str) -> Rater | None:
        """The person whom a token belongs to; None for no one, or a simulated listener.

        Raises:
            RatingsError: when the database cannot be read.
        """
        rater = self.store.rater_by_token(token) if token else None
        return rater if rater is not None and rater.kind == "person" else None

    def get_ready(
        self,
        rater_id: int,
        *,
        purposes: Collection[str] = ROUND_PURPOSES,
        campaign_id: int | None = None,
    ) -> bool:
        """Whether there is a pair for this rater; its sound is made meanwhile, beside the page.

        For a newcomer, who does not hear it at once: many may come in at the same moment.

        Raises:
            RatingsError: when the database cannot be used, or for an unknown rater.
        """
        issued = self.store.issue(
            rater_id, now=self._now(), purposes=purposes, campaign_id=campaign_id
        )
        if issued is not None:
            self._clips.prepare([_sound(issued.left), _sound(issued.right)])
        return issued is not None

    def current_pair(
        self,
        rater_id: int,
        *,
        purposes: Collection[str] = ROUND_PURPOSES,
        campaign_id: int | None = None,
    ) -> Pair | None:
        """The rater's live pair, or the next; None when all are answered or there are none.

        Raises:
            RatingsError: when the database cannot be used, or for an unknown rater.
            SoundfontError: when the audio cannot be rendered.
        """
        issued = self.store.issue(
            rater_id, now=self._now(), purposes=purposes, campaign_id=campaign_id
        )
        if issued is None:
            return None
        return Pair(
            assignment_id=issued.assignment_id,
            left=self._clip_in_pair(issued.left),
            right=self._clip_in_pair(issued.right),
            votes_cast=issued.votes_cast,
            total=issued.votes_cast + issued.remaining,
            reopened=issued.reopened,
        )

    def prepare_next(
        self,
        rater_id: int,
        *,
        purposes: Collection[str] = ROUND_PURPOSES,
        campaign_id: int | None = None,
    ) -> None:
        """Have the sound of what this rater will probably hear next made, beside the page.

        It is asked for once the current pair is on its way, which does not wait for it.

        Raises:
            RatingsError: when the database cannot be used, or for an unknown rater.
        """
        coming = self.store.coming(
            rater_id, purposes=purposes, campaign_id=campaign_id, count=1 + PAIRS_AHEAD
        )
        self._clips.prepare(map(_sound, coming))

    def answer(self, rater_id: int, payload: object) -> Reply:
        """Store what the page sent back, once; it comes from outside, so each field is checked.

        An answer that claims more listening than can have been is stored, but not counted.
        """
        try:
            if self.limits is not None:
                self.limits.answer(rater_id)
            assignment_id, fields = read_answer(payload)
            left, right = self.store.shown(rater_id, assignment_id)
            check_heard(fields, self._clip_in_pair(left), self._clip_in_pair(right))
            receipt = self.store.vote(
                assignment_id,
                Answer(renderer=self._clips.renderer, app_version=self._app_version, **fields),
                now=self._now(),
                from_page=True,
            )
        except ValueError as error:  # the store's, or the synthesizer's of a sound that is gone
            return Reply(False, one_line(error))
        if receipt.duplicate:
            # No error: the first may have been stored while the word of it got lost.
            return Reply(True, "That pair has your answer already. Here is the next.")
        if receipt.set_aside is not None:
            return Reply(
                True,
                "Saved, but not counted: the page reported more listening than time has passed "
                "since the pair was shown. Here is the next pair.",
            )
        if set(fields["reasons"]) & set(REPORTS):
            return Reply(True, "Reported and skipped, thank you. Here is the next pair.")
        return Reply(True, "Saved. Here is the next pair.")

    def undo(
        self,
        rater_id: int,
        payload: object,
        *,
        purposes: Collection[str] = ROUND_PURPOSES,
        campaign_id: int | None = None,
    ) -> Reply:
        """Show the last answered pair again, if the page still shows what the database has live.

        The page says which assignment it shows (None when it shows none). A click that is repeated,
        by a held key or a second tab, then names one that is gone, and does nothing.
        """
        try:
            shown = read_undo(payload)
            if self.limits is not None:
                self.limits.answer(rater_id)
            undone = self.store.undo(
                rater_id,
                now=self._now(),
                purposes=purposes,
                campaign_id=campaign_id,
                shown=shown,
            )
            if undone is None:
                return Reply(
                    False,
                    "There is no earlier answer to take back. Answers that you gave before the "
                    "library told you who wrote what stay as they are.",
                )
        except StalePageError:
            return Reply(True, "")
        except RatingsError as error:
            return Reply(False, one_line(error))
        return Reply(True, "Your last pair again. Answer anew.")

    def clip(self, melody: Melody) -> Clip:
        """A melody as audio at its usual tempo, rendered if it has not been.

        Raises:
            SoundfontError: when it cannot be rendered.
        """
        return self._clips.clip(melody)

    def _clip_in_pair(self, side: StoredMelody) -> Clip:
        """A side of a pair as audio, at the tempo of both."""
        return self._clips.clip(*_sound(side))

    def heard(self, rater_id: int, assignment_id: UUID) -> tuple[Heard, Heard]:
        """What this rater hears or heard, left and right, to see it and to hear it again.

        Raises:
            RatingsError: when it is not theirs.
            SoundfontError: when the audio cannot be rendered.
        """
        left, right = (
            Heard(
                self._clip_in_pair(stored),
                pictures_of(stored.melody),
            )
            for stored in self.store.shown(rater_id, assignment_id)
        )
        return left, right

    def is_new(self, rater_id: int) -> bool:
        """Whether this rater has not answered any pair yet."""
        return not self.store.has_voted(rater_id)

    def listening_session(self, rater_id: int) -> timedelta:
        """How long this rater has been at it; breaks are due every `BREAK_AFTER`."""
        return self.store.listening_session(rater_id).lasted


def _sound(side: StoredMelody) -> Sound:
    return side.melody, side.tempo_bpm


def app_version() -> str:
    """What is stored with each vote, so that a fault of one release can be found later."""
    try:
        return f"tastemaker {version('tastemaker')}"
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "tastemaker, not installed"
