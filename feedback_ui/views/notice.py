"""A notice: one line of text in a box with an icon, which may quote what a person typed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

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


@contextmanager
def errors_noticed() -> Iterator[None]:
    """Say a refusal of what is done in here in a notice, and leave the rest of the page standing.

    For callbacks and fragments, whose errors the page's own `try` does not see.
    """
    try:
        yield
    except ValueError as error:  # what stores, desks and synthesizer raise for people to read
        notice(str(error))
