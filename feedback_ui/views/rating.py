"""Rating: the volume check, the practice pair, pairs to rate, breaks, and the end.

A vote is handled in the callback. After a restart the server does not know the callback, so the
script body handles a vote too. Both do the same, and the store takes an answer once.

An error in a callback would keep the script body from running, which alone mounts the component
anew; then every later vote of the session would fail alike. So a callback raises nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import streamlit as st

from feedback_ui.components.listening_pair import KEY, listening_pair
from feedback_ui.components.tune_player import tune_player
from feedback_ui.services.practice import WALKING, is_practice, practice_pair
from feedback_ui.services.session import BREAK_AFTER, Pair, Reply, StudioSession
from feedback_ui.views.access import trouble
from feedback_ui.views.notice import notice
from reward.store.schema import ROUND_PURPOSES
from reward.store.store import Rater

log = logging.getLogger(__name__)
STAGE = "first-steps"
"""how far a newcomer is: 'practice' or 'done'; in the address, to survive a server restart"""
DECLINED = "breaks"
"""in the address: how many breaks were declined in this listening session. Otherwise a restarted
server would ask again instead of showing the pair, and the vote in flight would be lost."""
LAST = "last_heard"
"""assignment of the last answered pair, whose notes may now be shown"""
PAUSED = "paused"
"""a break was asked for"""
MINUTE = timedelta(minutes=1)
NOTES = "notes"
"""in the address: notes are shown before voting"""


def own_progress(pair: Pair) -> tuple[float, str]:
    """Share of this rater's pairs that are answered, and a line that says so."""
    return pair.votes_cast / pair.total, f"{pair.votes_cast} of {pair.total} pairs"


@dataclass(frozen=True, slots=True)
class RatingView:
    """Rating on one page, by one rater.

    Args:
        studio: the studio.
        rater: who rates.
        at_the_end: called to show the end, when all pairs are answered.
        progress: share done and a line of text, given a pair; by default the rater's own count.
        purposes: of the pairs to rate.
        campaign_id: the campaign of the pairs; None for any.
    """

    studio: StudioSession
    rater: Rater
    at_the_end: Callable[[], None]
    progress: Callable[[Pair], tuple[float, str]] = own_progress
    purposes: Collection[str] = ROUND_PURPOSES
    campaign_id: int | None = None

    def show(self) -> None:
        """Show what comes next: the first steps, a pair, a break, or the end."""
        reply: Reply | None = st.session_state.pop("reply", None)
        if reply is not None and not reply.done:
            notice(reply.message)
        try:
            if self._is_new():
                self._first_steps()
                return
            pair = self.studio.current_pair(
                self.rater.id, purposes=self.purposes, campaign_id=self.campaign_id
            )
            sat = self.studio.listening_session(self.rater.id)
            breaks_due = sat // BREAK_AFTER
            declined = _declined(breaks_due)
        except ValueError as error:  # messages of the store and the synthesizer
            trouble(error)
        if pair is None:
            self.at_the_end()
        elif st.session_state.get(PAUSED, False):
            self._pause(pair)
        elif breaks_due > declined:
            self._offer_a_break(pair, breaks_due)
        else:
            self._rate_pair(pair, reply)
            self._offer_a_pause(sat)
        self._show_last()
        if pair is not None:
            self._prepare_next()

    def _prepare_next(self) -> None:
        try:
            self.studio.prepare_next(
                self.rater.id, purposes=self.purposes, campaign_id=self.campaign_id
            )
        except ValueError as error:  # messages of the store
            trouble(error)

    def _is_new(self) -> bool:
        """Whether the rater still needs the volume check, and there is a pair for them."""
        if st.query_params.get(STAGE) == "done" or not self.studio.is_new(self.rater.id):
            return False
        return self.studio.get_ready(
            self.rater.id, purposes=self.purposes, campaign_id=self.campaign_id
        )

    def undo_button(self) -> None:
        """Draw a button that undoes the last answer, for when no pair is shown."""
        st.button(
            "Undo last answer",
            icon=":material/undo:",
            on_click=self._undo,
            args=({"assignment_id": None},),
        )

    def _undo(self, payload: object) -> None:
        st.session_state["reply"] = self.studio.undo(
            self.rater.id, payload, purposes=self.purposes, campaign_id=self.campaign_id
        )
        st.session_state.pop(LAST, None)  # the rater votes on it again, so its notes are hidden

    def _handle(self, trigger: str, payload: object) -> bool:
        """Store a vote or an undo, unless this session already did; whether there was one."""
        if payload is None:
            return False
        nonce = payload.get("nonce") if isinstance(payload, dict) else None
        if st.session_state.get("handled") == (trigger, nonce):
            return False
        if is_practice(payload):
            st.query_params[STAGE] = "done"
            said = "That is all. From now on your answers count."
            st.session_state["reply"] = Reply(True, said)
        elif trigger == "vote":
            reply = self.studio.answer(self.rater.id, payload)
            if reply.done and isinstance(payload, dict):
                st.session_state[LAST] = str(payload.get("assignment_id"))
            st.session_state["reply"] = reply
        else:
            self._undo(payload)
        st.session_state["handled"] = (trigger, nonce)  # last: what failed may be sent again
        return True

    def _called(self, trigger: str) -> None:
        """Handle what the component sent, before the script body; what fails is left to that."""
        try:
            # A session can lose the component's state: its first run ends while the next begins
            # (Streamlit 1.67 does not lock the state between the two). The script body has it then.
            sent = st.session_state.get(KEY)
            if isinstance(sent, Mapping):
                self._handle(trigger, sent.get(trigger))
        except Exception:
            log.exception("a %s was not handled in its callback", trigger)

    def _mount(self, pair: Pair, note: str, *, practice: bool = False) -> None:
        pictures = None
        if not practice and _wants_notes():
            left, right = self.studio.heard(self.rater.id, pair.assignment_id)
            pictures = {
                "left": list(left.pictures.values()),
                "right": list(right.pictures.values()),
            }
        sent = listening_pair(
            pair,
            note=note,
            on_vote=lambda: self._called("vote"),
            on_undo=lambda: self._called("undo"),
            pictures=pictures,
            practice=practice,
        )
        if any(self._handle(trigger, payload) for trigger, payload in sent.items()):
            st.rerun()

    def _first_steps(self) -> None:
        if st.query_params.get(STAGE) != "practice":
            st.markdown(
                "**First, the volume.** Play this melody and set a comfortable volume. All "
                "melodies are equally loud. Headphones help."
            )
            tune_player(self.studio.clip(WALKING), key="volume", label="For the volume")
            with st.container(horizontal=True):
                st.button(
                    "The volume is right", type="primary", on_click=_go_to, args=("practice",)
                )
                st.button("Skip to rating", on_click=_go_to, args=("done",))
            return
        st.markdown(
            "**A pair for practice.** Play both, switch between them at the same place, then say "
            "which you like better, and by how much. This answer is not stored."
        )
        self._mount(practice_pair(self.studio), "", practice=True)
        st.button("Skip to rating", on_click=_go_to, args=("done",))

    def _rate_pair(self, pair: Pair, reply: Reply | None) -> None:
        share, text = self.progress(pair)
        st.progress(share, text=text)
        self._mount(pair, reply.message if reply is not None and reply.done else "")
        st.toggle(
            "Show the notes before voting",
            value=_wants_notes(),
            key="wants_notes",
            on_change=_keep_wish,
            help="Seeing the notes influences what you hear; leave it off unless you need it.",
        )

    def _offer_a_pause(self, sat: timedelta) -> None:
        minutes, whole = sat // MINUTE, BREAK_AFTER // MINUTE
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button(
                "Take a break", icon=":material/local_cafe:", type="tertiary", on_click=_set_pause,
                args=(True,), key="take_a_break",
            )  # fmt: skip
            st.text(f"{minutes % whole} of {whole} minutes until the next break")

    def _pause(self, pair: Pair) -> None:
        self._break(
            pair, "A break. Everything is saved. Continue when you like, or come back another day."
        )
        st.button("Go on", type="primary", on_click=_set_pause, args=(False,))

    def _offer_a_break(self, pair: Pair, due: int) -> None:
        self._break(
            pair,
            "You have been listening for a while, and ears get tired before we notice. Take ten "
            "minutes, or come back another day. Everything is saved.",
        )
        # Declines all that are due: a tab opened late in a session asks once, not once per break.
        st.button("Go on all the same", on_click=_decline, args=(due,))

    def _break(self, pair: Pair, line: str) -> None:
        st.info(line, icon=":material/local_cafe:")
        share, text = self.progress(pair)
        st.progress(share, text=text)

    def _show_last(self) -> None:
        """Offer to show the last answered pair, with its notes."""
        last = st.session_state.get(LAST)
        if last is None or not st.toggle("See and hear the last pair again", key="see_last"):
            return
        try:
            left, right = self.studio.heard(self.rater.id, UUID(last))
        except ValueError as error:
            trouble(error)
        for letter, heard in (("A", left), ("B", right)):
            tune_player(
                heard.clip,
                key=f"last-{letter}",
                label=f"Last pair, {letter}",
                pictures=heard.pictures,
            )


def _set_pause(paused: bool) -> None:
    st.session_state[PAUSED] = paused


def _decline(breaks: int) -> None:
    st.query_params[DECLINED] = str(breaks)


def _go_to(stage: str) -> None:
    st.query_params[STAGE] = stage


def _declined(due: int) -> int:
    """How many of the due breaks were declined, according to the address."""
    if not due:  # a break was taken
        st.query_params.pop(DECLINED, None)
    said = st.query_params.get(DECLINED, "")
    return int(said) if said in map(str, range(due + 1)) else 0


def _wants_notes() -> bool:
    return st.query_params.get(NOTES) == "1"


def _keep_wish() -> None:
    if st.session_state["wants_notes"]:
        st.query_params[NOTES] = "1"
    else:
        st.query_params.pop(NOTES, None)
