"""The same job as the function, in Python with boto3, for comparison: push.py [--state]

Without the option it does less: it has no state, sends an alert for every breach, and rejects the whole push if one item is invalid.
With it, it does the same for the rules that the pushes of the benchmark concern: it accepts valid items beside invalid ones, reads the
state of their zones, counts each reading once, adds up people counts, sends an alert once an hour, and writes changed zones by
compare-and-swap. It still has no rules file, outbox, rate limit or digests. A minimal client of the Runtime API follows the handlers.
"""

import base64
import gzip
import hashlib
import hmac
import http.client
import json
import os
import sys
import time

import boto3

s3, sns, secrets = boto3.client("s3"), boto3.client("sns"), boto3.client("secretsmanager")
BUCKET, TOPIC, TABLE = os.environ["RAW_BUCKET"], os.environ["ALERT_TOPIC_ARN"], os.environ["STATE_TABLE"]
ID, WINDOW = 8, 1_024  # bytes of the id of a reading; ids of a zone
MAX_AGE, BLOCK = 3_600, 3_600  # seconds
ATTEMPTS = 6
expected = None


def alert(reading):
    values, kind, name = reading.get("v") or {}, reading.get("DevType", "").split("#")[-1], reading.get("Display")
    if kind == "UM" and float(values.get("count", 0)) >= 30:
        return f"High usage at {name}"
    if kind == "ODRDTR_BATT_V1" and float(values.get("amm", 0)) >= 200:
        return f"Bad smell at {name}: {values['amm']} ppb"
    if kind in ("TR", "PT", "SS", "BIN") and float(values.get("p", 100)) < 5:
        return f"Refill {name}"
    return None


def body_of(event):
    """Returns the body of an authenticated push, or None."""
    global expected
    if expected is None:
        known = json.loads(secrets.get_secret_value(SecretId=os.environ["CREDENTIALS_SECRET_ARN"])["SecretString"])
        expected = "Basic " + base64.b64encode(f"{known['username']}:{known['password']}".encode()).decode()
    if not hmac.compare_digest(event["headers"].get("authorization", ""), expected):
        return None
    return base64.b64decode(event["body"]).decode() if event["isBase64Encoded"] else event["body"]


def respond(**counts):
    return {"statusCode": 200, "body": json.dumps(counts)}


def without_state(event):
    body = body_of(event)
    if body is None:
        return {"statusCode": 401}
    texts = json.loads(body)
    alerts = [text for text in (alert(json.loads(text)) for text in texts) if text]
    key = f"raw/{hashlib.sha256(body.encode()).hexdigest()}.ndjson.gz"
    s3.put_object(Bucket=BUCKET, Key=key, Body=gzip.compress("\n".join(texts).encode(), 6))
    for text in alerts:
        sns.publish(TopicArn=TOPIC, Subject=text[:99], Message=text)
    return respond(accepted=len(texts), alerts=len(alerts))


def parse(texts):
    """Returns the readings by zone, each with its text, in the order of time, and the number of rejected items."""
    zones, rejected = {}, 0
    for text in texts:
        try:
            reading = json.loads(text)
            zones.setdefault(f"{reading['PID']}/{reading['InsID']}", []).append((reading["unixT"], text, reading))
        except (ValueError, KeyError, TypeError):
            rejected += 1
    for readings in zones.values():
        readings.sort(key=lambda reading: reading[0])
    return zones, rejected


def load(zones):
    """Returns the items of these zones that exist."""
    items = {}
    for start in range(0, len(zones), 100):
        wanted = {TABLE: {"Keys": [{"pk": {"S": zone}} for zone in zones[start : start + 100]], "ConsistentRead": True}}
        while wanted:
            response = dynamodb.batch_get_item(RequestItems=wanted)
            items.update((item["pk"]["S"], item) for item in response["Responses"].get(TABLE, []))
            wanted = response["UnprocessedKeys"]
    return items


def evaluate(item, readings, now):
    """Returns the new sums, ids and blocks of a zone, its alerts and the number of readings that were counted before."""
    state = json.loads(item["body"]["S"]) if item else {"sums": {}, "blocks": {}}
    seen = item["seen"]["B"] if item else b""
    sums, blocks, alerts, duplicates = state["sums"], state["blocks"], [], 0
    known = {seen[at : at + ID] for at in range(0, len(seen), ID)}
    added = []
    for at, text, reading in readings:
        device, kind, values = reading.get("DEVID"), reading.get("DevType", "").split("#")[-1], reading.get("v") or {}
        is_counter = kind in ("UM", "PPLCTR")
        message = None if is_counter else alert(reading)
        if now - at / 1000 > MAX_AGE or not (is_counter or message):
            continue
        id = hashlib.sha256(text.encode()).digest()[:ID]
        if id in known:
            duplicates += 1
            continue
        known.add(id)
        added.append(id)
        if is_counter:
            sums[device] = sums.get(device, 0) + float(values.get("count", 0))
            if sums[device] >= 30:
                sums[device], message = 0, f"High usage at {reading.get('Display')}"
        if message and blocks.get(device, 0) <= now:
            blocks[device] = now + BLOCK
            alerts.append(message)
    return state, (seen + b"".join(added))[-ID * WINDOW :], bool(added), alerts, duplicates


def change(zone, item, readings, now):
    """Evaluates the readings of a zone and writes its state if it changed. Returns its alerts and the number of duplicates."""
    for _ in range(ATTEMPTS):
        state, seen, is_changed, alerts, duplicates = evaluate(item, readings, now)
        if not is_changed:
            return alerts, duplicates
        version = int(item["version"]["N"]) if item else 0
        condition = {
            "ConditionExpression": "#version = :read", "ExpressionAttributeNames": {"#version": "version"},
            "ExpressionAttributeValues": {":read": {"N": str(version)}},
        } if item else {"ConditionExpression": "attribute_not_exists(pk)"}
        changed = {"pk": {"S": zone}, "version": {"N": str(version + 1)}, "seen": {"B": seen},
                   "body": {"S": json.dumps(state, separators=(",", ":"))}, "ttl": {"N": str(int(now) + 90 * 86_400)}}
        try:
            dynamodb.put_item(TableName=TABLE, Item=changed, **condition)
            return alerts, duplicates
        except dynamodb.exceptions.ConditionalCheckFailedException:
            item = load([zone]).get(zone)
    raise RuntimeError(f"other writers of {zone} were first in all attempts")


def with_state(event):
    body = body_of(event)
    if body is None:
        return {"statusCode": 401}
    now, texts = time.time(), json.loads(body)
    zones, rejected = parse(texts)
    key = f"raw/{hashlib.sha256(body.encode()).hexdigest()}.ndjson.gz"
    try:
        s3.put_object(Bucket=BUCKET, Key=key, Body=gzip.compress("\n".join(texts).encode(), 6), IfNoneMatch="*")
    except s3.exceptions.ClientError as error:
        if error.response["Error"]["Code"] != "PreconditionFailed":
            raise
    items = load(list(zones))
    alerts, duplicates = [], 0
    for zone, readings in zones.items():
        of_zone, repeated = change(zone, items.get(zone), readings, now)
        alerts += of_zone
        duplicates += repeated
    for start in range(0, len(alerts), 10):
        entries = [{"Id": str(index), "Subject": text[:99], "Message": text} for index, text in enumerate(alerts[start : start + 10])]
        sns.publish_batch(TopicArn=TOPIC, PublishBatchRequestEntries=entries)
    counts = {"received": len(texts), "accepted": len(texts) - rejected, "rejected": rejected, "duplicates": duplicates,
              "alerts": len(alerts)}
    print(json.dumps(counts))
    return respond(**counts)


def main(handler):
    runtime = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    while True:
        runtime.request("GET", "/2018-06-01/runtime/invocation/next")
        event = runtime.getresponse()
        answer = handler(json.loads(event.read()))
        path = f"/2018-06-01/runtime/invocation/{event.headers['Lambda-Runtime-Aws-Request-Id']}/response"
        runtime.request("POST", path, json.dumps(answer))
        runtime.getresponse().read()


if __name__ == "__main__":
    if "--state" in sys.argv[1:]:
        dynamodb = boto3.client("dynamodb")
        main(with_state)
    else:
        main(without_state)
