"""Further addresses: subscribed, told, and unsubscribed by the operator's commands."""

from deployed import EMAIL, PHONE
from test_stack import reading


def told(stack):
    """Who gets the next alert: protocol and address."""
    before = len(stack.aws.postbox())
    assert stack.push(reading(270)).json()["alerts"] == 1
    return {(message["protocol"], message["to"]) for message in stack.aws.postbox()[before:]}


def test_further_addresses_get_alerts_until_they_are_unsubscribed(stack):
    operator, first = stack.operator, {("email", EMAIL), ("sms", PHONE)}
    more = {("email", "night@example.com"), ("sms", "+447700900123")}
    assert told(stack) == first
    operator.run("subscribe", "--email", "night@example.com")
    operator.run("subscribe", "--phone", "+447700900123")
    assert "night@example.com" in (report := operator.run("report")) and "+447700900123" in report
    assert told(stack) == first | more
    operator.run("unsubscribe", "--email", "night@example.com")
    assert told(stack) == first | {("sms", "+447700900123")}
    operator.run("unsubscribe", "--phone", "+447700900123")
    assert told(stack) == first


def test_phone_that_is_removed_from_the_answers_gets_no_more_alerts(stack):
    stack.operator.deploy_without("AlertPhone")
    assert told(stack) == {("email", EMAIL)}
    stack.operator.deploy_with(AlertPhone=PHONE)
    assert told(stack) == {("email", EMAIL), ("sms", PHONE)}
