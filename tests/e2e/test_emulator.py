"""Every event of events/ through the function in the runtime interface emulator of AWS."""

import json

import pytest
from deployed import ROOT

EVENTS = ROOT / "events"
EXPECTED = json.loads((EVENTS / "expected.json").read_text(encoding="utf-8"))
FILES = sorted(str(path.relative_to(EVENTS)) for path in EVENTS.glob("*-api/*.json"))


def test_every_event_has_an_expected_response():
    assert FILES and sorted(EXPECTED) == FILES


@pytest.mark.parametrize("name", FILES)
def test_event_gets_the_expected_response(emulator, name):
    response = emulator.invoke(json.loads((EVENTS / name).read_text(encoding="utf-8")))
    expected = EXPECTED[name]
    assert response.get("statusCode") == expected["status"], response
    assert response["isBase64Encoded"] is False
    # In a response to a REST API, every header has a list of values.
    lists = {name: ", ".join(values) for name, values in response.get("multiValueHeaders", {}).items()}
    headers = {name.lower(): value for name, value in (lists | response["headers"]).items()}
    assert headers | expected["headers"] == headers
    body = json.loads(response["body"])
    assert body | expected["body"] == body
