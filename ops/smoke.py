"""Deploys a scratch stack with a lake, uses it as SmartClean and an operator do, removes everything, and prints a report.

What only AWS can show: docs/verified.md lists the claims that depend on it.
"""

import contextlib
import datetime
import gzip
import json
import secrets
import time
import uuid

import botocore.exceptions
import requests

from ops import Stop, credentials, deploy
from ops.stack import Stack

# Nobody is told of the scratch stack, and its logs do not stay.
PARAMETERS = {"Alarms": "no", "LogRetentionDays": "1"}
# Cleaned of what the stack keeps when it is deleted, by the type of each resource.
KEPT = {"AWS::S3::Bucket", "AWS::DynamoDB::Table", "AWS::SQS::Queue"}
# Codes of AWS for a bucket, a table and a queue that is not there.
NOT_THERE = {"NoSuchBucket", "ResourceNotFoundException", "AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"}
ZONE = "smoke-zone"


def new_stack(region):
    """A scratch stack with a name that no other has."""
    return Stack(f"smartclean-push-smoke-{secrets.token_hex(3)}", region)


def main(stack, template, lake_template, architecture, request=requests.request):
    """Runs the smoke test. Returns 1 if a check failed, or something could not be removed."""
    parameters = {**PARAMETERS, "Architecture": architecture}
    results = []
    try:
        deploy.main(stack, template, parameters)
        deploy.lake(stack, lake_template, parameters)
        with _alert_queue(stack) as receive:
            receiver = Receiver(stack, request, receive)
            for check in CHECKS:
                results.append(_run(check, receiver))
    finally:
        removed = _run(lambda _: _remove(stack), None, "removed everything")
        _print_report(stack, [*results, removed])
    return 0 if all(is_ok for is_ok, _, _ in [*results, removed]) else 1


# ---- What is checked -----------------------------------------------------------------------------------------------------


class Receiver:
    """The deployed receiver, as SmartClean and whoever gets its alerts see it."""

    def __init__(self, stack, request, receive):
        self.stack, self.receive, self._request = stack, receive, request
        self.outputs = stack.outputs()
        self.login = credentials.current(stack, self.outputs)

    def post(self, path, body, login=None, **headers):
        url = self.outputs["PushUrl"].removesuffix("/push") + path
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._request("POST", url, data=body, auth=login or self.login, headers=headers, timeout=60)


def plain_push(receiver):
    """A plain push is answered 200, and its alert is received through the topic."""
    answer = receiver.post("/push", _batch(_reading("ODRDTR_BATT_V1", amm=270)), Content_Type="application/json")
    _expect(answer, 200)
    if answer.json()["alerts"] != 1:
        raise Stop(f"one alert was expected: {answer.text}", "look into the function's log.")
    message = receiver.receive()
    if "270 ppb" not in message:
        raise Stop(f"another alert was received: {message}", "look into the function's log.")
    return "200; the alert came through the topic"


def gzip_push(receiver):
    """A push in gzip as application/octet-stream is answered 200."""
    return _expect(receiver.post("/push", _gzip(), Content_Encoding="gzip", Content_Type="application/octet-stream"), 200)


def gzip_push_as_json(receiver):
    """A push in gzip as application/json is answered 200, or 415 if the gateway has taken it for text."""
    return _expect(receiver.post("/push", _gzip(), Content_Encoding="gzip", Content_Type="application/json"), 200, 415)


def large_push(receiver):
    """A push of almost 5 MB is answered 200."""
    return _expect(receiver.post("/push", _batch_of(4_800_000), Content_Type="application/json"), 200)


def too_large_push(receiver):
    """A push of 11 MB is answered 413."""
    return _expect(receiver.post("/push", _batch_of(11_000_000), Content_Type="application/json"), 413)


def wrong_password(receiver):
    """A wrong password is answered 401."""
    return _expect(receiver.post("/push", b"[]", login=(receiver.login[0], "wrong")), 401)


def cleaned_zone(receiver):
    """A cleaning of a zone is answered 200."""
    return _expect(receiver.post(f"/zones/{ZONE}/cleaned", b""), 200)


def saved_query(receiver):
    """A saved query of the lake counts the people that were pushed."""
    _expect(receiver.post("/push", _batch(_reading("UM", count=7))), 200)
    lake = Stack(f"{receiver.stack.name}-lake", receiver.stack.region).outputs()
    athena = receiver.stack.client("athena")
    ids = athena.list_named_queries(WorkGroup=lake["LakeWorkGroup"])["NamedQueryIds"]
    named = {query["Name"]: query["QueryString"] for query in athena.batch_get_named_query(NamedQueryIds=ids)["NamedQueries"]}
    begun = athena.start_query_execution(
        QueryString=named["People per zone and day"],
        WorkGroup=lake["LakeWorkGroup"],
        QueryExecutionContext={"Database": lake["LakeDatabase"]},
    )["QueryExecutionId"]
    status = _until(lambda: _query_status(athena, begun), 120)
    if status["State"] != "SUCCEEDED":
        raise Stop(f"the query failed: {status.get('StateChangeReason')}", "ask it in the console: Athena > Saved queries.")
    rows = [[cell.get("VarCharValue") for cell in row["Data"]] for row in athena.get_query_results(QueryExecutionId=begun)["ResultSet"]["Rows"]]
    people = [float(row[-1]) for row in rows if ZONE in row]
    if people != [7]:
        raise Stop(f"seven people were expected in {ZONE}: {rows}", "ask the query in the console: Athena > Saved queries.")
    return "7 people"


CHECKS = [plain_push, gzip_push, gzip_push_as_json, large_push, too_large_push, wrong_password, cleaned_zone, saved_query]


def _reading(device_type, **values):
    now = datetime.datetime.now(datetime.timezone.utc)
    return {
        "DevType": f"SMARTCLEAN#{device_type}", "DEVID": f"smoke-{uuid.uuid4()}", "Display": "Smoke test", "PID": "smoke", "InsID": ZONE,
        "Region": "Asia/Singapore", "unixT": int(now.timestamp() * 1000), "v": values,
    }  # fmt: skip


def _batch(*readings):
    return json.dumps([json.dumps(reading) for reading in readings]).encode()


def _batch_of(size):
    """A batch of about so many bytes, of readings that raise no alert."""
    one = len(_batch(_reading("TH", t=21.5)))
    return _batch(*(_reading("TH", t=21.5) for _ in range(size // one)))


def _gzip():
    return gzip.compress(_batch(_reading("TH", t=21.5)))


def _expect(answer, *statuses):
    if answer.status_code not in statuses:
        expected = " or ".join(map(str, statuses))
        raise Stop(f"{answer.status_code} came, and {expected} was expected: {answer.text[:300]}", "look into the function's log.")
    return str(answer.status_code)


def _query_status(athena, id):
    status = athena.get_query_execution(QueryExecutionId=id)["QueryExecution"]["Status"]
    return status if status["State"] not in ("QUEUED", "RUNNING") else None


def _until(look, seconds):
    """What `look` comes to, as soon as it is something."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            raise Stop(f"nothing came within {seconds} s.", "look into the function's log.")
        time.sleep(1)
    return found


@contextlib.contextmanager
def _alert_queue(stack):
    """A queue that is subscribed to the alerts: what is received from it."""
    sqs, sns, topic = stack.client("sqs"), stack.client("sns"), stack.outputs()["AlertTopicArn"]
    url = sqs.create_queue(QueueName=f"{stack.name}-alerts")["QueueUrl"]
    try:
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        allow = {
            "Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
        }  # fmt: skip
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps({"Version": "2012-10-17", "Statement": [allow]})})
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)

        def receive():
            (message,) = _until(lambda: sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5).get("Messages"), 60)
            return message["Body"]

        yield receive
    finally:
        sqs.delete_queue(QueueUrl=url)


# ---- What is removed -----------------------------------------------------------------------------------------------------


def _kept_resources(stack):
    """(type, id) of what outlives the stack."""
    if not stack.status():
        return []
    pages = stack.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack.name)
    summaries = [each for page in pages for each in page["StackResourceSummaries"] if each["ResourceType"] in KEPT]
    # A first deploy that failed has removed them itself, and lists them all the same.
    there = [each for each in summaries if each["ResourceStatus"] != "DELETE_COMPLETE" and each.get("PhysicalResourceId")]
    return [(each["ResourceType"], each["PhysicalResourceId"]) for each in there]


def _remove(stack):
    """Deletes both stacks, and then what they keep."""
    kept = _kept_resources(stack)
    Stack(f"{stack.name}-lake", stack.region).remove()
    stack.remove()
    for kind, id in kept:
        try:
            _remove_resource(stack, kind, id)
        except botocore.exceptions.ClientError as error:
            if error.response["Error"]["Code"] not in NOT_THERE:
                raise
    return f"2 stacks, {', '.join(id.rsplit('/', 1)[-1] for _, id in kept) or 'nothing kept'}"


def _remove_resource(stack, kind, id):
    match kind:
        case "AWS::S3::Bucket":
            s3 = stack.client("s3")
            for page in s3.get_paginator("list_object_versions").paginate(Bucket=id):
                for each in page.get("Versions", []) + page.get("DeleteMarkers", []):
                    s3.delete_object(Bucket=id, Key=each["Key"], VersionId=each["VersionId"])
            s3.delete_bucket(Bucket=id)
        case "AWS::DynamoDB::Table":
            stack.client("dynamodb").delete_table(TableName=id)
        case "AWS::SQS::Queue":
            stack.client("sqs").delete_queue(QueueUrl=id)


# ---- What is printed -----------------------------------------------------------------------------------------------------


def _run(check, receiver, name=None):
    """Whether a check holds, what it is called, and what was seen."""
    name = name or check.__doc__.strip().rstrip(".")
    began = time.monotonic()
    try:
        seen, is_ok = check(receiver), True
    except Exception as error:  # whatever it is: the other checks and the removal go on
        seen, is_ok = str(error) if isinstance(error, Stop) else f"{type(error).__name__}: {error}", False
    return is_ok, name, f"{seen} ({time.monotonic() - began:.1f} s)"


def _print_report(stack, results):
    print(f"\nSmoke test of {datetime.date.today()} in {stack.region}, stack {stack.name}:\n")
    for is_ok, name, seen in results:
        print(f"{'ok' if is_ok else 'FAILED':<7} {name}: {seen}")
    print(f"\n{sum(is_ok for is_ok, _, _ in results)} of {len(CHECKS) + 1} hold. Write the date into docs/verified.md.")
