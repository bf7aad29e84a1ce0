"""docs/verified.md says of every claim whether it was seen on AWS, and of `make smoke` what it tries."""

import re

from ops import ROOT, smoke

PAGE = (ROOT / "docs/verified.md").read_text(encoding="utf-8")


def rows(section):
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def test_every_claim_says_when_it_was_seen_on_aws_or_that_it_was_not():
    for section in ("Tried by `make smoke`", "To be tried by hand"):
        assert len(rows(section)) > 5
        for row in rows(section):
            assert re.match(r"verified on AWS: 20\d\d-\d\d-\d\d$|not yet: ", row[-1]), row


def test_what_the_smoke_test_tries_is_on_the_page():
    claims = [row[0] for row in rows("Tried by `make smoke`")]
    assert {check.__doc__.strip().rstrip(".") for check in smoke.CHECKS} <= set(claims)
