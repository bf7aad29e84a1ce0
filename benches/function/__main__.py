"""What a push costs the function, beside the same job in Python and Node: `make bench`.

Each column runs behind the same stand-ins for Lambda and AWS, in one run, one process after the other; what is measured is
the time from handing an event over to its answer, and the processor time that the process used. Ratios say more than
milliseconds: machines drift, the columns drift together.
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
# Readings, zones, pushes, and how many of them go by before it counts.
SCENARIOS = {"push of 1": (1, 1, 600, 100), "push of 100 over 50 zones": (100, 50, 80, 20),
             "push of 5,000 over 200 zones": (5_000, 200, 20, 5)}
CALLS = {"PutObject": "PUT", "BatchGetItem": "reads", "PutItem": "writes", "PublishBatch": "publishes"}


@contextlib.contextmanager
def stand_in(certificate=()):
    """AWS, and what a function has to know to take it for that."""
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
    """A certificate for 127.0.0.1, its key, and the authority that it is from."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    now = datetime.datetime.now(datetime.timezone.utc)
    made = []
    for name, is_authority in (("authority", True), ("localhost", False)):
        key, subject = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        issuer_key, issuer = made[0][:2] if made else (key, subject)
        names = x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        signed = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
                  .serial_number(len(made) + 1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
                  .add_extension(names, False).add_extension(x509.BasicConstraints(is_authority, None), True)
                  .sign(issuer_key, hashes.SHA256()))
        made.append((key, subject, signed.public_bytes(serialization.Encoding.PEM)))
    key = made[1][0].private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    paths = [Path(folder) / name for name in ("certificate.pem", "key.pem", "authority.pem")]
    for path, text in zip(paths, (made[1][2], key, made[0][2])):
        path.write_bytes(text)
    return tuple(map(str, paths))


def column(command, certificate=(), quick=False):
    """Everything that is measured of one command, by the name of its row."""
    told = {}
    with stand_in(certificate) as (_, environment):
        event = pushes.events(1, 1, 1)[0]
        init, first, both = host.cold(command, environment, event, 3 if quick else 20)
        told |= {"init, ms": init, "first push of 1, ms": first, "init and first push, ms": both}
    for name, (readings, zones, number, before) in SCENARIOS.items():
        number, before = (number // 4, before // 4 + 1) if quick else (number, before)
        with stand_in(certificate) as (_, environment):
            measured = host.warm(command, environment, pushes.events(number, readings, zones), before)
        times = sorted(measured.events)
        told |= {f"warm {name}, ms": statistics.median(times), f"warm {name}, ms of processor": measured.cpu}
        if readings == 1:
            told["warm push of 1, 99 % within, ms"] = times[int(len(times) * 0.99)]
    return told | {"peak memory, MiB": measured.peak}


def calls(command):
    """How often the function calls AWS for a push, in the long run, by the number of readings."""
    rows = {}
    for readings in (1, 10, 100, 1_000, 5_000):
        with stand_in() as (address, environment), host.Run(command, environment) as run:
            events = pushes.events(12, readings, min(readings, 200))
            for event in events[:2]:
                run.push(event)
            urllib.request.urlopen(f"{address}/forget").close()
            for event in events[2:]:
                run.push(event)
            counted = json.load(urllib.request.urlopen(f"{address}/calls"))
        rows[readings] = {name: counted.pop(call, 0) / 10 for call, name in CALLS.items()} | {"others": sum(counted.values()) / 10}
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
    lines += [f"| {readings:,} | {min(readings, 200)} | " + " | ".join(f"{row[name]:g}" for name in names) + " |"
              for readings, row in rows.items()]
    return "\n".join(lines) + "\n"


def main():
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("function", type=Path, help="the function's binary")
    asked.add_argument("--beside", action="append", default=[], metavar="NAME=BINARY",
                       help="another binary of the function, in place of the peers")
    asked.add_argument("--tls", action="store_true", help="behind TLS, as AWS is")
    asked.add_argument("--calls", action="store_true", help="count calls of AWS instead")
    asked.add_argument("--quick", action="store_true", help="fewer pushes")
    asked.add_argument("--into", type=Path, help="put the table between the marks of this page as well")
    asked = asked.parse_args()
    ours = [str(asked.function.resolve())]
    if asked.calls:
        return print(table_of_calls(calls(ours)), end="")
    commands = {"ours": ours} | {name: [path] for name, path in (beside.split("=", 1) for beside in asked.beside)}
    if not asked.beside:
        commands["Python"] = [sys.executable, str(ROOT / "benches/peers/push.py")]
        if shutil.which("node") and (ROOT / "benches/peers/node_modules").exists():
            commands["Node"] = ["node", str(ROOT / "benches/peers/push.mjs")]
    with tempfile.TemporaryDirectory() as folder:
        tls = certificate(folder) if asked.tls else ()
        columns = {}
        for name, command in commands.items():
            print(f"measuring {name} ...", file=sys.stderr, flush=True)
            columns[name] = column(command, tls, asked.quick)
    printed = table(columns)
    print(printed, end="")
    if asked.into:
        before, _, rest = asked.into.read_text(encoding="utf-8").partition(MARKED[0])
        _, _, after = rest.partition(MARKED[1])
        asked.into.write_text(before + MARKED[0] + printed + MARKED[1] + after, encoding="utf-8")
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
