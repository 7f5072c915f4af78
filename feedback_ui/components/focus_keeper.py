"""The focus keeper: what is worked by keys stays in hand when the page changes under it.

A form that was sent, a button that has become another, a list that made room for one melody: what
had the focus is gone, and the browser gives the focus to nothing. Who works by keys or listens to
the page would begin at its top again.

Nothing is shown, nothing comes in, nothing goes back.
"""

from __future__ import annotations

from feedback_ui.components.parts import unseen_component_of

KEY = "focus_keeper"
_mount = unseen_component_of("focus_keeper")


def focus_keeper() -> None:
    """Mount it, once for all pages."""
    _mount(key=KEY, height="content")
