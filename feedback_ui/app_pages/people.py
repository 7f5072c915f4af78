"""People: a rater's own data, and for an organiser the data of all raters."""

from __future__ import annotations

import streamlit as st

from feedback_ui.components.text_table import text_table
from feedback_ui.server.cookies import RATER
from feedback_ui.services.accounts import (
    RATER_TITLES,
    ROUND_TITLES,
    farewell,
    own_csv,
    own_json,
    own_statistics,
    rater_rows,
    round_rows,
    withdraw,
)
from feedback_ui.services.blind_tests import list_tests, policies_of
from feedback_ui.services.consent import must_consent_again
from feedback_ui.services.session import CONSENT, CONSENT_VERSION
from feedback_ui.views.access import (
    consent_form,
    for_organisers,
    is_organiser,
    open_studio,
    sign_out,
    signed_in,
    tab_keys,
    trouble,
)
from feedback_ui.views.page_heading import page_heading
from music.messages import one_line
from reward.comparisons.intervals import Share
from reward.store.store import Rater

ME, EVERYONE = "me", "everyone"
VIEW_NAMES = {ME: "What is mine", EVERYONE: "Everyone"}
TEST_TITLES = ("Blind test", "Policies", "Votes", "Wanted", "People", "State")


def as_percent(share: Share | None) -> str:
    """Such as "71 %", or a dash where nothing is known yet."""
    return "–" if share is None else f"{share.share:.0%}"


def show_me() -> None:
    """Show what is stored about the rater of this tab, with download and removal."""
    gone = st.session_state.pop("farewell", None)
    if gone is not None:
        with st.container(border=True):
            st.markdown(":material/waving_hand: **Goodbye**")
            st.text(gone)
    rater = signed_in(studio, consented=False)
    if must_consent_again(rater):
        consent_form(studio, rater)
    st.text(f"You are {rater.nickname} here.")
    own = own_statistics(studio.store, rater.id)
    if not own.votes:
        st.info(
            "You have not voted yet. The page Rate has the first pair for you.",
            icon=":material/headphones:",
        )
    else:
        first, second = st.columns(2), st.columns(2)
        first[0].metric("Votes", own.votes, border=True)
        first[1].metric("Time listened", own.heard, border=True)
        second[0].metric(
            "Agree with yourself",
            as_percent(own.self_agreement),
            border=True,
            help="Some pairs come twice, with the sides swapped. This is how often you gave the "
            "same answer. About seven in ten is usual, and nobody reaches ten.",
        )
        second[1].metric(
            "Left side chosen",
            as_percent(own.left),
            border=True,
            help="Sides are random, so about half is expected.",
        )
        st.markdown(
            f"{own.ties} times you heard no difference, {own.both_bad} times you liked neither, "
            f"{own.skips} times you skipped."
        )
    if own.set_aside:
        st.markdown(
            f"{own.set_aside} of your answers are kept but not counted, because more listening was "
            "reported with them than time had passed."
        )
    st.subheader("Your link", anchor=False)
    st.markdown(
        "It signs you in on any device. Anyone who has it can vote in your name, so keep it to "
        "yourself. To invite others, send the address of this page, which has no key in it."
    )
    address = str(st.context.url or "").split("?")[0]
    st.code(f"{address}?{RATER}={tab_keys().token}", language=None, wrap_lines=True)
    st.button("Sign out here", icon=":material/logout:", on_click=sign_out)
    st.subheader("What you agreed to", anchor=False)
    st.markdown(CONSENT)
    st.text(f"You agreed to version {rater.consent_version}; the newest is {CONSENT_VERSION}.")
    st.subheader("Download your data", anchor=False)
    st.markdown(
        "All your answers with their times, including those that you took back. The JSON also has "
        "your favourites and whatever else is stored about you."
    )
    with st.container(horizontal=True):
        st.download_button(
            "As a table (CSV)",
            own_csv(studio.store, rater.id),
            file_name="my-votes.csv",
            mime="text/csv",
            icon=":material/table:",
            on_click="ignore",
        )
        st.download_button(
            "For programs (JSON)",
            own_json(studio.store, rater),
            file_name="my-votes.json",
            mime="application/json",
            icon=":material/data_object:",
            on_click="ignore",
        )
    leave(rater)


def leave(rater: Rater) -> None:
    """Offer to remove the rater and all their answers."""
    st.subheader("Remove yourself", anchor=False)
    st.markdown(
        "Your nickname, your favourites and all your answers are deleted. This cannot be undone."
    )
    runs = studio.store.runs_trained_on(rater.id)
    if runs:
        st.text(
            "These models were trained on your answers and keep what they learnt: "
            + ", ".join(f"{name} ({votes})" for name, votes in runs.items())
            + ". Only models that are trained again are free of them."
        )
    with st.form("withdraw"):
        typed = st.text_input("Type your nickname to confirm", autocomplete="off")
        sent = st.form_submit_button("Remove me and my answers", icon=":material/delete:")
    if sent:
        try:
            gone = withdraw(studio.store, rater, typed)
        except ValueError as error:
            st.text(f"Not yet: {one_line(error)}")
        else:
            sign_out()
            st.session_state["farewell"] = farewell(gone)
            st.rerun()


def show_everyone() -> None:
    """Show what only an organiser may see."""
    for_organisers()
    counts = studio.store.counts()
    figures = st.columns(2), st.columns(2)
    for place, (title, name) in zip(
        (*figures[0], *figures[1]),
        (
            ("People", "raters_person"),
            ("Their votes", "votes_person"),
            ("Melodies", "melodies"),
            ("Pairs", "comparisons"),
        ),
        strict=True,
    ):
        place.metric(title, counts[name], border=True)
    if counts["votes_simulated"]:
        st.markdown(
            f"There are also {counts['votes_simulated']} votes of simulated listeners, not counted "
            "here."
        )
    st.subheader("Invite people", anchor=False)
    st.markdown(
        "Whoever opens this address signs up with a nickname of their own. It holds no key. A "
        "blind test has a link of its own, on its page."
    )
    st.code(str(st.context.url or "").split("?")[0].removesuffix("/people"), language=None)
    limits = studio.limits
    if limits is not None and (limits.refused_sign_ups or limits.refused_answers):
        st.text(
            f"Refused since this server started ({limits.since:%Y-%m-%d %H:%M} UTC), because too "
            f"many came at once: {limits.refused_sign_ups} sign-ups, "
            f"{limits.refused_answers} answers."
        )
    st.subheader("Pairs to learn from", anchor=False)
    rows = round_rows(studio.store)
    if rows:
        text_table(ROUND_TITLES, rows, key="rounds", caption="Rounds of pairs and their progress")
    else:
        st.info(
            "There are no pairs yet; `tastemaker pairs` makes some.",
            icon=":material/library_music:",
        )
    st.subheader("Blind tests", anchor=False)
    tests = list_tests(studio.store)
    if tests:
        rows = [
            (
                test.name,
                " and ".join(policies_of(studio.store, test.id)),
                str(test.votes),
                str(test.votes_wanted),
                str(test.raters),
                "ended" if test.has_ended else "open",
            )
            for test in tests
        ]
        text_table(TEST_TITLES, rows, key="tests", caption="Blind tests and their progress")
    else:
        st.info(
            "There is no blind test yet; make one on the page Blind test.",
            icon=":material/hearing:",
        )
    st.subheader("How reliable raters are", anchor=False)
    rows = rater_rows(studio.store)
    if not rows:
        st.info("There are no raters yet. Send people the address above.", icon=":material/link:")
        return
    text_table(RATER_TITLES, rows, key="raters", caption="Raters and how reliable they are")
    with st.expander("What the columns mean"):
        st.markdown(
            "- **Not counted**: votes that are kept, but claim more listening than time had passed "
            "since the pair was shown. They enter nothing else here.\n"
            "- **Left side**: share of left among the votes that chose a side; about 0.50 is "
            "expected.\n"
            "- **With themselves**: share of the pairs heard twice that got the same answer.\n"
            "- **With others**: how often other people gave the same answer to the same pair.\n"
            "- **Traps passed**: how often they chose the intact melody of a pair in which the "
            "other one has wrong notes on purpose.\n"
            "- **Reliability**: how often they choose the melody that is better according to all "
            "votes together; 0.50 is chance, 0.72 is usual.\n"
            "- **To look at**: they always gave the same side or answer, or their answers look "
            "random. Ask before you judge: an unusual taste can look the same.\n\n"
            "In brackets are 95 % intervals. With few votes they are wide."
        )


studio = open_studio()
page_heading("People", "What the studio stores about you, and how to download or remove it.")
try:
    view = ME
    if is_organiser():
        if "people_view" not in st.session_state:
            asked = st.query_params.get("view", ME)
            st.session_state["people_view"] = asked if asked in VIEW_NAMES else ME
        view = st.radio(
            "Whose",
            list(VIEW_NAMES),
            format_func=VIEW_NAMES.__getitem__,
            key="people_view",
            horizontal=True,
            label_visibility="collapsed",
        )
        st.query_params["view"] = str(view)
    elif st.query_params.get("view") == EVERYONE:
        for_organisers()
    if view == EVERYONE:
        show_everyone()
    else:
        show_me()
except ValueError as error:  # messages of the store
    trouble(error)
