"""The parts of a component: `name.html`, `name.css` and `name.js`, and files that several share.

Streamlit sends the browser strings, in which imports would not work, so the files are joined here.
A script may use what an earlier one declares, and a later style rule overrides an earlier one.
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
    """Register the component of these files; return the function that mounts it on a page.

    Args:
        name: of its own files, and of the component.
        styles: names of shared styles, placed before its own.
        scripts: names of shared scripts, likewise.
    """
    return component(
        f"tastemaker_{name}",
        html=_joined([name], ".html"),
        css=_joined([*styles, name], ".css"),
        js=_joined([*scripts, name], ".js"),
    )


def unseen_component_of(name: str) -> ComponentRenderer:
    """Register a component that has only a script; return the function that mounts it."""
    return component(
        f"tastemaker_{name}", html="<span hidden></span>", js=_joined(["unseen", name], ".js")
    )


def _joined(names: Sequence[str], kind: str) -> str:
    return "\n".join((_FOLDER / f"{name}{kind}").read_text("utf-8") for name in names)
