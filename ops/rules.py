"""The rules of a deployed stack: set, show, list and restore them; and send a test alert."""

import os
import subprocess

import botocore.exceptions

from ops import CommandError, credentials

KEY = "config/rules.toml"
# The rules that the function accepted last. This object stays if the rules file is deleted.
ACCEPTED = "config/rules.accepted.toml"


def put(stack, path):
    """Sets the rules of the stack to those in a file."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.", "run make rules FILE=my-rules.toml.") from None
    _write(stack, text, path)


def show(stack, version=None):
    """Prints the current rules of the stack, or one version."""
    text = _read(stack, KEY, version)
    if text is None:
        print("# The stack has no rules file: the built-in rules apply (rules/pack.toml).")
    else:
        print(text.decode(), end="")


def history(stack):
    """Prints the versions of the rules with time, size, author and origin, newest first."""
    bucket, s3 = stack.outputs()["RawBucketName"], stack.client("s3")
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=KEY)
    versions = [each for page in pages for each in page.get("Versions", []) if each["Key"] == KEY]
    if not versions:
        print("The stack never had a rules file: the built-in rules apply.")
        return
    print(f"{'time (UTC)':<18}{'version':<36}{'bytes':>7}  author and origin")
    for version in sorted(versions, key=lambda each: each["LastModified"], reverse=True):
        metadata = s3.head_object(Bucket=bucket, Key=KEY, VersionId=version["VersionId"])["Metadata"]
        current = " (current)" if version["IsLatest"] else ""
        author = f"{metadata.get('by', 'unknown, not by make rules')}, {metadata.get('from', '?')}{current}"
        print(f"{version['LastModified']:%Y-%m-%d %H:%M}  {version['VersionId']:<36}{version['Size']:>7}  {author}")
    print("\nmake rules-show VERSION=... prints a version; make rules-restore VERSION=... makes it the current one.")
    print("Older versions are deleted after a year.")


def restore(stack, version):
    """Makes an older version the current one. The replaced rules stay in the history."""
    if not version:
        raise CommandError("VERSION is missing.", "run make rules-history, then make rules-restore VERSION=...")
    _write(stack, _read(stack, KEY, version), f"version {version}")


def in_force(stack):
    """The rules that the function uses; None if it uses the built-in rules."""
    return None if _read(stack, KEY) is None else _read(stack, ACCEPTED)


def is_newest_in_force(stack):
    """Whether the function uses the newest rules. It accepts new ones within a minute, or refuses them."""
    return _read(stack, KEY) in (None, in_force(stack))


def _read(stack, key, version=None):
    """The text of a version. Without `version`: the text of the current one, or None if the object does not exist."""
    selected = {"VersionId": version} if version else {}
    try:
        return stack.client("s3").get_object(Bucket=stack.outputs()["RawBucketName"], Key=key, **selected)["Body"].read()
    except botocore.exceptions.ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchKey" and not version:
            return None
        if error.response["Error"]["Code"] in ("NoSuchVersion", "InvalidArgument", "NoSuchKey", "MethodNotAllowed"):
            raise CommandError(f"The rules have no version {version}.", "use a version that make rules-history lists.") from None
        raise


def _write(stack, text, origin):
    bucket = stack.outputs()["RawBucketName"]
    stack.client("s3").put_object(
        Bucket=bucket, Key=KEY, Body=text, ContentType="application/toml", Metadata={"by": stack.caller(), "from": _ascii(origin)}
    )
    print(f"Wrote {origin} to s3://{bucket}/{KEY}. The function applies it within a minute.")
    print("If it is not valid, the previous rules stay in force, and a notice lists the errors.")


def _ascii(text):
    """The text in ASCII, as S3 requires for metadata."""
    return str(text).encode("ascii", "replace").decode()


def test_alert(stack, program):
    """Pushes a reading that raises a harmless alert. Returns the exit code of the command."""
    outputs = stack.outputs()
    username, password = credentials.current(stack, outputs)
    environment = {**os.environ, "PUSH_USERNAME": username, "PUSH_PASSWORD": password}
    try:
        exit_code = subprocess.run([program, "test-alert", outputs["PushUrl"]], env=environment, check=False).returncode
    except OSError as error:
        raise CommandError(
            f"{program} cannot run on this computer: {error.strerror}.", "run make test-alert without PREBUILT, which needs Rust."
        ) from None
    attributes = stack.client("sns").get_topic_attributes(TopicArn=outputs["AlertTopicArn"])["Attributes"]
    print(f"topic: {attributes['SubscriptionsConfirmed']} confirmed, {attributes['SubscriptionsPending']} pending")
    return exit_code
