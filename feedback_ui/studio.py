"""The studio as a web application: `tastemaker studio`, or `streamlit run` on this file.

Streamlit finds `app` here and serves it. The pages are in `navigation.py`; the middleware sees each
request before they do.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.middleware import Middleware
from streamlit import config
from streamlit.cli_util import open_browser
from streamlit.starlette import App
from streamlit.web.server.server_util import get_display_address, get_url

ROOT = str(Path(__file__).resolve().parents[1])
# Streamlit puts this file's folder on the path, not the repository's root with the packages.
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from feedback_ui.server.launch import LaunchError, parse_options  # noqa: E402  needs the path above
from feedback_ui.server.middleware import StudioMiddleware  # noqa: E402
from feedback_ui.server.own_address import ask_nobody  # noqa: E402
from music.messages import one_line  # noqa: E402

ask_nobody()
try:
    OPTIONS = parse_options(sys.argv[1:])
except LaunchError as error:
    sys.exit(f"tastemaker: {one_line(error)}")


@asynccontextmanager
async def show_in_browser(_: App) -> AsyncIterator[None]:
    """Open a browser window when the server starts, unless that was not wanted."""
    if not config.get_option("server.headless"):
        # The socket listens by now, so the browser waits for the first page.
        open_browser(get_url(get_display_address(config.get_option("server.address"))))
    yield


app = App(
    Path(__file__).with_name("navigation.py"),
    middleware=[Middleware(StudioMiddleware, OPTIONS)],
    lifespan=show_in_browser,
)
