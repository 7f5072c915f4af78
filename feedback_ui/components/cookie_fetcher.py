"""The cookie fetcher: has the browser fetch cookies that a page wants set.

A page comes through a WebSocket, which can set no cookie. So this component sends a ticket by a
request of its own, whose answer sets the cookies (`feedback_ui/server/cookies.py`). It shows
nothing.
"""

from __future__ import annotations

from feedback_ui.components.parts import unseen_component_of

KEY = "cookie_fetcher"
_mount = unseen_component_of("cookie_fetcher")


def cookie_fetcher(ticket: str, address: str) -> None:
    """Mount it.

    Args:
        ticket: one that has not been sent yet.
        address: path to which it is sent.
    """
    _mount(data={"ticket": ticket, "address": address}, key=KEY, height="content")
