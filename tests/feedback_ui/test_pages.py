"""Every page of the studio in a real browser: accessible, no errors, no overflow, keyboard alone.

The pages are read from feedback_ui/navigation.py, so that a new page is tested at once. With
TASTEMAKER_SCREENSHOTS=docs/images/studio a picture of each page is written there.
"""

import ast
import io
import os
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from music.corpora.corpus import load_corpus
from music.formats.notation import read_melody
from reward.pairs.random_pairs import random_pairs
from reward.store.catalogue import listening
from reward.store.store import RatingsStore
from reward.store.votes import Answer
from tests.support.project import PROJECT
from tests.support.studio_server import PATIENCE_MS, StudioServer, missing, settled, soon

pytestmark = [pytest.mark.browser, pytest.mark.slow]
UI = PROJECT / "feedback_ui"
WIDTHS = (1280, 380)
SCHEMES = ("light", "dark")
KEY = "the-organisers-key"
DARK, BRIGHT = 60, 200
"""of 255: brightness of the page and of its text in the dark theme"""
POLICIES = ("policy-of-the-base", "policy-of-the-tuned")


def pages():
    """url_path and title of each page that navigation.py registers; the first has no path."""
    tree = ast.parse((UI / "navigation.py").read_text())
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "Page":
            said = {
                k.arg: k.value.value for k in call.keywords if isinstance(k.value, ast.Constant)
            }
            yield "" if said.get("default") else said["url_path"], said["title"]


PAGES = dict(pages())


def test_pages_are_found():
    files = {path.stem for path in (UI / "app_pages").glob("*.py")} - {"__init__"}
    assert len(PAGES) == len(files)
    assert PAGES[""] == "Rate"
    assert PAGES["library"] == "Library"


@pytest.fixture(scope="module")
def axe():
    """axe-core's source; it is a tool of the tests, installed by .ci/install."""
    named = os.environ.get("TASTEMAKER_AXE")
    path = Path(named or Path(sys.prefix) / "node_modules" / "axe-core" / "axe.min.js")
    if not path.is_file():
        missing(f"no axe-core at {path}; npm install --prefix .venv axe-core")
    return path.read_text("utf-8")


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    """A studio with a realistic pool: real tunes as of two policies, the votes of two people."""
    folder = tmp_path_factory.mktemp("studio")
    database = folder / "ratings.db"
    melodies = [strain.melody for strain in load_corpus("test")[::5]][:60]
    with RatingsStore(database) as store:
        ids = []
        for half, policy in enumerate(POLICIES):
            ids += store.add_melodies(
                melodies[half::2], policy_id=policy, sampler=f"sampler-{half}", seed=7 + half
            )
        rng = np.random.default_rng(0)
        pairs = random_pairs(ids, 40, rng)
        store.add_comparisons(pairs, round=1)
        # Every melody is in a pair, so that a new rater has every melody still to hear.
        paired = {melody_id for pair in pairs for melody_id in pair}
        rest = [melody_id for melody_id in ids if melody_id not in paired]
        store.add_comparisons([(ids[0], melody_id) for melody_id in rest], round=1)
        length = {row.id: len(row.melody.notes) for row in store.melodies(ids)}
        raters = [store.add_rater("Ada"), store.add_rater("Ben & <b>Co</b>")]
        for rater, sign in zip(raters, (1, -1), strict=True):
            for place in range(30):
                pair = store.issue(rater.id)
                likes_left = sign * (length[pair.left.id] - length[pair.right.id])
                outcome = "left" if likes_left > 0 else "right" if likes_left < 0 else "tie"
                store.vote(
                    pair.assignment_id,
                    Answer(
                        outcome=outcome,
                        nonce=f"nonce-{rater.id}-{place:08}",
                        heard_ms_left=4000,
                        heard_ms_right=5000,
                        plays_left=1,
                        plays_right=1,
                        latency_ms=11_000,
                    ),
                )
        newcomer = store.add_rater("Cleo")
        with store.reading() as session:
            told = sorted(set(ids) - listening(session, raters[0].id).waiting)
    server = StudioServer(folder, organiser_key=KEY)
    server.start()

    class Studio:
        address, sign_in = server.address, server.sign_in
        ada, cleo = raters[0], newcomer
        told_to_ada = ids.index(told[0])
        """index of a melody whose origin Ada may see"""

        @staticmethod
        def code(place):
            """Code of the melody with that number."""
            with RatingsStore(database) as store:
                frame = store.melodies_frame()
            return str(frame.set_index("melody_id").loc[ids[place], "sha256"])[:12]

    yield Studio()
    server.kill()


@pytest.fixture
def tab(browser, studio):
    """Opens a page of the studio and records its requests and error messages."""
    contexts = []

    def open_tab(path, rater=None, *, width=1280, scheme="light", before=lambda page: None):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, accept_downloads=True
        )
        contexts.append(context)
        if rater is not None:
            studio.sign_in(context, rater)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.complaints, page.strangers = [], []

        def complain(said):
            # Streamlit first looks for its server below the page's path; this 404 is expected.
            where = urlsplit(said.location.get("url", "")).path
            if said.type == "error" and not re.search(r"[^/]/_stcore/(health|host-config)$", where):
                page.complaints.append(said.text)

        def ask(request):
            parts = urlsplit(request.url)
            if parts.scheme not in ("data", "blob") and parts.hostname != "127.0.0.1":
                page.strangers.append(request.url)

        page.on("console", complain)
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("request", ask)
        before(page)
        page.goto(f"{studio.address}/{path}")
        settled(page)
        return page

    yield open_tab
    for context in contexts:
        context.close()


# All elements, including those in shadow trees, and those that are usable controls.
DEEP = """
const deep = (root) => [...root.querySelectorAll("*")].flatMap(
  (element) => [element, ...(element.shadowRoot ? deep(element.shadowRoot) : [])]
);
const worked = () => deep(document).filter((element) => {
  if (!element.matches("button, a[href], input, select, textarea, summary, [tabindex='0']"))
    return false;
  if (element.disabled || element.type === "hidden" || element.tabIndex < 0) return false;
  const box = element.getBoundingClientRect();
  return box.width > 0 && box.height > 0 && element.checkVisibility({checkVisibilityCSS: true});
});
const name = (element) => [
  element.localName, element.type || element.getAttribute("role") || "",
  element.getAttribute("aria-label") || element.textContent.trim().slice(0, 40)
].join(" ");
"""


def violations(page, axe):
    """axe's serious and critical findings, one line each."""
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{v['impact']}: {v['id']}: {node['target']} {node['html'][:160]}"
        for v in found["violations"]
        if v["impact"] in ("serious", "critical")
        for node in v["nodes"][:3]
    ]


def not_reached_by_tab(page):
    """Controls that the Tab key does not reach in one pass through the page."""
    page.evaluate(
        DEEP
        + """
        window.reached = new Set();
        document.addEventListener("focusin", () => {
          let element = document.activeElement;
          while (element.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
          window.reached.add(element);
        }, true);
        document.activeElement?.blur();
        """
    )
    reached = again = 0
    for _ in range(600):
        page.keyboard.press("Tab")
        # The document does not see focus changes inside a shadow tree.
        now = page.evaluate(
            """() => {
              let element = document.activeElement;
              while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
              return window.reached.add(element).size;
            }"""
        )
        again = again + 1 if now == reached else 0
        reached = now
        if again == 15:  # round the page and some more: a slow one still gets controls meanwhile
            break
    return page.evaluate(
        f"""() => {{ {DEEP}
          const groups = new Set([...window.reached].filter((e) => e.type === "radio")
            .map((e) => e.name));
          return worked().filter((e) => !window.reached.has(e)
            && !(e.type === "radio" && groups.has(e.name))).map(name);
        }}"""
    )


def look_at(page, name, axe):
    """The rules for every page, at both widths and in both colour schemes."""
    found = []
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            settled(page)
            where = f"{name} {width} {scheme}"
            wide = "Math.max(...[document.documentElement, ...document.querySelectorAll("
            wide += "'[data-testid=stMain]')].map((e) => e.scrollWidth))"
            if page.evaluate(wide) > width:
                found.append(f"{where}: scrolls sideways")
            found += [f"{where}: {violation}" for violation in violations(page, axe)]
            picture(page, f"{name}-{width}-{scheme}", width)
    page.set_viewport_size({"width": WIDTHS[0], "height": 900})
    settled(page)
    found += [f"{name}: Tab does not reach {control}" for control in not_reached_by_tab(page)]
    found += [f"{name}: console: {complaint}" for complaint in page.complaints]
    found += [f"{name}: asked another host: {address}" for address in page.strangers]
    assert not found, "\n".join(found)


def picture(page, name, width):
    """Write a picture of the whole page to the folder TASTEMAKER_SCREENSHOTS."""
    folder = os.environ.get("TASTEMAKER_SCREENSHOTS")
    if not folder:
        return
    Path(folder).mkdir(parents=True, exist_ok=True)
    whole = page.evaluate(
        "Math.max(...[...document.querySelectorAll('[data-testid=stMain]')]"
        ".map((e) => e.scrollHeight))"
    )
    page.set_viewport_size({"width": width, "height": min(max(700, whole), 2400)})
    settled(page)
    page.screenshot(path=Path(folder) / f"{name}.png", animations="disabled")
    page.set_viewport_size({"width": width, "height": 900})


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path or "rate")
def test_every_page_is_fit_for_everybody(tab, studio, axe, path):
    page = tab(f"{path}?organiser={KEY}", studio.ada)
    expect(page).to_have_title(f"{PAGES[path]} · Tastemaker", timeout=PATIENCE_MS)
    headings = page.locator("h1:visible").all_inner_texts()
    assert len(headings) <= 1, "a page has one name"
    look_at(page, path.replace("_", "-") or "rate", axe)


def test_the_organisers_address_is_the_key_to_all_pages(tab):
    page = tab(f"?organiser={KEY}")
    page.get_by_role("link", name="Fine-tune").click()
    expect(page).to_have_title("Fine-tune · Tastemaker", timeout=PATIENCE_MS)
    told = page.get_by_text("PPO trains the melody model in rounds")
    expect(told).to_be_visible(timeout=PATIENCE_MS)


def test_the_way_in_is_fit_for_everybody(tab, axe):
    look_at(tab(""), "coming-in", axe)


def test_one_melody_of_the_library_is_fit_for_everybody(tab, studio, axe):
    code = studio.code(studio.told_to_ada)
    page = tab(f"library?organiser={KEY}&melody={code}", studio.ada)
    expect(page.get_by_text("Where it comes from")).to_be_visible(timeout=PATIENCE_MS)
    look_at(page, "library-melody", axe)


def test_schemes_differ_and_follow_the_system(tab, studio):
    page = tab("library", studio.ada)
    colour = "getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor"
    light = page.evaluate(colour)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"{colour} !== '{light}'")
    page.emulate_media(color_scheme="light")
    page.wait_for_function(f"{colour} === '{light}'")


# The library


def test_nothing_that_the_browser_gets_tells_who_wrote_what_waits(tab, studio):
    got = []

    def listen(page):
        def frame(data):
            got.append(data if isinstance(data, bytes) else data.encode())

        page.on("websocket", lambda socket: socket.on("framereceived", frame))
        page.on("response", lambda response: got.append(response.url.encode()))

    for query in ("", "?sort=original", "?sort=score", f"?melody={studio.code(1)}"):
        page = tab(f"library{query}", studio.cleo, before=listen)
        got.append(page.content().encode())
    told = b"".join(got)
    assert b"tastemaker_tune_player" in told
    for secret in (*POLICIES, "sampler-"):
        assert secret.encode() not in told
    page = tab(f"library?organiser={KEY}&melody={studio.code(1)}")
    expect(page.get_by_text(POLICIES[0])).to_be_visible(timeout=PATIENCE_MS)


def test_one_tune_sounds_at_a_time(tab, studio):
    page = tab("library", studio.ada)
    settled(page)
    first, second = page.locator(".tune").nth(0), page.locator(".tune").nth(1)
    for tune in (first, second):
        tune.get_by_role("button", name=re.compile("^Play ")).click()
        expect(tune).to_have_class(re.compile("playing"), timeout=PATIENCE_MS)
    expect(first).not_to_have_class(re.compile("playing"), timeout=PATIENCE_MS)


def test_targets_of_the_player_are_large_enough(tab, studio):
    page = tab("library", studio.ada, width=380)
    for target in page.locator(".tune").first.locator("button, input").all():
        box = target.bounding_box()
        assert min(box["width"], box["height"]) >= 44


def test_a_melody_is_found_kept_and_taken_along(tab, studio):
    page = tab("library", studio.ada)
    code = studio.code(2)
    page.get_by_role("textbox", name="Find by notes or number").fill(f"#{code}")
    page.keyboard.press("Enter")
    expect(page.get_by_text("1 of 60 melodies")).to_be_visible(timeout=PATIENCE_MS)
    settled(page)  # the cards that were there before are gone
    page.get_by_role("button", name="Keep").click()
    expect(page.get_by_role("button", name="Kept")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("button", name="Look closer").click()
    expect(page.get_by_text("Compared with real tunes")).to_be_visible(timeout=PATIENCE_MS)
    with page.expect_download() as download:
        page.get_by_role("button", name="ABC").click()
    assert re.fullmatch(rf"[a-z-]+-{code[:6]}\.abc", download.value.suggested_filename)
    assert read_melody(Path(download.value.path()).read_text()).header.bars in (4, 8, 16)
    address = page.url
    page.reload()
    settled(page)
    assert page.url == address
    page.get_by_role("button", name="All melodies").click()
    expect(page.get_by_text("1 of 60 melodies")).to_be_visible(timeout=PATIENCE_MS)


@pytest.mark.parametrize("begun_in", SCHEMES)
def test_charts_can_be_read_in_the_dark(tab, studio, begun_in):
    page = tab("taste", studio.ada, scheme=begun_in)
    chart = page.locator("[data-testid=stVegaLiteChart]").first
    chart.wait_for()
    settled(page)
    page.wait_for_timeout(5000)  # no run of the page itself must come after the change
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")

    def reads():
        """Whether the left half, which has mainly labels, is light text on dark."""
        settled(page)
        picture = Image.open(io.BytesIO(chart.screenshot())).convert("L")
        grey = np.asarray(picture)[: picture.height * 3 // 4, : picture.width // 2]
        return np.median(grey) < DARK and grey.max() > BRIGHT

    assert soon(reads)
