"""docs/verified.md lists every check of `make smoke`, and whether each claim was verified on AWS."""

import re

from ops import ROOT, smoke

PAGE = (ROOT / "docs/verified.md").read_text(encoding="utf-8")


def rows(section):
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def test_every_claim_has_the_date_of_its_verification_or_not_yet():
    for section in ("Checked by `make smoke`", "To check by hand"):
        assert len(rows(section)) > 5
        for row in rows(section):
            assert re.match(r"verified on AWS: 20\d\d-\d\d-\d\d$|not yet: ", row[-1]), row


def test_every_check_of_the_smoke_test_is_on_the_page():
    claims = [row[0] for row in rows("Checked by `make smoke`")]
    assert {check.__doc__.strip().rstrip(".") for check in smoke.CHECKS} <= set(claims)
