"""Compares the cost of a push in the function with the same job in Python and Node: `make bench`.

Python runs in two modes: with the state of the zones, which is the same job, and without it, like Node.

All programs run with the same local replacements for Lambda and AWS, in one run, one process after the other. The measurements are the
time from the delivery of an event to the response, and the CPU time of the process. Ratios are more reliable than milliseconds, because
the speed of a computer varies over time and affects all columns.
"""

import argparse
import contextlib
import datetime
import ipaddress
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import host
import pushes

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
MARKED = "<!-- make bench -->\n", "<!-- /make bench -->\n"
# Readings, zones, pushes, and the number of pushes before the measurement.
SCENARIOS = {"push of 1": (1, 1, 600, 100), "push of 100 over 50 zones": (100, 50, 80, 20),
             "push of 5,000 over 200 zones": (5_000, 200, 20, 5)}
# Readings and zones of the pushes whose calls are counted.
SIZES = (1, 1), (10, 10), (100, 50), (1_000, 200), (5_000, 200)
CALLS = {"PutObject": "PUT", "BatchGetItem": "reads", "PutItem": "writes", "BatchExecuteStatement": "batches of writes",
         "PublishBatch": "publishes"}


@contextlib.contextmanager
def stand_in(certificate=()):
    """Runs the local AWS. Yields its URL and the environment for a function that uses it."""
    command = [sys.executable, HERE / "aws.py", "0", *certificate[:2]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as aws:
        try:
            address = f"{'https' if certificate else 'http'}://127.0.0.1:{aws.stdout.readline().strip()}"
            yield address, {
                "AWS_ENDPOINT_URL": address, "RAW_BUCKET": "raw", "STATE_TABLE": "state", "AUTH_METHODS": "basic",
                "ALERT_TOPIC_ARN": "arn:aws:sns:ap-southeast-1:123456789012:alerts",
                "CREDENTIALS_SECRET_ARN": "arn:aws:secretsmanager:ap-southeast-1:123456789012:secret:push",
                "RETRY_QUEUE_URL": f"{address}/123456789012/queue",
                **({"SSL_CERT_FILE": certificate[2], "AWS_CA_BUNDLE": certificate[2],
                    "NODE_EXTRA_CA_CERTS": certificate[2]} if certificate else {})}
        finally:
            aws.kill()


def certificate(folder):
    """Creates a certificate for 127.0.0.1. Returns the paths of the certificate, its key and its authority."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    now = datetime.datetime.now(datetime.timezone.utc)
    created = []
    for name, is_authority in (("authority", True), ("localhost", False)):
        key, subject = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        issuer_key, issuer = created[0][:2] if created else (key, subject)
        names = x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        signed = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
                  .serial_number(len(created) + 1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
                  .add_extension(names, False).add_extension(x509.BasicConstraints(is_authority, None), True)
                  .sign(issuer_key, hashes.SHA256()))
        created.append((key, subject, signed.public_bytes(serialization.Encoding.PEM)))
    key = created[1][0].private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    paths = [Path(folder) / name for name in ("certificate.pem", "key.pem", "authority.pem")]
    for path, text in zip(paths, (created[1][2], key, created[0][2])):
        path.write_bytes(text)
    return tuple(map(str, paths))


def column(command, certificate=(), quick=False):
    """Measures one command. Returns the values by the names of the rows."""
    values = {}
    with stand_in(certificate) as (_, environment):
        event = pushes.events(1, 1, 1)[0]
        init, first, both = host.cold(command, environment, event, 3 if quick else 20)
        values |= {"init, ms": init, "first push of 1, ms": first, "init and first push, ms": both}
    for name, (readings, zones, number, before) in SCENARIOS.items():
        number, before = (number // 4, before // 4 + 1) if quick else (number, before)
        with stand_in(certificate) as (_, environment):
            measured = host.warm(command, environment, pushes.events(number, readings, zones), before)
        times = sorted(measured.events)
        values |= {f"warm {name}, ms": statistics.median(times), f"warm {name}, CPU ms": measured.cpu}
        if readings == 1:
            values["warm push of 1, 99th percentile, ms"] = times[int(len(times) * 0.99)]
    return values | {"peak memory, MiB": measured.peak}


def calls(command):
    """Returns the average number of calls of AWS per push, by the numbers of readings and zones."""
    rows = {}
    for readings, zones in SIZES:
        with stand_in() as (address, environment), host.Run(command, environment) as run:
            events = pushes.events(12, readings, zones)
            for event in events[:2]:
                run.push(event)
            urllib.request.urlopen(f"{address}/reset").close()
            for event in events[2:]:
                run.push(event)
            counted = json.load(urllib.request.urlopen(f"{address}/calls"))
        rows[readings, zones] = {name: counted.pop(call, 0) / 10 for call, name in CALLS.items()} | {"others": sum(counted.values()) / 10}
    return rows


def table(columns):
    ours, *peers = columns
    lines = ["| | " + " | ".join([ours, *peers, *(f"{peer} ÷ ours" for peer in peers)]) + " |",
             "|---" * (len(columns) + len(peers) + 1) + "|"]
    for row in columns[ours]:
        figures = [columns[name][row] for name in columns]
        ratios = [f"{figure / figures[0]:.1f}" if figures[0] else "–" for figure in figures[1:]]
        lines.append(f"| {row} | " + " | ".join([f"{figure:.{1 if figure >= 10 else 2}f}" for figure in figures] + ratios) + " |")
    return "\n".join(lines) + "\n"


def table_of_calls(rows):
    names = list(next(iter(rows.values())))
    lines = ["| readings | zones | " + " | ".join(names) + " |", "|---" * (len(names) + 2) + "|"]
    lines += [f"| {readings:,} | {zones} | " + " | ".join(f"{row[name]:g}" for name in names) + " |"
              for (readings, zones), row in rows.items()]
    return "\n".join(lines) + "\n"


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("function", type=Path, help="the binary of the function")
    arguments.add_argument("--beside", action="append", default=[], metavar="NAME=BINARY",
                           help="compare with another binary of the function instead of Python and Node")
    arguments.add_argument("--tls", action="store_true", help="use TLS, like AWS")
    arguments.add_argument("--calls", action="store_true", help="count the calls of AWS only")
    arguments.add_argument("--quick", action="store_true", help="fewer pushes")
    arguments.add_argument("--into", type=Path, help="also write the table between the markers in this page")
    arguments = arguments.parse_args()
    ours = [str(arguments.function.resolve())]
    if arguments.calls:
        return print(table_of_calls(calls(ours)), end="")
    commands = {"ours": ours} | {name: [path] for name, path in (beside.split("=", 1) for beside in arguments.beside)}
    if not arguments.beside:
        python = [sys.executable, str(ROOT / "benches/peers/push.py")]
        commands |= {"Python + state": [*python, "--state"], "Python": python}
        if shutil.which("node") and (ROOT / "benches/peers/node_modules").exists():
            commands["Node"] = ["node", str(ROOT / "benches/peers/push.mjs")]
    with tempfile.TemporaryDirectory() as folder:
        tls = certificate(folder) if arguments.tls else ()
        columns = {}
        for name, command in commands.items():
            print(f"measuring {name} ...", file=sys.stderr, flush=True)
            columns[name] = column(command, tls, arguments.quick)
    printed = f"{table(columns)}\n{table_of_calls(calls(ours))}"
    print(printed, end="")
    if arguments.into:
        before, _, rest = arguments.into.read_text(encoding="utf-8").partition(MARKED[0])
        _, _, after = rest.partition(MARKED[1])
        arguments.into.write_text(before + MARKED[0] + printed + MARKED[1] + after, encoding="utf-8")
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
