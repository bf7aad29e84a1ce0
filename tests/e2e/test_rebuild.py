"""The command of the operator rebuilds a lost state table from the stored readings."""

import datetime
import json
import time
import uuid

import pytest
from deployed import ROOT, run_ops

PROGRAM = ROOT / "target/debug/smartclean-push"


def reading(zone, device_type, **values):
    """A current reading of a zone."""
    return {
        "DevType": f"SMARTCLEAN#{device_type}", "DEVID": f"{device_type}-{zone}", "Display": "Level 3", "PID": "building-1", "InsID": zone,
        "Region": "Asia/Singapore", "unixT": time.time_ns() // 1_000_000, "v": values,
    }  # fmt: skip


@pytest.fixture
def table(stack):
    return Table(stack)


class Table:
    """The state table: its items, its loss, and its rebuild."""

    def __init__(self, stack):
        self._stack, self._dynamodb, self._name = stack, stack.aws.client("dynamodb"), stack.ids["StateTable"]
        # Whole minutes. It can include readings of other tests.
        self._since = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M")

    def items(self, zones):
        """The items of these zones, without attributes that change with each write."""
        pages = self._dynamodb.get_paginator("scan").paginate(TableName=self._name)
        items = {item["pk"]["S"]: item for page in pages for item in page["Items"]}
        ignored = ("version", "ttl")
        return {key: {name: value for name, value in item.items() if name not in ignored}
                for key, item in items.items() if key.startswith("zone/") and key.endswith(tuple(zones))}  # fmt: skip

    def clear(self):
        # Notifications about pushes of earlier tests arrive after two minutes. Without their state, these pushes would alert again.
        self._stack.sqs.purge_queue(QueueUrl=self._stack.ids["StoredQueue"])
        for page in self._dynamodb.get_paginator("scan").paginate(TableName=self._name):
            for item in page["Items"]:
                self._dynamodb.delete_item(TableName=self._name, Key={"pk": item["pk"]})

    def rebuild(self, *arguments, stdin="y\n"):
        """Runs the command of the operator. Returns the completed process."""
        config = self._stack.operator.config
        return run_ops(self._stack.aws, config, "rebuild-state", "--program", PROGRAM, "--since", self._since, *arguments, stdin=stdin)


def test_push_after_the_rebuild_is_evaluated_as_before_the_loss(stack, table):
    accumulating, firing = (f"zone-{uuid.uuid4()}" for _ in range(2))
    stack.push(reading(accumulating, "UM", count=25), reading(firing, "ODRDTR_BATT_V1", amm=600))
    assert stack.request("POST", f"/zones/{accumulating}/cleaned", auth=stack.credentials).status_code == 200
    stack.push(reading(accumulating, "UM", count=20))
    time.sleep(61)
    stack.sweep()  # Archives the alert and the cleaning, which are a minute old.
    before = table.items([accumulating, firing])
    assert len(before) == 2
    table.clear()
    assert table.items([accumulating, firing]) == {}

    with stack.alert_queue() as receive:
        result = table.rebuild()
        assert result.returncode == 0, result.stdout
        stack.sweep()
        assert table.items([accumulating, firing]) == before
        assert stack.push(reading(firing, "ODRDTR_BATT_V1", amm=610)).json()["alerts"] == 0, "it already fires"
        assert receive() == [], "no message is repeated"
        assert stack.push(reading(accumulating, "UM", count=9)).json()["alerts"] == 0, "29 of 30"
        assert stack.push(reading(accumulating, "UM", count=1)).json()["alerts"] == 1, "30 of 30"


def test_zone_with_a_push_since_the_loss_changes_only_with_replace(stack, table):
    lost, live = (f"zone-{uuid.uuid4()}" for _ in range(2))
    stack.push(reading(lost, "UM", count=20), reading(live, "UM", count=20))
    table.clear()
    stack.push(reading(live, "UM", count=3))
    before = table.items([live])

    result = table.rebuild()
    assert result.returncode == 0 and f"\n  zone/10:building-1/{live}\n" in result.stdout, result.stdout
    assert table.items([live]) == before
    rebuilt = table.items([lost])
    second = table.rebuild()
    assert second.returncode == 0 and "Zones     0 written" in second.stdout, second.stdout
    assert table.items([lost]) == rebuilt and table.items([live]) == before

    assert table.rebuild("--replace").returncode == 0
    assert stack.push(reading(live, "UM", count=7)).json()["alerts"] == 1, "20 + 3 + 7 = 30"


def test_damaged_object_is_reported_and_no_zone_is_replaced(stack, table):
    zone = f"zone-{uuid.uuid4()}"
    stack.push(reading(zone, "UM", count=3))
    before = table.items([zone])
    key = f"raw/{datetime.datetime.now(datetime.timezone.utc):dt=%Y-%m-%d/hh=%H}/{uuid.uuid4().hex}.ndjson.zst"
    stack.s3.put_object(Bucket=stack.bucket, Key=key, Body=b"not Zstandard")
    try:
        result = table.rebuild("--replace")
    finally:
        stack.s3.delete_object(Bucket=stack.bucket, Key=key)
    assert result.returncode == 1 and key in result.stdout and f"\n  zone/10:building-1/{zone}\n" in result.stdout, result.stdout
    assert table.items([zone]) == before


def test_rebuild_requires_confirmation_and_permission(stack, table):
    zone = f"zone-{uuid.uuid4()}"
    stack.push(reading(zone, "UM", count=20))
    table.clear()
    for stdin in ("n\n", "\n", ""):
        result = table.rebuild(stdin=stdin)
        assert result.returncode == 1 and "Nothing was changed." in result.stdout, result.stdout
    assert table.items([zone]) == {}

    iam = stack.aws.client("iam")
    iam.create_user(UserName="reader")
    resources = [f"arn:aws:s3:::{stack.bucket}", f"arn:aws:s3:::{stack.bucket}/*", "*"]
    allowed = {"Effect": "Allow", "Action": ["s3:*", "cloudformation:*", "sts:*", "dynamodb:Scan", "dynamodb:BatchGetItem"], "Resource": resources}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_user_policy(UserName="reader", PolicyName="read", PolicyDocument=policy)
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    root = stack.aws.environment
    stack.aws.environment = {**root, "AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    try:
        result = table.rebuild()
    finally:
        stack.aws.environment = root
        iam.delete_access_key(UserName="reader", AccessKeyId=key["AccessKeyId"])
        iam.delete_user_policy(UserName="reader", PolicyName="read")
        iam.delete_user(UserName="reader")
    assert result.returncode == 1, result.stdout
    assert f"zone/10:building-1/{zone}: the state store did not take the document" in result.stdout, result.stdout
    assert "error: documents that could not be written: " in result.stdout
