"""The state of a deployed stack: rebuild it from stored readings, list the zones that sent them, and invite phones."""

import os
import subprocess
import tempfile

from ops import CommandError, is_confirmed, rules

INVITATION_OPTIONS = ("team", "role", "days", "revoke")


def rebuild(stack, program, since=None, replace=False):
    """Replays the stored readings into the state table after the operator confirms. Returns the exit code of the command."""
    bucket, table = stack.outputs()["RawBucketName"], stack.resource("StateTable")
    print(f"This replays the readings in s3://{bucket}{f' since {since}' if since else ''} and writes the state of each")
    print(f"zone to the table {table}. It sends no messages. The stack keeps accepting pushes.")
    if replace:
        print("Zones that are in the table are overwritten, unless a push is changing them, or a message or an alert of them waits")
        print("to be sent or archived.")
    else:
        print("Zones that are in the table do not change. REPLACE=yes overwrites them.")
    if not is_confirmed("Rebuild it now?"):
        raise CommandError("Nothing was changed.", "run this in a terminal and answer y.")
    with tempfile.NamedTemporaryFile(suffix=".toml") as file:
        file.write(rules.in_force(stack) or b"")
        file.flush()
        command = [program, "replay", "raw", "--from", f"s3://{bucket}", "--state", f"dynamodb://{table}", "--rules", file.name]
        command += ["--since", since] if since else []
        command += ["--replace"] if replace else []
        return subprocess.run(command, env={**os.environ, "AWS_REGION": stack.region}, check=False).returncode


def zones(stack, program, since=None, toml=False):
    """Lists what has sent readings, or writes tables for a rules file. Returns the exit code of the command."""
    command = [program, "zones", "--from", f"s3://{stack.outputs()['RawBucketName']}"]
    command += ["--since", since] if since else []
    command += ["--toml"] if toml else []
    return subprocess.run(command, env={**os.environ, "AWS_REGION": stack.region}, check=False).returncode


def invite(stack, arguments, public_url):
    """Invites the phones of a team, lists invitations or revokes one. Returns the exit code of the command."""
    given = {name: value for name in INVITATION_OPTIONS if (value := getattr(arguments, name)) is not None}
    if arguments.team is not None:
        given["url"] = public_url or stack.outputs()["PushUrl"].removesuffix("/push")
    options = [f"--{name}={value}" for name, value in given.items()] + (["--list"] if arguments.list else [])
    command = [arguments.program, "invite", "--state", f"dynamodb://{stack.resource('StateTable')}", *options]
    return subprocess.run(command, env={**os.environ, "AWS_REGION": stack.region}, check=False).returncode
