"""Access: opens the studio once per server, and identifies the rater and the organiser of a tab.

A rater is identified by a token in the page's address, so that it survives a reload, a bookmark or
a restart of the server. The store has only the token's hash.

An *organiser* starts trainings and blind tests and sees everyone's figures. If only this machine
can reach the studio, everyone is an organiser. Otherwise an organiser needs the key that
`tastemaker studio` prints.
"""

from __future__ import annotations

import hmac
import secrets
import sys
from typing import NoReturn

import streamlit as st

from feedback_ui.server.launch import LaunchError, StudioOptions, is_for_this_machine, parse_options
from feedback_ui.services.consent import consent, must_consent_again
from feedback_ui.services.limits import Limits, Source
from feedback_ui.services.session import CONSENT, CONSENT_VERSION, StudioSession
from music.rendering.sound import SoundfontError
from reward.store.store import Rater, RatingsError, RatingsStore

TOKEN = "rater"
"""name of the rater's token in the address and in the session"""
ORGANISER = "organiser"
"""name of the organiser's key, likewise"""
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
    """The studio of this server; on an error, shows it in one line and ends the run."""
    try:
        studio = _open(studio_options())
    except (RatingsError, SoundfontError, LaunchError) as error:
        trouble(error)
    _keep_organiser_key()
    return studio


def trouble(error: Exception) -> NoReturn:
    """Show the error in one line, end the run, and try again after `TRY_AGAIN_S`."""
    # Plain text inside: a message may quote what a person typed.
    with st.container(border=True):
        st.markdown(":material/error: **The studio cannot go on**")
        st.text(str(error))
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
        _form(studio, stale=bool(_token()))
        st.stop()
    if consented and must_consent_again(rater):
        consent_form(studio, rater)
        st.stop()
    return rater


def known_rater(studio: StudioSession) -> Rater | None:
    """Who is rating in this tab, or None; shows no form."""
    token = _token()
    try:
        rater = studio.sign_in(token)
    except RatingsError as error:
        trouble(error)
    if rater is not None:
        st.session_state[TOKEN] = token
        if st.query_params.get(TOKEN) != token:
            st.query_params[TOKEN] = token
    return rater


def _token() -> str:
    # Changing the page drops the query of the address; the session keeps the token.
    return st.query_params.get(TOKEN) or st.session_state.get(TOKEN, "")


def _source() -> Source:
    """Where a sign-up in this tab comes from; kept in memory only."""
    tab = st.session_state.setdefault("tab", secrets.token_hex(8))
    return Source(tab, st.context.ip_address)


def is_organiser() -> bool:
    """Whether the user of this tab may start trainings and see everyone's figures."""
    key = studio_options().organiser_key
    if key is None:
        return is_for_this_machine(
            str(st.get_option("server.address") or ""), st.get_option("server.allowedHosts") or ()
        )
    return hmac.compare_digest(_organiser_key_shown().encode(), key.encode())


def _organiser_key_shown() -> str:
    return st.query_params.get(ORGANISER) or st.session_state.get(ORGANISER, "")


def _keep_organiser_key() -> None:
    """Keep a valid key in the session, because changing the page drops it from the address."""
    if studio_options().organiser_key is not None and is_organiser():
        shown = st.session_state[ORGANISER] = _organiser_key_shown()
        if st.query_params.get(ORGANISER) != shown:
            st.query_params[ORGANISER] = shown


def for_organisers() -> None:
    """Say why and end the run, unless the user of this tab is an organiser."""
    if is_organiser():
        return
    st.info(
        "This page is for the person who runs the studio. Open the organiser's address, which "
        "`tastemaker studio` printed when it started.",
        icon=":material/key:",
    )
    st.stop()


def sign_out() -> None:
    """Forget the rater of this tab and their settings, so that somebody else can sign up."""
    for kept in (st.query_params, st.session_state):
        for name in [name for name in kept if name != ORGANISER]:
            del kept[name]


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


def _form(studio: StudioSession, *, stale: bool) -> None:
    if stale:
        st.warning(
            "This link does not belong to a rater here (any more). Sign up with a new nickname."
        )
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
    st.caption("Have you been here before? Open your personal link to sign in again.")
    if sent:
        try:
            rater = studio.sign_up(nickname, consents=consents, source=_source())
        except RatingsError as error:
            st.text(f"Not yet: {error}" if nickname.strip() else "Not yet: write a nickname.")
        else:
            st.query_params[TOKEN] = str(rater.token)
            st.rerun()
