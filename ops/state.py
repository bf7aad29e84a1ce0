"""The state of a deployed stack: to rebuild it from the stored readings."""

import os
import subprocess
import tempfile

from ops import Stop, rules


def rebuild(stack, program, since=None, replace=False):
    """Replays the stored readings into the state table, once the operator agrees. Returns the exit code of the command."""
    bucket, table = stack.outputs()["RawBucketName"], stack.resource("StateTable")
    print(f"This reads the readings of s3://{bucket}{f' since {since}' if since else ''}, and writes what is remembered of each")
    print(f"zone into {table}. Nobody is sent anything. Pushes can go on meanwhile.")
    if replace:
        print("A zone that is in the table is replaced, unless a push or a message of it is under way. A cleaning that was reported")
        print("to POST /zones/{zone}/cleaned is not among the readings: replaced zones lose it.")
    else:
        print("A zone that is in the table already stays as it is; REPLACE=yes replaces it.")
    try:
        is_wanted = input("Rebuild it now? [y/N]: ").strip().lower() in ("y", "yes")
    except EOFError:
        is_wanted = False
    if not is_wanted:
        raise Stop("Nothing was changed.", "run this in a terminal, and answer y.")
    with tempfile.NamedTemporaryFile(suffix=".toml") as file:
        file.write(rules.in_force(stack) or b"")
        file.flush()
        command = [program, "replay", "raw", "--from", f"s3://{bucket}", "--state", f"dynamodb://{table}", "--rules", file.name]
        command += ["--since", since] if since else []
        command += ["--replace"] if replace else []
        return subprocess.run(command, env={**os.environ, "AWS_REGION": stack.region}, check=False).returncode
