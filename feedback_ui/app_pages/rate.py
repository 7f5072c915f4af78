"""Rate: one blind pair after another."""

from __future__ import annotations

import streamlit as st

from feedback_ui.entrance import open_studio, sign_out, signed_in
from feedback_ui.page_heading import page_heading
from feedback_ui.rating_desk import rate

studio = open_studio()
page_heading(
    "Which do you like better?", "Two melodies, and nobody knows who wrote them. Trust your ears."
)
rater = signed_in(studio)
rate(studio, rater)
with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
    st.text(f"Rating as {rater.nickname}")
    st.button("Sign out", type="tertiary", on_click=sign_out)
