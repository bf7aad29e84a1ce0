"""All copies of the deployed function share the daily SMS quota."""

import json
from concurrent.futures import ThreadPoolExecutor

from test_stack import reading

PUSHES = 60
QUOTA = 5


def push_concurrently(stack, ammonia_ppb):
    """Pushes from different zones at the same time."""
    with ThreadPoolExecutor(PUSHES) as copies:
        return list(copies.map(lambda _: stack.push(reading(ammonia_ppb)), range(PUSHES)))


def test_sixty_concurrent_alerts_stay_within_the_sms_quota_and_none_is_lost(stack):
    rules = f"[rate_limit]\nburst = 100\nper_minute = 100\nsms_per_day = {QUOTA}\n"
    with stack.rules(rules), stack.alert_queue() as receive, stack.alert_queue(channel=["sms"]) as receive_sms:
        # Send the remaining messages of other tests.
        stack.expire_leases()
        stack.sweep()
        receive()
        receive_sms()
        stack.reset_rate_limit()
        before = len(stack.aws.postbox())
        responses = push_concurrently(stack, ammonia_ppb=270)
        assert [response.status_code for response in responses] == [200] * PUSHES
        # Concurrent cold starts are slow. A copy that cannot read the rules in time leaves its push to the queue.
        for response in (response for response in responses if response.json()["alerts"] == 0):
            (key,) = stack.keys_of_batch(response)
            stack.deliver_notification(key)
        # Messages wait here if their copies lost every race for a token.
        assert stack.sweep()["waiting"] == 0
        envelopes = receive()
        by_sms = receive_sms()
        sent = stack.aws.postbox()[before:]
    stack.reset_rate_limit()
    ids = stack.alert_ids(envelopes)
    assert len(ids) == len(set(ids)) == PUSHES, "each is sent by email once"
    # An alert of an earlier test also uses the quota.
    texts = [message for message in sent if message["protocol"] == "sms"]
    assert len(by_sms) <= len(texts) <= QUOTA, "the quota must not be exceeded"
    # A copy that does not learn in time whether its message was counted sends it by email only, and says so.
    unknown = [message for message in sent if "quota could not be read" in message["message"]]
    assert len(texts) + len(unknown) >= QUOTA, "the quota must be used up"
