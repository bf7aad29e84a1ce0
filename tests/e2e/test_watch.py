"""Monitoring: the deployed dashboard, the alarms and their topic."""

import json
import re

import pytest
from deployed import EMAIL, ROOT
from test_metrics import CATALOGUE

# Metrics of AWS by namespace, from the documentation of the services.
AWS_METRICS = {
    "AWS/ApiGateway": {"4xx", "5xx", "Count"},
    "AWS/DynamoDB": {"ConsumedReadCapacityUnits", "ConsumedWriteCapacityUnits", "WriteThrottleEvents"},
    "AWS/Firehose": {"DeliveryToS3.DataFreshness"},
    "AWS/Lambda": {"ConcurrentExecutions", "Duration", "Errors", "Throttles"},
    "AWS/SNS": {"SMSMonthToDateSpentUSD"},
    "AWS/SQS": {"ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible"},
}
RUNBOOK = ROOT / "docs/operate.md"


@pytest.fixture(scope="module")
def alarms(stack):
    pages = stack.aws.client("cloudwatch").get_paginator("describe_alarms").paginate(AlarmNamePrefix="smartclean-push-")
    names = {name for id, name in stack.ids.items() if id.endswith("Alarm")}
    return [alarm for page in pages for alarm in page["MetricAlarms"] if alarm["AlarmName"] in names]


@pytest.fixture(scope="module")
def dashboard(stack):
    body = stack.aws.client("cloudwatch").get_dashboard(DashboardName="smartclean-push")["DashboardBody"]
    return json.loads(body)


def metric_of(alarm):
    """The (namespace, name, dimensions) of the metric of an alarm."""
    dimensions = {dimension["Name"]: dimension["Value"] for dimension in alarm.get("Dimensions", [])}
    return alarm["Namespace"], alarm["MetricName"], dimensions


def is_known(stack, namespace, name, dimensions):
    if namespace != "smartclean-push":
        return name in AWS_METRICS[namespace]
    # A metric filter of the gateway's log counts `not_accepted`.
    return name in [*CATALOGUE, "not_accepted"] and not dimensions


def test_every_alarm_is_deployed_with_an_existing_metric(stack, alarms):
    named = {id for id in stack.template["Resources"] if id.endswith("Alarm")}
    assert len(alarms) == len(named - {"DeliveryAlarm"}) == 10  # The AWS free tier covers ten. RawDelivery=buffered adds one.
    for alarm in alarms:
        assert is_known(stack, *metric_of(alarm)), (alarm["AlarmName"], metric_of(alarm))


def test_every_alarm_notifies_the_operations_topic_only(stack, alarms):
    topic = stack.outputs["OperationsTopicArn"]
    assert topic != stack.topic
    for alarm in alarms:
        assert alarm["AlarmActions"] == alarm["OKActions"] == [topic], alarm["AlarmName"]


def test_only_alarms_may_publish_to_the_operations_topic(stack):
    policy = json.loads(stack.sns.get_topic_attributes(TopicArn=stack.outputs["OperationsTopicArn"])["Attributes"]["Policy"])
    allowed = [statement for statement in policy["Statement"] if statement["Effect"] == "Allow"]
    assert [statement["Principal"] for statement in allowed] == [{"Service": "cloudwatch.amazonaws.com"}]
    assert allowed[0]["Condition"]["StringEquals"]["aws:SourceAccount"] == stack.topic.split(":")[4]
    # Alarms cannot publish to a topic with the key alias/aws/sns.
    attributes = stack.sns.get_topic_attributes(TopicArn=stack.outputs["OperationsTopicArn"])["Attributes"]
    assert "KmsMasterKeyId" not in attributes


def test_alarms_go_to_the_recipient_of_alerts_by_default(stack):
    subscribed = stack.sns.list_subscriptions_by_topic(TopicArn=stack.outputs["OperationsTopicArn"])["Subscriptions"]
    assert [(entry["Protocol"], entry["Endpoint"]) for entry in subscribed] == [("email", EMAIL)]


def test_missing_data_raises_only_the_alarms_about_pushes_and_subscriptions(alarms):
    breaching = {alarm["AlarmName"] for alarm in alarms if alarm["TreatMissingData"] == "breaching"}
    assert breaching == {"smartclean-push-no-push", "smartclean-push-no-confirmed-subscription"}
    assert {alarm["TreatMissingData"] for alarm in alarms} == {"breaching", "notBreaching"}


def test_runbook_has_a_section_for_every_alarm_and_no_other():
    """Of both templates."""
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in ("template.yaml", "lake.yaml")]
    named = {name for text in texts for name in re.findall(r'AlarmName: !Sub "?\$\{AWS::StackName\}-([\w-]+)', text)}
    described = {name for text in texts for name in re.findall(r'docs/operate\.md#([\w-]+)"?,?$', text, re.MULTILINE)}
    alarm_sections = RUNBOOK.read_text(encoding="utf-8").split("\n## ")[1]
    assert alarm_sections.startswith("When an alarm comes")
    assert set(re.findall(r"^### (\S+)$", alarm_sections, re.MULTILINE)) == named == described
    assert len(named) == 12


def test_dashboard_has_existing_metrics_and_no_overlapping_widgets(stack, dashboard):
    widgets = dashboard["widgets"]
    names = set()
    for widget in widgets:
        for metric in widget["properties"].get("metrics", []):
            if isinstance(metric[0], str):
                namespace, name, *rest = [part for part in metric if isinstance(part, str)]
                dimensions = dict(zip(rest[::2], rest[1::2], strict=True))
                assert is_known(stack, namespace, name, dimensions), metric
                names.add(name)
    assert {"readings_accepted", "alerts_sent", "event_lag_ms", "outbox_age_s", "Errors"} <= names
    cells = [(x, y) for w in widgets for x in range(w["x"], w["x"] + w["width"]) for y in range(w["y"], w["y"] + w["height"])]
    assert len(cells) == len(set(cells)) and max(x for x, _ in cells) == 23, "widgets overlap"
    for metric_or_log in (w for w in widgets if w["type"] != "text"):
        assert metric_or_log["properties"]["region"] == "ap-southeast-1"
        assert "${" not in json.dumps(metric_or_log), "an unresolved reference"


def test_report_lists_alarm_recipients_and_the_dashboard(stack):
    output = stack.operator.run("report")
    assert "Alarms about this program go to:" in output
    assert "#dashboards/dashboard/smartclean-push" in output
