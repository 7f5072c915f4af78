"""The studio as a person starts it, for tests: a server that can be killed, and a browser."""

import contextlib
import hashlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request

import psutil
import pytest
from playwright.sync_api import sync_playwright

from feedback_ui.server.cookies import RATER, cookie_name
from feedback_ui.server.launch import ORGANISER_VARIABLE, studio_command

PATIENCE_MS = 120_000
"""for a page that a busy machine paints"""
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",  # a container's root may not have one
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-networking",
    "--disable-client-side-phishing-detection",
    "--disable-domain-reliability",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
    "--mute-audio",
    "--no-first-run",
    "--no-pings",
]


class StudioServer:
    """The studio as `tastemaker studio` starts it; may be killed and started again."""

    def __init__(self, folder, *, database=None, organiser_key=None, **options):
        """Nothing runs yet; `options` are `studio_command`'s. Without a key all are organisers."""
        self.folder, self.options = folder, options
        self.environment = {**os.environ, ORGANISER_VARIABLE: organiser_key or ""}
        self.database, self.clips = database or folder / "ratings.db", folder / "clips"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process = None
        self._sounds = {}

    @property
    def address(self):
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        """Start it and wait until it answers."""
        command = studio_command(
            str(self.database),
            port=self.port,
            clips=self.clips,
            open_browser=False,
            **self.options,
        )
        with (self.folder / "server.log").open("a") as log:
            # From another folder than the project's, as an installed command would be.
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=log, stderr=log
            )
        until = time.monotonic() + PATIENCE_MS / 1000
        while True:
            try:
                if self.get("/_stcore/health").status == 200:
                    return
            except OSError:
                assert time.monotonic() < until, self.log()
                time.sleep(0.1)

    def kill(self):
        """End it as a crash would."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    close = kill

    def sign_in(self, context, rater):
        """Make the pages of a browser context those of a rater, as their sign-up would have."""
        name = cookie_name(RATER, self.port, str(self.database))
        cookie = {"name": name, "value": rater.token, "url": self.address}
        context.add_cookies([{**cookie, "httpOnly": True, "sameSite": "Lax"}])

    def log(self):
        """What it has said."""
        return (self.folder / "server.log").read_text()

    def get(self, path, **headers):
        """The answer to a plain request; its body is not read."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path, headers=headers)
            return connection.getresponse()
        finally:
            connection.close()

    def sound(self, source):
        """SHA-256 of the sound at an address of the page; asked for once."""
        until = time.monotonic() + PATIENCE_MS / 1000
        while source not in self._sounds:
            assert time.monotonic() < until, f"{source} does not come: {self.log()}"
            try:
                with urllib.request.urlopen(self.address + source, timeout=10) as answer:
                    self._sounds[source] = hashlib.sha256(answer.read()).hexdigest()
            except OSError:  # killed just now
                time.sleep(0.2)
        return self._sounds[source]


def chromium():
    """The browser's path; skips the test where there is none, and fails it in CI."""
    found = os.environ.get("TASTEMAKER_CHROMIUM") or shutil.which("chromium")
    if found is None:
        missing("no chromium on the path; install it, or name one in TASTEMAKER_CHROMIUM")
    return found


def missing(says):
    """What cannot be had is left out, or an error where everything must be there (in CI)."""
    if os.environ.get("CI"):
        pytest.fail(says)
    pytest.skip(says)


def launch(playwright, mark=None):
    """A headless browser; `mark` lets `kill_browser` find its process."""
    marked = [] if mark is None else [f"--tastemaker-test={mark}"]
    return playwright.chromium.launch(
        executable_path=chromium(), args=[*CHROMIUM_ARGUMENTS, *marked]
    )


@contextlib.contextmanager
def tall_page():
    """A page of a browser of its own, tall enough that nothing has to be scrolled to."""
    with sync_playwright() as playwright:
        browser = launch(playwright)
        page = browser.new_page(viewport={"width": 1280, "height": 2400})
        page.set_default_timeout(PATIENCE_MS)
        yield page
        browser.close()


def kill_browser(mark):
    """End a browser as a crash would."""
    for process in psutil.process_iter(["cmdline"]):
        if f"--tastemaker-test={mark}" in (process.info["cmdline"] or ()):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def soon(holds, seconds=PATIENCE_MS / 1000):
    """Whether something holds, now or before so long."""
    until = time.monotonic() + seconds
    while not (held := holds()) and time.monotonic() < until:
        time.sleep(0.1)
    return held


GO_ON = "Go on all the same"
"""on the button of who takes no break"""


def enter(page):
    """Wait for a pair; who is new goes past the first steps, and who is tired takes no break."""
    first_steps = page.get_by_role("button", name="Skip to rating")
    tired = page.get_by_role("button", name=GO_ON)
    first_steps.or_(tired).or_(page.locator(".card")).first.wait_for()
    for button in (first_steps, tired):
        if button.count():
            button.click()
            button.wait_for(state="detached")
    page.locator(".card").first.wait_for()


def settled(page):
    """Wait until the page's run is over."""
    page.locator("h1, h2, h3").first.wait_for()
    idle = "document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'"
    page.wait_for_function(idle)
    page.wait_for_function("!document.querySelector('[data-stale=true]')")
    page.wait_for_timeout(300)
