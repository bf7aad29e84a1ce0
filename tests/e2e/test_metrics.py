"""Metrics: the log lines of the function match AWS's schema of the embedded metric format, and Prometheus's client library parses the page
of `serve`."""

import json
import os
import re
import subprocess
import time

import pytest
import requests
from deployed import ROOT
from jsonschema import Draft202012Validator
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from test_emulator import EVENTS

SCHEMA = Draft202012Validator(json.loads((ROOT / "tests/data/embedded-metric-format.schema.json").read_text()))
# The names in the source.
CATALOGUE = re.findall(
    r'^    (?:count|gauge|time)\(\s*"(\w+)"', (ROOT / "src/telemetry/catalogue.rs").read_text(encoding="utf-8"), re.MULTILINE
)


def test_catalogue_is_read():
    assert len(CATALOGUE) > 20 and len(set(CATALOGUE)) == len(CATALOGUE), CATALOGUE


@pytest.fixture(scope="module")
def lines(emulator):
    """The log lines of a start, three pushes and a sweep."""
    started = [line for line in emulator.log_lines() if line.get("message") == "started"]
    before = len(emulator.log_lines())
    for name in ("http-api/push-all-types.json", "http-api/push-one-bad-item.json", "http-api/wrong-password.json"):
        emulator.invoke(json.loads((EVENTS / name).read_text(encoding="utf-8")))
    emulator.invoke({"smartclean-push": "sweep"})
    return started + emulator.log_lines()[before:]


def test_every_line_with_metrics_has_the_embedded_metric_format(lines):
    measured = [line for line in lines if "_aws" in line]
    for line in measured:
        SCHEMA.validate(line)
        (directive,) = line["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == "smartclean-push" and directive["Dimensions"] == [[]]
        # The schema cannot require that each name is a member of the line.
        for metric in directive["Metrics"]:
            assert isinstance(line[metric["Name"]], int | float) and line[metric["Name"]] != 0, metric
            assert metric["Name"] in CATALOGUE
    names = {metric["Name"] for line in measured for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]}
    assert {"cold_starts", "pushes", "readings_accepted", "readings_rejected", "push_ms", "auth_failures"} <= names, names


def test_start_logs_the_version(lines):
    (started,) = (line for line in lines if line.get("message") == "started")
    assert f'\nversion = "{started["version"]}"\n' in (ROOT / "Cargo.toml").read_text(encoding="utf-8")


def test_schema_refuses_other_lines(lines):
    line = next(line for line in lines if "_aws" in line)
    for broken in (
        {**line, "_aws": {"CloudWatchMetrics": line["_aws"]["CloudWatchMetrics"]}},
        {**line, "_aws": {**line["_aws"], "CloudWatchMetrics": [{"Namespace": "", "Dimensions": [], "Metrics": [{}]}]}},
    ):
        assert not SCHEMA.is_valid(broken)


def test_push_writes_one_line(lines):
    pushes = [line for line in lines if line.get("message") == "batch stored"]
    assert len({line["batch"] for line in pushes}) == len(pushes) >= 2
    assert all("client" in line and "push_ms" in line for line in pushes)


def test_line_of_a_push_without_alerts_costs_at_most_400_bytes(emulator):
    """CloudWatch bills each byte of each push. Numbers that are zero and durations of steps are not in the line."""
    before = len(emulator.log_lines())
    event = json.loads((EVENTS / "http-api/push-example.json").read_text(encoding="utf-8"))
    reading = {"t": time.strftime("%Y%m%d%H%M%S"), "DevType": "SMARTCLEAN#ODRDTR_BATT_V1"}
    event["body"] = json.dumps([json.dumps(reading)])
    emulator.invoke(event)
    lines = emulator.log_lines()[before:]
    (line,) = (line for line in lines if line.get("message") == "batch stored")
    assert not [name for name, value in line.items() if value == 0] and "store_ms" not in line, line
    assert line["readings_accepted"] == 1 and len(json.dumps(line, separators=(",", ":"))) <= 400, line


def test_push_with_rejected_items_logs_the_reason(lines):
    (line,) = (line for line in lines if line.get("message") == "items rejected")
    assert line["batch"] in {line["batch"] for line in lines if line.get("readings_rejected") == 1}
    assert line["count"] == 1 and line["first_index"] >= 0 and "JSON" in line["first_reason"], line


def queue_event(body, minutes_ago):
    sent = int((time.time() - 60 * minutes_ago) * 1000)
    return {"messageId": f"{minutes_ago}", "eventSource": "aws:sqs", "body": json.dumps(body), "attributes": {"SentTimestamp": str(sent)}}


def test_age_of_the_oldest_failed_message_is_measured(emulator):
    """SQS ignores messages after three receives. A message with an unknown format fails each time; a failed sweep is ignored."""
    failing, succeeding = {"no": "envelope"}, {"requestContext": {}, "requestPayload": {"smartclean-push": "sweep"}}

    def ages(*records):
        before = len(emulator.log_lines())
        failed = [item["itemIdentifier"] for item in emulator.invoke({"Records": list(records)})["batchItemFailures"]]
        lines = [line for line in emulator.log_lines()[before:] if "queue_failed_age_s" in line]
        assert all(line["_aws"]["CloudWatchMetrics"][0]["Metrics"][0]["Name"] == "queue_failed_age_s" for line in lines)
        return failed, [line["queue_failed_age_s"] // 60 for line in lines]

    assert ages(queue_event(failing, 5), queue_event(failing, 40), queue_event(succeeding, 90)) == (["5", "40"], [40])
    assert ages(queue_event(succeeding, 90)) == ([], [])


@pytest.fixture
def server(tmp_path):
    """The URL of a running `serve`."""
    binary = ROOT / "target/debug/smartclean-push"
    process = subprocess.Popen(
        [binary, "serve", "--listen", "127.0.0.1:0", "--data", tmp_path / "data"],
        env={**os.environ, "PUSH_USERNAME": "smartclean", "PUSH_PASSWORD": "s3cret-Pa55"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        address = re.search(r"http://\S+", process.stdout.readline()).group()
        yield address.removesuffix("/push")
    finally:
        process.terminate()
        process.wait()


def test_prometheus_client_library_parses_the_metrics_of_serve(server):
    credentials = ("smartclean", "s3cret-Pa55")
    reading = {"DevType": "SMARTCLEAN#TR", "DEVID": "d", "v": {"p": 50}}
    for batch in ([json.dumps(reading)], ["not json"]):
        assert requests.post(f"{server}/push", json=batch, auth=credentials, timeout=10).status_code == 200
    assert requests.post(f"{server}/push", json=[], auth=("smartclean", "guessed"), timeout=10).status_code == 401
    assert requests.get(f"{server}/metrics", timeout=10).status_code == 401

    response = requests.get(f"{server}/metrics", auth=credentials, timeout=10)
    assert response.headers["Content-Type"].startswith("application/openmetrics-text")
    families = {family.name: family for family in text_string_to_metric_families(response.text)}
    assert {name.removeprefix("smartclean_push_") for name in families} == set(CATALOGUE)
    assert all(family.documentation for family in families.values())
    samples = {sample.name: sample.value for family in families.values() for sample in family.samples if not sample.labels}
    values = {name.removeprefix("smartclean_push_"): value for name, value in samples.items()}
    assert (values["pushes_total"], values["readings_accepted_total"], values["readings_rejected_total"]) == (2, 1, 1)
    assert (values["auth_failures_total"], values["push_ms_count"], values["alerts_sent_total"]) == (1 + 1, 2, 0)
