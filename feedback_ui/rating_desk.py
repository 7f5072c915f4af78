"""The rating desk: what a rater meets, from the volume to the last pair, as Streamlit shows it.

A vote is handled in the callback and, where that did not run (a server that has restarted knows of
no callback), in the script body. Both do the same thing, and the store takes an answer once.
"""

from __future__ import annotations

from uuid import UUID

import streamlit as st

from feedback_ui.components.listening_pair import KEY, listening_pair
from feedback_ui.components.tune_player import tune_player
from feedback_ui.entrance import trouble
from feedback_ui.practice import WALKING, is_practice, practice_pair
from feedback_ui.session import Pair, Reply, StudioSession
from reward.ratings import Rater

STAGE = "first-steps"
"""how far a newcomer is, in the address, so that a restarted server knows: 'practice' or 'done'"""
BREAKS = "breaks_offered"
LAST = "last_heard"
"""assignment of the pair that was answered last, whose notes may be seen now"""
NOTES = "notes"
"""in the address: notes are shown before voting"""


def rate(studio: StudioSession, rater: Rater) -> None:
    """Show this rater what comes next: the first steps, a pair, a break, or the end."""
    reply: Reply | None = st.session_state.pop("reply", None)
    try:
        pair = studio.current_pair(rater.id)
        tired = studio.needs_a_break(rater.id, breaks=st.session_state.get(BREAKS, 0))
    except ValueError as error:  # what the store and the synthesizer raise for people to read
        trouble(error)
    _say(reply)
    if pair is None:
        _the_end(studio, rater)
    elif pair.votes_cast == 0 and st.query_params.get(STAGE) != "done":
        _first_steps(studio, rater)
    elif tired:
        _offer_a_break(pair)
    else:
        _rate_pair(studio, rater, pair, reply)
    _show_last(studio, rater)


def _handle(studio: StudioSession, rater: Rater, trigger: str, payload: object) -> bool:
    """Store what a trigger brought, unless this session has; whether there was anything to do."""
    if payload is None:
        return False
    nonce = payload.get("nonce") if isinstance(payload, dict) else None
    if st.session_state.get("handled") == (trigger, nonce):
        return False
    st.session_state["handled"] = (trigger, nonce)
    if is_practice(payload):
        st.query_params[STAGE] = "done"
        reply = Reply(True, "That is all there is to it. From now on it counts.")
    elif trigger == "vote":
        reply = studio.answer(rater.id, payload)
        if reply.done and isinstance(payload, dict):
            st.session_state[LAST] = str(payload.get("assignment_id"))
    else:
        reply = studio.undo(rater.id, payload)
        st.session_state.pop(LAST, None)  # its notes are not for those who vote on it again
    st.session_state["reply"] = reply
    return True


def _mount(
    studio: StudioSession, rater: Rater, pair: Pair, note: str, *, practice: bool = False
) -> None:
    def on(trigger: str) -> None:  # Streamlit calls it before the script body
        _handle(studio, rater, trigger, st.session_state[KEY].get(trigger))

    pictures = None
    if not practice and _wants_notes():
        left, right = studio.heard(rater.id, pair.assignment_id)
        pictures = {
            "left": list(left.pictures.values()),
            "right": list(right.pictures.values()),
        }
    sent = listening_pair(
        pair,
        note=note,
        on_vote=lambda: on("vote"),
        on_undo=lambda: on("undo"),
        pictures=pictures,
        practice=practice,
    )
    if any(_handle(studio, rater, trigger, payload) for trigger, payload in sent.items()):
        st.rerun()


def _say(reply: Reply | None) -> None:
    if reply is None or reply.done:
        return
    # As text: the message may quote what was sent.
    with st.container(border=True, horizontal=True):
        st.markdown(":material/warning:", width="content")
        st.text(reply.message)


def _first_steps(studio: StudioSession, rater: Rater) -> None:
    if st.query_params.get(STAGE) != "practice":
        st.markdown(
            "**First, the volume.** Play this and set your volume so that it is comfortable; "
            "every melody here is equally loud. Headphones help."
        )
        tune_player(studio.clip(WALKING), key="volume", label="For the volume")
        with st.container(horizontal=True):
            st.button("The volume is right", type="primary", on_click=_go_to, args=("practice",))
            st.button("Skip to rating", on_click=_go_to, args=("done",))
        return
    st.markdown(
        "**A pair to practise on.** Play both, switch between them at the same place, then say "
        "which you like better, and by how much. This answer is not kept."
    )
    _mount(studio, rater, practice_pair(studio), "", practice=True)
    st.button("Skip to rating", on_click=_go_to, args=("done",))


def _go_to(stage: str) -> None:
    st.query_params[STAGE] = stage


def _rate_pair(studio: StudioSession, rater: Rater, pair: Pair, reply: Reply | None) -> None:
    st.progress(pair.votes_cast / pair.total, text=f"{pair.votes_cast} of {pair.total} pairs")
    _mount(studio, rater, pair, reply.message if reply is not None and reply.done else "")
    st.toggle(
        "Show the notes before voting",
        value=_wants_notes(),
        key="wants_notes",
        on_change=_keep_wish,
        help="What the eye sees sways what the ear hears; leave it off unless you study scores.",
    )


def _wants_notes() -> bool:
    return st.query_params.get(NOTES) == "1"


def _keep_wish() -> None:
    if st.session_state["wants_notes"]:
        st.query_params[NOTES] = "1"
    else:
        st.query_params.pop(NOTES, None)


def _offer_a_break(pair: Pair) -> None:
    st.info(
        "You have been listening for a good while. Ears tire before we notice: take ten minutes, "
        "or come back another day. Everything is saved.",
        icon=":material/local_cafe:",
    )
    st.progress(pair.votes_cast / pair.total, text=f"{pair.votes_cast} of {pair.total} pairs")

    def go_on() -> None:
        st.session_state[BREAKS] = st.session_state.get(BREAKS, 0) + 1

    st.button("Go on all the same", on_click=go_on)


def _the_end(studio: StudioSession, rater: Rater) -> None:
    counts = studio.store.counts()
    if not counts["comparisons"]:
        st.info(
            "There is nothing to hear yet. Whoever runs this studio makes pairs with "
            "`tastemaker pairs`; then reload this page.",
            icon=":material/music_off:",
        )
        return
    st.success("You have heard every pair there is. Thank you!", icon=":material/celebration:")
    people = counts["raters_person"]
    st.markdown(
        f"This studio has {counts['votes_person']} answers from "
        f"{people} {'person' if people == 1 else 'people'}. "
        "What comes next: `tastemaker reward` learns from them, and new pairs will wait here "
        "after the next round."
    )

    def undo() -> None:
        st.session_state["reply"] = studio.undo(rater.id, {"assignment_id": None})
        st.session_state.pop(LAST, None)

    st.button("Undo last answer", icon=":material/undo:", on_click=undo)


def _show_last(studio: StudioSession, rater: Rater) -> None:
    """Offer the notes of the pair that was answered last; they are drawn when they are wanted."""
    last = st.session_state.get(LAST)
    if last is None or not st.toggle("See and hear the last pair again", key="see_last"):
        return
    try:
        left, right = studio.heard(rater.id, UUID(last))
    except ValueError as error:
        trouble(error)
    for letter, heard in (("A", left), ("B", right)):
        tune_player(
            heard.clip, key=f"last-{letter}", label=f"Last pair, {letter}", pictures=heard.pictures
        )
