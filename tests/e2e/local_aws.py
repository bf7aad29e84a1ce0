"""MiniStack, a local emulator of AWS: a separate, empty process with TLS and enforced IAM."""

import datetime
import ipaddress
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import boto3
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

REGION = "ap-southeast-1"

# The root of the account, which may do everything. The function gets credentials of its role from MiniStack.
ROOT_KEY = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}


def make_certificate(folder):
    """Creates a self-signed certificate for 127.0.0.1, valid for a day. Returns the paths of certificate and key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    key_path, certificate_path = folder / "key.pem", folder / "certificate.pem"
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return certificate_path, key_path


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(endpoint, **more):
    """The environment of this process with AWS at `endpoint`, without credentials of a real account."""
    inherited = {name: value for name, value in os.environ.items() if not name.upper().startswith("AWS_")}
    return {
        **inherited,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": ROOT_KEY["aws_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": ROOT_KEY["aws_secret_access_key"],
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "SAM_CLI_TELEMETRY": "0",
        # A proxy must not get loopback requests.
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        **more,
    }


class MiniStack:
    """A running MiniStack on a free port of the loopback interface. Use as a context manager."""

    def __init__(self, folder: Path):
        self.port = free_port()
        # TLS, because the policies of the template require it. An address, because with "localhost" the SDKs put the bucket into the
        # host name.
        self.endpoint = f"https://127.0.0.1:{self.port}"
        self.mqtt_port = free_port()
        self.certificate, self.key = make_certificate(folder)
        self.environment = environment(
            self.endpoint,
            GATEWAY_PORT=str(self.port),
            BIND_HOST="127.0.0.1",
            AUTH="true",
            MINISTACK_REGION=REGION,
            IOT_MTLS_PORT=str(self.mqtt_port),
            # An unused service that listens on a fixed port.
            SFTP_ENABLED="0",
            TMPDIR=str(folder),
            S3_DATA_DIR=str(folder / "s3"),
            STATE_DIR=str(folder / "state"),
            USE_SSL="1",
            MINISTACK_SSL_CERT=str(self.certificate),
            MINISTACK_SSL_KEY=str(self.key),
            # The certificate that the SAM CLI and the function trust. The function inherits this environment.
            AWS_CA_BUNDLE=str(self.certificate),
            REQUESTS_CA_BUNDLE=str(self.certificate),
            SSL_CERT_FILE=str(self.certificate),
            POSTBOX=str(folder / "postbox.ndjson"),
        )
        self._postbox = folder / "postbox.ndjson"
        self.log = folder / "ministack.log"
        self._process = None

    def client(self, service, **credentials):
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            verify=str(self.certificate),
            **(credentials or ROOT_KEY),
        )

    def postbox(self):
        """The emails and text messages sent so far: protocol, to, subject, message."""
        return [json.loads(line) for line in self._postbox.read_text().splitlines()] if self._postbox.exists() else []

    def __enter__(self):
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("ministack_bridged.py"))],
                cwd=self.log.parent,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait_until_healthy(seconds=60)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        # The process group contains the workers of the functions.
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _wait_until_healthy(self, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                if requests.get(f"{self.endpoint}/_ministack/health", timeout=2, verify=self.certificate).ok:
                    return
            except requests.RequestException:
                pass
            time.sleep(0.1)
        raise RuntimeError(f"MiniStack did not start; its log:\n{self.log.read_text(errors='replace')}")
