"""`make smoke` in MiniStack passes, reports a failed check, and removes all resources."""

import urllib.parse

import pytest
import requests
from deployed import ARCHITECTURE, BUILD, ROOT
from local_aws import REGION
from ops import smoke


@pytest.fixture
def as_operator(aws, monkeypatch):
    """Gives this process the documented permissions of a deployer, and no others."""
    iam, policy = aws.client("iam"), (ROOT / "ops/deployer-policy.json").read_text(encoding="utf-8")
    iam.create_user(UserName="deployer")
    iam.put_user_policy(UserName="deployer", PolicyName="deploy", PolicyDocument=policy)
    key = iam.create_access_key(UserName="deployer")["AccessKey"]
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    yield
    iam.delete_access_key(UserName="deployer", AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName="deployer", PolicyName="deploy")
    iam.delete_user(UserName="deployer")


def run(aws, capsys, change=lambda response: response):
    """Runs the smoke test. MiniStack has one address for all APIs."""

    def request(method, url, headers, **options):
        api = urllib.parse.urlsplit(url)
        headers = {**headers, "Host": f"{api.hostname.split('.')[0]}.execute-api.localhost:{aws.port}"}
        return change(requests.request(method, f"{aws.endpoint}{api.path}", headers=headers, verify=aws.certificate, **options))

    stack = smoke.new_stack(REGION)
    code = smoke.main(stack, BUILD / "template.yaml", BUILD / "lake.yaml", ARCHITECTURE, request)
    return stack, code, capsys.readouterr().out


def remaining_resources(aws, stack):
    """The names of existing resources of a stack."""
    queues = aws.client("sqs").list_queues().get("QueueUrls", [])
    buckets = [bucket["Name"] for bucket in aws.client("s3").list_buckets()["Buckets"]]
    tables = aws.client("dynamodb").list_tables()["TableNames"]
    stacks = aws.client("cloudformation").list_stacks()["StackSummaries"]
    stacks = [each["StackName"] for each in stacks if each["StackStatus"] != "DELETE_COMPLETE"]
    return [name for name in [*queues, *buckets, *tables, *stacks] if stack.name in name.lower()]


def test_smoke_test_passes_and_removes_its_resources(aws, as_operator, capsys):
    stack, code, report = run(aws, capsys)
    assert (code, report.count("\nok ")) == (0, len(smoke.CHECKS) + 1), report
    assert remaining_resources(aws, stack) == []


def test_smoke_test_reports_a_failed_check_and_removes_its_resources(aws, as_operator, capsys):
    def accept_every_password(response):
        if response.status_code == 401:
            response.status_code = 200
        return response

    stack, code, report = run(aws, capsys, accept_every_password)
    failed = [line for line in report.splitlines() if line.startswith("FAILED")]
    assert code == 1 and len(failed) == 1, report
    assert failed[0].startswith("FAILED  A wrong password gets 401: expected 401, got 200")
    assert remaining_resources(aws, stack) == []
