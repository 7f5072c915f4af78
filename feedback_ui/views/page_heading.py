"""The head of a page: its title, and one line about what it is for."""

from __future__ import annotations

import streamlit as st


def page_heading(title: str, line: str) -> None:
    """Write both. They are rendered as markup, so never pass text that a user typed.

    Args:
        title: a word or a question, the page's only first-level heading.
        line: one plain sentence.
    """
    st.title(title, anchor=False)
    st.markdown(line)
