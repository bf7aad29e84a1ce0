"""The rules of a deployed stack: to put, show, list and restore them; and an alert to try them with."""

import os
import subprocess

import botocore.exceptions

from ops import ROOT, Stop, credentials

KEY = "config/rules.toml"
# What the function accepted last. It stays when the rules file is taken away.
ACCEPTED = "config/rules.accepted.toml"


def put(stack, path):
    """Makes a file the rules of the stack."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise Stop(f"{path} cannot be read: {error.strerror}.", "call this as: make rules FILE=my-rules.toml") from None
    _write(stack, text, path)


def show(stack, version=None):
    """Prints the rules of the stack, or a version of them."""
    text = _read(stack, KEY, version)
    if text is None:
        print("# No rules file was put: the built-in rules apply (rules/pack.toml).")
    else:
        print(text.decode(), end="")


def history(stack):
    """Prints the versions of the rules, newest first: when they were put, by whom, and what was put."""
    bucket, s3 = stack.outputs()["RawBucketName"], stack.client("s3")
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=KEY)
    versions = [each for page in pages for each in page.get("Versions", []) if each["Key"] == KEY]
    if not versions:
        print("No rules file was ever put: the built-in rules apply.")
        return
    print(f"{'when (UTC)':<18}{'version':<36}{'bytes':>7}  who, and what")
    for version in sorted(versions, key=lambda each: each["LastModified"], reverse=True):
        head = s3.head_object(Bucket=bucket, Key=KEY, VersionId=version["VersionId"])["Metadata"]
        in_force = " (newest)" if version["IsLatest"] else ""
        who = f"{head.get('by', 'unknown: not put by make rules')}, {head.get('from', '?')}{in_force}"
        print(f"{version['LastModified']:%Y-%m-%d %H:%M}  {version['VersionId']:<36}{version['Size']:>7}  {who}")
    print("\nmake rules-show VERSION=... prints one, make rules-restore VERSION=... makes it the newest again. Old ones are kept for a year.")


def restore(stack, version):
    """Makes an older version the newest again. Nothing is lost: what was in force stays a version."""
    if not version:
        raise Stop("No version is named.", "call this as: make rules-restore VERSION=... ; make rules-history lists them.")
    _write(stack, _read(stack, KEY, version), f"version {version}")


def in_force(stack):
    """The rules that the function goes by; None while the built-in ones apply."""
    return None if _read(stack, KEY) is None else _read(stack, ACCEPTED)


def _read(stack, key, version=None):
    """The text of a version; of the newest one without `version`, and None if there is none."""
    which = {"VersionId": version} if version else {}
    try:
        return stack.client("s3").get_object(Bucket=stack.outputs()["RawBucketName"], Key=key, **which)["Body"].read()
    except botocore.exceptions.ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchKey" and not version:
            return None
        if error.response["Error"]["Code"] in ("NoSuchVersion", "InvalidArgument", "NoSuchKey", "MethodNotAllowed"):
            raise Stop(f"The rules have no version {version}.", "take one that make rules-history lists.") from None
        raise


def _write(stack, text, origin):
    bucket = stack.outputs()["RawBucketName"]
    stack.client("s3").put_object(
        Bucket=bucket, Key=KEY, Body=text, ContentType="application/toml", Metadata={"by": stack.caller(), "from": _ascii(origin)}
    )
    print(f"{origin} is now s3://{bucket}/{KEY}; the function uses it within a minute.")
    print("If it has a mistake, the last good file stays in force and a notice names the mistake.")


def _ascii(text):
    """As S3 takes it in metadata."""
    return str(text).encode("ascii", "replace").decode()


def test_alert(stack):
    """Pushes a reading that raises an alert. Returns the exit code of the command."""
    outputs = stack.outputs()
    username, password = credentials.current(stack, outputs)
    environment = {**os.environ, "PUSH_USERNAME": username, "PUSH_PASSWORD": password}
    command = ["cargo", "run", "--quiet", "--locked", "--", "test-alert", outputs["PushUrl"]]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
