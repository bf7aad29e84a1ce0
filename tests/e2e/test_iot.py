"""AWS IoT: a real MQTT client with a certificate, the topic rule, and both ways out where something fails."""

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
    """What SmartClean is given: a certificate with the stack's policy, its key, the endpoint and its authority."""

    def __init__(self, stack, folder):
        self._stack, iot = stack, stack.aws.client("iot")
        made = iot.create_keys_and_certificate(setAsActive=True)
        iot.attach_policy(policyName=stack.outputs["IotPublisherPolicyName"], target=made["certificateArn"])
        authority = requests.get(f"{stack.aws.endpoint}/_ministack/iot/ca.pem", verify=stack.aws.certificate, timeout=10)
        self._files = [folder / name for name in ("authority.pem", "certificate.pem", "key.pem")]
        texts = (authority.text, made["certificatePem"], made["keyPair"]["PrivateKey"])
        for path, text in zip(self._files, texts, strict=True):
            path.write_text(text)

    @contextlib.contextmanager
    def connected(self, client_id="smartclean-push/1"):
        """A client that is connected, or that was refused: then `is_connected()` says so."""
        answered = threading.Event()
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=client_id, reconnect_on_failure=False)
        client.on_connect = client.on_disconnect = lambda *_: answered.set()
        authority, certificate, key = map(str, self._files)
        client.tls_set(authority, certificate, key)
        client.connect("127.0.0.1", self._stack.aws.mqtt_port)
        client.loop_start()
        try:
            assert answered.wait(15), "neither connected nor refused"
            yield client
        finally:
            client.disconnect()
            client.loop_stop()

    def publish(self, *texts):
        """Publishes these texts as SmartClean pushes them, once; the bytes that it sent."""
        body = json.dumps(texts, ensure_ascii=False).encode()
        with self.connected() as client:
            client.publish(TOPIC, body, qos=1).wait_for_publish(15)
        return body


@pytest.fixture(scope="module")
def publisher(all_methods, tmp_path_factory):
    return Publisher(all_methods, tmp_path_factory.mktemp("publisher"))


def text(ammonia_ppb=270):
    return json.dumps(reading(ammonia_ppb), ensure_ascii=False)


def test_what_is_published_is_stored_byte_for_byte_and_alerts(all_methods, publisher):
    with all_methods.queue() as received:
        body = publisher.publish(said := text())
        key = all_methods.stored(body)
        assert all_methods.text(key) == f"{said}\n"
        (envelope,) = received()
        assert "270 ppb" in envelope["Message"]
    metadata = all_methods.s3.head_object(Bucket=all_methods.bucket, Key=key)["Metadata"]
    assert f"mqtt:smartclean-push/1@{TOPIC}" in metadata.values()


def test_the_same_message_twice_is_one_object_and_one_alert(all_methods, publisher):
    said = text()
    with all_methods.queue() as received:
        first, again = publisher.publish(said), publisher.publish(said)
        assert all_methods.stored(first) == all_methods.stored(again)
        time.sleep(2)
        assert len(received()) == 1


def test_message_that_is_no_batch_is_kept(all_methods, publisher):
    body = f'{{"no": "array", "{uuid.uuid4()}'.encode()
    with publisher.connected() as client:
        client.publish(TOPIC, body, qos=1).wait_for_publish(15)
    key = all_methods.stored(body)
    assert key.startswith("rejected/")
    assert json.loads(all_methods.text(key))["raw"] == body.decode()


def test_certificate_is_good_for_the_topic_and_for_ids_of_the_stack_only(all_methods, publisher):
    # The last two are the stack smartclean-push-dev's.
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
            assert time.monotonic() < deadline, "it may publish elsewhere"
            time.sleep(0.1)
    time.sleep(2)
    assert set(all_methods.keys()) == before


def test_message_that_the_function_may_not_be_given_waits_in_the_queue(all_methods, publisher):
    """The rule's error action, with the role's one permission."""
    policy = json.loads(all_methods.functions.get_policy(FunctionName=all_methods.function)["Policy"])
    (allowed,) = (s for s in policy["Statement"] if "iot.amazonaws.com" in json.dumps(s["Principal"]))
    condition = allowed["Condition"]
    all_methods.functions.remove_permission(FunctionName=all_methods.function, StatementId=allowed["Sid"])
    try:
        with all_methods.queue_delay(3):
            body = publisher.publish(text(1))
            all_methods.stored(body, seconds=60)
    finally:
        all_methods.functions.add_permission(
            FunctionName=all_methods.function,
            StatementId=allowed["Sid"],
            Action=allowed["Action"],
            Principal="iot.amazonaws.com",
            SourceArn=condition["ArnLike"]["AWS:SourceArn"],
            SourceAccount=condition["StringEquals"]["AWS:SourceAccount"],
        )
    all_methods.stored(publisher.publish(text(1)))


def test_message_that_the_function_cannot_store_is_pushed_again_from_the_queue(all_methods, publisher):
    """Three failed invocations, and Lambda's own record of them."""
    with all_methods.queue_delay(10), all_methods.queue() as received:
        with all_methods.without("s3:PutObject"), all_methods.without("sqs:SendMessage"):
            body = publisher.publish(text())
            all_methods.delayed(seconds=30)
            assert received() == []
        all_methods.stored(body, seconds=60)
        assert len(received()) == 1


def test_rule_may_put_into_the_queue_and_nothing_else(all_methods):
    role = all_methods.ids["IotErrorRole"]
    assert all_methods.iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"] == []
    (name,) = all_methods.iam.list_role_policies(RoleName=role)["PolicyNames"]
    (statement,) = all_methods.iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]["Statement"]
    assert statement["Action"] == "sqs:SendMessage"
    assert statement["Resource"].endswith(all_methods.ids["StoredQueue"].rsplit("/", 1)[-1])
