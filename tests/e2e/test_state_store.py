"""The contract of the state store (tests/it/state_stores.rs) and its races (tests/it/races.rs) in DynamoDB, with the permissions of the
function."""

import json
import subprocess
import time
from pathlib import Path

import pytest
from local_aws import REGION

ROOT = Path(__file__).parents[2]

# As in template.yaml.
TABLE = {
    "BillingMode": "PAY_PER_REQUEST",
    "AttributeDefinitions": [
        {"AttributeName": "pk", "AttributeType": "S"},
        {"AttributeName": "shard", "AttributeType": "S"},
        {"AttributeName": "due", "AttributeType": "N"},
        {"AttributeName": "attention_shard", "AttributeType": "S"},
        {"AttributeName": "attention", "AttributeType": "S"},
    ],
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "due",
            "KeySchema": [
                {"AttributeName": "shard", "KeyType": "HASH"},
                {"AttributeName": "due", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        },
        {
            "IndexName": "attention",
            "KeySchema": [
                {"AttributeName": "attention_shard", "KeyType": "HASH"},
                {"AttributeName": "attention", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["summary"]},
        },
    ],
}


def policy(arn):
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": ["dynamodb:BatchGetItem", "dynamodb:PutItem", "dynamodb:PartiQLUpdate"], "Resource": arn},
            {"Effect": "Allow", "Action": "dynamodb:Query", "Resource": f"{arn}/index/*"},
        ],
    }


@pytest.fixture
def table(aws):
    dynamodb = aws.client("dynamodb")
    name = "state-contract"
    arn = dynamodb.create_table(TableName=name, **TABLE)["TableDescription"]["TableArn"]
    ttl = {"Enabled": True, "AttributeName": "ttl"}
    dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=ttl)
    yield dynamodb, name, arn
    dynamodb.delete_table(TableName=name)


@pytest.fixture
def keys(aws, table):
    """Access keys of a user with the permissions of the function."""
    iam = aws.client("iam")
    user = {"UserName": "state-contract"}
    iam.create_user(**user)
    iam.put_user_policy(**user, PolicyName="state", PolicyDocument=json.dumps(policy(table[2])))
    key = iam.create_access_key(**user)["AccessKey"]
    yield {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    iam.delete_access_key(**user, AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(**user, PolicyName="state")
    iam.delete_user(**user)


def run(test, aws, name, keys):
    return subprocess.run(
        # The options of `make unit`, so that nothing is compiled twice.
        ["cargo", "test", "--locked", "--workspace", "--all-features", "--test", "it", "--"]
        + ["--exact", test, "--ignored"],
        cwd=ROOT,
        env={
            **aws.environment,
            "AWS_ACCESS_KEY_ID": keys["aws_access_key_id"],
            "AWS_SECRET_ACCESS_KEY": keys["aws_secret_access_key"],
            "AWS_REGION": REGION,
            "STATE_TEST_ENDPOINT": aws.endpoint,
            "STATE_TEST_TABLE": name,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def test_dynamodb_fulfils_the_contract_with_the_permissions_of_the_function(aws, table, keys):
    dynamodb, name, _ = table
    started = time.time()
    result = run("state_stores::the_dynamodb_store_keeps_the_contract", aws, name, keys)
    assert result.returncode == 0 and "1 passed" in result.stdout, result.stdout

    items = [item for page in dynamodb.get_paginator("scan").paginate(TableName=name) for item in page["Items"]]
    retention = 90 * 24 * 3600
    for item in items:
        assert set(item) == {"pk", "version", "body", "ttl"}, "no remaining item is due, so none is in the index"
        assert started + retention - 1 <= int(item["ttl"]["N"]) <= time.time() + retention + 1
    kinds = {item["pk"]["S"]: set(item["body"]) for item in items}
    assert kinds["counted"] == {"S"} and kinds["text 3"] == kinds["text 4"] == {"B"}


def test_racing_pushes_of_two_processes_raise_each_alert_once_and_lose_nothing(aws, table, keys):
    result = run("races::dynamodb_race", aws, table[1], keys)
    assert result.returncode == 0 and "1 passed" in result.stdout, result.stdout


def contract_without(action, aws, table, keys):
    """Runs the contract of the store without a permission."""
    iam = aws.client("iam")
    denial = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": action, "Resource": "*"}]}
    denied = {"UserName": "state-contract", "PolicyName": "denied"}
    iam.put_user_policy(**denied, PolicyDocument=json.dumps(denial))
    try:
        return run("state_stores::the_dynamodb_store_keeps_the_contract", aws, table[1], keys)
    finally:
        iam.delete_user_policy(**denied)


@pytest.mark.parametrize("action", ["dynamodb:BatchGetItem", "dynamodb:PutItem", "dynamodb:Query"])
def test_contract_fails_without_any_of_the_permissions(aws, table, keys, action):
    result = contract_without(action, aws, table, keys)
    assert result.returncode != 0 and "AccessDenied" in result.stdout, result.stdout


def test_contract_holds_without_the_permission_to_write_in_batches(aws, table, keys):
    """Then each document is written by itself."""
    result = contract_without("dynamodb:PartiQLUpdate", aws, table, keys)
    assert result.returncode == 0 and "1 passed" in result.stdout, result.stdout
