"""The theme watcher: whether a page is light or dark now, for what is drawn in Python.

Streamlit's own word for it may be wrong on the first run, and is not corrected when the theme
changes while the page is open (streamlit/streamlit#11920): charts were dark on dark.

Nothing is shown. To the page: what was drawn for. Back: what it is, where that differs.
"""

from __future__ import annotations

import streamlit as st

from feedback_ui.components.parts import unseen_component_of

KEY = "theme_watcher"
KINDS = ("light", "dark")
_mount = unseen_component_of("theme_watcher")


def theme_kind() -> str:
    """'light' or 'dark'; the page runs again when that is not what it is. Once for a page."""
    seen = st.session_state.get(KEY, {}).get("kind") or st.context.theme.type
    kind = seen if seen in KINDS else KINDS[0]
    _mount(key=KEY, data={"kind": kind}, on_kind_change=lambda: None, height="content")
    return kind
