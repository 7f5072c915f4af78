"""The theme watcher: whether the page is light or dark now, for charts drawn in Python.

Streamlit's own value may be wrong on the first run, and it is not updated when the theme changes
while the page is open (streamlit/streamlit#11920): charts were dark on dark.

It shows nothing. To the page: the theme that was drawn for. Back: the real theme, if it differs.
"""

from __future__ import annotations

import streamlit as st

from feedback_ui.components.parts import unseen_component_of

KEY = "theme_watcher"
KINDS = ("light", "dark")
_mount = unseen_component_of("theme_watcher")


def theme_kind() -> str:
    """'light' or 'dark'; the page runs again if that was wrong. Call it once for each page."""
    seen = st.session_state.get(KEY, {}).get("kind") or st.context.theme.type
    kind = seen if seen in KINDS else KINDS[0]
    _mount(key=KEY, data={"kind": kind}, on_kind_change=lambda: None, height="content")
    return kind
