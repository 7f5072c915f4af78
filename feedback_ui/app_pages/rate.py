"""Rate: one blind pair after another."""

from __future__ import annotations

import streamlit as st

from feedback_ui.views.access import open_studio, sign_out, signed_in
from feedback_ui.views.page_heading import page_heading
from feedback_ui.views.rating import RatingView
from reward.store.schema import ROUND_PURPOSES


def the_end() -> None:
    """Say what comes next when no pair waits for this rater."""
    counts = studio.store.counts()
    if not {*ROUND_PURPOSES} & {*studio.store.comparisons_frame()["purpose"]}:
        st.info(
            "There are no pairs to rate yet. The person who runs this studio makes them with "
            "`tastemaker pairs`; then reload this page. Pairs of blind tests are on the page "
            "Blind test.",
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
    view.undo_button()


studio = open_studio()
page_heading(
    "Which do you like better?", "Two melodies, and nobody knows who wrote them. Trust your ears."
)
rater = signed_in(studio)
view = RatingView(studio, rater, the_end)
view.show()
with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
    st.text(f"Rating as {rater.nickname}")
    st.button(
        "Sign out",
        type="tertiary",
        on_click=sign_out,
        help="Save your link first (page People). You need it to get back to your answers.",
    )
