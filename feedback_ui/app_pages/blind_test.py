"""Blind test: people compare two policies by ear; the result stays hidden until the test ends.

The address says which test is open (`?test=3`), or holds an invitation to it (`?invite=…`).
The Rate page uses the same view to play and rate pairs (`views/rating.py`).
"""

from __future__ import annotations

import streamlit as st

from feedback_ui.services.blind_tests import (
    PURPOSES,
    Standing,
    admit,
    advice,
    change_rules,
    counted,
    end,
    find_test,
    has_given_share,
    invited_to,
    list_tests,
    may_hear,
    new_invitation,
    policies_of,
    settle,
)
from feedback_ui.services.session import Reply
from feedback_ui.views.access import is_organiser, open_studio, signed_in, trouble
from feedback_ui.views.blind_test_form import offer_blind_test
from feedback_ui.views.blind_test_result import show_result
from feedback_ui.views.notice import notice
from feedback_ui.views.page_heading import page_heading
from feedback_ui.views.rating import RatingView
from reward.store.campaigns import MOST_VOTES_WANTED

# The list of tests


def show_list() -> None:
    """List all tests; organisers also get the form that makes one."""
    tests = list_tests(studio.store)
    if not tests:
        st.info(
            "There is no blind test yet. "
            + (
                "Make the first one below."
                if is_organiser()
                else "The person who runs this studio can make one. Until then you can rate pairs "
                "on the page Rate."
            ),
            icon=":material/hearing:",
        )
    for test in tests:
        with st.container(border=True):
            st.text(test.name)
            said = f"{test.votes} of {counted(test.votes_wanted, 'vote', 'votes')}"
            st.progress(test.progress, text=f"{said}{', ended' if test.has_ended else ''}")
            st.button(
                "See the result"
                if test.has_ended
                else "Look at it"
                if test.is_imported
                else "Listen and vote",
                key=f"open-{test.id}",
                type="secondary" if test.has_ended else "primary",
                on_click=open_test,
                args=(test.id,),
            )
    if is_organiser():
        offer_blind_test(studio)


def open_test(test_id: int) -> None:
    """Go to one test."""
    st.query_params["test"] = str(test_id)


def leave() -> None:
    """Go back to the list."""
    for name in ("test", "invite"):
        st.query_params.pop(name, None)
    st.session_state.pop("invitation", None)


# One test


def hear(test: Standing) -> None:
    """Show the next pair of a running test, to whom it is for."""
    rater = signed_in(studio)
    if token or (test.invite_only and is_organiser()):
        admit(studio.store, test.id, rater.id)
    if not may_hear(studio.store, test.id, rater.id):
        st.info(
            "This test is for people who were invited. Open the link that you got from the person "
            "who runs it.",
            icon=":material/lock:",
        )
        return
    at_most = counted(test.most_more, "more vote", "more votes")
    said = f"{counted(test.votes, 'vote is', 'votes are')} in; at most {at_most} to the result"
    view = RatingView(
        studio,
        rater,
        lambda: all_heard(view, test),
        progress=lambda pair: (test.progress, said),
        purposes=PURPOSES,
        campaign_id=test.id,
    )
    view.show()
    st.text(f"Rating as {rater.nickname}")


def all_heard(view: RatingView, test: Standing) -> None:
    """Thank a rater who has heard every pair of a running test, or given all votes they may."""
    done = "You have heard every pair of this test."
    if has_given_share(studio.store, test.id, view.rater.id):
        most = counted(test.votes_per_rater or 0, "vote", "votes")
        done = f"You have given the {most} of one person that count in this test."
    st.success(
        f"{done} Thank you! The result appears here when enough votes are in, or when the person "
        "who runs the studio ends the test.",
        icon=":material/check_circle:",
    )
    view.undo_button()


def manage(test: Standing) -> None:
    """What an organiser can do with a running test; it does not show which policy leads."""
    with st.expander("For the person who runs this test", icon=":material/key:"):
        a, b = policies_of(studio.store, test.id)
        st.text(f"It compares {a} and {b}. {counted(test.raters, 'person', 'people')} took part.")
        if not test.is_imported:
            st.text(advice(studio.store, test.id))
            if test.set_aside:
                claimed = counted(test.set_aside, "vote does", "votes do")
                st.text(f"{claimed} not count: more listening was reported than time had passed.")
            rules(test)
            invite(test)
        st.markdown("**End the test.** Everyone sees the result, and later votes do not count.")
        sure = st.checkbox("I want to end it before the answer is clear")
        if st.button("End and reveal", icon=":material/flag:", disabled=not sure):
            end(studio.store, test.id)
            st.rerun()


def rules(test: Standing) -> None:
    """Say who may hear the test, and how much of it is one person's."""
    with st.form("rules"):
        most = st.number_input(
            "Votes of one person that count, at most",
            1,
            MOST_VOTES_WANTED,
            test.votes_per_rater or test.votes_wanted,
            help="A quarter of the votes wanted is usual, so that nobody decides a test alone. If "
            "you are the only listener, enter all of them.",
        )
        invite_only = st.checkbox("Only people with the invitation hear it", test.invite_only)
        if st.form_submit_button("Change"):
            change_rules(studio.store, test.id, votes_per_rater=int(most), invite_only=invite_only)
            st.rerun()


def invite(test: Standing) -> None:
    """Make a link that leads to the test."""
    st.markdown(
        "**Invite people.** Anyone who opens the link hears the pairs of this test. A new link "
        "replaces the old one, which then stops working; who came by it may go on."
    )
    if st.button("Make a new link", icon=":material/link:"):
        token = new_invitation(studio.store, test.id)
        st.session_state["invitation"] = (test.id, token)
    made = st.session_state.get("invitation")
    if made and made[0] == test.id:
        address = str(st.context.url or "").split("?")[0]
        st.code(f"{address}?invite={made[1]}", language=None, wrap_lines=True)
        st.markdown("Copy it now: it is not shown again.")


def show_test(test: Standing) -> None:
    """Show one test, running or ended."""
    st.button("All blind tests", icon=":material/arrow_back:", type="tertiary", on_click=leave)
    st.text(test.name)
    if test.has_ended:
        reply: Reply | None = st.session_state.pop("reply", None)
        if reply is not None:  # to the vote that ended the test, or that came too late
            said = "Your answer is saved, and the test has ended." if reply.done else reply.message
            notice(said, icon="check_circle" if reply.done else "warning")
        show_result(studio, test)
        return
    if test.is_imported:
        st.info(
            "This test was held elsewhere and imported. Its result appears here when the person "
            "who runs this studio reveals it.",
            icon=":material/lock:",
        )
    else:
        # A container of its own: however much is drawn in it, the section below keeps its place in
        # the page. One that changes places is drawn anew, closed, and loses the focus.
        with st.container():
            hear(test)
    if is_organiser():
        manage(test)


studio = open_studio()
page_heading(
    "Blind test",
    "Compare two melody generators blind. Say for each pair which melody you like better. Who "
    "wrote which is shown when the test has ended.",
)
try:
    token, chosen = st.query_params.get("invite", ""), st.query_params.get("test", "")
    found = invited_to(studio.store, token) if token else find_test(studio.store, chosen)
    if (token or chosen) and found is None:
        st.warning("This link does not lead to a blind test (any more). These are the tests here:")
    if found is None:
        show_list()
    else:
        # Also here, not only after a vote: the last vote may have been imported.
        show_test(settle(studio.store, found.id))
except ValueError as error:  # messages of the store and the synthesizer
    trouble(error)
