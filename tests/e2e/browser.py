"""Pages in headless Chromium, as on a phone: pictures in target/screenshots, and the rules of axe-core."""

import shutil
from contextlib import contextmanager

import pytest
from axe_playwright_python.sync_playwright import Axe
from deployed import ROOT
from playwright.sync_api import sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium. Install it (Debian and Ubuntu: sudo apt-get install chromium), then run the test again"
)
OPTIONS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
# The tags of the success criteria of WCAG 2.2 AA.
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@contextmanager
def chromium(*options):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*OPTIONS, *options])
        yield browser
        browser.close()


def phone(browser, scheme="light", **options):
    """A page of a phone with its own cookies. Fails on any error of the page, and on any request to another host."""
    context = browser.new_context(viewport={"width": 360, "height": 740}, color_scheme=scheme, ignore_https_errors=True, **options)
    page = context.new_page()
    page.problems = []
    page.on("console", lambda message: page.problems.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.requested = set()
    page.on("request", lambda request: page.requested.add(request.url.split("/")[2]))
    return page


def check(page, name):
    """Takes pictures of a page, light and dark. It must fit the width of the phone, and break no rule of accessibility."""
    folder = ROOT / "target/screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.screenshot(path=folder / f"{name}-{scheme}.png", full_page=True)
        found = Axe().run(page, options=RULES)
        assert found.violations_count == 0, f"{name}, {scheme}: {found.generate_report()}"
    assert page.evaluate("document.documentElement.scrollWidth") == 360, name
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert len(page.requested) == 1, page.requested
