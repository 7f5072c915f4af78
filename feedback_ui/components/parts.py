"""The parts of a component: `name.html`, `name.css` and `name.js`, and files that several share.

The browser is given strings and could not find what they import, so scripts and styles are joined
here: what one file declares, those after it may use, and of two rules of style the later wins.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from streamlit.components.v2 import component
from streamlit.components.v2.types import ComponentRenderer

_FOLDER = Path(__file__).parent


def component_of(
    name: str, *, styles: Sequence[str] = (), scripts: Sequence[str] = ()
) -> ComponentRenderer:
    """Register the component of these files; what mounts it on a page.

    Args:
        name: of its own files, and in the page.
        styles: shared ones, which stand before its own.
        scripts: the same.
    """
    return component(
        f"tastemaker_{name}",
        html=_joined([name], ".html"),
        css=_joined([*styles, name], ".css"),
        js=_joined([*scripts, name], ".js"),
    )


def unseen_component_of(name: str) -> ComponentRenderer:
    """Register a component that shows nothing and has a script only; what mounts it on a page."""
    return component(
        f"tastemaker_{name}", html="<span hidden></span>", js=_joined(["unseen", name], ".js")
    )


def _joined(names: Sequence[str], kind: str) -> str:
    return "\n".join((_FOLDER / f"{name}{kind}").read_text("utf-8") for name in names)
