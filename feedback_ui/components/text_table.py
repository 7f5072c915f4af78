"""The text table: rows of text under titles, as a table that a screen reader can read.

Streamlit's own tables are unsafe for text that people typed: `st.table` renders markup, and
`st.dataframe` offers a CSV download in which a nickname may be a formula.

To the page: a caption, titles and rows, all text. Nothing comes back.
"""

from __future__ import annotations

from collections.abc import Sequence

from feedback_ui.components.parts import component_of

_mount = component_of("text_table")


def text_table(
    titles: Sequence[str], rows: Sequence[Sequence[str]], *, key: str, caption: str
) -> None:
    """Mount a table; a wide one scrolls within itself.

    Args:
        titles: of the columns; the first column names its row.
        rows: one cell for each title.
        key: unique on the page.
        caption: what the table shows, for screen readers.

    Raises:
        ValueError: for a row of another length.
    """
    for row in rows:
        if len(row) != len(titles):
            raise ValueError(f"a row of {len(row)} cells under {len(titles)} titles; give one each")
    _mount(
        key=key,
        data={"caption": caption, "titles": list(titles), "rows": [list(row) for row in rows]},
    )
