"""A push through the deployed stack: over its HTTP API, as its own role, into its bucket and out of its topic."""

import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError
from deployed import ARCHITECTURE, BUILD, EMAIL, PHONE


def reading(ammonia_ppb=270, **more):
    """An air quality reading without a time, so that it counts as new. Its device and zone are its own, so that nothing is
    remembered of them and no other alert blocks its."""
    return {
        "DevType": "SMARTCLEAN#ODRDTR_BATT_V1", "DEVID": f"device-{uuid.uuid4()}", "Display": "Level 3 男厕",
        "PropId": "property-1", "PID": "building-1", "InsID": f"zone-{uuid.uuid4()}", "Region": "Asia/Singapore",
        "v": {"amm": ammonia_ppb, "aqi": 103, "rh": 730, "temp": 304}, **more,
    }  # fmt: skip


def test_reading_is_stored_byte_for_byte(stack):
    texts = [
        '{"DevType": "SMARTCLEAN#UM",  "DEVID":"é-%s", "unixT":1654142581000, "v":{"count":1.0}}' % uuid.uuid4(),
        '{"DevType":"SMARTCLEAN#TH","DEVID":"2","v":{"t":"21.50"}}',
    ]
    answer = stack.push(*texts)
    assert answer.status_code == 200, answer.text
    batch = answer.json()["batch"]
    assert answer.json() == {
        "batch": batch, "received": 2, "accepted": 2, "rejected": 0, "duplicates": 0, "alerts": 0,
    }  # fmt: skip
    key = f"raw/dt=2022-06-02/hh=04/{batch}.ndjson.zst"
    assert stack.keys_of(answer) == [key]
    assert stack.text(key).splitlines() == texts


def test_reading_without_a_time_is_stored_as_undated(stack):
    answer = stack.push(reading(1))
    assert stack.keys_of(answer) == [f"raw-undated/{answer.json()['batch']}.ndjson.zst"]


def test_alert_reaches_every_channel_in_its_own_words(stack):
    before = len(stack.aws.postbox())
    with stack.queue() as received:
        answer = stack.push(reading(270, InsID="zone-1"))
        assert answer.status_code == 200, answer.text
        assert answer.json()["alerts"] == 1
        (envelope,) = received()

    machine = json.loads(envelope["Message"])
    assert isinstance(machine, dict) and "Level 3 男厕" in json.dumps(machine, ensure_ascii=False)
    attributes = {name: attribute["Value"] for name, attribute in envelope["MessageAttributes"].items()}
    assert attributes["severity"] == "medium"
    assert attributes["kind"] == "firing"
    assert attributes["device_type"] == "ODRDTR_BATT_V1"
    assert attributes["project"] == "building-1"
    assert attributes["zone"] == "zone-1"
    assert attributes["rule"]
    assert json.loads(attributes["channel"]) == ["email", "sms"]
    assert attributes["AWS.SNS.SMS.SMSType"] == "Transactional"

    sent = {message["protocol"]: message for message in stack.aws.postbox()[before:]}
    assert sent["email"]["to"] == EMAIL
    assert sent["sms"]["to"] == PHONE
    for message in sent.values():
        assert "Level 3 男厕" in message["message"]
        assert "270 ppb" in message["message"]
    assert sent["email"]["message"] != sent["sms"]["message"] != envelope["Message"]
    assert 0 < len(sent["email"]["subject"]) < 100
    assert len(sent["sms"]["message"]) <= 70  # one SMS in UCS-2, which 男厕 asks for


@pytest.mark.parametrize("ammonia_ppb, alerts", [(199, 0), (200, 1)])
def test_alert_starts_at_the_limit(stack, ammonia_ppb, alerts):
    with stack.queue() as received:
        assert stack.push(reading(ammonia_ppb)).json()["alerts"] == alerts
        assert len(received()) == alerts


def in_zone(zone, device_type, values, **more):
    return {**reading(**more), "DevType": f"SMARTCLEAN#{device_type}", "InsID": zone, "v": values}


def said(envelopes):
    """Kind and subject of each message, in the order of the subjects."""
    return sorted((e["MessageAttributes"]["kind"]["Value"], e["Subject"]) for e in envelopes)


def test_second_alert_in_a_zone_is_blocked_and_a_worse_one_is_not(stack):
    zone = f"zone-{uuid.uuid4()}"
    with stack.queue() as received:
        assert stack.push(in_zone(zone, "SS", {"p": 4})).json()["alerts"] == 1
        assert stack.push(in_zone(zone, "BIN", {"p": 4})).json()["alerts"] == 0
        assert stack.push(in_zone(zone, "WD", {"value": 1, "AreaP": 9})).json()["alerts"] == 1
        assert said(received()) == [
            ("firing", "[HIGH] Wet floor: Level 3 男厕"), ("firing", "[MEDIUM] Refill soap: Level 3 男厕"),
        ]  # fmt: skip


def test_storm_is_a_burst_and_the_sweep_names_the_rest(stack):
    """Eight at a time, as many copies of the function as that takes."""

    def alerts(envelopes):
        messages = [json.loads(envelope["Message"]) for envelope in envelopes]
        assert all(len(m["alerts"]) > 1 for m in messages if m["kind"] == "digest"), "a digest of one"
        return [alert["id"] for m in messages for alert in m["alerts"]]

    with stack.rules('[[rule]]\nid = "spill"\nseverity = "critical"\n'), stack.queue() as received:
        with ThreadPoolExecutor(8) as copies:
            answers = list(copies.map(lambda _: stack.push(reading(270)), range(40)))
        assert [(answer.status_code, answer.json()["alerts"]) for answer in answers] == [(200, 1)] * 40
        began = time.monotonic()
        assert stack.push(in_zone(f"zone-{uuid.uuid4()}", "WD", {"value": 1, "AreaP": 9})).json()["alerts"] == 1
        assert time.monotonic() - began < 2
        burst = received()
        subjects = [envelope["Subject"] for envelope in burst]
        assert len([subject for subject in subjects if subject.startswith("[CRITICAL]")]) == 1
        # Seven, and those whose token came back meanwhile.
        assert 8 <= len(burst) <= 10 and {kind for kind, _ in said(burst)} == {"firing"}, subjects
        assert stack.tick()["waiting"] == 0
        swept = received()
        assert len(alerts(burst) + alerts(swept)) == len(set(alerts(burst) + alerts(swept))) == 41
        assert 1 <= len(swept) <= 3
        stack.tick()
        assert received() == []


def test_same_reading_in_another_push_is_known(stack):
    text = json.dumps(reading(270))
    with stack.queue() as received:
        assert stack.push(text).json()["alerts"] == 1
        again = stack.push(text, json.dumps(reading(1))).json()
        assert (again["accepted"], again["duplicates"], again["alerts"]) == (2, 1, 0)
        assert len(received()) == 1


def test_counts_add_up_and_start_again_after_a_cleaning(stack):
    zone, device = f"zone-{uuid.uuid4()}", f"device-{uuid.uuid4()}"

    def alerts(count):
        milliseconds = time.time_ns() // 1_000_000  # so that equal counts are not one reading
        return stack.push(in_zone(zone, "UM", {"count": count}, DEVID=device, unixT=milliseconds)).json()["alerts"]

    assert (alerts(29), alerts(1), alerts(29)) == (0, 1, 0)
    answer = stack.request("POST", f"/zones/{zone}/cleaned", auth=stack.credentials)
    assert (answer.status_code, answer.json()["zones"]) == (200, 1), answer.text
    assert alerts(28) == 0
    assert stack.request("POST", f"/zones/{zone}/cleaned").status_code == 401


def test_that_it_is_over_is_said_where_a_rule_asks_for_it(stack):
    zone, device = f"zone-{uuid.uuid4()}", f"device-{uuid.uuid4()}"
    with stack.rules('[[rule]]\nid = "soap-low"\nresolved = true\n'), stack.queue() as received:
        for percent in (4, 80):
            stack.push(in_zone(zone, "SS", {"p": percent}, DEVID=device))
        assert [kind for kind, _ in said(received())] == ["firing", "resolved"]


def test_rules_that_are_refused_stay_out_of_force_and_are_told_by_email(stack):
    with stack.rules('[[rule]]\nid = "ammonia-lite"\nat_least = { medium = 280 }\n'):
        assert stack.push(reading(270)).json()["alerts"] == 0
        before = len(stack.aws.postbox())
        broken = b'[[rule]]\nid = "ammonia-lite"\nat_lest = 100\n'
        stack.s3.put_object(Bucket=stack.bucket, Key="config/rules.toml", Body=broken)
        stack.start_cold()
        assert stack.push(reading(270)).json()["alerts"] == 0
        stack.tick()
        stack.tick()
        (notice,) = stack.aws.postbox()[before:]
        assert notice["protocol"] == "email"
        assert notice["subject"] == "[NOTICE] Rules refused: 1 fault"
        assert "config/rules.toml:3:1: " in notice["message"] and "`at_least`" in notice["message"]


def test_silence_is_raised_by_the_schedule(stack):
    silent = '[[rule]]\nid = "silent"\nafter = "10m"\n'
    with stack.rules(silent), stack.queue(rule=["silent"]) as received:

        def heard(minutes_ago):
            at = int((time.time() - 60 * minutes_ago) * 1000)
            stack.push(in_zone(f"zone-{uuid.uuid4()}", "TH", {"t": 20}, unixT=at))
            stack.tick()

        heard(minutes_ago=8)
        assert received() == []
        heard(minutes_ago=14)
        assert [kind for kind, _ in said(received())] == ["firing"]
        stack.tick()
        assert received() == []


def test_stored_push_that_was_not_evaluated_is_evaluated_from_the_queue(stack):
    text = json.dumps(reading(270))
    with stack.queue() as received:
        with stack.without("dynamodb:BatchGetItem"):
            answer = stack.push(text)
            assert (answer.status_code, answer.json()["alerts"]) == (200, 0), answer.text
            assert received() == []
        (key,) = stack.keys_of(answer)
        assert stack.tell_of(key) == {"batchItemFailures": []}
        assert len(received()) == 1
        stack.tell_of(key)
        assert received() == []


def test_message_of_the_queue_that_cannot_be_done_comes_again(stack):
    answer = stack.push(reading(1))
    (key,) = stack.keys_of(answer)
    with stack.without("dynamodb:BatchGetItem"):
        assert stack.tell_of(key) == {"batchItemFailures": [{"itemIdentifier": "message-1"}]}
    assert stack.tell_of(key) == {"batchItemFailures": []}


def test_bucket_tells_the_queue_of_stored_readings(stack):
    told = stack.s3.get_bucket_notification_configuration(Bucket=stack.bucket)["QueueConfigurations"]
    assert [notice["Events"] for notice in told] == [["s3:ObjectCreated:*"]]
    assert told[0]["QueueArn"].endswith(stack.ids["StoredQueue"].rsplit("/", 1)[-1])


def test_subscription_gets_only_what_its_filter_lets_through(stack):
    with stack.queue(severity=["high"]) as high, stack.queue(severity=["medium"]) as medium:
        stack.push(reading(270))
        assert (len(high()), len(medium())) == (0, 1)
        stack.push(reading(500))
        assert (len(high()), len(medium())) == (1, 0)


def test_same_push_twice_is_one_object(stack):
    text = json.dumps(reading(1))
    first, second = stack.push(text), stack.push(text)
    assert first.status_code == second.status_code == 200
    assert first.json()["batch"] == second.json()["batch"]
    assert len(stack.keys_of(first)) == 1


def test_bad_item_does_not_cost_the_good_ones(stack):
    answer = stack.push(reading(1), "not json", reading(2))
    assert answer.status_code == 200, answer.text
    counts = {name: answer.json()[name] for name in ("received", "accepted", "rejected")}
    assert counts == {"received": 3, "accepted": 2, "rejected": 1}
    (key,) = (key for key in stack.keys_of(answer) if key.startswith("rejected/"))
    (kept,) = (json.loads(line) for line in stack.text(key).splitlines())
    assert (kept["index"], kept["raw"]) == (1, "not json")
    assert kept["reason"]


def test_body_that_is_no_batch_is_refused_and_kept(stack):
    before = set(stack.keys("rejected/"))
    body = f'{{"no": "array", "{uuid.uuid4()}'
    answer = stack.request("POST", "/push", data=body, auth=stack.credentials)
    assert answer.status_code == 400, answer.text
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    (key,) = set(stack.keys("rejected/")) - before
    assert json.loads(stack.text(key))["raw"] == body


def test_wrong_password_is_refused_and_nothing_is_stored(stack):
    before = stack.keys()
    for credentials in (("smartclean", "wrong"), ("somebody", stack.credentials[1])):
        answer = stack.push(reading(), credentials=credentials)
        assert answer.status_code == 401
        assert stack.credentials[1] not in answer.text
    assert stack.request("POST", "/push", data="[]").status_code == 401
    assert stack.keys() == before


@pytest.mark.parametrize(
    "method, path, status",
    [("GET", "/push", 405), ("POST", "/nothing/here", 404), ("GET", "/", 404)],
)
def test_wrong_path_or_method_is_answered_by_the_function(stack, method, path, status):
    answer = stack.request(method, path, auth=stack.credentials)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["status"] == status


def test_health_is_open(stack):
    answer = stack.request("GET", "/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_deployed_rules_change_a_limit(stack):
    assert stack.push(reading(270)).json()["alerts"] == 1
    with stack.rules('[[rule]]\nid = "ammonia-lite"\nat_least = { medium = 280 }\n'):
        assert stack.push(reading(279)).json()["alerts"] == 0
        assert stack.push(reading(280)).json()["alerts"] == 1
        assert stack.keys("config/") == ["config/rules.accepted.toml", "config/rules.toml"]
    assert stack.push(reading(270)).json()["alerts"] == 1


def test_broken_rules_leave_the_accepted_ones_in_force(stack):
    with stack.rules('[[rule]]\nid = "ammonia-lite"\nat_least = { medium = 280 }\n'):
        assert stack.push(reading(279)).json()["alerts"] == 0
        with stack.rules("[[rule]\n"):
            assert stack.push(reading(279)).json()["alerts"] == 0
            assert stack.push(reading(280)).json()["alerts"] == 1


def test_bucket_and_topic_refuse_plain_http(stack):
    """Even to an administrator. What tells MiniStack that a request came without TLS is this header."""
    credentials = administrator(stack)
    plain, over_tls = ([stack.aws.client(name, **credentials) for name in ("s3", "sns")] for _ in range(2))

    def without_tls(request, **_):
        request.headers["x-forwarded-proto"] = "http"

    for client in plain:
        client.meta.events.register("before-send", without_tls)

    def use(s3, sns):
        s3.put_object(Bucket=stack.bucket, Key="raw/over-tls", Body=b"x")
        sns.publish(TopicArn=stack.topic, Message="x")

    use(*over_tls)
    with pytest.raises(ClientError, match="explicit deny"):
        use(plain[0], over_tls[1])
    with pytest.raises(ClientError, match="not authorized|explicit deny"):
        use(over_tls[0], plain[1])


def administrator(stack):
    name = f"administrator-{uuid.uuid4()}"
    stack.iam.create_user(UserName=name)
    allow = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    stack.iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=policy)
    key = stack.iam.create_access_key(UserName=name)["AccessKey"]
    return {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}


def test_deploy_tells_the_operator_what_comes_next(stack):
    for text in (stack.operator.deploy_output, stack.operator.run("report")):
        assert stack.outputs["PushUrl"] in text
        assert "make credentials" in text
        assert EMAIL in text and PHONE in text
        assert "SMS sandbox" in text
        assert stack.credentials[1] not in text


def test_operator_is_shown_the_credentials_that_work(stack):
    assert stack.operator.run("credentials").split() == [
        "user", "name:", stack.credentials[0], "password:", stack.credentials[1],
    ]  # fmt: skip


def test_deploy_again_asks_nothing_and_keeps_the_credentials(stack):
    stack.operator.run("deploy", "--template", BUILD / "template.yaml", "--architecture", ARCHITECTURE)
    assert stack.push(reading(1)).status_code == 200
