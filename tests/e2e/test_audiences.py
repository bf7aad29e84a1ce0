"""Who is told by the deployed stack: audiences, hours of duty and mutes, with the subscriptions of `make subscribe AUDIENCE=…`."""

import contextlib
import datetime
import json
import string
import subprocess
import sys
import time
import uuid

import pytest
from deployed import EMAIL, PHONE, ROOT
from receivers import Receiver, eventually
from test_stack import reading

NORTH, SOUTH, SOUTH_PHONE = "north@example.com", "south@example.com", "+447700900123"
SINGAPORE = datetime.timezone(datetime.timedelta(hours=8))


def make(stack, target, **variables):
    """Runs a make target that must succeed. Returns its output."""
    given = [f"{name}={value}" for name, value in variables.items()]
    command = ["make", "--old-file=.venv/build.stamp", target, *given, f"STACK={sys.executable} -m ops --config {stack.operator.config}"]
    result = subprocess.run(
        command, cwd=ROOT, env=stack.aws.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, check=False
    )
    assert result.returncode == 0, result.stdout
    return result.stdout


@pytest.fixture
def subscribe(stack):
    """`make subscribe`. The addresses are removed after the test."""
    addresses = []

    def subscribe(audience, **address):
        make(stack, "subscribe", AUDIENCE=audience, **address)
        addresses.append(address)

    yield subscribe
    for number, address in enumerate(addresses):
        if address not in addresses[:number]:
            make(stack, "unsubscribe", **address)


def apply_subscriptions(stack):
    """Makes the function list the subscriptions now, not within five minutes."""
    stack.force_cold_start()
    stack.sweep()


@contextlib.contextmanager
def applied(stack, rules):
    """Deploys rules and has the function accept them now, not within a minute."""
    with stack.rules(rules):
        stack.sweep()
        yield


def zones(*names):
    """Zones that no other test has. They have no digits: texts break up what looks like the number of a phone."""
    letters = str.maketrans(string.digits, "ghijklmnop")
    return [f"{name}-{uuid.uuid4().hex[:8].translate(letters)}" for name in names]


def push(stack, zone, ammonia_ppb=270):
    """Pushes a reading of the one device of a zone. Its alert has the name of the zone in each text."""
    return stack.push(reading(ammonia_ppb, InsID=zone, DEVID=zone, Display=zone))


def raise_alert(stack, zone):
    """Raises an alert. If a slow computer does not send it within the push, the sweep does."""
    assert push(stack, zone).json()["alerts"] == 1
    eventually(lambda: told(stack, zone) or stack.sweep() and told(stack, zone))


def sent(stack, zone, protocol):
    return [message for message in stack.aws.postbox() if message["protocol"] == protocol and zone in message["message"]]


def told(stack, zone):
    """The addresses that got emails about a zone, one for each email. EMAIL has no audience and gets every message."""
    return sorted(message["to"] for message in sent(stack, zone, "email"))


def to(*addresses):
    return sorted([EMAIL, *addresses])


def audience(name, *zones, **settings):
    lines = [f"{key} = {json.dumps(value)}\n" for key, value in {"id": name, "zones": zones, **settings}.items()]
    return "[[audience]]\n" + "".join(lines)


def test_alert_reaches_its_audiences_and_nobody_else(stack, subscribe):
    north, south, shared, other, more = zones("north", "south", "shared", "other", "more")
    with applied(stack, audience("north-team", north, shared, more) + audience("south-team", south, shared)):
        subscribe("north-team", EMAIL=NORTH)
        subscribe("south-team", EMAIL=SOUTH)
        subscribe("south-team", PHONE=SOUTH_PHONE)
        apply_subscriptions(stack)
        for zone, emails, phones in [
            (north, [NORTH], []),
            (south, [SOUTH], [SOUTH_PHONE]),
            (shared, [NORTH, SOUTH], [SOUTH_PHONE]),
            # No audience matches.
            (other, [NORTH, SOUTH], [SOUTH_PHONE]),
        ]:
            raise_alert(stack, zone)
            assert told(stack, zone) == to(*emails), zone
            by_sms = sorted(message["to"] for message in sent(stack, zone, "sms"))
            # A slow computer sends no SMS, and says so.
            without_sms = "quota could not be read" in sent(stack, zone, "email")[0]["message"]
            assert by_sms == ([] if without_sms else sorted([PHONE, *phones])), zone
        subscribe("north-team", EMAIL=SOUTH)
        raise_alert(stack, more)
        assert told(stack, more) == to(NORTH, SOUTH)
        stack.sweep()
        assert told(stack, shared) == to(NORTH, SOUTH), "nothing twice"


def test_each_audience_is_told_in_its_language(stack, subscribe):
    (shared,) = zones("shared")
    with applied(stack, audience("north-team", shared) + audience("south-team", shared, language="zh-Hans")):
        subscribe("north-team", EMAIL=NORTH)
        subscribe("south-team", EMAIL=SOUTH)
        apply_subscriptions(stack)
        raise_alert(stack, shared)
        stack.sweep()
        assert told(stack, shared) == sorted([EMAIL, EMAIL, NORTH, SOUTH]), "without an audience, in each language"
        texts = {message["to"]: message["message"] for message in sent(stack, shared, "email")}
        assert ("ammonia" in texts[NORTH], "氨" in texts[SOUTH]) == (True, True), texts


@pytest.fixture
def endpoint(aws):
    # MiniStack verifies the certificate, and trusts its own one.
    receiver = Receiver((aws.certificate, aws.key))
    yield receiver
    receiver.stop()


def test_everybody_is_told_in_place_of_an_audience_until_its_https_endpoint_is_confirmed(stack, subscribe, endpoint):
    unsubscribed, pending, confirmed, north = zones("unsubscribed", "pending", "confirmed", "north")
    with applied(stack, audience("north-team", north) + audience("control-room", unsubscribed, pending, confirmed)):
        subscribe("north-team", EMAIL=NORTH)
        apply_subscriptions(stack)
        raise_alert(stack, unsubscribed)
        assert told(stack, unsubscribed) == to(NORTH)
        notice = "AUDIENCE=control-room"
        eventually(lambda: stack.sweep() and told(stack, notice))
        apply_subscriptions(stack)
        stack.sweep()
        assert (told(stack, notice), sent(stack, notice, "sms")) == (to(NORTH), []), "one notice a day, by email"

        subscribe("control-room", HTTPS=endpoint.url)
        [(_, headers, body)] = eventually(lambda: endpoint.posts)
        assert headers["x-amz-sns-message-type"] == "SubscriptionConfirmation"
        apply_subscriptions(stack)
        raise_alert(stack, pending)
        assert told(stack, pending) == to(NORTH)

        make(stack, "confirm", LINK=json.loads(body)["SubscribeURL"])
        apply_subscriptions(stack)
        raise_alert(stack, confirmed)
        raise_alert(stack, north)
        assert (told(stack, confirmed), told(stack, north)) == (to(), to(NORTH))
        eventually(lambda: len(endpoint.posts) > 1)
        time.sleep(2)
        [(_, headers, body)] = endpoint.posts[1:]
        assert headers["x-amz-sns-message-type"] == "Notification"
        envelope = json.loads(body)
        alert = json.loads(envelope["Message"])
        assert (alert["kind"], alert["location"]["zone"], len(alert["alerts"])) == ("firing", confirmed, 1)
        assert json.loads(envelope["MessageAttributes"]["to"]["Value"]) == ["control-room"]


def now():
    return datetime.datetime.now(SINGAPORE)


def minute_after(seconds):
    """The first minute after so many seconds, in the time zone of the readings."""
    return (now() + datetime.timedelta(seconds=seconds + 60)).replace(second=0, microsecond=0)


def test_duty_that_begins_and_a_mute_that_ends_send_what_still_fires_once(stack, subscribe):
    guarded, later = zones("guarded", "later")
    waiting, waiting_over = zones("waiting", "waiting-over")
    muted, muted_over = zones("muted", "muted-over")

    def rules(minute):
        # Off duty for ten minutes before it.
        hours = f"{minute:%H:%M}-{minute - datetime.timedelta(minutes=10):%H:%M}"
        mute = f'[[mute]]\nzones = ["{muted}", "{muted_over}"]\nuntil = "{minute:%Y-%m-%d %H:%M}"\nreason = "renovation"\n'
        return (
            audience("supervisor", muted, muted_over)
            + audience("guards", guarded, later, on_duty=hours, **{"else": "supervisor"})
            + audience("cleaners", waiting, waiting_over, on_duty=hours)
            + mute
        )

    began = time.monotonic()
    with applied(stack, rules(minute_after(3600))):
        deploy_seconds = time.monotonic() - began
        for team in ("supervisor", "guards", "cleaners"):
            subscribe(team, EMAIL=f"{team}@example.com")
        apply_subscriptions(stack)
        # Until then, the rules are deployed and eight pushes are accepted, also by a slow computer.
        minute = minute_after(20 + 3 * deploy_seconds)
        with applied(stack, rules(minute)):
            responses = [push(stack, zone) for zone in (guarded, waiting, waiting_over, muted, muted_over)]
            assert [response.json()["alerts"] for response in responses] == [1, 0, 0, 0, 0]
            for zone in (waiting_over, muted_over):
                push(stack, zone, ammonia_ppb=1)
            stack.sweep()
            before = {zone: told(stack, zone) for zone in (guarded, waiting, waiting_over, muted, muted_over)}
            assert now() < minute, "this computer is too slow"
            assert before == {guarded: to("supervisor@example.com"), waiting: [], waiting_over: [], muted: [], muted_over: []}
            (key,) = stack.keys_of_batch(responses[3])
            assert muted in stack.text(key), "readings are kept"

            time.sleep((minute - now()).total_seconds() + 0.1)
            stack.sweep()
            eventually(lambda: told(stack, waiting) and told(stack, muted))
            raise_alert(stack, later)
            stack.sweep()
            stack.sweep()
            after = {zone: told(stack, zone) for zone in (*before, later)}
            assert after == before | {
                waiting: to("cleaners@example.com"), muted: to("supervisor@example.com"), later: to("guards@example.com"),
            }  # fmt: skip
