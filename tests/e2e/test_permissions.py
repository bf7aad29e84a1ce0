"""The function's role allows what the function does and nothing else: each permission is missed when it is gone.

All but s3:ListBucket: MiniStack says that an object is missing also to who may not know, where AWS would say 403.
"""

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


def refused(answer):
    assert answer.status_code == 503, answer.text
    assert "Retry-After" in answer.headers
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert "AccessDenied" not in answer.text and "arn:aws" not in answer.text


def test_push_that_cannot_be_stored_waits_in_the_queue_and_alerts_meanwhile(stack):
    with stack.queue_delay(5), stack.queue() as received:
        with stack.without("s3:PutObject"):
            answer = stack.push(text := json.dumps(reading(270)))
            assert (answer.status_code, answer.json()["alerts"]) == (200, 1), answer.text
            assert len(received()) == 1
            assert stack.keys_of(answer) == []
        deadline = time.monotonic() + 60
        while not (keys := stack.keys_of(answer)):
            assert time.monotonic() < deadline, "it was not stored at last"
            time.sleep(0.5)
        assert stack.text(keys[0]) == f"{text}\n"
        assert received() == []


def test_push_that_can_neither_be_stored_nor_parked_is_not_accepted(stack):
    with stack.without("s3:PutObject"), stack.without("sqs:SendMessage"), stack.queue() as received:
        refused(stack.push(reading(270)))
        assert received() == []


def test_alert_that_cannot_be_published_stays_in_the_outbox(stack):
    with stack.queue() as received:
        with stack.without("sns:Publish"):
            answer = stack.push(reading(270))
            assert (answer.status_code, answer.json()["alerts"]) == (200, 1), answer.text
            assert received() == []
        stack.tick()
        assert received() == []  # it is leased to the push for a minute
        stack.end_leases()
        stack.tick()
        assert len(received()) == 1
        stack.tick()
        assert received() == []


def test_push_whose_state_cannot_be_written_is_stored_and_not_evaluated(stack):
    with stack.queue() as received:
        with stack.without("dynamodb:PutItem"):
            answer = stack.push(reading(270))
            assert (answer.status_code, answer.json()["alerts"]) == (200, 0), answer.text
        (key,) = stack.keys_of(answer)
        assert received() == []
        # As its notice would in two minutes, when another test might be counting alerts.
        stack.tell_of(key)
        assert len(received()) == 1


def test_alert_waits_for_the_sweep_when_the_rate_limit_cannot_be_read(stack):
    with stack.queue() as received:
        with stack.without("dynamodb:UpdateItem"):
            assert stack.push(reading(270)).json()["alerts"] == 1
            stack.tick()
            assert received() == []
        stack.tick()
        assert len(received()) == 1


def test_sweep_fails_when_it_may_not_look_up_what_is_due(stack):
    assert stack.tick()["failed"] == 0
    with stack.without("dynamodb:Query"):
        assert "errorMessage" in stack.tick()


def test_push_is_not_accepted_when_credentials_cannot_be_read(stack):
    with stack.without("secretsmanager:GetSecretValue", cold=True):
        refused(stack.push(reading()))


def test_push_that_comes_while_the_rules_cannot_be_read_is_judged_by_them_later(stack):
    with stack.rules('[[rule]]\nid = "ammonia-lite"\nat_least = { medium = 280 }\n'), stack.queue() as received:
        with stack.without("s3:GetObject", cold=True):
            answers = [stack.push(reading(ammonia)) for ammonia in (270, 290)]
            assert [(answer.status_code, answer.json()["alerts"]) for answer in answers] == [(200, 0), (200, 0)]
        assert received() == []
        for answer in answers:
            (key,) = stack.keys_of(answer)
            stack.tell_of(key)
        (alert,) = received()
        assert "ammonia 290 ppb" in str(alert)


@pytest.fixture
def thief(aws, stack):
    """Somebody who got hold of the function's role: what it allows, under keys of their own."""
    role = stack.ids["PushFunctionRole"]
    stack.iam.create_user(UserName="thief")
    for name in stack.iam.list_role_policies(RoleName=role)["PolicyNames"]:
        document = stack.iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        stack.iam.put_user_policy(UserName="thief", PolicyName=name, PolicyDocument=json.dumps(document))
    key = stack.iam.create_access_key(UserName="thief")["AccessKey"]
    keys = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    yield lambda service: aws.client(service, **keys)
    for name in stack.iam.list_user_policies(UserName="thief")["PolicyNames"]:
        stack.iam.delete_user_policy(UserName="thief", PolicyName=name)
    stack.iam.delete_access_key(UserName="thief", AccessKeyId=key["AccessKeyId"])
    stack.iam.delete_user(UserName="thief")


def denied(call, **arguments):
    with pytest.raises(ClientError) as refusal:
        call(**arguments)
    assert refusal.value.response["Error"]["Code"] in ("AccessDenied", "AccessDeniedException", "AuthorizationError"), refusal.value


def test_whoever_has_the_role_can_add_readings_and_neither_change_nor_remove_them(stack, thief):
    s3 = thief("s3")
    (key,) = stack.keys_of(stack.push(text := json.dumps(reading())))
    here = {"Bucket": stack.bucket, "Key": key}
    assert s3.get_object(**here)["Body"].read()
    denied(s3.put_object, **here, Body=b"invented")
    denied(s3.delete_object, **here)
    (version,) = stack.s3.list_object_versions(Bucket=stack.bucket, Prefix=key)["Versions"]
    denied(s3.delete_object, **here, VersionId=version["VersionId"])
    # Where something is, what asks for nothing to be there changes nothing.
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(**here, Body=b"invented", IfNoneMatch="*")
    assert stack.text(key) == f"{text}\n"
    added = {"Bucket": stack.bucket, "Key": "raw-undated/ffffffffffffffffffffffffffffffff.ndjson.zst"}
    s3.put_object(**added, Body=b"", IfNoneMatch="*")
    stack.s3.delete_object(**added)


def test_whoever_has_the_role_cannot_change_rules_secrets_or_the_stack(stack, thief):
    denied(thief("s3").put_object, Bucket=stack.bucket, Key="config/rules.toml", Body=b"", IfNoneMatch="*")
    denied(thief("secretsmanager").put_secret_value, SecretId=stack.outputs["CredentialsSecretArn"], SecretString="{}")
    denied(thief("sns").subscribe, TopicArn=stack.topic, Protocol="email", Endpoint="thief@example.com")
    denied(thief("lambda").update_function_configuration, FunctionName=stack.function, MemorySize=128)
    denied(thief("iam").get_role, RoleName=stack.ids["PushFunctionRole"])


def test_role_allows_single_resources_only(stack):
    """No wildcard but below a prefix of the stack's own bucket and log group."""
    role = stack.ids["PushFunctionRole"]
    assert stack.iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"] == []
    for name in stack.iam.list_role_policies(RoleName=role)["PolicyNames"]:
        document = stack.iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        for statement in document["Statement"]:
            actions, resources = (
                value if isinstance(value, list) else [value] for value in (statement["Action"], statement["Resource"])
            )
            assert not any("*" in action for action in actions), f"{name}: {actions}"
            for resource in resources:
                assert resource.startswith("arn:aws:") and "*" not in resource[:-2], f"{name}: {resource}"
                own = (
                    stack.bucket,
                    stack.topic,
                    stack.outputs["CredentialsSecretArn"],
                    stack.outputs.get("SigningKeySecretArn", stack.bucket),  # with the auth method oauth
                    stack.ids["PushFunctionLogGroup"],
                    stack.ids["StateTable"],
                    stack.ids["StoredQueue"].rsplit("/", 1)[-1],
                )
                assert any(part in resource for part in own), f"{name}: {resource}"
