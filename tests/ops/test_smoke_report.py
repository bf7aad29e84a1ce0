"""`make smoke` prints its report and removes what is there, whatever fails."""

import contextlib

import botocore.exceptions
import pytest
from ops import Stop, smoke


class FakeStack:
    """A stack with a bucket that is there and a table that its failed first deploy has removed. AWS answers `missing` for a
    queue that somebody has removed."""

    name, region = "smartclean-push-smoke-1", "ap-southeast-1"

    def __init__(self, missing="AWS.SimpleQueueService.NonExistentQueue"):
        self.missing, self.deleted = missing, []

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
        of = lambda kind, id, status: {"ResourceType": f"AWS::{kind}", "PhysicalResourceId": id, "ResourceStatus": status}  # noqa: E731
        return [{"StackResourceSummaries": [
            of("S3::Bucket", "bucket", "CREATE_COMPLETE"), of("DynamoDB::Table", "table", "DELETE_COMPLETE"),
            of("SQS::Queue", "queue", "CREATE_COMPLETE"), of("SNS::Topic", "topic", "CREATE_COMPLETE"),
        ]}]  # fmt: skip

    def delete_bucket(self, Bucket):
        self.deleted.append(Bucket)

    def delete_table(self, TableName):
        self.deleted.append(TableName)

    def delete_queue(self, QueueUrl):
        raise botocore.exceptions.ClientError({"Error": {"Code": self.missing, "Message": "no"}}, "DeleteQueue")


@pytest.fixture
def lake(monkeypatch):
    monkeypatch.setattr(smoke, "Stack", lambda name, region: FakeStack())


def fails(monkeypatch, what):
    def deploy(*_):
        raise what

    monkeypatch.setattr(smoke.deploy, "main", deploy)


def test_what_is_gone_after_a_failed_first_deploy_counts_as_removed(monkeypatch, lake, capsys):
    fails(monkeypatch, Stop("The deploy failed.", "look."))
    stack = FakeStack()
    with pytest.raises(Stop, match="The deploy failed"):
        smoke.main(stack, None, None, "arm64")
    assert "\nok      removed everything: 2 stacks, bucket, queue" in capsys.readouterr().out
    assert stack.deleted == ["stack", "bucket"]


def test_what_cannot_be_removed_is_said(monkeypatch, lake, capsys):
    fails(monkeypatch, Stop("The deploy failed.", "look."))
    with pytest.raises(Stop):
        smoke.main(FakeStack(missing="AccessDenied"), None, None, "arm64")
    assert "\nFAILED  removed everything: ClientError: An error occurred (AccessDenied)" in capsys.readouterr().out


def test_a_check_that_fails_in_any_way_is_in_the_report_with_the_others(monkeypatch, lake, capsys):
    def first(_):
        """The first holds."""
        return "200"

    def second(_):
        """The second breaks."""
        return {}["alerts"]

    def third(_):
        """The third holds."""
        return "200"

    monkeypatch.setattr(smoke, "CHECKS", [first, second, third])
    monkeypatch.setattr(smoke, "Receiver", lambda *_: None)
    monkeypatch.setattr(smoke, "_alert_queue", lambda _: contextlib.nullcontext())
    monkeypatch.setattr(smoke.deploy, "main", lambda *_: None)
    monkeypatch.setattr(smoke.deploy, "lake", lambda *_: None)
    assert smoke.main(FakeStack(), None, None, "arm64") == 1
    report = capsys.readouterr().out
    for line in ("ok      The first holds: 200", "FAILED  The second breaks: KeyError: 'alerts'", "ok      The third holds: 200"):
        assert line in report, report
    assert "\n3 of 4 hold" in report
