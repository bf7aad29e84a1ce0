"""The real template, deployed by the command of the operator to MiniStack, with clients to push to it and to inspect it."""

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
# The processor of this computer, for which `make e2e` builds.
ARCHITECTURE = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"

TOPIC = "smartclean/push"

EMAIL = "cleaning@example.com"
PHONE = "+6591234567"


def run_ops(aws, config, *arguments, stdin=""):
    """Runs a command of the operator. Returns the completed process."""
    return subprocess.run(
        [sys.executable, "-m", "ops", "--config", config, *arguments],
        input=stdin,
        cwd=ROOT,
        env=aws.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=300,
    )


class Operator:
    """The commands behind the make targets, with input for the prompts of the first deploy."""

    def __init__(self, aws, folder):
        self._aws, self.config = aws, folder / "samconfig.local.toml"
        lines = ["smartclean-push", "ap-southeast-1", EMAIL, PHONE]
        self.deploy_output = self.run(
            "deploy", "--template", BUILD / "template.yaml", "--architecture", ARCHITECTURE,
            stdin="".join(f"{line}\n" for line in lines),
        )  # fmt: skip

    def deploy_lake(self):
        return self.run("lake", "--template", BUILD / "lake.yaml", "--architecture", ARCHITECTURE)

    def deploy_with(self, **parameters):
        """Adds parameters to the settings file, as docs/connect.md describes, and deploys again."""
        return self._deploy_edited(lambda saved: saved.extend(f"{name}={value}" for name, value in parameters.items()))

    def deploy_without(self, name):
        """Removes a parameter from the settings file, and deploys again."""
        return self._deploy_edited(lambda saved: [saved.remove(line) for line in list(saved) if line.startswith(f"{name}=")])

    def _deploy_edited(self, edit):
        config = tomlkit.parse(self.config.read_text())
        edit(config["default"]["global"]["parameters"]["parameter_overrides"])
        self.config.write_text(tomlkit.dumps(config))
        return self.run("deploy", "--template", BUILD / "template.yaml", "--architecture", ARCHITECTURE)

    def run(self, *arguments, stdin=""):
        """Runs a command that must succeed. Returns its output."""
        result = run_ops(self._aws, self.config, *arguments, stdin=stdin)
        if result.returncode != 0:
            log = self._aws.log.read_text(errors="replace")
            raise RuntimeError(f"{arguments[0]} failed:\n{result.stdout}\nMiniStack's log:\n{log}")
        return result.stdout


def describe_stack(aws, name):
    """The outputs of a stack, the physical ids of its resources, and its template after the transform of SAM."""
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
    """An external issuer: a Cognito user pool with a client for SmartClean."""

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
    """The lake, deployed by the command of the operator."""

    def __init__(self, stack):
        stack.operator.deploy_lake()
        self.outputs, self.ids, self.template = describe_stack(stack.aws, "smartclean-push-lake")


class Deployed:
    """The deployed stack, with clients for its HTTP API and its resources."""

    def __init__(self, aws, operator):
        self.aws, self.operator = aws, operator
        self.iam, self.s3, self.sqs, self.sns = (aws.client(name) for name in ("iam", "s3", "sqs", "sns"))
        self.secrets, self.functions = aws.client("secretsmanager"), aws.client("lambda")
        self._zones, self._zones_of_earlier_tests = set(), set()
        self.refresh()
        self.refresh_credentials()

    def refresh(self):
        """Reads the outputs, resources and template of the stack."""
        self.outputs, self.ids, self.template = describe_stack(self.aws, "smartclean-push")
        self.bucket = self.outputs["RawBucketName"]
        self.topic = self.outputs["AlertTopicArn"]
        self.function = self.outputs["PushFunctionName"]

    def refresh_credentials(self):
        value = json.loads(self.secrets.get_secret_value(SecretId=self.outputs["CredentialsSecretArn"])["SecretString"])
        first = value["clients"][0] if "clients" in value else value
        self.credentials = (first["username"], first["password"])

    def enable_auth_methods(self):
        """Enables every auth method. Before that, disabled methods must respond as unknown paths do."""
        for path, status in {"/oauth2/token": 404, "/push/messages": 404, "/push/jwt": 401}.items():
            response = self.request("POST", path, auth=self.credentials)
            assert response.status_code == status, f"{path} of a disabled auth method: {response.text}"
            assert response.headers["Content-Type"] == "application/problem+json"
        self.pool = UserPool(self.aws)
        self.deploy_with(
            AuthMethods="basic,oauth,event-hub", IotTopic=TOPIC,
            OAuthIssuer=self.pool.issuer, OAuthAudience=self.pool.client["ClientId"], OAuthScope=UserPool.SCOPE,
        )  # fmt: skip

    def function_arn(self, name):
        return self.functions.get_function_configuration(FunctionName=name)["FunctionArn"]

    def deploy_with(self, **parameters):
        """Deploys with other parameters, and reads the stack again. Returns the output."""
        output = self.operator.deploy_with(**parameters)
        self.refresh()
        return output

    # ---- Requests of SmartClean ---------------------------------------------------------------------------------

    @property
    def host(self):
        """The host name of the API in MiniStack."""
        return f"{self.ids['PushApi']}.execute-api.localhost:{self.aws.port}"

    def request(self, method, path, **options):
        """Sends a request to the deployed API."""
        headers = {"Host": self.host, **options.pop("headers", {})}
        url = f"{self.aws.endpoint}{path}"
        return requests.request(method, url, headers=headers, timeout=60, verify=self.aws.certificate, **options)

    def push(self, *readings, credentials=None):
        """Pushes readings (dicts or texts) in the format of SmartClean: an array of JSON texts."""
        texts = [reading if isinstance(reading, str) else json.dumps(reading) for reading in readings]
        self.record_zones(texts)
        body = json.dumps(texts).encode()
        return self.request("POST", "/push", data=body, auth=credentials or self.credentials)

    def record_zones(self, texts):
        """Records the zones of readings that a test sends. Later tests ignore messages about them."""
        self._zones.update(re.findall(r'"InsID": ?"([^"]*)"', " ".join(texts)))

    # ---- Invocations by AWS -------------------------------------------------------------------------------------

    def invoke(self, event):
        """Invokes the function with an event that is not an HTTP request. Returns its response."""
        payload = self.functions.invoke(FunctionName=self.function, Payload=json.dumps(event))["Payload"].read()
        return json.loads(payload)

    def sweep(self):
        """Invokes the function with the input of the schedule in the template."""
        events = self.template["Resources"]["PushFunctionEveryMinute"]["Properties"]["Targets"]
        return self.invoke(json.loads(events[0]["Input"]))

    def deliver_notification(self, key):
        """Invokes the function with the notification about a stored object, which the queue delivers after its delay."""
        name = urllib.parse.quote_plus(key, safe="/")
        notification = {"Records": [{"eventName": "ObjectCreated:Put", "s3": {"bucket": {}, "object": {"key": name}}}]}
        record = {"messageId": "message-1", "eventSource": "aws:sqs", "body": json.dumps(notification)}
        return self.invoke({"Records": [record]})

    # ---- Resources ----------------------------------------------------------------------------------------------

    def keys(self, prefix=""):
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def text(self, key):
        """The decompressed text of a stored object."""
        stored = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return zstandard.ZstdDecompressor().decompressobj().decompress(stored).decode()

    def keys_of_batch(self, response):
        """The keys of the objects of the batch in the response to a push."""
        return [key for key in self.keys() if response.json()["batch"] in key]

    def wait_until_stored(self, body, seconds=30):
        """Waits until a body is stored. Returns the key of its readings."""
        batch, deadline = hashlib.sha256(body).hexdigest()[:32], time.monotonic() + seconds
        while True:
            if found := [key for key in self.keys() if batch in key]:
                return found[0]
            assert time.monotonic() < deadline, f"{batch} was not stored"
            time.sleep(0.2)

    def wait_until_delayed(self, seconds):
        """Waits until the queue of the function contains a delayed message."""
        request = {"QueueUrl": self.ids["StoredQueue"], "AttributeNames": ["ApproximateNumberOfMessagesDelayed"]}
        deadline = time.monotonic() + seconds
        while self.sqs.get_queue_attributes(**request)["Attributes"]["ApproximateNumberOfMessagesDelayed"] == "0":
            assert time.monotonic() < deadline, "the queue is empty"
            time.sleep(0.2)

    @contextlib.contextmanager
    def secret(self, value):
        """Replaces the credentials while the block runs."""
        arn = self.outputs["CredentialsSecretArn"]
        before = self.secrets.get_secret_value(SecretId=arn)["SecretString"]
        try:
            self.secrets.put_secret_value(SecretId=arn, SecretString=json.dumps(value))
            self.force_cold_start()
            yield
        finally:
            self.secrets.put_secret_value(SecretId=arn, SecretString=before)
            self.force_cold_start()

    def force_cold_start(self):
        """Makes the next request start a new copy of the function, by an update of its configuration."""
        memory = self.functions.get_function_configuration(FunctionName=self.function)["MemorySize"]
        self.functions.update_function_configuration(FunctionName=self.function, MemorySize=memory)
        self.functions.get_waiter("function_updated_v2").wait(FunctionName=self.function)

    @contextlib.contextmanager
    def without_permission(self, action, cold=False, role="PushFunctionRole"):
        """Removes `action` from the policies of a function's role while the block runs."""
        role = self.ids[role]
        before = {
            name: self.iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
            for name in self.iam.list_role_policies(RoleName=role)["PolicyNames"]
        }
        after = {name: remove_action(policy, action) for name, policy in before.items()}
        changed = [name for name in before if after[name] != before[name]]
        assert changed, f"no policy of the role allows {action}"
        try:
            for name in changed:
                self._set_policy(role, name, after[name])
            if cold:
                self.force_cold_start()
            yield
        finally:
            for name in changed:
                self._set_policy(role, name, before[name])
            if cold:
                self.force_cold_start()

    def _set_policy(self, role, name, policy):
        if policy["Statement"]:
            self.iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(policy))
        else:
            self.iam.delete_role_policy(RoleName=role, PolicyName=name)

    @contextlib.contextmanager
    def rules(self, text):
        """Deploys a rules file while the block runs, then restores the previous one."""
        key = "config/rules.toml"
        before = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read() if key in self.keys(key) else None
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write(text)
            file.flush()
            self.operator.run("rules", file.name)
        self.force_cold_start()  # A running copy reads the rules again after a minute.
        try:
            yield
        finally:
            if before is None:
                for rules in self.keys("config/"):
                    self.s3.delete_object(Bucket=self.bucket, Key=rules)
            else:
                self.s3.put_object(Bucket=self.bucket, Key=key, Body=before)
            self.force_cold_start()

    def start_test(self):
        """Isolates a test from earlier ones: resets the rate limit, and ignores messages about their zones."""
        self._zones_of_earlier_tests |= self._zones
        self._zones = set()
        self.reset_rate_limit()

    def reset_rate_limit(self):
        """Fills the rate limit's tokens and the SMS quota of the day."""
        self.aws.client("dynamodb").delete_item(TableName=self.ids["StateTable"], Key={"pk": {"S": "rate-limit"}})

    def expire_leases(self):
        """Makes every message in an outbox due now, as if its lease had expired."""
        table, now = self.aws.client("dynamodb"), datetime.datetime.now(datetime.timezone.utc)
        pages = table.get_paginator("scan").paginate(TableName=self.ids["StateTable"], FilterExpression="attribute_exists(due)")
        for item in [item for page in pages for item in page["Items"]]:
            compressed, plain = item["body"].get("B"), item["body"].get("S")
            state = json.loads(plain or zstandard.ZstdDecompressor().decompress(compressed))
            for entry in state.get("outbox", []):
                for delivery in entry["deliveries"].values():
                    delivery["due"] = now.isoformat()
            item["body"] = {"S": json.dumps(state)}
            item["due"]["N"] = str(int(now.timestamp() * 1000))
            table.put_item(TableName=self.ids["StateTable"], Item=item)

    def archive(self):
        """Sweeps as after a minute: archives alerts and responses."""
        self.expire_leases()
        return self.sweep()

    @contextlib.contextmanager
    def queue_delay(self, seconds):
        """Changes the delay of the function's queue while the block runs."""
        url = self.ids["StoredQueue"]
        request = {"QueueUrl": url, "AttributeNames": ["DelaySeconds"]}
        before = self.sqs.get_queue_attributes(**request)["Attributes"]["DelaySeconds"]
        self.sqs.set_queue_attributes(QueueUrl=url, Attributes={"DelaySeconds": str(seconds)})
        try:
            yield
        finally:
            self.sqs.set_queue_attributes(QueueUrl=url, Attributes={"DelaySeconds": before})

    @contextlib.contextmanager
    def alert_queue(self, **filter_policy):
        """Subscribes a queue to the alert topic while the block runs. Yields a function that receives its messages.

        The function ignores messages about zones of earlier tests: an interrupted push of such a test can be evaluated from the queue
        two minutes later, during this test."""
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

    def alert_ids(self, envelopes):
        """The ids of all alerts in these messages. Ignores alerts of zones of earlier tests, which a digest can contain."""
        ignored = self._zones_of_earlier_tests - self._zones
        ids = []
        for message in (json.loads(envelope["Message"]) for envelope in envelopes):
            for alert in message["alerts"]:
                # An alert of a digest has the zone itself, and one of another message has that of the message.
                zone = (message.get("location") or alert).get("zone")
                ids += [alert["id"]] if zone not in ignored else []
        return ids

    def _receive(self, url):
        envelopes = []
        request = {"QueueUrl": url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 1}
        while messages := self.sqs.receive_message(**request).get("Messages"):
            for message in messages:
                envelope = json.loads(message["Body"])
                zone = envelope.get("MessageAttributes", {}).get("zone", {}).get("Value")
                if zone not in self._zones_of_earlier_tests - self._zones:
                    envelopes.append(envelope)
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return envelopes


def remove_action(policy, action):
    """The policy without `action`, and without statements that then allow nothing."""
    statements = []
    for statement in policy["Statement"]:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        if remaining := [allowed for allowed in actions if allowed != action]:
            statements.append({**statement, "Action": remaining})
    return {**policy, "Statement": statements}
