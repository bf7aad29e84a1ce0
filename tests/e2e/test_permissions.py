"""The role of the function has the permissions that the function needs, and no others: without any of them, a test fails.

Except s3:ListBucket: without it, AWS responds with 403 for a missing object, but MiniStack with 404.
"""

import contextlib
import json
import time

import pytest
from botocore.exceptions import ClientError
from test_stack import reading


@pytest.fixture(autouse=True)
def works_before_and_after(stack):
    assert stack.push(reading()).status_code == 200
    yield
    assert stack.push(reading()).status_code == 200


def assert_unavailable(response):
    assert response.status_code == 503, response.text
    assert "Retry-After" in response.headers
    assert response.headers["Content-Type"].startswith("application/problem+json")
    assert "AccessDenied" not in response.text and "arn:aws" not in response.text


def test_push_that_cannot_be_stored_is_queued_and_raises_alerts(stack):
    with stack.queue_delay(5), stack.alert_queue() as receive:
        with stack.without_permission("s3:PutObject"):
            response = stack.push(text := json.dumps(reading(270)))
            assert (response.status_code, response.json()["alerts"]) == (200, 1), response.text
            assert len(receive()) == 1
            assert stack.keys_of_batch(response) == []
        deadline = time.monotonic() + 60
        while not (keys := stack.keys_of_batch(response)):
            assert time.monotonic() < deadline, "it was not stored"
            time.sleep(0.5)
        assert stack.text(keys[0]) == f"{text}\n"
        assert receive() == []


def test_push_that_can_be_neither_stored_nor_queued_gets_503(stack):
    with stack.without_permission("s3:PutObject"), stack.without_permission("sqs:SendMessage"), stack.alert_queue() as receive:
        assert_unavailable(stack.push(reading(270)))
        assert receive() == []


def test_alert_that_cannot_be_published_stays_in_the_outbox(stack):
    with stack.alert_queue() as receive:
        with stack.without_permission("sns:Publish"):
            response = stack.push(reading(270))
            assert (response.status_code, response.json()["alerts"]) == (200, 1), response.text
            assert receive() == []
        stack.sweep()
        assert receive() == []  # The push holds its lease for a minute.
        stack.expire_leases()
        stack.sweep()
        assert len(receive()) == 1
        stack.sweep()
        assert receive() == []


def test_push_whose_state_cannot_be_written_is_stored_and_evaluated_later(stack):
    with stack.alert_queue() as receive:
        with stack.without_permission("dynamodb:PutItem"):
            response = stack.push(reading(270))
            assert (response.status_code, response.json()["alerts"]) == (200, 0), response.text
        (key,) = stack.keys_of_batch(response)
        assert receive() == []
        # The real notification arrives after two minutes, during another test.
        stack.deliver_notification(key)
        assert len(receive()) == 1


def test_alert_waits_for_the_sweep_if_the_rate_limit_cannot_be_read(stack):
    unreadable = {"pk": {"S": "rate-limit"}, "version": {"N": "1"}, "body": {"S": "not JSON"}}
    with stack.alert_queue() as receive:
        stack.aws.client("dynamodb").put_item(TableName=stack.ids["StateTable"], Item=unreadable)
        assert stack.push(reading(270)).json()["alerts"] == 1
        stack.sweep()
        assert receive() == []
        stack.reset_rate_limit()
        stack.sweep()
        assert len(receive()) == 1


def test_sweep_fails_if_it_may_not_query_due_items(stack):
    assert stack.sweep()["failed"] == 0
    with stack.without_permission("dynamodb:Query"):
        assert "errorMessage" in stack.sweep()


def test_push_gets_503_if_the_credentials_cannot_be_read(stack):
    with stack.without_permission("secretsmanager:GetSecretValue", cold=True):
        assert_unavailable(stack.push(reading()))


def test_push_is_evaluated_later_if_the_rules_cannot_be_read(stack):
    with stack.rules('[[rule]]\nid = "ammonia-lite"\nat_least = { medium = 280 }\n'), stack.alert_queue() as receive:
        with stack.without_permission("s3:GetObject", cold=True):
            responses = [stack.push(reading(ammonia)) for ammonia in (270, 290)]
            assert [(response.status_code, response.json()["alerts"]) for response in responses] == [(200, 0), (200, 0)]
        assert receive() == []
        for response in responses:
            (key,) = stack.keys_of_batch(response)
            stack.deliver_notification(key)
        (alert,) = receive()
        assert "ammonia 290 ppb" in str(alert)


@contextlib.contextmanager
def thief_with(stack, role):
    """Clients of a user with the permissions of a role."""
    role = stack.ids[role]
    stack.iam.create_user(UserName="thief")
    for name in stack.iam.list_role_policies(RoleName=role)["PolicyNames"]:
        document = stack.iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        stack.iam.put_user_policy(UserName="thief", PolicyName=name, PolicyDocument=json.dumps(document))
    key = stack.iam.create_access_key(UserName="thief")["AccessKey"]
    keys = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    try:
        yield lambda service: stack.aws.client(service, **keys)
    finally:
        for name in stack.iam.list_user_policies(UserName="thief")["PolicyNames"]:
            stack.iam.delete_user_policy(UserName="thief", PolicyName=name)
        stack.iam.delete_access_key(UserName="thief", AccessKeyId=key["AccessKeyId"])
        stack.iam.delete_user(UserName="thief")


@pytest.fixture
def thief(stack):
    """Clients of a user with the permissions of the push function's role."""
    with thief_with(stack, "PushFunctionRole") as clients:
        yield clients


def assert_denied(call, **arguments):
    with pytest.raises(ClientError) as error:
        call(**arguments)
    assert error.value.response["Error"]["Code"] in ("AccessDenied", "AccessDeniedException", "AuthorizationError"), error.value


def test_role_can_add_readings_but_not_change_or_delete_them(stack, thief):
    s3 = thief("s3")
    (key,) = stack.keys_of_batch(stack.push(text := json.dumps(reading())))
    existing = {"Bucket": stack.bucket, "Key": key}
    assert s3.get_object(**existing)["Body"].read()
    assert_denied(s3.put_object, **existing, Body=b"invented")
    assert_denied(s3.delete_object, **existing)
    (version,) = stack.s3.list_object_versions(Bucket=stack.bucket, Prefix=key)["Versions"]
    assert_denied(s3.delete_object, **existing, VersionId=version["VersionId"])
    # A put with If-None-Match cannot replace an object.
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(**existing, Body=b"invented", IfNoneMatch="*")
    assert stack.text(key) == f"{text}\n"
    added = {"Bucket": stack.bucket, "Key": "raw-undated/ffffffffffffffffffffffffffffffff.ndjson.zst"}
    s3.put_object(**added, Body=b"", IfNoneMatch="*")
    stack.s3.delete_object(**added)


def test_role_cannot_change_rules_secrets_or_the_stack(stack, thief):
    assert_denied(thief("s3").put_object, Bucket=stack.bucket, Key="config/rules.toml", Body=b"", IfNoneMatch="*")
    assert_denied(thief("secretsmanager").put_secret_value, SecretId=stack.outputs["CredentialsSecretArn"], SecretString="{}")
    assert_denied(thief("sns").subscribe, TopicArn=stack.topic, Protocol="email", Endpoint="thief@example.com")
    assert_denied(thief("lambda").update_function_configuration, FunctionName=stack.function, MemorySize=128)
    assert_denied(thief("iam").get_role, RoleName=stack.ids["PushFunctionRole"])


@pytest.mark.parametrize("role", ["PushFunctionRole", "BoardFunctionRole"])
def test_role_allows_resources_of_the_stack_only(stack, role):
    """Wildcards occur only after a prefix of the bucket or of the log group."""
    role = stack.ids[role]
    assert stack.iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"] == []
    for name in stack.iam.list_role_policies(RoleName=role)["PolicyNames"]:
        document = stack.iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        for statement in document["Statement"]:
            actions, resources = (
                value if isinstance(value, list) else [value] for value in (statement["Action"], statement["Resource"])
            )
            assert not any("*" in action for action in actions), f"{name}: {actions}"
            if actions == ["sns:GetSubscriptionAttributes"]:
                continue  # SNS has no resources for this action, which only reads.
            for resource in resources:
                assert resource.startswith("arn:aws:") and "*" not in resource[:-2], f"{name}: {resource}"
                own = (
                    stack.bucket,
                    stack.topic,
                    stack.outputs["CredentialsSecretArn"],
                    stack.outputs.get("SigningKeySecretArn", stack.bucket),  # Only with the auth method oauth.
                    stack.ids["PushFunctionLogGroup"],  # Also the beginning of that of the pages.
                    stack.ids["StateTable"],
                    stack.ids["StoredQueue"].rsplit("/", 1)[-1],
                )
                assert any(part in resource for part in own), f"{name}: {resource}"
