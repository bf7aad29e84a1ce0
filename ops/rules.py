"""The rules of a deployed stack, and an alert to try them with."""

import os
import subprocess

from ops import ROOT, Stop, credentials


def put(stack, path):
    """Makes a file the rules of the stack."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise Stop(f"{path} cannot be read: {error.strerror}.", "call this as: make rules FILE=my-rules.toml") from None
    bucket = stack.outputs()["RawBucketName"]
    stack.client("s3").put_object(Bucket=bucket, Key="config/rules.toml", Body=text, ContentType="application/toml")
    print(f"{path} is now s3://{bucket}/config/rules.toml; the function uses it within a minute.")
    print("If it has a mistake, the last good file stays in force and a notice names the mistake.")


def test_alert(stack):
    """Pushes a reading that raises an alert. Returns the exit code of the command."""
    outputs = stack.outputs()
    username, password = credentials.current(stack, outputs)
    environment = {**os.environ, "PUSH_USERNAME": username, "PUSH_PASSWORD": password}
    command = ["cargo", "run", "--quiet", "--locked", "--", "test-alert", outputs["PushUrl"]]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
