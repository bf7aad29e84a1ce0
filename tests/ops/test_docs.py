"""The links and paths in the documentation exist."""

import re

import pytest
from ops import ROOT

PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "events/README.md", ROOT / "fuzz/README.md"],
)
TREES = "benches|crates|docs|events|fuzz|ops|rules|src|tests"


def anchors(page):
    """The anchors that GitHub generates for the headings of a page."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(text, page):
    """Links to missing files or headings, and paths of missing files, in the text of a page."""
    found = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not link.startswith("https://") and not (target.exists() and (not anchor or anchor in anchors(target))):
            found.append(link)
    for path in re.findall(rf"`((?:{TREES})/[a-z0-9_./-]+)`", text):
        # The documentation names modules of `tests/it` without their suffix.
        if not any((ROOT / f"{path}{suffix}").exists() for suffix in ("", ".rs")):
            found.append(path)
    return found


# The pages for engineers who change the code.
FOR_DEVELOPERS = {"CONTRIBUTING.md", "architecture.md", "guarantees.md", "performance.md"}


def other_spellings(text):
    """Commands that run or build the program in another way than `make` and `smartclean-push`."""
    return re.findall(r"cargo (?:run|build)\b|target/(?:debug|optimized|release)/", text)


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in FOR_DEVELOPERS], ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_call_the_command_by_its_name(page):
    assert other_spellings(page.read_text(encoding="utf-8")) == []


def test_another_spelling_of_the_command_is_found():
    text = "cargo run -- serve, `target/debug/smartclean-push`, cargo build --release; make run, smartclean-push serve"
    assert other_spellings(text) == ["cargo run", "target/debug/", "cargo build"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_paths_exist(page):
    assert broken_links(page.read_text(encoding="utf-8"), page) == []


def test_a_broken_link_anchor_or_path_is_found():
    wrong = ["missing.md", "README.md#missing", "#missing", "src/missing.rs"]
    text = "[a](missing.md) [b](README.md#missing) [c](#missing) `src/missing.rs` [d](README.md) `src/lib.rs` [e](https://example.com)"
    assert broken_links(text, ROOT / "README.md") == wrong
