"""Pushes through the deployed stack: HTTP API, role, bucket, state and topic."""

import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError
from deployed import ARCHITECTURE, BUILD, EMAIL, PHONE


def reading(ammonia_ppb=270, **more):
    """An air quality reading without a time, which counts as current. Its device and zone are unique, so they have no state."""
    return {
        "DevType": "SMARTCLEAN#ODRDTR_BATT_V1", "DEVID": f"device-{uuid.uuid4()}", "Display": "Level 3 男厕",
        "PropId": "property-1", "PID": "building-1", "InsID": f"zone-{uuid.uuid4()}", "Region": "Asia/Singapore",
        "v": {"amm": ammonia_ppb, "aqi": 103, "rh": 730, "temp": 304}, **more,
    }  # fmt: skip


def test_reading_is_stored_unchanged(stack):
    texts = [
        '{"DevType": "SMARTCLEAN#UM",  "DEVID":"é-%s", "unixT":1654142581000, "v":{"count":1.0}}' % uuid.uuid4(),
        '{"DevType":"SMARTCLEAN#TH","DEVID":"2","v":{"t":"21.50"}}',
    ]
    response = stack.push(*texts)
    assert response.status_code == 200, response.text
    batch = response.json()["batch"]
    assert response.json() == {
        "batch": batch, "received": 2, "accepted": 2, "rejected": 0, "duplicates": 0, "alerts": 0,
    }  # fmt: skip
    key = f"raw/dt=2022-06-02/hh=04/{batch}.ndjson.zst"
    assert stack.keys_of_batch(response) == [key]
    assert stack.text(key).splitlines() == texts


def test_reading_without_a_time_is_stored_as_undated(stack):
    response = stack.push(reading(1))
    assert stack.keys_of_batch(response) == [f"raw-undated/{response.json()['batch']}.ndjson.zst"]


def test_alert_has_a_text_for_each_channel(stack):
    before = len(stack.aws.postbox())
    with stack.alert_queue() as receive:
        response = stack.push(reading(270, InsID="zone-1"))
        assert response.status_code == 200, response.text
        assert response.json()["alerts"] == 1
        (envelope,) = receive()

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
    assert len(sent["sms"]["message"]) <= 70  # One SMS in UCS-2, which 男厕 requires.


@pytest.mark.parametrize("ammonia_ppb, alerts", [(199, 0), (200, 1)])
def test_alert_starts_at_the_limit(stack, ammonia_ppb, alerts):
    with stack.alert_queue() as receive:
        assert stack.push(reading(ammonia_ppb)).json()["alerts"] == alerts
        assert len(receive()) == alerts


def in_zone(zone, device_type, values, **more):
    return {**reading(**more), "DevType": f"SMARTCLEAN#{device_type}", "InsID": zone, "v": values}


def kinds_and_subjects(envelopes):
    """The (kind, subject) of each message, sorted."""
    return sorted((e["MessageAttributes"]["kind"]["Value"], e["Subject"]) for e in envelopes)


def test_block_suppresses_the_second_alert_in_a_zone_but_not_a_more_severe_one(stack):
    zone = f"zone-{uuid.uuid4()}"
    with stack.alert_queue() as receive:
        assert stack.push(in_zone(zone, "SS", {"p": 4})).json()["alerts"] == 1
        assert stack.push(in_zone(zone, "BIN", {"p": 4})).json()["alerts"] == 0
        assert stack.push(in_zone(zone, "WD", {"value": 1, "AreaP": 9})).json()["alerts"] == 1
        assert kinds_and_subjects(receive()) == [
            ("firing", "[HIGH] Wet floor: Level 3 男厕"), ("firing", "[MEDIUM] Soap low: Level 3 男厕"),
        ]  # fmt: skip


def test_rate_limit_sends_a_burst_and_the_sweep_sends_the_rest_as_digest(stack):
    """With eight concurrent pushes, and so eight copies of the function."""
    with stack.rules('[[rule]]\nid = "spill"\nseverity = "critical"\n'), stack.alert_queue() as receive:
        begin = time.monotonic()
        with ThreadPoolExecutor(8) as copies:
            responses = list(copies.map(lambda _: stack.push(reading(270)), range(40)))
        assert [(response.status_code, response.json()["alerts"]) for response in responses] == [(200, 1)] * 40
        start = time.monotonic()
        assert stack.push(in_zone(f"zone-{uuid.uuid4()}", "WD", {"value": 1, "AreaP": 9})).json()["alerts"] == 1
        assert time.monotonic() - start < 2
        refilled = int((time.monotonic() - begin) / 6) + 1
        burst = receive()
        subjects = [envelope["Subject"] for envelope in burst]
        assert len([subject for subject in subjects if subject.startswith("[CRITICAL]")]) == 1
        # Seven, the critical one, and one for each six seconds, in which the limit refills.
        assert 8 <= len(burst) <= 8 + refilled and {kind for kind, _ in kinds_and_subjects(burst)} == {"firing"}, subjects
        assert stack.sweep()["waiting"] == 0
        remaining = receive()
        messages = [json.loads(envelope["Message"]) for envelope in remaining]
        assert all(len(message["alerts"]) > 1 for message in messages if message["kind"] == "digest"), "a digest of one"
        ids = stack.alert_ids(burst + remaining)
        assert len(ids) == len(set(ids)) == 41
        assert 1 <= len(remaining) <= 3
        stack.sweep()
        assert receive() == []


def test_same_reading_in_another_push_is_a_duplicate(stack):
    text = json.dumps(reading(270))
    with stack.alert_queue() as receive:
        assert stack.push(text).json()["alerts"] == 1
        second = stack.push(text, json.dumps(reading(1))).json()
        assert (second["accepted"], second["duplicates"], second["alerts"]) == (2, 1, 0)
        assert len(receive()) == 1


def test_accumulator_adds_counts_and_restarts_after_a_cleaning(stack):
    zone, device = f"zone-{uuid.uuid4()}", f"device-{uuid.uuid4()}"

    def alerts(count):
        milliseconds = time.time_ns() // 1_000_000  # Equal counts must be different readings.
        return stack.push(in_zone(zone, "UM", {"count": count}, DEVID=device, unixT=milliseconds)).json()["alerts"]

    assert (alerts(29), alerts(1), alerts(29)) == (0, 1, 0)
    response = stack.request("POST", f"/zones/{zone}/cleaned", auth=stack.credentials)
    assert (response.status_code, response.json()["zones"]) == (200, 1), response.text
    assert alerts(28) == 0
    assert stack.request("POST", f"/zones/{zone}/cleaned").status_code == 401


def test_rule_with_resolved_sends_a_resolved_notice(stack):
    zone, device = f"zone-{uuid.uuid4()}", f"device-{uuid.uuid4()}"
    with stack.rules('[[rule]]\nid = "soap-low"\nresolved = true\n'), stack.alert_queue() as receive:
        for percent in (4, 80):
            stack.push(in_zone(zone, "SS", {"p": percent}, DEVID=device))
        assert [kind for kind, _ in kinds_and_subjects(receive())] == ["firing", "resolved"]


def test_refused_rules_are_not_applied_and_raise_a_notice_by_email(stack):
    with stack.rules('[[rule]]\nid = "ammonia-lite"\nat_least = { medium = 280 }\n'):
        assert stack.push(reading(270)).json()["alerts"] == 0
        before = len(stack.aws.postbox())
        broken = b'[[rule]]\nid = "ammonia-lite"\nat_lest = 100\n'
        stack.s3.put_object(Bucket=stack.bucket, Key="config/rules.toml", Body=broken)
        stack.force_cold_start()
        assert stack.push(reading(270)).json()["alerts"] == 0
        stack.sweep()
        stack.sweep()
        (notice,) = stack.aws.postbox()[before:]
        assert notice["protocol"] == "email"
        assert notice["subject"] == "[NOTICE] Rules refused: 1 fault"
        assert "config/rules.toml:3:1: " in notice["message"] and "`at_least`" in notice["message"]


def test_sweep_raises_a_silence(stack):
    silent = '[[rule]]\nid = "silent"\nafter = "10m"\n'
    with stack.rules(silent), stack.alert_queue(rule=["silent"]) as receive:

        def push_and_sweep(minutes_ago):
            at = int((time.time() - 60 * minutes_ago) * 1000)
            stack.push(in_zone(f"zone-{uuid.uuid4()}", "TH", {"t": 20}, unixT=at))
            stack.sweep()

        push_and_sweep(minutes_ago=8)
        assert receive() == []
        push_and_sweep(minutes_ago=14)
        assert [kind for kind, _ in kinds_and_subjects(receive())] == ["firing"]
        stack.sweep()
        assert receive() == []


def test_stored_push_that_was_not_evaluated_is_evaluated_from_the_queue(stack):
    text = json.dumps(reading(270))
    with stack.alert_queue() as receive:
        with stack.without_permission("dynamodb:BatchGetItem"):
            response = stack.push(text)
            assert (response.status_code, response.json()["alerts"]) == (200, 0), response.text
            assert receive() == []
        (key,) = stack.keys_of_batch(response)
        assert stack.deliver_notification(key) == {"batchItemFailures": []}
        assert len(receive()) == 1
        stack.deliver_notification(key)
        assert receive() == []


def test_failed_message_of_the_queue_is_retried(stack):
    response = stack.push(reading(1))
    (key,) = stack.keys_of_batch(response)
    with stack.without_permission("dynamodb:BatchGetItem"):
        assert stack.deliver_notification(key) == {"batchItemFailures": [{"itemIdentifier": "message-1"}]}
    assert stack.deliver_notification(key) == {"batchItemFailures": []}


def test_bucket_notifies_the_queue_about_stored_readings(stack):
    notifications = stack.s3.get_bucket_notification_configuration(Bucket=stack.bucket)["QueueConfigurations"]
    assert [each["Events"] for each in notifications] == [["s3:ObjectCreated:*"]]
    assert notifications[0]["QueueArn"].endswith(stack.ids["StoredQueue"].rsplit("/", 1)[-1])


def test_subscription_gets_only_messages_that_match_its_filter(stack):
    with stack.alert_queue(severity=["high"]) as high, stack.alert_queue(severity=["medium"]) as medium:
        stack.push(reading(270))
        assert (len(high()), len(medium())) == (0, 1)
        stack.push(reading(500))
        assert (len(high()), len(medium())) == (1, 0)


def test_repeated_push_is_stored_once(stack):
    text = json.dumps(reading(1))
    first, second = stack.push(text), stack.push(text)
    assert first.status_code == second.status_code == 200
    assert first.json()["batch"] == second.json()["batch"]
    assert len(stack.keys_of_batch(first)) == 1


def test_rejection_does_not_affect_other_items(stack):
    response = stack.push(reading(1), "not json", reading(2))
    assert response.status_code == 200, response.text
    counts = {name: response.json()[name] for name in ("received", "accepted", "rejected")}
    assert counts == {"received": 3, "accepted": 2, "rejected": 1}
    (key,) = (key for key in stack.keys_of_batch(response) if key.startswith("rejected/"))
    (rejected,) = (json.loads(line) for line in stack.text(key).splitlines())
    assert (rejected["index"], rejected["raw"]) == (1, "not json")
    assert rejected["reason"]


def test_body_that_is_not_a_batch_gets_400_and_is_stored_as_rejected(stack):
    before = set(stack.keys("rejected/"))
    body = f'{{"no": "array", "{uuid.uuid4()}'
    response = stack.request("POST", "/push", data=body, auth=stack.credentials)
    assert response.status_code == 400, response.text
    assert response.headers["Content-Type"].startswith("application/problem+json")
    (key,) = set(stack.keys("rejected/")) - before
    assert json.loads(stack.text(key))["raw"] == body


def test_wrong_password_gets_401_and_nothing_is_stored(stack):
    before = stack.keys()
    for credentials in (("smartclean", "wrong"), ("somebody", stack.credentials[1])):
        response = stack.push(reading(), credentials=credentials)
        assert response.status_code == 401
        assert stack.credentials[1] not in response.text
    assert stack.request("POST", "/push", data="[]").status_code == 401
    assert stack.keys() == before


@pytest.mark.parametrize(
    "method, path, status",
    [("GET", "/push", 405), ("POST", "/nothing/here", 404), ("GET", "/", 404)],
)
def test_function_responds_to_unknown_paths_and_methods(stack, method, path, status):
    response = stack.request(method, path, auth=stack.credentials)
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["status"] == status


def test_health_requires_no_credentials(stack):
    response = stack.request("GET", "/health")
    assert (response.status_code, response.json()) == (200, {"status": "ok", "version": stack.outputs["Version"]})


def test_deployed_rules_change_a_limit(stack):
    assert stack.push(reading(270)).json()["alerts"] == 1
    with stack.rules('[[rule]]\nid = "ammonia-lite"\nat_least = { medium = 280 }\n'):
        assert stack.push(reading(279)).json()["alerts"] == 0
        assert stack.push(reading(280)).json()["alerts"] == 1
        assert stack.keys("config/") == ["config/rules.accepted.toml", "config/rules.toml"]
    assert stack.push(reading(270)).json()["alerts"] == 1


def test_invalid_rules_leave_the_accepted_ones_in_force(stack):
    with stack.rules('[[rule]]\nid = "ammonia-lite"\nat_least = { medium = 280 }\n'):
        assert stack.push(reading(279)).json()["alerts"] == 0
        with stack.rules("[[rule]\n"):
            assert stack.push(reading(279)).json()["alerts"] == 0
            assert stack.push(reading(280)).json()["alerts"] == 1


def test_bucket_and_topic_refuse_plain_http(stack):
    """Even for an administrator. A header makes MiniStack treat a request as plain HTTP."""
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


def test_deploy_and_report_print_the_next_steps(stack):
    for text in (stack.operator.deploy_output, stack.operator.run("report")):
        assert stack.outputs["PushUrl"] in text
        assert "make credentials" in text
        assert EMAIL in text and PHONE in text
        assert "SMS sandbox" in text
        assert stack.credentials[1] not in text


def test_credentials_command_prints_valid_credentials(stack):
    assert stack.operator.run("credentials").split() == [
        "username:", stack.credentials[0], "password:", stack.credentials[1],
    ]  # fmt: skip


def test_second_deploy_prompts_for_nothing_and_keeps_the_credentials(stack):
    stack.operator.run("deploy", "--template", BUILD / "template.yaml", "--architecture", ARCHITECTURE)
    assert stack.push(reading(1)).status_code == 200
