"""The keys of a tab: the token of its rater, and whether its user is an organiser.

The session of the tab holds them while it is open, and a cookie of the browser afterwards; they
never stay in the address. The middleware takes them from an address before a page is shown. Where
there is no middleware, as in a test of a page, the page takes them.

Whoever opens a personal link is asked whether they are that rater: people send each other what
stands in their address bar.
"""

from __future__ import annotations

import streamlit as st

from feedback_ui.components.cookie_fetcher import cookie_fetcher
from feedback_ui.server.cookies import (
    LINK,
    ORGANISER,
    PATH,
    RATER,
    TICKETS,
    organiser_proof,
)
from feedback_ui.server.launch import StudioOptions
from feedback_ui.server.started import base_path, own_cookie
from feedback_ui.server.visitors import is_key, is_proof

_TICKET = "cookie_ticket"
_LINK = "opened_link"
_ANSWERED = "answered_link"
_KEPT_WHEN_SIGNED_OUT = (ORGANISER, _TICKET, _ANSWERED)


class TabKeys:
    """The keys of the tab whose run this is.

    Args:
        options: those of this server.
    """

    def __init__(self, options: StudioOptions) -> None:
        self._options = options

    def take_from_address(self) -> None:
        """Take keys that are still in the address, and clear them from it."""
        if ORGANISER in st.query_params:
            key = self._options.organiser_key
            if key is not None and is_key(st.query_params[ORGANISER], key):
                st.session_state[ORGANISER] = True
                self._keep({ORGANISER: organiser_proof(key)})
            del st.query_params[ORGANISER]
        if RATER in st.query_params:
            st.session_state[_LINK] = st.query_params[RATER]
            st.session_state.pop(_ANSWERED, None)
            del st.query_params[RATER]

    def fetch_cookies(self) -> None:
        """Have the browser fetch what was kept since the last run."""
        ticket = st.session_state.get(_TICKET)
        if ticket is not None and TICKETS.is_waiting(ticket):
            cookie_fetcher(ticket, base_path() + PATH)

    # The rater

    @property
    def token(self) -> str:
        """The token of this tab's rater; '' for nobody."""
        held = st.session_state.get(RATER)
        return self._cookie(RATER) if held is None else held

    def hold(self) -> None:
        """Let the tab stay with its rater when another tab changes the browser's cookie."""
        st.session_state[RATER] = self.token

    def sign_in(self, token: str) -> None:
        """Make this tab, and the browser from now on, that of the rater with this token."""
        st.session_state[RATER] = token
        st.session_state[_ANSWERED] = self._link
        self._keep({RATER: token, LINK: None})

    def sign_out(self) -> None:
        """Forget the rater and their settings."""
        for name in list(st.query_params):
            del st.query_params[name]
        st.session_state[_ANSWERED] = self._link
        for name in [name for name in st.session_state if name not in _KEPT_WHEN_SIGNED_OUT]:
            del st.session_state[name]
        st.session_state[RATER] = ""  # the cookie that came with this connection is old now
        self._keep({RATER: None, LINK: None})

    @property
    def opened_link(self) -> str:
        """The token of a personal link that was opened and not answered for; '' for none."""
        link = self._link
        return "" if link in (self.token, st.session_state.get(_ANSWERED)) else link

    def decline_link(self) -> None:
        """Go on as before the link was opened."""
        st.session_state[_ANSWERED] = self._link
        self._keep({LINK: None})

    # The organiser

    @property
    def is_organiser(self) -> bool:
        """Whether the organiser's key was shown in this tab or this browser."""
        key = self._options.organiser_key
        if key is None:
            return False
        return st.session_state.get(ORGANISER) is True or is_proof(self._cookie(ORGANISER), key)

    @property
    def _link(self) -> str:
        return st.session_state.get(_LINK) or self._cookie(LINK)

    def _cookie(self, kind: str) -> str:
        value = st.context.cookies.get(own_cookie(kind, self._options), "")
        return value if isinstance(value, str) else ""  # AppTest answers with a mock

    def _keep(self, changes: dict[str, str | None]) -> None:
        earlier = st.session_state.get(_TICKET)
        st.session_state[_TICKET] = TICKETS.issue(changes, instead_of=earlier)
