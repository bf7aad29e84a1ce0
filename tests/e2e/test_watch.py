"""Who watches the receiver: dashboard, alarms and their topic, as they are deployed."""

import json
import re

import pytest
from deployed import EMAIL, ROOT
from test_metrics import CATALOGUE

# Metrics of AWS's own that are looked at, by namespace: from the services' pages "CloudWatch metrics".
OF_AWS = {
    "AWS/ApiGateway": {"4xx", "5xx", "Count"},
    "AWS/DynamoDB": {"ConsumedReadCapacityUnits", "ConsumedWriteCapacityUnits", "WriteThrottleEvents"},
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


def measured(alarm):
    """(namespace, metric, dimensions) of what an alarm watches."""
    dimensions = {dimension["Name"]: dimension["Value"] for dimension in alarm.get("Dimensions", [])}
    return alarm["Namespace"], alarm["MetricName"], dimensions


def is_known(stack, namespace, name, dimensions):
    if namespace != "SmartCleanPush":
        return name in OF_AWS[namespace]
    if name == "not_accepted":  # made of the gateway's log
        return dimensions == {"ApiId": stack.ids["PushApi"]}
    return name in CATALOGUE and dimensions == {"FunctionName": stack.function}


def test_every_alarm_is_deployed_and_looks_at_what_there_is(stack, alarms):
    named = {id for id in stack.template["Resources"] if id.endswith("Alarm")}
    assert len(alarms) == len(named) == 10  # as many as are free
    for alarm in alarms:
        assert is_known(stack, *measured(alarm)), (alarm["AlarmName"], measured(alarm))


def test_every_alarm_tells_the_operations_topic_and_no_other(stack, alarms):
    topic = stack.outputs["OperationsTopicArn"]
    assert topic != stack.topic
    for alarm in alarms:
        assert alarm["AlarmActions"] == alarm["OKActions"] == [topic], alarm["AlarmName"]


def test_alarms_can_publish_and_nobody_else_is_let_in(stack):
    policy = json.loads(stack.sns.get_topic_attributes(TopicArn=stack.outputs["OperationsTopicArn"])["Attributes"]["Policy"])
    allowed = [statement for statement in policy["Statement"] if statement["Effect"] == "Allow"]
    assert [statement["Principal"] for statement in allowed] == [{"Service": "cloudwatch.amazonaws.com"}]
    assert allowed[0]["Condition"]["StringEquals"]["aws:SourceAccount"] == stack.topic.split(":")[4]
    # A topic under SNS's own key would be silent: alarms cannot use that key.
    attributes = stack.sns.get_topic_attributes(TopicArn=stack.outputs["OperationsTopicArn"])["Attributes"]
    assert "KmsMasterKeyId" not in attributes


def test_who_gets_alerts_watches_too_where_nobody_else_is_named(stack):
    subscribed = stack.sns.list_subscriptions_by_topic(TopicArn=stack.outputs["OperationsTopicArn"])["Subscriptions"]
    assert [(entry["Protocol"], entry["Endpoint"]) for entry in subscribed] == [("email", EMAIL)]


def test_no_data_is_fine_but_where_pushes_and_subscribers_are_waited_for(alarms):
    waiting = {alarm["AlarmName"] for alarm in alarms if alarm["TreatMissingData"] == "breaching"}
    assert waiting == {"smartclean-push-no-push", "smartclean-push-nobody-is-told"}
    assert {alarm["TreatMissingData"] for alarm in alarms} == {"breaching", "notBreaching"}


def test_the_runbook_has_a_section_for_every_alarm_and_for_none_that_is_not():
    """Of both templates: the lake has an alarm of its own."""
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in ("template.yaml", "lake.yaml")]
    named = {name for text in texts for name in re.findall(r"AlarmName: !Sub \$\{AWS::StackName\}-(\S+)", text)}
    described = {name for text in texts for name in re.findall(r"docs/operate\.md#(\S+)$", text, re.MULTILINE)}
    alarm_sections = RUNBOOK.read_text(encoding="utf-8").split("\n## ")[1]
    assert alarm_sections.startswith("When an alarm comes")
    assert set(re.findall(r"^### (\S+)$", alarm_sections, re.MULTILINE)) == named == described
    assert len(named) == 11


def test_the_dashboard_shows_what_there_is_without_a_hole(stack, dashboard):
    widgets = dashboard["widgets"]
    shown = set()
    for widget in widgets:
        for metric in widget["properties"].get("metrics", []):
            if isinstance(metric[0], str):
                namespace, name, *rest = [part for part in metric if isinstance(part, str)]
                dimensions = dict(zip(rest[::2], rest[1::2], strict=True))
                assert is_known(stack, namespace, name, dimensions), metric
                shown.add(name)
    assert {"readings_accepted", "alerts_sent", "event_lag_ms", "outbox_age_s", "Errors"} <= shown
    cells = [(x, y) for w in widgets for x in range(w["x"], w["x"] + w["width"]) for y in range(w["y"], w["y"] + w["height"])]
    assert len(cells) == len(set(cells)) and max(x for x, _ in cells) == 23, "widgets lie over each other"
    for metric_or_log in (w for w in widgets if w["type"] != "text"):
        assert metric_or_log["properties"]["region"] == "ap-southeast-1"
        assert "${" not in json.dumps(metric_or_log), "a name that was not filled in"


def test_the_operator_is_told_of_watchers_and_dashboard(stack):
    said = stack.operator.run("report")
    assert "Who hears when the receiver itself is in trouble:" in said
    assert "#dashboards/dashboard/smartclean-push" in said
