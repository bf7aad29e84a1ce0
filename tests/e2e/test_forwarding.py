"""The program of docs/operate.md between the webhook and ntfy, with a real server, behind a TLS proxy, with a stand-in for ntfy."""

import datetime
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
from deployed import ROOT
from local_aws import free_port, make_certificate
from receivers import OwnServer, Receiver, WEBHOOK_SECRET, eventually, without_token
from standardwebhooks import Webhook

PAGE = (ROOT / "docs/operate.md").read_text(encoding="utf-8")
(SECTION,) = re.findall(r"^For example, from the webhook to ntfy.*?(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
(PROGRAM,) = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)
(START,) = re.findall(r"```sh\n(.*?)```", SECTION, re.DOTALL)


class Proxy(Receiver):
    """A TLS proxy."""

    def __init__(self, certificate, target):
        self._target = target
        super().__init__(certificate)

    def receive(self, path, headers, body):
        super().receive(path, headers, body)
        return requests.post(f"{self._target}{path}", data=body, headers=dict(headers.items()), timeout=20).status_code, {}


@pytest.fixture
def ntfy():
    receiver = Receiver()
    yield receiver
    receiver.stop()


@pytest.fixture
def forwarder(ntfy, tmp_path):
    """The URL of the running program."""
    (tmp_path / "forward.py").write_text(PROGRAM)
    port = free_port()
    start = START
    for shown, value in {"whsec_…": WEBHOOK_SECRET, "https://ntfy.sh/TOPIC": ntfy.url, "8081": str(port)}.items():
        assert start.count(shown) == 1, f"the command has no {shown}"
        start = start.replace(shown, value)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with (tmp_path / "forward.log").open("wb") as log:
        process = subprocess.Popen(
            start, shell=True, cwd=tmp_path, env={**os.environ, "PATH": path}, stdout=log, stderr=log, start_new_session=True
        )
    eventually(lambda: "Running on" in (tmp_path / "forward.log").read_text())
    yield f"http://127.0.0.1:{port}"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def title(headers):
    return headers["Title"].encode("latin-1").decode()


def test_alert_is_forwarded_and_a_forged_one_is_refused(ntfy, forwarder, tmp_path):
    certificate = make_certificate(tmp_path)
    proxy = Proxy(certificate, forwarder)
    server = OwnServer(tmp_path, certificate, hook=proxy, more='[[zone]]\nid = "w1"\nname = "Level 3 男厕"\n')
    try:
        server.start().spill()
        [(path, headers, body)] = eventually(lambda: ntfy.posts)
        assert (path, title(headers)) == ("/smartclean", "[HIGH] Wet floor: Level 3 男厕")
        text = body.decode()
        [record] = server.records()
        assert without_token(text) == without_token(record["message"]["default"]) and "Level 3 男厕: spill, wet area 20 %" in text
        time.sleep(1)
        assert (len(proxy.posts), len(ntfy.posts)) == (1, 1)
    finally:
        server.stop()
        proxy.stop()

    def post(body, headers):
        headers = {"Content-Type": "application/json", **headers}
        return requests.post(f"{forwarder}/smartclean", data=body.encode(), headers=headers, timeout=20).status_code

    def call(body, secret=WEBHOOK_SECRET, signed=None, at=None):
        at = at or datetime.datetime.now(datetime.timezone.utc)
        signature = Webhook(secret).sign("1", at, signed or body)
        return post(body, {"webhook-id": "1", "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature})

    body = json.dumps(server.records()[0])
    other = "whsec_" + "b3RoZXIgc2VjcmV0IG9mIGEgd2ViaG9vaw=="
    old = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=6)
    assert call(body, secret=other) == call(body, signed=body + " ") == call(body, at=old) == 500
    assert post(body, {}) == 500
    assert len(ntfy.posts) == 1
    assert call(body) == 204 and len(ntfy.posts) == 2
