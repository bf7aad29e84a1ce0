"""`make smoke` prints its report and removes its resources, also if something fails."""

import contextlib

import botocore.exceptions
import pytest
from ops import CommandError, smoke


class FakeStack:
    """A stack with a bucket, and a table that the failed first deploy has already removed. Deleting its queue fails with the code
    `queue_error`."""

    name, region = "smartclean-push-smoke-1", "ap-southeast-1"

    def __init__(self, queue_error="AWS.SimpleQueueService.NonExistentQueue"):
        self.queue_error, self.deleted = queue_error, []

    def status(self):
        return "ROLLBACK_COMPLETE"

    def remove(self):
        self.deleted.append("stack")

    def client(self, service):
        return self

    def get_paginator(self, operation):
        return self

    def paginate(self, StackName=None, Bucket=None):
        if Bucket:
            return [{}]
        def summary(kind, id, status):
            return {"ResourceType": f"AWS::{kind}", "PhysicalResourceId": id, "ResourceStatus": status}

        return [{"StackResourceSummaries": [
            summary("S3::Bucket", "bucket", "CREATE_COMPLETE"), summary("DynamoDB::Table", "table", "DELETE_COMPLETE"),
            summary("SQS::Queue", "queue", "CREATE_COMPLETE"), summary("SNS::Topic", "topic", "CREATE_COMPLETE"),
        ]}]  # fmt: skip

    def delete_bucket(self, Bucket):
        self.deleted.append(Bucket)

    def delete_table(self, TableName):
        self.deleted.append(TableName)

    def delete_queue(self, QueueUrl):
        raise botocore.exceptions.ClientError({"Error": {"Code": self.queue_error, "Message": "no"}}, "DeleteQueue")


@pytest.fixture
def lake(monkeypatch):
    monkeypatch.setattr(smoke, "Stack", lambda name, region: FakeStack())


@pytest.fixture
def failing_deploy(monkeypatch):
    def deploy(*_):
        raise CommandError("The deploy failed.", "read the log.")

    monkeypatch.setattr(smoke.deploy, "main", deploy)


def test_resources_that_a_failed_first_deploy_removed_count_as_removed(failing_deploy, lake, capsys):
    stack = FakeStack()
    with pytest.raises(CommandError, match="The deploy failed"):
        smoke.main(stack, None, None, "arm64")
    assert "\nok      All resources are removed: 2 stacks, bucket, queue" in capsys.readouterr().out
    assert stack.deleted == ["stack", "bucket"]


def test_failed_removal_is_reported(failing_deploy, lake, capsys):
    with pytest.raises(CommandError):
        smoke.main(FakeStack(queue_error="AccessDenied"), None, None, "arm64")
    assert "\nFAILED  All resources are removed: ClientError: An error occurred (AccessDenied)" in capsys.readouterr().out


def test_failed_check_is_reported_and_the_others_run(monkeypatch, lake, capsys):
    def first(_):
        """The first passes."""
        return "200"

    def second(_):
        """The second fails."""
        return {}["alerts"]

    def third(_):
        """The third passes."""
        return "200"

    monkeypatch.setattr(smoke, "CHECKS", [first, second, third])
    monkeypatch.setattr(smoke, "Receiver", lambda *_: None)
    monkeypatch.setattr(smoke, "_alert_queue", lambda _: contextlib.nullcontext())
    monkeypatch.setattr(smoke.deploy, "main", lambda *_: None)
    monkeypatch.setattr(smoke.deploy, "lake", lambda *_: None)
    assert smoke.main(FakeStack(), None, None, "arm64") == 1
    report = capsys.readouterr().out
    for line in ("ok      The first passes: 200", "FAILED  The second fails: KeyError: 'alerts'", "ok      The third passes: 200"):
        assert line in report, report
    assert "\n3 of 4 checks passed" in report
