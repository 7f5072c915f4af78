"""One page of the studio without a browser, for tests."""

import sys

from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from tests.support.project import PROJECT

STUDIO = PROJECT / "feedback_ui" / "navigation.py"
COLD_IMPORT_S = 120
KEY = "the organiser's"


def open_page(monkeypatch, url_path, *arguments, organiser=True, rater=None, **params):
    """The page as it stands after its first run; `rater` is a token, `params` the address's."""
    monkeypatch.setattr(sys, "argv", ["studio.py", *map(str, arguments)])
    monkeypatch.setenv("TASTEMAKER_ORGANISER_KEY", KEY)
    app = AppTest.from_file(str(STUDIO), default_timeout=COLD_IMPORT_S)
    # AppTest.switch_page knows folders of pages only; st.navigation goes by this hash.
    app._page_hash = calc_hash(url_path)
    for name, value in {**({"organiser": KEY} if organiser else {}), **params}.items():
        app.query_params[name] = value
    if rater is not None:
        app.session_state["rater"] = rater
    return app.run()


def press(app, label):
    """The page after a button of that name was pressed."""
    return next(button for button in app.button if button.label == label).click().run()


def words(app):
    """All text of a page, in no order that matters."""
    kinds = (app.title, app.markdown, app.caption, app.text, app.info, app.warning, app.error)
    return "\n".join(str(element.value) for kind in kinds for element in kind)
