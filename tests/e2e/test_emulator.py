"""Every event of events/ through the release binary under AWS's own runtime interface emulator."""

import json

import pytest
from deployed import ROOT

EVENTS = ROOT / "events"
EXPECTED = json.loads((EVENTS / "expected.json").read_text(encoding="utf-8"))
FILES = sorted(str(path.relative_to(EVENTS)) for path in EVENTS.glob("*-api/*.json"))


def test_every_event_says_what_it_expects():
    assert FILES and sorted(EXPECTED) == FILES


@pytest.mark.parametrize("name", FILES)
def test_event_is_answered_as_expected(emulator, name):
    answer = emulator.invoke(json.loads((EVENTS / name).read_text(encoding="utf-8")))
    expected = EXPECTED[name]
    assert answer.get("statusCode") == expected["status"], answer
    assert answer["isBase64Encoded"] is False
    # A REST API takes every header as a list of values.
    lists = {name: ", ".join(values) for name, values in answer.get("multiValueHeaders", {}).items()}
    headers = {name.lower(): value for name, value in (lists | answer["headers"]).items()}
    assert headers | expected["headers"] == headers
    body = json.loads(answer["body"])
    assert body | expected["body"] == body
