"""Streamlit's look-up of this machine's own address, switched off.

Streamlit asks an outside host for the machine's public address when the server listens on all
network cards, and when a page of another site opens its WebSocket. The studio tells nobody that it
runs, and its middleware knows which sites may open a WebSocket.
"""

from __future__ import annotations

from streamlit import net_util


def _unknown() -> None:
    return None


def ask_nobody() -> None:
    """Let Streamlit's two functions answer that the address is not known."""
    # Its callers look the functions up in the module at each call.
    net_util.get_external_ip = _unknown
    net_util.get_internal_ip = _unknown
