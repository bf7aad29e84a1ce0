"""AWS IoT: an MQTT client with a certificate, the topic rule, and both paths after a failure."""

import contextlib
import json
import threading
import time
import uuid

import paho.mqtt.client as mqtt
import pytest
import requests
from deployed import TOPIC
from test_stack import reading


class Publisher:
    """SmartClean as a publisher: a certificate with the policy of the stack, its key, and the authority of the endpoint."""

    def __init__(self, stack, folder):
        self._stack, iot = stack, stack.aws.client("iot")
        created = iot.create_keys_and_certificate(setAsActive=True)
        iot.attach_policy(policyName=stack.outputs["IotPublisherPolicyName"], target=created["certificateArn"])
        authority = requests.get(f"{stack.aws.endpoint}/_ministack/iot/ca.pem", verify=stack.aws.certificate, timeout=10)
        self._files = [folder / name for name in ("authority.pem", "certificate.pem", "key.pem")]
        texts = (authority.text, created["certificatePem"], created["keyPair"]["PrivateKey"])
        for path, text in zip(self._files, texts, strict=True):
            path.write_text(text)

    @contextlib.contextmanager
    def connected(self, client_id="smartclean-push/1"):
        """Yields a client after the broker accepted or refused it. `is_connected()` shows which."""
        finished = threading.Event()
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=client_id, reconnect_on_failure=False)
        client.on_connect = client.on_disconnect = lambda *_: finished.set()
        authority, certificate, key = map(str, self._files)
        client.tls_set(authority, certificate, key)
        client.connect("127.0.0.1", self._stack.aws.mqtt_port)
        client.loop_start()
        try:
            assert finished.wait(15), "neither connected nor refused"
            yield client
        finally:
            client.disconnect()
            client.loop_stop()

    def publish(self, *texts):
        """Publishes a batch of these texts. Returns the body."""
        self._stack.record_zones(texts)
        body = json.dumps(texts, ensure_ascii=False).encode()
        with self.connected() as client:
            client.publish(TOPIC, body, qos=1).wait_for_publish(15)
        return body


@pytest.fixture(scope="module")
def publisher(all_methods, tmp_path_factory):
    return Publisher(all_methods, tmp_path_factory.mktemp("publisher"))


def text(ammonia_ppb=270):
    return json.dumps(reading(ammonia_ppb), ensure_ascii=False)


def test_published_batch_is_stored_unchanged_and_raises_alerts(all_methods, publisher):
    with all_methods.alert_queue() as receive:
        body = publisher.publish(reading_text := text())
        key = all_methods.wait_until_stored(body)
        assert all_methods.text(key) == f"{reading_text}\n"
        (envelope,) = receive()
        assert "270 ppb" in envelope["Message"]
    metadata = all_methods.s3.head_object(Bucket=all_methods.bucket, Key=key)["Metadata"]
    assert f"mqtt:smartclean-push/1@{TOPIC}" in metadata.values()


def test_repeated_message_is_stored_once_and_raises_one_alert(all_methods, publisher):
    reading_text = text()
    with all_methods.alert_queue() as receive:
        first, second = publisher.publish(reading_text), publisher.publish(reading_text)
        assert all_methods.wait_until_stored(first) == all_methods.wait_until_stored(second)
        time.sleep(2)
        assert len(receive()) == 1


def test_message_that_is_not_a_batch_is_stored_as_rejected(all_methods, publisher):
    body = f'{{"no": "array", "{uuid.uuid4()}'.encode()
    with publisher.connected() as client:
        client.publish(TOPIC, body, qos=1).wait_for_publish(15)
    key = all_methods.wait_until_stored(body)
    assert key.startswith("rejected/")
    assert json.loads(all_methods.text(key))["raw"] == body.decode()


def test_certificate_is_valid_for_the_topic_and_the_client_ids_of_the_stack_only(all_methods, publisher):
    # The last two belong to the stack smartclean-push-dev.
    for other in ("somebody", "smartclean-pusher", "smartclean-push-dev", "smartclean-push-dev/1"):
        with publisher.connected(other) as client:
            assert not client.is_connected(), other
    with publisher.connected("smartclean-push") as client:
        assert client.is_connected()
    before = set(all_methods.keys())
    with publisher.connected() as client:
        assert client.is_connected()
        client.publish("another/topic", json.dumps([text()]), qos=1)
        deadline = time.monotonic() + 15
        while client.is_connected():
            assert time.monotonic() < deadline, "the policy allows another topic"
            time.sleep(0.1)
    time.sleep(2)
    assert set(all_methods.keys()) == before


def test_message_waits_in_the_queue_if_the_rule_may_not_invoke_the_function(all_methods, publisher):
    """By the error action of the rule."""
    policy = json.loads(all_methods.functions.get_policy(FunctionName=all_methods.function)["Policy"])
    (allowed,) = (s for s in policy["Statement"] if "iot.amazonaws.com" in json.dumps(s["Principal"]))
    condition = allowed["Condition"]
    all_methods.functions.remove_permission(FunctionName=all_methods.function, StatementId=allowed["Sid"])
    try:
        with all_methods.queue_delay(3):
            body = publisher.publish(text(1))
            all_methods.wait_until_stored(body, seconds=60)
    finally:
        all_methods.functions.add_permission(
            FunctionName=all_methods.function,
            StatementId=allowed["Sid"],
            Action=allowed["Action"],
            Principal="iot.amazonaws.com",
            SourceArn=condition["ArnLike"]["AWS:SourceArn"],
            SourceAccount=condition["StringEquals"]["AWS:SourceAccount"],
        )
    all_methods.wait_until_stored(publisher.publish(text(1)))


def test_message_that_the_function_cannot_store_is_retried_from_the_queue(all_methods, publisher):
    """By the record that Lambda sends after three failed invocations."""
    with all_methods.queue_delay(10), all_methods.alert_queue() as receive:
        with all_methods.without_permission("s3:PutObject"), all_methods.without_permission("sqs:SendMessage"):
            body = publisher.publish(text())
            all_methods.wait_until_delayed(seconds=30)
            assert receive() == []
        all_methods.wait_until_stored(body, seconds=60)
        assert len(receive()) == 1


def test_role_of_the_rule_may_only_send_to_the_queue(all_methods):
    role = all_methods.ids["IotErrorRole"]
    assert all_methods.iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"] == []
    (name,) = all_methods.iam.list_role_policies(RoleName=role)["PolicyNames"]
    (statement,) = all_methods.iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]["Statement"]
    assert statement["Action"] == "sqs:SendMessage"
    assert statement["Resource"].endswith(all_methods.ids["StoredQueue"].rsplit("/", 1)[-1])
