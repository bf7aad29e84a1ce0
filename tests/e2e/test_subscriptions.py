"""The commands of the operator subscribe and unsubscribe further addresses."""

from deployed import EMAIL, PHONE
from test_stack import reading


def recipients_of_an_alert(stack):
    """Raises an alert. Returns the (protocol, address) of each message."""
    before = len(stack.aws.postbox())
    assert stack.push(reading(270)).json()["alerts"] == 1
    return {(message["protocol"], message["to"]) for message in stack.aws.postbox()[before:]}


def test_further_addresses_get_alerts_until_they_are_unsubscribed(stack):
    operator, first = stack.operator, {("email", EMAIL), ("sms", PHONE)}
    more = {("email", "night@example.com"), ("sms", "+447700900123")}
    assert recipients_of_an_alert(stack) == first
    operator.run("subscribe", "--email", "night@example.com")
    operator.run("subscribe", "--phone", "+447700900123")
    assert "night@example.com" in (report := operator.run("report")) and "+447700900123" in report
    assert recipients_of_an_alert(stack) == first | more
    operator.run("unsubscribe", "--email", "night@example.com")
    assert recipients_of_an_alert(stack) == first | {("sms", "+447700900123")}
    operator.run("unsubscribe", "--phone", "+447700900123")
    assert recipients_of_an_alert(stack) == first


def test_phone_that_is_removed_from_the_settings_gets_no_more_alerts(stack):
    stack.operator.deploy_without("AlertPhone")
    assert recipients_of_an_alert(stack) == {("email", EMAIL)}
    stack.operator.deploy_with(AlertPhone=PHONE)
    assert recipients_of_an_alert(stack) == {("email", EMAIL), ("sms", PHONE)}
