"""An SMTP server and a webhook receiver that keep what arrives and fail on demand, and an own server that sends to them."""

import asyncio
import email
import email.policy
import json
import os
import re
import ssl
import subprocess
import threading
import time
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from local_aws import free_port
from standardwebhooks import Webhook

ROOT = Path(__file__).parents[2]
CLIENT = ("smartclean", "s3cret-Pa55")
SMTP_LOGIN = ("alerts", "smtp-Pa55")
WEBHOOK_SECRET = "whsec_" + "c2VjcmV0IG9mIHRoZSB3ZWJob29rIG9mIHRlc3Rz"


def tls(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


def eventually(condition, seconds=30):
    """The value of the condition as soon as it is true."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.1)
    return value


def without_token(content):
    """A text or a record without the tokens of links: each message has its own, also when it is sent again."""
    return re.sub(r"/board/a/[\w-]{22}", "/board/a/TOKEN", content if isinstance(content, str) else json.dumps(content))


class Mailboxes:
    """An SMTP server with TLS and a login. `plain` is without TLS."""

    def __init__(self, certificate, implicit_tls=False, plain=False):
        self.messages = []  # (time, recipient, message)
        self.attempts = []  # recipients, also those that it refuses
        self.refused, self.greylisted = set(), set()
        self.hangs = []  # durations of the next messages
        self.connections = self.logins = 0
        self._context, self._implicit_tls, self._plain, self.port = tls(certificate), implicit_tls, plain, free_port()
        self._controller = None

    def start(self):
        def authenticate(_server, _session, _envelope, _mechanism, login):
            known = tuple(text.encode() for text in SMTP_LOGIN)
            self.logins += 1
            is_known = isinstance(login, LoginPassword) and (login.login, login.password) == known
            return AuthResult(success=is_known, handled=False)

        starttls = {} if self._plain else {"tls_context": self._context, "require_starttls": True}
        kind = {"ssl_context": self._context} if self._implicit_tls else starttls
        self._controller = Controller(
            self, hostname="127.0.0.1", port=self.port, authenticator=authenticate, auth_required=True,
            auth_require_tls="tls_context" in kind, **kind,
        )
        self._controller.start()
        return self

    def stop(self):
        if self._controller:
            self._controller.stop()

    @property
    def url(self):
        return f"{'smtps' if self._implicit_tls else 'smtp'}://127.0.0.1:{self.port}"

    async def handle_MAIL(self, _server, session, envelope, address, _options):
        if not hasattr(session, "is_counted"):
            session.is_counted = True
            self.connections += 1
        envelope.mail_from = address
        return "250 2.1.0 Ok"

    async def handle_RCPT(self, _server, _session, envelope, address, _options):
        self.attempts.append(address)
        if address in self.refused:
            return "550 5.1.1 no such user"
        if address in self.greylisted:
            self.greylisted.remove(address)
            return "451 4.7.1 try again later"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, _server, _session, envelope):
        if self.hangs:
            await asyncio.sleep(self.hangs.pop(0))
            return "250 2.0.0 too late"
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.messages.extend((time.monotonic(), recipient, message) for recipient in envelope.rcpt_tos)
        return "250 2.0.0 Ok"

    def subjects(self, recipient=None):
        return [message["Subject"] for _, to, message in self.messages if recipient in (None, to)]


class Receiver:
    """An HTTP server that keeps what is posted to it. It has TLS if it has a certificate."""

    def __init__(self, certificate=None):
        self.posts = []  # (path, headers, body)
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, headers = receiver.receive(self.path, self.headers, body)
                self.send_response(status)
                for name, value in {"Content-Length": "0", **headers}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if certificate:
            self._server.socket = tls(certificate).wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self._server.server_port}/smartclean"

    def receive(self, path, headers, body):
        """Takes a request. Returns the status and the headers of the response."""
        self.posts.append((path, headers, body))
        return 200, {}

    def stop(self):
        self._server.shutdown()
        self._server.server_close()


class Hook(Receiver):
    """A webhook receiver with TLS. It verifies each call with the published library."""

    def __init__(self, certificate):
        self.calls = []  # (time, id, body), also those that it does not accept
        self.paths = []
        self.responses = []  # (status, headers, delay) of the next calls
        super().__init__(certificate)

    def receive(self, path, headers, body):
        record = Webhook(WEBHOOK_SECRET).verify(body, dict(headers.items()))
        self.paths.append(path)
        self.calls.append((time.monotonic(), headers["webhook-id"], record))
        status, headers, delay = self.responses.pop(0) if self.responses else (204, {}, 0)
        time.sleep(delay)
        return status, headers

    def subjects(self):
        return [record["subject"] for _, _, record in self.calls]


@cache
def command():
    """The path of the command, built if necessary: with the options of .make/functions, so that nothing is compiled twice."""
    build = ["cargo", "build", "--locked", "--workspace", "--all-features", "--bins", "--message-format", "json"]
    lines = subprocess.run(build, cwd=ROOT, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    built = [json.loads(line).get("executable") for line in lines.splitlines()]
    return next(path for path in built if path and path.endswith("/smartclean-push"))


class OwnServer:
    """`serve` with a data folder of its own."""

    def __init__(self, folder, certificate, mailboxes=None, hook=None, to=("ops@example.com",), more=""):
        self.folder, self._certificate = folder, certificate
        self._mailboxes, self._hook, self._more = mailboxes, hook, more
        self.rules, self.data = folder / "rules.toml", folder / "data"
        self.credentials = folder / "credentials.json"
        self.write_rules(to)
        secrets = {"smtp": SMTP_LOGIN[1], "hook": WEBHOOK_SECRET}
        self.credentials.write_text(
            json.dumps({"username": CLIENT[0], "password": CLIENT[1], "secrets": secrets})
        )
        self.credentials.chmod(0o600)
        self._process = None

    def write_rules(self, to):
        text = self._more
        if self._mailboxes:
            text += f"""
[email]
smtp = "{self._mailboxes.url}"
from = "SmartClean <alerts@example.com>"
username = "{SMTP_LOGIN[0]}"
password = "smtp"
to = {json.dumps(list(to))}
"""
        if self._hook:
            text += f'\n[webhook]\nurl = "{self._hook.url}"\nsecret = "hook"\n'
        self.rules.write_text(text)

    def start(self):
        log = (self.folder / "log").open("w")
        arguments = ["serve", "--listen", "127.0.0.1:0", "--data", self.data, "--rules", self.rules]
        self._process = subprocess.Popen(
            [command(), *arguments, "--credentials", self.credentials], stdout=subprocess.PIPE, stderr=log, text=True,
            env={**os.environ, "SSL_CERT_FILE": str(self._certificate[0])},
        )
        lines = []
        for line in self._process.stdout:
            lines.append(line)
            if line.startswith("Stop with"):
                break
        self.welcome = "".join(lines)
        found = re.search(r"http://[^ /]+", self.welcome)
        assert found, f"serve does not start: {self.welcome}{self.log()}"
        self.url = found[0]
        threading.Thread(target=self._process.stdout.read, daemon=True).start()
        return self

    def stop(self):
        if self._process:
            self._process.terminate()
            self._process.wait(timeout=30)

    def log(self):
        return (self.folder / "log").read_text()

    def push(self, *readings, auth=CLIENT):
        response = requests.post(f"{self.url}/push", auth=auth, json=[json.dumps(reading) for reading in readings], timeout=20)
        assert response.status_code == 200, response.text
        return response.json()

    def spill(self, device="w1"):
        """Raises an alert in a zone of its own."""
        at = int(time.time() * 1000)
        reading = {"DevType": "SMARTCLEAN#WD", "DEVID": device, "InsID": device, "PID": "p1", "unixT": at,
                   "v": {"value": 1, "AreaP": 20}}
        assert self.push(reading)["alerts"] == 1

    def records(self):
        """The lines of alerts.ndjson."""
        return [json.loads(line) for line in (self.data / "alerts.ndjson").read_text().splitlines()]

    def run(self, *arguments):
        environment = {**os.environ, "PUSH_USERNAME": CLIENT[0], "PUSH_PASSWORD": CLIENT[1]}
        return subprocess.run([command(), *arguments], capture_output=True, text=True, env=environment, timeout=120)
