"""The head of a page: what it is called, and in one line what one does here."""

from __future__ import annotations

import streamlit as st


def page_heading(title: str, line: str) -> None:
    """Write both; they are ours, never a person's text.

    Args:
        title: a word or a question, the page's only first-level heading.
        line: one plain sentence.
    """
    st.title(title, anchor=False)
    st.markdown(line)
