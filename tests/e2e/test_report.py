"""The HTML report in headless Chromium, light and dark, on desktop and phone, with pictures in target/screenshots."""

import json
import re
import shutil
import subprocess
from dataclasses import dataclass

import pytest
from deployed import ROOT

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium. Install it (Debian and Ubuntu: sudo apt-get install chromium), then run: make screenshots"
)

SCHEMES = {"dark": 0, "light": 1}
OPTIONS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND", "--allow-file-access-from-files", "--enable-logging=stderr",
]  # fmt: skip
# A window cannot be as narrow as a phone, but a frame can.
FRAME = """<!DOCTYPE html><body style="margin: 0">
<iframe src="{page}" style="width: {width}px; height: {height}px; border: 0" onload="
  const root = this.contentDocument.documentElement, body = this.contentDocument.body;
  document.title = [root.scrollWidth, body.scrollHeight, this.contentWindow.getComputedStyle(body).backgroundColor].join('|');
"></iframe>"""


@dataclass
class RenderedPage:
    width: int
    height: int
    background: str
    console: list
    requests: list


def render(page, width, scheme, folder, picture=None):
    """Renders `page` in a frame of `width` pixels. Saves a screenshot to `picture`."""

    def run(height, *arguments):
        frame, log = folder / "frame.html", folder / "requests.json"
        frame.write_text(FRAME.format(page=page.as_uri(), width=width, height=height), encoding="utf-8")
        options = [f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}", f"--user-data-dir={folder / 'profile'}"]
        command = [CHROMIUM, *OPTIONS, *options, f"--log-net-log={log}", *arguments, frame.as_uri()]
        result = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
        return result, json.loads(log.read_text(encoding="utf-8"))

    result, log = run(2000, "--dump-dom")
    measured = re.search(r"<title>(\d+)\|(\d+)\|(.+)</title>", result.stdout)
    assert measured, f"the page did not load: {result.stderr}"
    size = (int(measured[1]), int(measured[2]))
    if picture:
        run(size[1], f"--screenshot={picture}", f"--window-size={max(width, 600)},{size[1]}")
    # Requests of Chromium itself have no origin.
    started = log["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    requests = [event["params"] for event in log["events"] if event["type"] == started and "params" in event]
    return RenderedPage(
        *size,
        measured[3],
        console=re.findall(r"CONSOLE.*", result.stderr),
        requests=[request["url"] for request in requests if request.get("initiator") == "file://"],
    )


@pytest.fixture(scope="session")
def report(tmp_path_factory):
    """A report of seven simulated days, as in `make demo`."""
    folder, command = tmp_path_factory.mktemp("report"), ROOT / "target/debug/smartclean-push"
    simulate = ["simulate", "--out", "data", "--devices", "60", "--days", "7", "--from", "2026-09-01"]
    backtest = ["backtest", "--from", "data", "--rules", ROOT / "rules/demo.toml", "--against", "built-in"]
    for arguments in (simulate, [*backtest, "--html", "report.html"]):
        subprocess.run([command, *arguments], cwd=folder, check=True, capture_output=True)
    return folder / "report.html"


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", [360, 1280])
def test_report_fits_the_window_without_requests_or_errors(report, tmp_path, width, scheme):
    pictures = ROOT / "target/screenshots"
    pictures.mkdir(parents=True, exist_ok=True)
    rendered = render(report, width, scheme, tmp_path, pictures / f"{width}-{scheme}.png")
    assert rendered.width == width
    assert rendered.height > 2000, "the page must be complete"
    assert (rendered.console, rendered.requests) == ([], [])
    red, green, blue = map(int, re.findall(r"\d+", rendered.background)[:3])
    assert (max(red, green, blue) < 64) == (scheme == "dark"), rendered.background


def test_width_requests_and_errors_of_a_page_are_measured(tmp_path):
    page = tmp_path / "bad.html"
    page.write_text(
        "<!DOCTYPE html><p style='width: 500px'>wide</p><img src='http://example.com/x.png'><script>missing()</script>",
        encoding="utf-8",
    )
    rendered = render(page, 360, "light", tmp_path)
    assert rendered.width > 500
    assert rendered.requests == ["http://example.com/x.png"]
    assert any("missing is not defined" in line for line in rendered.console)
