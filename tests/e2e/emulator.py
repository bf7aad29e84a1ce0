"""The function in the runtime interface emulator of AWS, with separate resources."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import requests
import samcli
from deployed import ARCHITECTURE, BUILD
from local_aws import REGION, free_port

# The credentials in the Authorization headers of events/.
CREDENTIALS = {"username": "smartclean", "password": "s3cret-Pa55"}


class Emulator:
    """The emulator. It starts the binary at the first event and reuses it."""

    def __init__(self, aws, folder):
        self.port = free_port()
        self.log = folder / "emulator.log"
        shipped = Path(samcli.__file__).parent / f"local/rapid/aws-lambda-rie-{ARCHITECTURE}"
        emulator = folder / "aws-lambda-rie"
        shutil.copy(shipped, emulator)
        emulator.chmod(0o755)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    emulator,
                    "--runtime-interface-emulator-address", f"127.0.0.1:{self.port}",
                    "--runtime-api-address", f"127.0.0.1:{free_port()}",
                    "./bootstrap",
                ],
                cwd=BUILD / "PushFunction",
                env={**aws.environment, **self._resources(aws), "METRICS_NAMESPACE": "smartclean-push"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip

    def _resources(self, aws):
        """Creates a bucket, table, topic, queue and secret. Returns the environment of the function."""
        bucket = "emulator"
        aws.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        secret = aws.client("secretsmanager").create_secret(Name="emulator", SecretString=json.dumps(CREDENTIALS))
        aws.client("dynamodb").create_table(
            TableName="emulator",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        )
        return {
            "RAW_BUCKET": bucket,
            "STATE_TABLE": "emulator",
            "ALERT_TOPIC_ARN": aws.client("sns").create_topic(Name="emulator")["TopicArn"],
            "CREDENTIALS_SECRET_ARN": secret["ARN"],
            "RETRY_QUEUE_URL": aws.client("sqs").create_queue(QueueName="emulator")["QueueUrl"],
        }

    def invoke(self, event):
        url = f"http://127.0.0.1:{self.port}/2015-03-31/functions/function/invocations"
        deadline = time.monotonic() + 15
        while True:
            try:
                return requests.post(url, json=event, timeout=60).json()
            except requests.ConnectionError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    log = self.log.read_text(errors="replace")
                    raise RuntimeError(f"the emulator does not respond. Its log:\n{log}") from None
                time.sleep(0.1)

    def log_lines(self):
        """The JSON lines in the log of the function."""
        return [json.loads(line) for line in self.log.read_text(errors="replace").splitlines() if line.startswith("{")]

    def stop(self):
        # The whole process group: the emulator does not stop the binary.
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
