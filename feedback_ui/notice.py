"""A notice: one line of text in a box with an icon, which may quote what a person typed."""

from __future__ import annotations

import streamlit as st


def notice(line: str, *, icon: str = "warning") -> None:
    """Show a line as text, never as markup: Streamlit's own boxes would render it.

    Args:
        line: what there is to say.
        icon: name of a Material symbol.
    """
    with st.container(border=True, horizontal=True):
        st.markdown(f":material/{icon}:", width="content")
        st.text(line)
