"""Hands on a keyboard, for tests: a page is worked by keys and by nothing else."""

import re
import time

from tests.support.studio_server import PATIENCE_MS, settled

MOST_TABS = 300
ROUNDS_S = 90.0
"""for which a control is looked for that is not on the page yet"""
LOST = ("", "")
"""role and name of nothing: the focus is on the page as a whole"""
FOCUSED = """(() => {
  let element = document.activeElement;
  while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
  return element;
})()"""


class Hands:
    """A person at a page who has no pointer: Tab and the other keys, and what the focus is on.

    Role and name are the browser's own, as a screen reader is told them.
    """

    def __init__(self, page):
        """At a page that may be opened later."""
        self.page = page
        self._browser = page.context.new_cdp_session(page)

    def at(self):
        """Role and name of what has the focus; `LOST` when nothing has."""
        return self._look()[:2]

    def _look(self):
        found = self._browser.send("Runtime.evaluate", {"expression": FOCUSED})["result"]
        if found.get("className") in (None, "HTMLBodyElement", "HTMLHtmlElement"):
            return (*LOST, None)
        tree = self._browser.send(
            "Accessibility.getPartialAXTree",
            {"objectId": found["objectId"], "fetchRelatives": False},
        )
        node = tree["nodes"][0]
        said = [node.get(part, {}).get("value", "") for part in ("role", "name")]
        return said[0], " ".join(said[1].split()), node["backendDOMNodeId"]

    def tab_to(self, role, name, *, back=False):
        """Press Tab (or Shift+Tab) until the focus is on this; fails when it is not to be come to.

        `name` is all of the accessible name, or a pattern that is found in it. Who comes round
        without having met it goes round again for a while: Streamlit fetches some of its controls
        when a page needs them.
        """
        until = time.monotonic() + ROUNDS_S
        while True:
            passed = self._go_round(role, name, "Shift+Tab" if back else "Tab")
            if passed is None:
                return self
            if time.monotonic() > until:
                said = ", ".join(passed)
                raise AssertionError(f"Tab does not come to {role} {name!r}; it passed {said}")
            self.page.wait_for_timeout(500)

    def _go_round(self, role, name, key):
        """Go round the page once; None when it is met, or else what was passed."""
        passed, seen = [], set()
        for _ in range(MOST_TABS):
            *at, node = self._look()
            same = name.search(at[1]) if isinstance(name, re.Pattern) else at[1] == name
            if at[0] == role and same:
                return None
            if node in seen:
                break
            if node is not None:
                seen.add(node)
                passed.append(f"{at[0]} {at[1]!r}")
            self.page.keyboard.press(key)
        return passed

    def press(self, *keys):
        """Press keys, one after the other."""
        for key in keys:
            self.page.keyboard.press(key)
        return self

    def type(self, text):
        """Type over what a field holds."""
        self.page.keyboard.press("ControlOrMeta+A")
        self.page.keyboard.type(text)
        return self

    def choose(self, option):
        """Open the list of the box that has the focus, and take what is called so."""
        self.page.keyboard.press("ArrowDown")
        self.page.get_by_role("option").first.wait_for()
        self.page.keyboard.type(option)
        self.page.get_by_role("option", name=option, exact=True).wait_for()
        self.page.keyboard.press("Enter")
        return self

    def open(self, name, title=None):
        """Go to a page of the studio by the navigation."""
        self.tab_to("link", re.compile(rf"{name}$")).press("Enter")
        self.page.get_by_role("heading", level=1, name=title or name).wait_for()
        settled(self.page)
        return self

    def holds(self):
        """Role and name of what has the focus, which must be something, once the page is quiet."""
        settled(self.page)
        until = time.monotonic() + PATIENCE_MS / 20_000
        while self.at() == LOST and time.monotonic() < until:
            self.page.wait_for_timeout(100)
        assert self.at() != LOST, "the focus is lost: nothing on the page has it"
        return self.at()
