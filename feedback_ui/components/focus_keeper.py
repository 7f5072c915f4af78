"""The focus keeper: what is worked by keys stays in hand when the page changes under it.

A form that was sent, a button that has become another, a list that made room for one melody: what
had the focus is gone, and the browser gives the focus to nothing. Who works by keys or listens to
the page would begin at its top again.

Nothing is shown, nothing comes in, nothing goes back.
"""

from __future__ import annotations

from pathlib import Path

from streamlit.components.v2 import component

KEY = "focus_keeper"
_HERE = Path(__file__)
_mount = component(
    "tastemaker_focus_keeper",
    html='<span class="keeper" hidden></span>',
    js=_HERE.with_suffix(".js").read_text("utf-8"),
)


def focus_keeper() -> None:
    """Mount it, once for all pages."""
    _mount(key=KEY, height="content")
