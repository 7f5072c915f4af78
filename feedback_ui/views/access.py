"""Access: opens the studio once per server, and identifies the rater and the organiser of a tab.

A rater is identified by a token (see `tab_keys.py`). The store has only the token's hash.

An *organiser* starts trainings and blind tests and sees everyone's figures. If only this machine
can reach the studio, everyone at this machine is an organiser; who comes through a proxy is not.
Otherwise an organiser needs the key that `tastemaker studio` prints.
"""

from __future__ import annotations

import secrets
import sys
from typing import NoReturn

import streamlit as st

from feedback_ui.server.launch import LaunchError, StudioOptions, parse_options
from feedback_ui.server.started import serves_this_machine_only
from feedback_ui.server.visitors import is_of_this_machine, proxy_header
from feedback_ui.services.consent import consent, must_consent_again
from feedback_ui.services.limits import Limits, Source
from feedback_ui.services.session import CONSENT, CONSENT_VERSION, StudioSession
from feedback_ui.views.page_heading import page_heading
from feedback_ui.views.tab_keys import TabKeys
from music.messages import one_line
from music.rendering.sound import SoundfontError
from reward.store.store import Rater, RatingsError, RatingsStore

JUST_SAID = "trouble_just_said"
TRY_AGAIN_S = 5.0
"""seconds after an error until the page runs again"""


@st.cache_resource(show_spinner=False)
def _open(options: StudioOptions) -> StudioSession:
    # Streamlit does not cache an exception: the next run tries again.
    return StudioSession(
        RatingsStore(options.database),
        options.clips_folder,
        soundfont=options.soundfont,
        least_heard_ms=options.least_heard_ms,
        limits=Limits(),
    )


def studio_options() -> StudioOptions:
    """The options with which this server was started.

    Raises:
        LaunchError: for an argument that is not known.
    """
    return parse_options(sys.argv[1:])


def open_studio() -> StudioSession:
    """The studio of this server; on an error, shows it in one line and ends the run.

    It also takes keys from the address. When a personal link was opened, it asks whose it is, and
    ends the run.
    """
    try:
        studio = _open(studio_options())
    except (RatingsError, SoundfontError, LaunchError) as error:
        trouble(error)
    keys = tab_keys()
    keys.take_from_address()
    keys.fetch_cookies()
    _ask_whose_link(studio, keys)
    return studio


def tab_keys() -> TabKeys:
    """The keys of this tab."""
    return TabKeys(studio_options())


def _ask_whose_link(studio: StudioSession, keys: TabKeys) -> None:
    link = keys.opened_link
    if not link:
        return
    try:
        theirs, mine = studio.sign_in(link), studio.sign_in(keys.token)
    except RatingsError as error:
        trouble(error)
    if theirs is None:
        st.warning("This link does not belong to a rater here (any more).")
        return
    page_heading("Is this you?", "This is a personal link. It is for one rater only.")
    st.text(f"It belongs to {theirs.nickname}.")
    if mine is not None:
        st.text(f"You are {mine.nickname} here.")
    st.markdown(
        "If somebody sent you this address, they meant to invite you: choose *No*, and your "
        "answers will be your own."
    )
    with st.container(horizontal=True):
        st.button("Yes, this is me", on_click=keys.sign_in, args=(link,), type="primary")
        st.button("No, I am somebody else", on_click=keys.decline_link)
    st.stop()


def trouble(error: Exception) -> NoReturn:
    """Show the error in one line, end the run, and try again after `TRY_AGAIN_S`."""
    # Plain text inside: a message may quote what a person typed.
    with st.container(border=True):
        st.markdown(":material/error: **The studio cannot go on**")
        st.text(one_line(error))
    st.session_state[JUST_SAID] = True
    _try_again()
    st.stop()


@st.fragment(run_every=TRY_AGAIN_S)
def _try_again() -> None:
    """A retry button; the page also retries by itself, because a busy database soon recovers."""
    st.button("Try again", icon=":material/refresh:")
    if not st.session_state.pop(JUST_SAID, False):
        st.rerun()


def signed_in(studio: StudioSession, *, consented: bool = True) -> Rater:
    """Who is rating in this tab; if nobody is, show the sign-up form and end the run.

    A rater who agreed to an older version of the consent is asked again, unless `consented` is
    false: who no longer agrees may still see and remove their own data.
    """
    rater = known_rater(studio)
    if rater is None:
        _form(studio)
        st.stop()
    if consented and must_consent_again(rater):
        consent_form(studio, rater)
        st.stop()
    return rater


def known_rater(studio: StudioSession) -> Rater | None:
    """Who is rating in this tab, or None; shows no form."""
    keys = tab_keys()
    try:
        rater = studio.sign_in(keys.token)
    except RatingsError as error:
        trouble(error)
    if rater is not None:
        keys.hold()
    return rater


def _source() -> Source:
    """Where a sign-up in this tab comes from; kept in memory only."""
    tab = st.session_state.setdefault("tab", secrets.token_hex(8))
    return Source(tab, st.context.ip_address)


def is_organiser() -> bool:
    """Whether the user of this tab may start trainings and see everyone's figures."""
    if studio_options().organiser_key is not None:
        return tab_keys().is_organiser
    return serves_this_machine_only() and is_of_this_machine(st.context.headers)


def for_organisers() -> None:
    """Say why and end the run, unless the user of this tab is an organiser."""
    if is_organiser():
        return
    if studio_options().organiser_key is None and serves_this_machine_only():
        proxy = proxy_header(st.context.headers) or "another name in the address"
        st.warning(
            f"You came through a proxy ({proxy}), and this studio was started for one machine "
            "only, without an organiser's key. So nobody is an organiser here. Start it with "
            "`tastemaker studio --host NAME`, where NAME is the host in your address, and open "
            "the organiser's address that it prints.",
            icon=":material/key:",
        )
        st.stop()
    st.info(
        "This page is for the person who runs the studio. Open the organiser's address, which "
        "`tastemaker studio` printed when it started.",
        icon=":material/key:",
    )
    st.stop()


def sign_out() -> None:
    """Forget the rater of this tab and their settings, so that somebody else can sign up."""
    tab_keys().sign_out()


def consent_form(studio: StudioSession, rater: Rater) -> None:
    """Ask a rater to agree to the newest version of the consent."""
    st.text(f"Welcome back, {rater.nickname}.")
    st.markdown(
        "What the studio stores, or what it is used for, has changed since you agreed to it:"
    )
    with st.form("consent_again"):
        st.markdown(CONSENT)
        agrees = st.checkbox("I agree, and I am taking part of my own free will")
        sent = st.form_submit_button("Go on", type="primary", width="stretch")
    st.markdown(
        "If you do not agree, nothing more is stored. You can still open the page People and "
        "remove what is stored."
    )
    if sent and not agrees:
        st.text("Not yet: tick the box to agree.")
    elif sent:
        try:
            consent(studio.store, rater)
        except RatingsError as error:
            trouble(error)
        st.rerun()


def _form(studio: StudioSession) -> None:
    st.markdown(
        "You will hear two short melodies at a time and say which you like better. "
        "There is no right answer. Headphones help; a session of 20 minutes is plenty."
    )
    with st.form("come_in"):
        nickname = st.text_input(
            "Nickname",
            max_chars=40,
            placeholder="not your real name",
            autocomplete="off",
        )
        st.markdown(CONSENT)
        st.caption(f"Version {CONSENT_VERSION}")
        consents = st.checkbox("I agree, and I am taking part of my own free will")
        sent = st.form_submit_button("Start listening", type="primary", width="stretch")
    st.caption(
        "Have you been here before? Open your personal link to sign in again. This browser then "
        "keeps you signed in with a cookie."
    )
    if sent:
        try:
            rater = studio.sign_up(nickname, consents=consents, source=_source())
        except RatingsError as error:
            st.text(
                f"Not yet: {one_line(error)}" if nickname.strip() else "Not yet: write a nickname."
            )
        else:
            tab_keys().sign_in(str(rater.token))
            st.rerun()
