"""After a failed first deploy, the next one offers to remove the stack."""

import json
import time

import pytest
from botocore.exceptions import ClientError
from deployed import run_ops
from ops import settings

NAME = "smartclean-push-broken"
# The alarm has no metric, so that CloudFormation rolls the stack back.
BROKEN = {
    "Resources": {
        "Kept": {"Type": "AWS::SQS::Queue", "DeletionPolicy": "RetainExceptOnCreate"},
        "Alarm": {"Type": "AWS::CloudWatch::Alarm", "DependsOn": "Kept", "Properties": {"EvaluationPeriods": 1}},
    }
}


def test_stack_whose_first_deploy_failed_is_removed_after_confirmation(aws, tmp_path):
    cloudformation, path = aws.client("cloudformation"), tmp_path / "samconfig.local.toml"
    settings.write(path, NAME, "ap-southeast-1", {})
    cloudformation.create_stack(StackName=NAME, TemplateBody=json.dumps(BROKEN))
    deadline = time.monotonic() + 30
    while cloudformation.describe_stacks(StackName=NAME)["Stacks"][0]["StackStatus"] != "ROLLBACK_COMPLETE":
        assert time.monotonic() < deadline
        time.sleep(0.2)

    refused = run_ops(aws, path, "preflight", stdin="n\n")
    assert refused.returncode == 1 and "ROLLBACK_COMPLETE" in refused.stdout and "was not removed" in refused.stdout, refused.stdout
    assert cloudformation.describe_stacks(StackName=NAME)["Stacks"]

    confirmed = run_ops(aws, path, "preflight", stdin="y\n")
    assert confirmed.returncode == 0, confirmed.stdout
    with pytest.raises(ClientError, match="does not exist"):
        cloudformation.describe_stacks(StackName=NAME)
