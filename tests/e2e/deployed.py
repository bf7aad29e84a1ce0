"""The real template, deployed by the operator's own command to MiniStack, and clients to push to it and look inside."""

import contextlib
import datetime
import hashlib
import json
import platform
import re
import subprocess
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path

import requests
import tomlkit
import zstandard
from local_aws import REGION

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / ".aws-sam/e2e"
# What this machine can run, and so what `make e2e` built.
ARCHITECTURE = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"

TOPIC = "smartclean/push"

EMAIL = "cleaning@example.com"
PHONE = "+6591234567"


def run_ops(aws, config, *arguments, answers=""):
    """The operator's command, as it ended."""
    return subprocess.run(
        [sys.executable, "-m", "ops", "--config", config, *arguments],
        input=answers,
        cwd=ROOT,
        env=aws.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=300,
    )


class Operator:
    """Whoever runs the make targets: the commands behind them, with the answers to a first deploy's questions."""

    def __init__(self, aws, folder):
        self._aws, self._config = aws, folder / "samconfig.local.toml"
        answers = ["smartclean-push", "ap-southeast-1", EMAIL, PHONE]
        self.deploy_output = self.run(
            "deploy", "--template", BUILD / "template.yaml", "--architecture", ARCHITECTURE,
            answers="".join(f"{answer}\n" for answer in answers),
        )  # fmt: skip

    def deploy_lake(self):
        return self.run("lake", "--template", BUILD / "lake.yaml", "--architecture", ARCHITECTURE)

    def deploy_with(self, **parameters):
        """Writes parameters into the saved configuration, as docs/connect.md says, and deploys again."""
        return self._deploy_edited(lambda saved: saved.extend(f"{name}={value}" for name, value in parameters.items()))

    def deploy_without(self, name):
        """Removes a parameter from the saved configuration, and deploys again."""
        return self._deploy_edited(lambda saved: [saved.remove(line) for line in list(saved) if line.startswith(f"{name}=")])

    def _deploy_edited(self, edit):
        config = tomlkit.parse(self._config.read_text())
        edit(config["default"]["global"]["parameters"]["parameter_overrides"])
        self._config.write_text(tomlkit.dumps(config))
        return self.run("deploy", "--template", BUILD / "template.yaml", "--architecture", ARCHITECTURE)

    def run(self, *arguments, answers=""):
        """What the command prints."""
        done = run_ops(self._aws, self._config, *arguments, answers=answers)
        if done.returncode != 0:
            log = self._aws.log.read_text(errors="replace")
            raise RuntimeError(f"{arguments[0]} failed:\n{done.stdout}\nMiniStack's log:\n{log}")
        return done.stdout


def look_at(aws, name):
    """A stack's outputs, the ids of its resources, and its template after SAM's transform."""
    cloudformation = aws.client("cloudformation")
    stack = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    resources = cloudformation.list_stack_resources(StackName=name)["StackResourceSummaries"]
    processed = cloudformation.get_template(StackName=name, TemplateStage="Processed")["TemplateBody"]
    return (
        {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]},
        {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in resources},
        json.loads(processed) if isinstance(processed, str) else processed,
    )


class UserPool:
    """A Cognito user pool of somebody's own, with a client for SmartClean."""

    SCOPE = "smartclean-push/push"

    def __init__(self, aws):
        self._cognito = aws.client("cognito-idp")
        self._id = self._cognito.create_user_pool(PoolName="external")["UserPool"]["Id"]
        self._cognito.create_resource_server(
            UserPoolId=self._id, Identifier="smartclean-push", Name="smartclean-push",
            Scopes=[{"ScopeName": name, "ScopeDescription": name} for name in ("push", "read")],
        )  # fmt: skip
        self.issuer = f"https://cognito-idp.{REGION}.amazonaws.com/{self._id}"
        self.client = self.add_client("smartclean-push/push", "smartclean-push/read")

    def add_client(self, *scopes):
        return self._cognito.create_user_pool_client(
            UserPoolId=self._id, ClientName="machine", GenerateSecret=True, AllowedOAuthFlowsUserPoolClient=True,
            AllowedOAuthFlows=["client_credentials"], AllowedOAuthScopes=list(scopes),
        )["UserPoolClient"]  # fmt: skip


class Lake:
    """The lake, deployed beside the stack by the operator's own command."""

    def __init__(self, stack):
        stack.operator.deploy_lake()
        self.outputs, self.ids, self.template = look_at(stack.aws, "smartclean-push-lake")


class Deployed:
    """The deployed stack from outside and from inside."""

    def __init__(self, aws, operator):
        self.aws, self.operator = aws, operator
        self.iam, self.s3, self.sqs, self.sns = (aws.client(name) for name in ("iam", "s3", "sqs", "sns"))
        self.secrets, self.functions = aws.client("secretsmanager"), aws.client("lambda")
        self._zones, self._zones_of_earlier_tests = set(), set()
        self._look()
        self._read_credentials()

    def _look(self):
        """Learns what the stack consists of."""
        self.outputs, self.ids, self.template = look_at(self.aws, "smartclean-push")
        self.bucket = self.outputs["RawBucketName"]
        self.topic = self.outputs["AlertTopicArn"]
        self.function = self.outputs["PushFunctionName"]

    def _read_credentials(self):
        value = json.loads(self.secrets.get_secret_value(SecretId=self.outputs["CredentialsSecretArn"])["SecretString"])
        first = value["clients"][0] if "clients" in value else value
        self.credentials = (first["username"], first["password"])

    def open_auth_methods(self):
        """Opens every auth method that the template has; those that were closed say nothing until then."""
        for path, status in {"/oauth2/token": 404, "/push/messages": 404, "/push/jwt": 401}.items():
            answer = self.request("POST", path, auth=self.credentials)
            assert answer.status_code == status, f"{path} is answered behind a closed auth method: {answer.text}"
            assert answer.headers["Content-Type"] == "application/problem+json"
        self.pool = UserPool(self.aws)
        self.deploy_with(
            AuthMethods="basic,oauth,event-hub", IotTopic=TOPIC,
            OAuthIssuer=self.pool.issuer, OAuthAudience=self.pool.client["ClientId"], OAuthScope=UserPool.SCOPE,
        )  # fmt: skip

    def function_arn(self, name):
        return self.functions.get_function_configuration(FunctionName=name)["FunctionArn"]

    def deploy_with(self, **parameters):
        """Deploys with other parameters, and goes on with what there is then."""
        said = self.operator.deploy_with(**parameters)
        self._look()
        return said

    # ---- From outside: what SmartClean does ---------------------------------------------------------------------

    @property
    def host(self):
        """The API's own host name, under which MiniStack's port is reached."""
        return f"{self.ids['PushApi']}.execute-api.localhost:{self.aws.port}"

    def request(self, method, path, **options):
        """A request to the deployed API; reaches MiniStack's port under the API's own host name."""
        headers = {"Host": self.host, **options.pop("headers", {})}
        url = f"{self.aws.endpoint}{path}"
        return requests.request(method, url, headers=headers, timeout=60, verify=self.aws.certificate, **options)

    def push(self, *readings, credentials=None):
        """Pushes readings (dicts, or texts as they are) the way SmartClean does: an array of JSON texts."""
        texts = [reading if isinstance(reading, str) else json.dumps(reading) for reading in readings]
        self._zones.update(re.findall(r'"InsID": ?"([^"]*)"', " ".join(texts)))
        body = json.dumps(texts).encode()
        return self.request("POST", "/push", data=body, auth=credentials or self.credentials)

    # ---- From the side: what AWS does ---------------------------------------------------------------------------

    def invoke(self, event):
        """The function's reply to an event that is no request."""
        payload = self.functions.invoke(FunctionName=self.function, Payload=json.dumps(event))["Payload"].read()
        return json.loads(payload)

    def tick(self):
        """What the schedule sends every minute, as the template has it."""
        events = self.template["Resources"]["PushFunctionEveryMinute"]["Properties"]["Targets"]
        return self.invoke(json.loads(events[0]["Input"]))

    def tell_of(self, key):
        """What the queue sends of an object that was stored, once its delay is over."""
        name = urllib.parse.quote_plus(key, safe="/")
        notice = {"Records": [{"eventName": "ObjectCreated:Put", "s3": {"bucket": {}, "object": {"key": name}}}]}
        record = {"messageId": "message-1", "eventSource": "aws:sqs", "body": json.dumps(notice)}
        return self.invoke({"Records": [record]})

    # ---- From inside: what an operator sees ---------------------------------------------------------------------

    def keys(self, prefix=""):
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def text(self, key):
        """The decompressed text of a stored object."""
        stored = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return zstandard.ZstdDecompressor().decompressobj().decompress(stored).decode()

    def keys_of(self, answer):
        """The keys of the objects of the batch that a push's answer names."""
        return [key for key in self.keys() if answer.json()["batch"] in key]

    def stored(self, body, seconds=30):
        """The key of the readings of a push of these bytes, once they are stored, whichever way they come."""
        batch, deadline = hashlib.sha256(body).hexdigest()[:32], time.monotonic() + seconds
        while True:
            if found := [key for key in self.keys() if batch in key]:
                return found[0]
            assert time.monotonic() < deadline, f"{batch} was not stored"
            time.sleep(0.2)

    def delayed(self, seconds):
        """Waits until the function's own queue holds a message back."""
        ask = {"QueueUrl": self.ids["StoredQueue"], "AttributeNames": ["ApproximateNumberOfMessagesDelayed"]}
        deadline = time.monotonic() + seconds
        while self.sqs.get_queue_attributes(**ask)["Attributes"]["ApproximateNumberOfMessagesDelayed"] == "0":
            assert time.monotonic() < deadline, "nothing came into the queue"
            time.sleep(0.2)

    @contextlib.contextmanager
    def secret(self, value):
        """The credentials with another value, for as long as the block lasts."""
        arn = self.outputs["CredentialsSecretArn"]
        before = self.secrets.get_secret_value(SecretId=arn)["SecretString"]
        try:
            self.secrets.put_secret_value(SecretId=arn, SecretString=json.dumps(value))
            self.start_cold()
            yield
        finally:
            self.secrets.put_secret_value(SecretId=arn, SecretString=before)
            self.start_cold()

    def start_cold(self):
        """The next request starts a new copy of the function, as after any change of its configuration."""
        memory = self.functions.get_function_configuration(FunctionName=self.function)["MemorySize"]
        self.functions.update_function_configuration(FunctionName=self.function, MemorySize=memory)
        self.functions.get_waiter("function_updated_v2").wait(FunctionName=self.function)

    @contextlib.contextmanager
    def without(self, action, cold=False):
        """The function without one permission: `action` is taken out of its role's policies, and put back after."""
        role = self.ids["PushFunctionRole"]
        before = {
            name: self.iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
            for name in self.iam.list_role_policies(RoleName=role)["PolicyNames"]
        }
        after = {name: without_action(policy, action) for name, policy in before.items()}
        changed = [name for name in before if after[name] != before[name]]
        assert changed, f"no policy of the role allows {action}"
        try:
            for name in changed:
                self._set_policy(role, name, after[name])
            if cold:
                self.start_cold()
            yield
        finally:
            for name in changed:
                self._set_policy(role, name, before[name])
            if cold:
                self.start_cold()

    def _set_policy(self, role, name, policy):
        if policy["Statement"]:
            self.iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(policy))
        else:
            self.iam.delete_role_policy(RoleName=role, PolicyName=name)

    @contextlib.contextmanager
    def rules(self, text):
        """The deployed rules file, for as long as the block lasts; what it was before comes back."""
        key = "config/rules.toml"
        before = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read() if key in self.keys(key) else None
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write(text)
            file.flush()
            self.operator.run("rules", file.name)
        self.start_cold()  # a running copy would look only after a minute
        try:
            yield
        finally:
            if before is None:
                for rules in self.keys("config/"):
                    self.s3.delete_object(Bucket=self.bucket, Key=rules)
            else:
                self.s3.put_object(Bucket=self.bucket, Key=key, Body=before)
            self.start_cold()

    def start_test(self):
        """Separates the coming test from those before it: a full rate limit, and no messages about their zones."""
        self._zones_of_earlier_tests |= self._zones
        self._zones = set()
        table = self.aws.client("dynamodb")
        table.delete_item(TableName=self.ids["StateTable"], Key={"pk": {"S": "rate-limit/alerts"}})

    def end_leases(self):
        """Makes every waiting message due now, as when a minute is over in which whoever leased it did not send it."""
        table, now = self.aws.client("dynamodb"), datetime.datetime.now(datetime.timezone.utc)
        pages = table.get_paginator("scan").paginate(TableName=self.ids["StateTable"], FilterExpression="attribute_exists(due)")
        for item in [item for page in pages for item in page["Items"]]:
            packed, plain = item["body"].get("B"), item["body"].get("S")
            state = json.loads(plain or zstandard.ZstdDecompressor().decompress(packed))
            for entry in state.get("outbox", []):
                entry["due"] = now.isoformat()
            item["body"] = {"S": json.dumps(state)}
            item["due"]["N"] = str(int(now.timestamp() * 1000))
            table.put_item(TableName=self.ids["StateTable"], Item=item)

    @contextlib.contextmanager
    def queue_delay(self, seconds):
        """The function's own queue with another delay, for as long as the block lasts."""
        url = self.ids["StoredQueue"]
        ask = {"QueueUrl": url, "AttributeNames": ["DelaySeconds"]}
        before = self.sqs.get_queue_attributes(**ask)["Attributes"]["DelaySeconds"]
        self.sqs.set_queue_attributes(QueueUrl=url, Attributes={"DelaySeconds": str(seconds)})
        try:
            yield
        finally:
            self.sqs.set_queue_attributes(QueueUrl=url, Attributes={"DelaySeconds": before})

    @contextlib.contextmanager
    def queue(self, **filter_policy):
        """Subscribes a queue to the alert topic for as long as the block lasts; yields its reader.

        The reader returns no message about a zone that an earlier test pushed to and this test does not: a push that
        was cut off there is evaluated from the queue up to two minutes later, in the middle of this test."""
        url = self.sqs.create_queue(QueueName=f"alerts-{time.time_ns()}")["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        allow = {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": self.topic}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        self.sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        attributes = {"FilterPolicy": json.dumps(filter_policy)} if filter_policy else {}
        subscription = self.sns.subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=arn, Attributes=attributes)
        try:
            yield lambda: self._receive(url)
        finally:
            self.sns.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])
            self.sqs.delete_queue(QueueUrl=url)

    def _receive(self, url):
        envelopes = []
        ask = {"QueueUrl": url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 1}
        while messages := self.sqs.receive_message(**ask).get("Messages"):
            for message in messages:
                envelope = json.loads(message["Body"])
                zone = envelope.get("MessageAttributes", {}).get("zone", {}).get("Value")
                if zone not in self._zones_of_earlier_tests - self._zones:
                    envelopes.append(envelope)
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return envelopes


def without_action(policy, action):
    """The policy with `action` gone, and with every statement that then allows nothing."""
    statements = []
    for statement in policy["Statement"]:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        if kept := [allowed for allowed in actions if allowed != action]:
            statements.append({**statement, "Action": kept})
    return {**policy, "Statement": statements}
