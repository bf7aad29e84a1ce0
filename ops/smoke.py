"""Deploys a scratch stack with a lake, tests it from outside, removes it, and prints a report.

docs/verified.md lists the claims that only a test in AWS can verify.
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

from ops import CommandError, credentials, deploy
from ops.stack import Stack

# No alarms, and logs for one day.
PARAMETERS = {"Alarms": "no", "LogRetentionDays": "1"}
# Types of resources that stay when the stack is deleted.
RETAINED_TYPES = {"AWS::S3::Bucket", "AWS::DynamoDB::Table", "AWS::SQS::Queue"}
# Error codes for a missing bucket, table or queue.
NOT_FOUND = {"NoSuchBucket", "ResourceNotFoundException", "AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"}
ZONE = "smoke-zone"
READ_THE_LOG = "read the log of the function."
RUN_THE_QUERY = "run the query in the console: Athena > Saved queries."


def new_stack(region):
    """A scratch stack with a unique name."""
    return Stack(f"smartclean-push-smoke-{secrets.token_hex(3)}", region)


def main(stack, template, lake_template, architecture, request=requests.request):
    """Runs the smoke test. Returns 1 if a check failed or a resource could not be removed."""
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
        removed = _run(lambda _: _remove(stack), None, "All resources are removed")
        _print_report(stack, [*results, removed])
    return 0 if all(is_ok for is_ok, _, _ in [*results, removed]) else 1


# ---- Checks --------------------------------------------------------------------------------------------------------------


class Receiver:
    """The deployed receiver: clients for its HTTP API and its alert topic."""

    def __init__(self, stack, request, receive):
        self.stack, self.receive, self._request = stack, receive, request
        self.outputs = stack.outputs()
        self.login = credentials.current(stack, self.outputs)

    def post(self, path, body, login=None, **headers):
        url = self.outputs["PushUrl"].removesuffix("/push") + path
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._request("POST", url, data=body, auth=login or self.login, headers=headers, timeout=60)


def plain_push(receiver):
    """A plain push gets 200, and its alert arrives through the topic."""
    response = receiver.post("/push", _batch(_reading("ODRDTR_BATT_V1", amm=270)), Content_Type="application/json")
    _expect(response, 200)
    if response.json()["alerts"] != 1:
        raise CommandError(f"expected one alert, got {response.text}", READ_THE_LOG)
    message = receiver.receive()
    if "270 ppb" not in message:
        raise CommandError(f"expected an alert with 270 ppb, got {message}", READ_THE_LOG)
    return "200, and the alert"


def gzip_push(receiver):
    """A push in gzip as application/octet-stream gets 200."""
    return _expect(receiver.post("/push", _gzip(), Content_Encoding="gzip", Content_Type="application/octet-stream"), 200)


def gzip_push_as_json(receiver):
    """A push in gzip as application/json gets 200, or 415 if the gateway treats it as text."""
    return _expect(receiver.post("/push", _gzip(), Content_Encoding="gzip", Content_Type="application/json"), 200, 415)


def large_push(receiver):
    """A push of almost 5 MB gets 200."""
    return _expect(receiver.post("/push", _batch_of(4_800_000), Content_Type="application/json"), 200)


def too_large_push(receiver):
    """A push of 11 MB gets 413."""
    return _expect(receiver.post("/push", _batch_of(11_000_000), Content_Type="application/json"), 413)


def wrong_password(receiver):
    """A wrong password gets 401."""
    return _expect(receiver.post("/push", b"[]", login=(receiver.login[0], "wrong")), 401)


def cleaned_zone(receiver):
    """A cleaning of a zone gets 200."""
    return _expect(receiver.post(f"/zones/{ZONE}/cleaned", b""), 200)


def saved_query(receiver):
    """A saved query of the lake counts the people in a push."""
    _expect(receiver.post("/push", _batch(_reading("UM", count=7))), 200)
    lake = Stack(f"{receiver.stack.name}-lake", receiver.stack.region).outputs()
    athena = receiver.stack.client("athena")
    ids = athena.list_named_queries(WorkGroup=lake["LakeWorkGroup"])["NamedQueryIds"]
    queries = {query["Name"]: query["QueryString"] for query in athena.batch_get_named_query(NamedQueryIds=ids)["NamedQueries"]}
    execution = athena.start_query_execution(
        QueryString=queries["People per zone and day"],
        WorkGroup=lake["LakeWorkGroup"],
        QueryExecutionContext={"Database": lake["LakeDatabase"]},
    )["QueryExecutionId"]
    status = _poll(lambda: _finished_status(athena, execution), 120)
    if status["State"] != "SUCCEEDED":
        raise CommandError(f"the query failed: {status.get('StateChangeReason')}", RUN_THE_QUERY)
    results = athena.get_query_results(QueryExecutionId=execution)["ResultSet"]["Rows"]
    rows = [[cell.get("VarCharValue") for cell in row["Data"]] for row in results]
    people = [float(row[-1]) for row in rows if ZONE in row]
    if people != [7]:
        raise CommandError(f"expected 7 people in {ZONE}, got {rows}", RUN_THE_QUERY)
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
    """A batch of about `size` bytes. Its readings raise no alert."""
    one = len(_batch(_reading("TH", t=21.5)))
    return _batch(*(_reading("TH", t=21.5) for _ in range(size // one)))


def _gzip():
    return gzip.compress(_batch(_reading("TH", t=21.5)))


def _expect(response, *statuses):
    if response.status_code not in statuses:
        expected = " or ".join(map(str, statuses))
        raise CommandError(f"expected {expected}, got {response.status_code}: {response.text[:300]}", READ_THE_LOG)
    return str(response.status_code)


def _finished_status(athena, id):
    """The status of a query that has finished; otherwise None."""
    status = athena.get_query_execution(QueryExecutionId=id)["QueryExecution"]["Status"]
    return status if status["State"] not in ("QUEUED", "RUNNING") else None


def _poll(call, seconds):
    """Repeats `call` until its result is truthy, and returns the result."""
    deadline = time.monotonic() + seconds
    while not (result := call()):
        if time.monotonic() > deadline:
            raise CommandError(f"no result within {seconds} s.", READ_THE_LOG)
        time.sleep(1)
    return result


@contextlib.contextmanager
def _alert_queue(stack):
    """Subscribes a queue to the alert topic. Yields a function that receives one message."""
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
            (message,) = _poll(lambda: sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5).get("Messages"), 60)
            return message["Body"]

        yield receive
    finally:
        sqs.delete_queue(QueueUrl=url)


# ---- Removal -------------------------------------------------------------------------------------------------------------


def _retained_resources(stack):
    """The (type, id) of each resource that stays when the stack is deleted."""
    if not stack.status():
        return []
    pages = stack.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack.name)
    summaries = [each for page in pages for each in page["StackResourceSummaries"] if each["ResourceType"] in RETAINED_TYPES]
    # CloudFormation also lists resources that the rollback of a failed first deploy has removed.
    existing = [each for each in summaries if each["ResourceStatus"] != "DELETE_COMPLETE" and each.get("PhysicalResourceId")]
    return [(each["ResourceType"], each["PhysicalResourceId"]) for each in existing]


def _remove(stack):
    """Deletes both stacks, then the resources that stay."""
    retained = _retained_resources(stack)
    Stack(f"{stack.name}-lake", stack.region).remove()
    stack.remove()
    for type, id in retained:
        try:
            _remove_resource(stack, type, id)
        except botocore.exceptions.ClientError as error:
            if error.response["Error"]["Code"] not in NOT_FOUND:
                raise
    return f"2 stacks, {', '.join(id.rsplit('/', 1)[-1] for _, id in retained) or 'no other resources'}"


def _remove_resource(stack, type, id):
    match type:
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


# ---- Report --------------------------------------------------------------------------------------------------------------


def _run(check, receiver, name=None):
    """Runs a check. Returns whether it passed, its name, and its result."""
    name = name or check.__doc__.strip().rstrip(".")
    start = time.monotonic()
    try:
        result, is_ok = check(receiver), True
    except Exception as error:  # The other checks and the removal must run.
        result, is_ok = str(error) if isinstance(error, CommandError) else f"{type(error).__name__}: {error}", False
    return is_ok, name, f"{result} ({time.monotonic() - start:.1f} s)"


def _print_report(stack, results):
    print(f"\nSmoke test of {datetime.date.today()} in {stack.region}, stack {stack.name}:\n")
    for is_ok, name, result in results:
        print(f"{'ok' if is_ok else 'FAILED':<7} {name}: {result}")
    print(f"\n{sum(is_ok for is_ok, _, _ in results)} of {len(CHECKS) + 1} checks passed. Write the date into docs/verified.md.")
