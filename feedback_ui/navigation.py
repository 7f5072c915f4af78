"""The script that Streamlit runs for each visitor: the navigation, and the chosen page.

It makes the project's packages importable from any working folder. `studio.py` serves it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import streamlit as st

ROOT = str(Path(__file__).resolve().parents[1])
# Streamlit puts this file's folder on the path, not the repository's root with the packages.
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from feedback_ui.components.focus_keeper import focus_keeper  # noqa: E402  needs the path above

HERE = Path(__file__).parent
# Before the navigation: otherwise the browser would fetch each page's icon from a font service.
st.set_page_config(page_title="Tastemaker", page_icon=str(HERE / "favicon.svg"), layout="centered")
page = st.navigation(
    [
        st.Page("app_pages/rate.py", title="Rate", icon=":material/headphones:", default=True),
        st.Page("app_pages/taste.py", title="Taste", icon=":material/favorite:", url_path="taste"),
        st.Page(
            "app_pages/library.py",
            title="Library",
            icon=":material/library_music:",
            url_path="library",
        ),
        st.Page(
            "app_pages/blind_test.py",
            title="Blind test",
            icon=":material/hearing:",
            url_path="blind-test",
        ),
        st.Page(
            "app_pages/fine_tune.py",
            title="Fine-tune",
            icon=":material/tune:",
            url_path="fine-tune",
        ),
        st.Page(
            "app_pages/corpora.py",
            title="Corpora",
            icon=":material/queue_music:",
            url_path="corpora",
        ),
        st.Page("app_pages/people.py", title="People", icon=":material/group:", url_path="people"),
    ],
    position="top",
)
st.set_page_config(page_title=f"{page.title} · Tastemaker")
st.logo(str(HERE / "favicon.svg"), size="medium")
focus_keeper()
page.run()
