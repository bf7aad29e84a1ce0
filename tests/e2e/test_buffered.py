"""RawDelivery=buffered: pushes through the deployed stack and its Firehose stream."""

import gzip
import json
import re
import time

import pytest
from test_stack import reading

# Instead of five minutes.
INTERVAL = 2


@pytest.fixture(scope="module")
def firehose(stack):
    """The client of Firehose, while the stack buffers pushes."""
    stack.deploy_with(RawDelivery="buffered")
    firehose = stack.aws.client("firehose")
    described = firehose.describe_delivery_stream(DeliveryStreamName=stack.ids["PushStream"])["DeliveryStreamDescription"]
    (destination,) = described["Destinations"]
    assert destination["ExtendedS3DestinationDescription"]["BufferingHints"] == {"IntervalInSeconds": 300, "SizeInMBs": 5}
    assert described["DeliveryStreamEncryptionConfiguration"]["KeyType"] == "AWS_OWNED_CMK"
    firehose.update_destination(
        DeliveryStreamName=described["DeliveryStreamName"], CurrentDeliveryStreamVersionId=described["VersionId"],
        DestinationId=destination["DestinationId"],
        ExtendedS3DestinationUpdate={"BufferingHints": {"IntervalInSeconds": INTERVAL, "SizeInMBs": 5}},
    )  # fmt: skip
    yield firehose
    if "PushStream" in stack.ids:
        stack.operator.deploy_without("RawDelivery")
        stack.refresh()


def buffered_keys(stack):
    return {key for key in stack.keys("raw/") if key.endswith(".ndjson.gz")}


def wait_for_object(stack, before):
    """Waits for one new buffered object. Returns its key and its records."""
    deadline = time.monotonic() + 30
    while not (new := buffered_keys(stack) - before):
        assert time.monotonic() < deadline, "no object was delivered"
        time.sleep(0.2)
    (key,) = new
    text = gzip.decompress(stack.s3.get_object(Bucket=stack.bucket, Key=key)["Body"].read()).decode()
    return key, [json.loads(line) for line in text.splitlines()]


def test_push_alerts_at_once_and_is_a_record_of_an_object(stack, firehose):
    before = buffered_keys(stack)
    texts = [json.dumps(reading(270)), json.dumps(reading(1))]
    with stack.alert_queue() as receive:
        responses = [stack.push(text) for text in texts]
        assert [(response.status_code, response.json()["alerts"]) for response in responses] == [(200, 1), (200, 0)]
        assert len(receive()) == 1
        assert not any(stack.keys_of_batch(response) for response in responses), "no object of its own"
        key, records = wait_for_object(stack, before)
        name = re.escape(stack.ids["PushStream"])
        assert re.fullmatch(rf"raw/dt=\d{{4}}-\d\d-\d\d/hh=\d\d/{name}-\d+-\d{{4}}(-\d\d){{5}}-[0-9a-f-]{{36}}\.ndjson\.gz", key)
        expected = [(f"raw-undated/{response.json()['batch']}.ndjson.zst", [text]) for response, text in zip(responses, texts, strict=True)]
        assert [(record["key"], record["readings"]) for record in records] == expected
        stack.wait_until_delayed(10)
        assert stack.deliver_notification(key) == {"batchItemFailures": []}
        stack.sweep()
        assert receive() == []


def test_push_that_was_not_evaluated_alerts_at_the_second_look(stack, firehose):
    before = buffered_keys(stack)
    with stack.alert_queue() as receive:
        with stack.without_permission("dynamodb:PutItem"):
            response = stack.push(reading(270))
            assert (response.status_code, response.json()["alerts"]) == (200, 0), response.text
        assert receive() == []
        key, _ = wait_for_object(stack, before)
        for _ in range(2):
            assert stack.deliver_notification(key) == {"batchItemFailures": []}
        assert len(receive()) == 1


def test_push_that_the_stream_refuses_is_an_object_of_its_own(stack, firehose):
    with stack.without_permission("firehose:PutRecord"):
        response = stack.push(text := json.dumps(reading(1)))
    (key,) = stack.keys_of_batch(response)
    assert stack.text(key) == f"{text}\n"


def test_rejections_are_objects_of_their_own(stack, firehose):
    response = stack.push("no reading")
    assert response.json()["rejected"] == 1
    (key,) = stack.keys_of_batch(response)
    assert key.startswith("rejected/")


def test_stream_outlives_the_parameter_and_delivers_what_it_has(stack, firehose):
    before, name = buffered_keys(stack), stack.ids["PushStream"]
    assert stack.push(text := json.dumps(reading(1))).status_code == 200
    stack.operator.deploy_without("RawDelivery")
    stack.refresh()
    assert "PushStream" not in stack.ids
    described = firehose.describe_delivery_stream(DeliveryStreamName=name)["DeliveryStreamDescription"]
    assert described["DeliveryStreamStatus"] == "ACTIVE"
    _, records = wait_for_object(stack, before)
    assert [record["readings"] for record in records] == [[text]]
    (key,) = stack.keys_of_batch(stack.push(reading(1)))
    assert key.endswith(".ndjson.zst")
