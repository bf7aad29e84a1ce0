"""The state table is lost, and rebuilt from the stored readings by the operator's own command."""

import datetime
import json
import time
import uuid

import pytest
from deployed import ROOT, run_ops

PROGRAM = ROOT / "target/debug/smartclean-push"


def reading(zone, device_type, **values):
    """A reading of now, of a zone of its own."""
    return {
        "DevType": f"SMARTCLEAN#{device_type}", "DEVID": f"{device_type}-{zone}", "Display": "Level 3", "PID": "building-1", "InsID": zone,
        "Region": "Asia/Singapore", "unixT": time.time_ns() // 1_000_000, "v": values,
    }  # fmt: skip


@pytest.fixture
def table(stack):
    return Table(stack)


class Table:
    """The state table, as somebody with the console sees it."""

    def __init__(self, stack):
        self._stack, self._dynamodb, self._name = stack, stack.aws.client("dynamodb"), stack.ids["StateTable"]
        # Whole minutes: readings of other tests may be in it.
        self._since = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M")

    def items(self, zones):
        """The items of these zones, without what differs with the time and the number of their writes."""
        pages = self._dynamodb.get_paginator("scan").paginate(TableName=self._name)
        items = {item["pk"]["S"]: item for page in pages for item in page["Items"]}
        changing = ("version", "ttl")
        return {key: {name: value for name, value in item.items() if name not in changing}
                for key, item in items.items() if key.startswith("zone/") and key.endswith(tuple(zones))}  # fmt: skip

    def lose(self):
        for page in self._dynamodb.get_paginator("scan").paginate(TableName=self._name):
            for item in page["Items"]:
                self._dynamodb.delete_item(TableName=self._name, Key={"pk": item["pk"]})

    def rebuild(self, *arguments, answer="y\n"):
        """The operator's command, as it ended."""
        config = self._stack.operator._config
        return run_ops(self._stack.aws, config, "rebuild-state", "--program", PROGRAM, "--since", self._since, *arguments, answers=answer)


def test_after_the_loss_the_next_push_is_judged_as_if_nothing_had_happened(stack, table):
    counted, fires = (f"zone-{uuid.uuid4()}" for _ in range(2))
    stack.push(reading(counted, "UM", count=20), reading(fires, "ODRDTR_BATT_V1", amm=600))
    before = table.items([counted, fires])
    assert len(before) == 2
    table.lose()
    assert table.items([counted, fires]) == {}

    with stack.queue() as received:
        done = table.rebuild()
        assert done.returncode == 0, done.stdout
        stack.tick()
        assert table.items([counted, fires]) == before
        assert stack.push(reading(fires, "ODRDTR_BATT_V1", amm=610)).json()["alerts"] == 0, "it fires already"
        assert received() == [], "nothing is sent again"
        assert stack.push(reading(counted, "UM", count=9)).json()["alerts"] == 0, "29 of 30"
        assert stack.push(reading(counted, "UM", count=1)).json()["alerts"] == 1, "the sum goes on"


def test_zone_that_was_pushed_to_since_stays_unless_it_is_to_be_replaced(stack, table):
    old, anew = (f"zone-{uuid.uuid4()}" for _ in range(2))
    stack.push(reading(old, "UM", count=20), reading(anew, "UM", count=20))
    table.lose()
    stack.push(reading(anew, "UM", count=3))
    live = table.items([anew])

    done = table.rebuild()
    assert done.returncode == 0 and f"\n  zone/10:building-1/{anew}\n" in done.stdout, done.stdout
    assert table.items([anew]) == live
    rebuilt = table.items([old])
    again = table.rebuild()
    assert again.returncode == 0 and "Zones     0 written" in again.stdout, again.stdout
    assert table.items([old]) == rebuilt and table.items([anew]) == live

    assert table.rebuild("--replace").returncode == 0
    assert stack.push(reading(anew, "UM", count=7)).json()["alerts"] == 1, "20 and 3 before"


def test_damaged_object_is_named_and_then_no_zone_is_replaced(stack, table):
    zone = f"zone-{uuid.uuid4()}"
    stack.push(reading(zone, "UM", count=3))
    live = table.items([zone])
    key = f"raw/{datetime.datetime.now(datetime.timezone.utc):dt=%Y-%m-%d/hh=%H}/{uuid.uuid4().hex}.ndjson.zst"
    stack.s3.put_object(Bucket=stack.bucket, Key=key, Body=b"no Zstandard")
    try:
        done = table.rebuild("--replace")
    finally:
        stack.s3.delete_object(Bucket=stack.bucket, Key=key)
    assert done.returncode == 1 and key in done.stdout and f"\n  zone/10:building-1/{zone}\n" in done.stdout, done.stdout
    assert table.items([zone]) == live


def test_nothing_is_done_without_a_yes_or_without_the_permission(stack, table):
    zone = f"zone-{uuid.uuid4()}"
    stack.push(reading(zone, "UM", count=20))
    table.lose()
    for answer in ("n\n", "\n", ""):
        done = table.rebuild(answer=answer)
        assert done.returncode == 1 and "Nothing was changed." in done.stdout, done.stdout
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
        done = table.rebuild()
    finally:
        stack.aws.environment = root
        iam.delete_access_key(UserName="reader", AccessKeyId=key["AccessKeyId"])
        iam.delete_user_policy(UserName="reader", PolicyName="read")
        iam.delete_user(UserName="reader")
    assert done.returncode == 1, done.stdout
    assert f"zone/10:building-1/{zone}: the state store did not take the document" in done.stdout, done.stdout
    assert "named above. Run the same again" in done.stdout
