"""The focus keeper: keeps the keyboard focus near its place when the page changes.

When the focused control disappears (a sent form, a replaced button, a list that became one melody),
the browser focuses nothing. Users of a keyboard or a screen reader would start at the top again.

It shows nothing, receives no data and sends none.
"""

from __future__ import annotations

from feedback_ui.components.parts import unseen_component_of

KEY = "focus_keeper"
_mount = unseen_component_of("focus_keeper")


def focus_keeper() -> None:
    """Mount it, once for all pages."""
    _mount(key=KEY, height="content")
