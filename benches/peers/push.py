"""The same job as the function, in Python with boto3, for comparison. It does less: it has no state, sends an alert for every breach, and
rejects the whole push if one item is invalid. A minimal client of the Runtime API follows the handler."""

import base64
import gzip
import hashlib
import hmac
import http.client
import json
import os

import boto3

s3, sns, secrets = boto3.client("s3"), boto3.client("sns"), boto3.client("secretsmanager")
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


def handler(event, _context):
    global expected
    if expected is None:
        known = json.loads(secrets.get_secret_value(SecretId=os.environ["CREDENTIALS_SECRET_ARN"])["SecretString"])
        expected = "Basic " + base64.b64encode(f"{known['username']}:{known['password']}".encode()).decode()
    if not hmac.compare_digest(event["headers"].get("authorization", ""), expected):
        return {"statusCode": 401}
    body = event["body"]
    if event["isBase64Encoded"]:
        body = base64.b64decode(body).decode()
    texts = json.loads(body)
    alerts = [text for text in (alert(json.loads(text)) for text in texts) if text]
    key = f"raw/{hashlib.sha256(body.encode()).hexdigest()}.ndjson.gz"
    s3.put_object(Bucket=os.environ["RAW_BUCKET"], Key=key, Body=gzip.compress("\n".join(texts).encode(), 6))
    for text in alerts:
        sns.publish(TopicArn=os.environ["ALERT_TOPIC_ARN"], Subject=text[:99], Message=text)
    return {"statusCode": 200, "body": json.dumps({"accepted": len(texts), "alerts": len(alerts)})}


def main():
    runtime = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    while True:
        runtime.request("GET", "/2018-06-01/runtime/invocation/next")
        event = runtime.getresponse()
        answer = handler(json.loads(event.read()), None)
        path = f"/2018-06-01/runtime/invocation/{event.headers['Lambda-Runtime-Aws-Request-Id']}/response"
        runtime.request("POST", path, json.dumps(answer))
        runtime.getresponse().read()


if __name__ == "__main__":
    main()
