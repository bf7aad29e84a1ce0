"""A first deploy that failed, and the next one, which offers to remove what is left of it."""

import json
import time

import pytest
from botocore.exceptions import ClientError
from deployed import run_ops
from ops import answers

NAME = "smartclean-push-broken"
# The alarm lacks what it is about, so that CloudFormation rolls the stack back.
BROKEN = {
    "Resources": {
        "Kept": {"Type": "AWS::SQS::Queue", "DeletionPolicy": "RetainExceptOnCreate"},
        "Alarm": {"Type": "AWS::CloudWatch::Alarm", "DependsOn": "Kept", "Properties": {"EvaluationPeriods": 1}},
    }
}


def test_stack_whose_first_deploy_failed_is_removed_on_request(aws, tmp_path):
    cloudformation, path = aws.client("cloudformation"), tmp_path / "samconfig.local.toml"
    answers.write(path, NAME, "ap-southeast-1", {})
    cloudformation.create_stack(StackName=NAME, TemplateBody=json.dumps(BROKEN))
    deadline = time.monotonic() + 30
    while cloudformation.describe_stacks(StackName=NAME)["Stacks"][0]["StackStatus"] != "ROLLBACK_COMPLETE":
        assert time.monotonic() < deadline
        time.sleep(0.2)

    refused = run_ops(aws, path, "preflight", answers="n\n")
    assert refused.returncode == 1 and "ROLLBACK_COMPLETE" in refused.stdout and "is still there" in refused.stdout, refused.stdout
    assert cloudformation.describe_stacks(StackName=NAME)["Stacks"]

    agreed = run_ops(aws, path, "preflight", answers="y\n")
    assert agreed.returncode == 0, agreed.stdout
    with pytest.raises(ClientError, match="does not exist"):
        cloudformation.describe_stacks(StackName=NAME)
