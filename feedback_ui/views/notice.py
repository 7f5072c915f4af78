"""A notice: one line of text in a box with an icon, which may quote what a person typed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from music.messages import one_line


def notice(line: str, *, icon: str = "warning") -> None:
    """Show a line as text. Streamlit's own boxes would render it as markup.

    Args:
        line: the message.
        icon: name of a Material symbol.
    """
    with st.container(border=True, horizontal=True):
        st.markdown(f":material/{icon}:", width="content")
        st.text(line)


@contextmanager
def errors_noticed() -> Iterator[None]:
    """Show a ValueError raised in here as a notice; the rest of the page stays.

    For callbacks and fragments, whose errors the page's own `try` does not catch.
    """
    try:
        yield
    except ValueError as error:  # messages of the store, the services and the synthesizer
        notice(one_line(error))
