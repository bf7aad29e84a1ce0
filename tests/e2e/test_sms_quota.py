"""The quota of text messages a day holds for all copies of the deployed function together."""

import datetime
import json
from concurrent.futures import ThreadPoolExecutor

from test_stack import reading

PUSHES = 60
QUOTA = 5


def forget_limits(stack):
    """Makes the day's quota and the rate limit whole again, whatever was sent before."""
    day = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    for key in (f"sms/{day}", "rate-limit/alerts"):
        stack.aws.client("dynamodb").delete_item(TableName=stack.ids["StateTable"], Key={"pk": {"S": key}})


def push_at_once(stack, ammonia_ppb):
    """Pushes from zones of their own, all at a time."""
    with ThreadPoolExecutor(PUSHES) as copies:
        return list(copies.map(lambda _: stack.push(reading(ammonia_ppb)), range(PUSHES)))


def alerts(envelopes):
    messages = [json.loads(envelope["Message"]) for envelope in envelopes]
    return [alert["id"] for message in messages for alert in message["alerts"]]


def test_sixty_alerts_at_once_send_no_more_sms_than_a_day_has_and_none_is_lost(stack):
    rules = f"[rate_limit]\nburst = 100\nper_minute = 100\nsms_per_day = {QUOTA}\n"
    with stack.rules(rules), stack.queue() as received, stack.queue(channel=["sms"]) as received_by_sms:
        # What other tests have left is not counted here.
        stack.end_leases()
        stack.tick()
        received()
        received_by_sms()
        forget_limits(stack)
        before = len(stack.aws.postbox())
        answers = push_at_once(stack, ammonia_ppb=270)
        assert [answer.status_code for answer in answers] == [200] * PUSHES
        # So many cold starts together are slow here. A copy that cannot read the rules in time leaves its push to the queue.
        for answer in (answer for answer in answers if answer.json()["alerts"] == 0):
            (key,) = stack.keys_of(answer)
            stack.tell_of(key)
        # What found the limiter busy waits for it.
        assert stack.tick()["waiting"] == 0
        envelopes = received()
        by_sms = received_by_sms()
        texts = [message for message in stack.aws.postbox()[before:] if message["protocol"] == "sms"]
    forget_limits(stack)
    assert len(alerts(envelopes)) == len(set(alerts(envelopes))) == PUSHES, "each by email, once"
    # An alert that an earlier test left takes its SMS from the same quota.
    assert len(by_sms) <= len(texts)
    assert len(texts) == min(QUOTA, len(envelopes)), "the quota is used and not passed"
