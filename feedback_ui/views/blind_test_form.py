"""The form that makes a blind test, and the progress of making it; for organisers."""

from __future__ import annotations

import streamlit as st

from feedback_ui.services.background_command import CommandProcess
from feedback_ui.services.blind_tests import blind_test_arguments, list_tests
from feedback_ui.services.header_choices import header_choices
from feedback_ui.services.session import StudioSession
from feedback_ui.views.access import studio_options
from feedback_ui.views.fine_tune import fine_tuning_jobs
from music.key_choice import ANY, parse_range
from music.melody import TONIC_NAMES
from music.messages import one_line

DEFAULT_KEY = TONIC_NAMES.index("D")


@st.cache_resource(show_spinner=False)
def maker() -> CommandProcess:
    """The process that makes blind tests for this server; the studio itself has no torch."""
    return CommandProcess("a blind test")


def offer_blind_test(studio: StudioSession) -> None:
    """Show the form, or the progress while a test is being made; for organisers."""
    st.subheader("Make a blind test", anchor=False)
    if maker().is_busy:
        follow()
        return
    if maker().failure is not None:
        with st.container(border=True):
            st.markdown(":material/error: **The last blind test was not made**")
            st.text(str(maker().failure))
            st.button("Dismiss", on_click=maker().forget)
    jobs = fine_tuning_jobs(studio)
    names = jobs.policies()
    if len(names) < 2:
        st.info(
            "There is nothing to compare with the base yet. Fine-tune a policy first: the page "
            "Fine-tune, or `tastemaker ppo`.",
            icon=":material/tune:",
        )
        return
    # Outside the form, whose fields offer what both of them know.
    left, right = st.columns(2)
    a = left.selectbox("One policy", names, index=0)
    b = right.selectbox("The other policy", names, index=1)
    try:
        choices = header_choices([jobs.policy_folder(policy) for policy in (a, b)])
    except ValueError as error:
        st.text(f"Not yet: {one_line(error)}")
        return
    with st.form("make"):
        name = st.text_input(
            "Name, as raters see it", max_chars=80, placeholder="such as: Sunday test"
        )
        votes = st.number_input(
            "Votes wanted",
            10,
            2000,
            200,
            step=10,
            help="If people prefer one policy in 65 of 100 pairs, 200 votes nearly always show it "
            "(94 %). If they prefer it in 60 of 100 pairs, 200 votes show it about half the time; "
            "ask for 400 then. The test ends earlier when the answer is clear.",
        )
        one, other = st.columns(2, vertical_alignment="bottom")
        alone = studio_options().organiser_key is None  # only this machine can reach the studio
        votes_per_rater = one.number_input(
            "Votes of one person that count, at most",
            1,
            2000,
            200 if alone else 50,
            help="A quarter of the votes wanted is usual, so that nobody decides a test alone. If "
            "you are the only listener, enter all of them.",
        )
        invite_only = other.checkbox(
            "Only people with the invitation hear it",
            help="The link is made on the page of the test.",
        )
        left, middle, last = st.columns(3)
        meter = left.selectbox("Metre", choices.meters)
        bars = middle.selectbox("Bars", choices.bars)
        style = last.selectbox("Style", choices.styles)
        left, middle, last = st.columns(3)
        mode = left.selectbox("Mode", choices.modes)
        key = middle.selectbox("Key", [*TONIC_NAMES, ANY], index=DEFAULT_KEY)
        compass = last.text_input(
            "Range",
            max_chars=20,
            placeholder="such as A3-E5",
            help="The lowest and the highest note of an instrument or a voice. Empty: no bounds.",
        ).strip()
        sent = st.form_submit_button("Write the melodies", type="primary", width="stretch")
    if sent and a == b:
        st.text(f"Not yet: {a} cannot be compared with itself; choose two policies.")
    elif sent:
        try:
            if compass:
                parse_range(compass)
        except ValueError as error:
            st.text(f"Not yet: {one_line(error)}")
            return
        taken = len(list_tests(studio.store))
        arguments = blind_test_arguments(
            a,
            b,
            name=name.strip(),
            votes=int(votes),
            votes_per_rater=int(votes_per_rater),
            invite_only=invite_only,
            meter=meter,
            mode=mode,
            style=style,
            bars=bars,
            key=key,
            compass=compass,
            seed=taken + 1,
        )
        try:
            maker().start(arguments, database=studio_options().database)
        except ValueError as error:
            st.text(f"Not yet: {one_line(error)}")
        else:
            st.rerun()


@st.fragment(run_every=1.0)
def follow() -> None:
    """Show the newest line of the command until it has ended."""
    if not maker().is_busy:
        st.rerun()
    with st.status("Writing the melodies. This takes a minute or two.", state="running"):
        st.text((maker().lines or ["starting"])[-1])
    st.markdown("You may leave this page; the test will be in the list above.")
