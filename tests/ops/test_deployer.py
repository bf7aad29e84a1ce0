"""The permissions of a deployer suffice for every resource of both templates, and cover only names that begin with smartclean-push."""

import fnmatch
import json

import pytest
from ops import ROOT, settings
from samcli.yamlhelper import yaml_parse

POLICY = json.loads((ROOT / "ops/deployer-policy.json").read_text(encoding="utf-8"))
HERE = "ap-southeast-1:123456789012"

# Resource type -> the actions with which CloudFormation creates and deletes it, and the ARN of an example. From the `handlers` in the
# schemas of the types: https://docs.aws.amazon.com/cloudformation-cli/latest/userguide/resource-type-schema.html
REQUIRED = {
    "AWS::ApiGatewayV2::ApiMapping": (["apigateway:POST", "apigateway:DELETE"], "arn:aws:apigateway:ap-southeast-1::/domainnames/a.b/apimappings"),
    "AWS::ApiGatewayV2::DomainName": (["apigateway:POST", "apigateway:DELETE"], "arn:aws:apigateway:ap-southeast-1::/domainnames"),
    "AWS::Athena::NamedQuery": (["athena:CreateNamedQuery", "athena:DeleteNamedQuery"], f"arn:aws:athena:{HERE}:workgroup/smartclean-push-lake"),
    "AWS::Athena::WorkGroup": (["athena:CreateWorkGroup", "athena:DeleteWorkGroup"], f"arn:aws:athena:{HERE}:workgroup/smartclean-push-lake"),
    "AWS::CloudWatch::Alarm": (["cloudwatch:PutMetricAlarm", "cloudwatch:DeleteAlarms"], f"arn:aws:cloudwatch:{HERE}:alarm:smartclean-push-no-push"),
    "AWS::CloudWatch::Dashboard": (["cloudwatch:PutDashboard", "cloudwatch:DeleteDashboards"], "arn:aws:cloudwatch::123456789012:dashboard/smartclean-push"),
    "AWS::DynamoDB::Table": (["dynamodb:CreateTable", "dynamodb:UpdateTimeToLive"], f"arn:aws:dynamodb:{HERE}:table/smartclean-push-StateTable-1"),
    "AWS::Glue::Database": (["glue:CreateDatabase", "glue:DeleteDatabase"], f"arn:aws:glue:{HERE}:database/smartclean_push_lake"),
    "AWS::Glue::Table": (["glue:CreateTable", "glue:DeleteTable"], f"arn:aws:glue:{HERE}:table/smartclean_push_lake/raw_lines"),
    "AWS::IAM::Role": (["iam:CreateRole", "iam:PutRolePolicy", "iam:DeleteRole", "iam:PassRole"], "arn:aws:iam::123456789012:role/smartclean-push-PushFunctionRole-1"),
    "AWS::IoT::Policy": (["iot:CreatePolicy", "iot:DeletePolicy"], f"arn:aws:iot:{HERE}:policy/smartclean-push-IotPublisherPolicy-1"),
    "AWS::IoT::TopicRule": (["iot:CreateTopicRule", "iot:DeleteTopicRule"], f"arn:aws:iot:{HERE}:rule/smartclean_push_IotRule_1"),
    "AWS::KinesisFirehose::DeliveryStream": (["firehose:CreateDeliveryStream", "firehose:DeleteDeliveryStream"], f"arn:aws:firehose:{HERE}:deliverystream/smartclean-push-PushStream-1"),
    "AWS::Lambda::EventInvokeConfig": (["lambda:PutFunctionEventInvokeConfig"], f"arn:aws:lambda:{HERE}:function:smartclean-push-PushFunction-1"),
    "AWS::Lambda::Permission": (["lambda:AddPermission", "lambda:RemovePermission"], f"arn:aws:lambda:{HERE}:function:smartclean-push-PushFunction-1"),
    "AWS::Logs::LogGroup": (["logs:CreateLogGroup", "logs:PutRetentionPolicy"], f"arn:aws:logs:{HERE}:log-group:/aws/vendedlogs/smartclean-push-requests"),
    "AWS::Logs::MetricFilter": (["logs:PutMetricFilter", "logs:DeleteMetricFilter"], f"arn:aws:logs:{HERE}:log-group:/aws/vendedlogs/smartclean-push-requests"),
    "AWS::S3::Bucket": (["s3:CreateBucket", "s3:PutBucketVersioning"], "arn:aws:s3:::smartclean-push-rawbucket-1"),
    "AWS::S3::BucketPolicy": (["s3:PutBucketPolicy"], "arn:aws:s3:::smartclean-push-rawbucket-1"),
    "AWS::SNS::Subscription": (["sns:Subscribe"], f"arn:aws:sns:{HERE}:smartclean-push-AlertTopic-1"),
    "AWS::SNS::Topic": (["sns:CreateTopic", "sns:DeleteTopic"], f"arn:aws:sns:{HERE}:smartclean-push-AlertTopic-1"),
    "AWS::SNS::TopicPolicy": (["sns:SetTopicAttributes"], f"arn:aws:sns:{HERE}:smartclean-push-AlertTopic-1"),
    "AWS::SQS::Queue": (["sqs:CreateQueue", "sqs:SetQueueAttributes"], f"arn:aws:sqs:{HERE}:smartclean-push-StoredQueue-1"),
    "AWS::SQS::QueuePolicy": (["sqs:SetQueueAttributes"], f"arn:aws:sqs:{HERE}:smartclean-push-StoredQueue-1"),
    "AWS::SecretsManager::Secret": (["secretsmanager:CreateSecret", "secretsmanager:DeleteSecret"], f"arn:aws:secretsmanager:{HERE}:secret:PushCredentials-1"),
    "AWS::Serverless::Function": (["lambda:CreateFunction", "lambda:DeleteFunction"], f"arn:aws:lambda:{HERE}:function:smartclean-push-PushFunction-1"),
    "AWS::Serverless::HttpApi": (["apigateway:POST", "apigateway:DELETE"], "arn:aws:apigateway:ap-southeast-1::/apis"),
}  # fmt: skip
# Further permissions that CloudFormation and the SAM CLI need.
FURTHER = [
    ("cloudformation:CreateChangeSet", f"arn:aws:cloudformation:{HERE}:stack/smartclean-push/1"),
    ("cloudformation:CreateChangeSet", "arn:aws:cloudformation:ap-southeast-1:aws:transform/Serverless-2016-10-31"),
    ("s3:PutObject", "arn:aws:s3:::aws-sam-cli-managed-default-samclisourcebucket-1/1"),
    ("lambda:CreateEventSourceMapping", "*"),
    ("events:PutRule", f"arn:aws:events:{HERE}:rule/smartclean-push-PushFunctionEveryMinute-1"),
    ("secretsmanager:GetRandomPassword", "*"),
    ("logs:CreateLogDelivery", "*"),
    ("lambda:GetAccountSettings", "*"),
    ("cloudwatch:GetMetricStatistics", "*"),
]


def as_list(value):
    return value if isinstance(value, list) else [value]


def is_allowed(action, resource, policy=POLICY):
    return any(
        any(fnmatch.fnmatchcase(action, pattern) for pattern in as_list(statement["Action"]))
        and any(fnmatch.fnmatchcase(resource, pattern) for pattern in as_list(statement["Resource"]))
        for statement in policy["Statement"]
    )


def resource_types():
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in settings.TEMPLATES]
    return sorted({resource["Type"] for text in texts for resource in yaml_parse(text)["Resources"].values()})


@pytest.mark.parametrize("type", resource_types())
def test_deployer_may_create_and_delete_every_resource(type):
    actions, name = REQUIRED[type]
    assert [action for action in actions if not is_allowed(action, name)] == []


@pytest.mark.parametrize("action, resource", FURTHER)
def test_deployer_has_the_further_permissions_of_a_deploy(action, resource):
    assert is_allowed(action, resource)


@pytest.mark.parametrize("type", resource_types())
def test_deployer_has_no_permission_for_other_resources(type):
    actions, name = REQUIRED[type]
    other = name.replace("smartclean-push", "payroll").replace("smartclean_push", "payroll").replace("PushCredentials", "payroll")
    if other != name:  # Resources of API Gateway have no names.
        assert [action for action in actions if is_allowed(action, other)] == []


def test_deployer_may_pass_roles_to_the_services_of_the_template_only():
    (passing,) = (each for each in POLICY["Statement"] if "iam:PassRole" in as_list(each["Action"]))
    services = passing["Condition"]["StringEquals"]["iam:PassedToService"]
    assert sorted(services) == ["firehose.amazonaws.com", "iot.amazonaws.com", "lambda.amazonaws.com"]


def test_policy_fits_the_size_limit_of_iam():
    assert len(json.dumps(POLICY, separators=(",", ":"))) <= 6144
