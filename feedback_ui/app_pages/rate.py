"""Rate: one blind pair after another.

A vote is handled in the callback and, where that did not run (a server that has restarted knows of
no callback), in the script body. Both do the same thing, and the store takes an answer once.
"""

from __future__ import annotations

import streamlit as st

from feedback_ui.components.listening_pair import KEY, listening_pair
from feedback_ui.entrance import open_studio, sign_out, signed_in, trouble
from feedback_ui.session import Reply


def handle(trigger: str, payload: object) -> bool:
    """Store what a trigger brought, unless this session has; whether there was anything to do."""
    if payload is None:
        return False
    sent = (trigger, payload.get("nonce") if isinstance(payload, dict) else None)
    if st.session_state.get("handled") == sent:
        return False
    reply = studio.answer(payload) if trigger == "vote" else studio.undo(rater.id, payload)
    st.session_state["handled"] = sent
    st.session_state["reply"] = reply
    return True


def on(trigger: str) -> None:
    """The callback: Streamlit runs it before the script body."""
    handle(trigger, st.session_state[KEY].get(trigger))


def undo_at_the_end() -> None:
    """Undo while no pair is shown."""
    st.session_state["reply"] = studio.undo(rater.id, {"assignment_id": None})


studio = open_studio()
st.subheader("Which do you like better?", anchor=False)
rater = signed_in(studio)
reply: Reply | None = st.session_state.pop("reply", None)
try:
    pair = studio.current_pair(rater.id)
    counts = studio.store.counts() if pair is None else {}
except ValueError as error:  # what the store and the synthesizer raise for people to read
    trouble(error)

if reply is not None and not reply.done:
    # As text: the message may quote what was sent.
    with st.container(border=True, horizontal=True):
        st.markdown(":material/warning:", width="content")
        st.text(reply.message)
if pair is not None:
    st.progress(pair.votes_cast / pair.total, text=f"{pair.votes_cast} of {pair.total} pairs")
    sent = listening_pair(
        pair,
        note=reply.message if reply is not None and reply.done else "",
        on_vote=lambda: on("vote"),
        on_undo=lambda: on("undo"),
    )
    if any(handle(trigger, payload) for trigger, payload in sent.items()):
        st.rerun()
elif not counts["comparisons"]:
    st.info(
        "There is nothing to hear yet. Whoever runs this studio makes pairs with "
        "`tastemaker pairs`; then reload this page.",
        icon=":material/music_off:",
    )
else:
    st.success("You have heard every pair there is. Thank you!", icon=":material/celebration:")
    people = counts["raters_person"]
    st.markdown(
        f"This studio has {counts['votes_person']} answers from "
        f"{people} {'person' if people == 1 else 'people'}. "
        "What comes next: `tastemaker reward` learns from them, and new pairs will wait here "
        "after the next round."
    )
    st.button("Undo last answer", icon=":material/undo:", on_click=undo_at_the_end)

with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
    st.text(f"Rating as {rater.nickname}")
    st.button("Sign out", type="tertiary", on_click=sign_out)
