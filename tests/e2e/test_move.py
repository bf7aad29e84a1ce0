"""docs/on-premises.md: moving from a server of one's own to AWS and back. The tests run the commands of the page."""

import json
import shutil
import subprocess
import time
import uuid
from pathlib import Path

import pytest
import zstandard
from deployed import ROOT, run_ops
from receivers import CLIENT, OwnServer, command
from test_on_premises import DATA, commands

pytestmark = pytest.mark.skipif(not shutil.which("aws"), reason="needs the AWS CLI")

RULES = '[[rule]]\nid = "high-usage"\nat_least = 40\n'


def reading(device_type, zone, **values):
    """A reading of now."""
    return {"DevType": f"SMARTCLEAN#{device_type}", "DEVID": f"{device_type}-{zone}", "InsID": zone, "PID": "tower",
            "Region": "Asia/Singapore", "unixT": time.time_ns() // 1_000_000, "v": values}  # fmt: skip


@pytest.fixture
def zones():
    """A zone with 20 of 40 people, and one with a spill."""
    return [f"zone-{uuid.uuid4()}" for _ in range(2)]


@pytest.fixture
def server(aws, tmp_path):
    server = OwnServer(tmp_path, (aws.certificate,), more=RULES).start()
    yield server
    server.stop()


def run_page(stack, server, block):
    """Runs commands of the page, for the stack and the folder of the server."""
    places = {
        f"{DATA}/credentials.json": server.credentials, DATA: server.data, "/etc/smartclean-push/rules.toml": server.rules,
        "BUCKET": stack.bucket, "SECRET": stack.outputs["CredentialsSecretArn"],
        "chown -R smartclean-push:": "true", "systemctl start smartclean-push": "true",
    }  # fmt: skip
    for old, new in places.items():
        block = block.replace(old, str(new))
    environment = {**stack.aws.environment, "PATH": f"{Path(command()).parent}:{stack.aws.environment['PATH']}"}
    done = subprocess.run(["bash", "-euc", block], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, f"{block}\n{done.stdout}"


RESPONSE = b'{"received":"2026-11-24T02:43:00Z","zone":"gents","source":"reported","done":"2026-11-24T02:42:00Z"}\n'


def test_move_to_aws_keeps_readings_state_rules_and_credentials(stack, server, zones):
    counted, spilt = zones
    assert server.push(reading("UM", counted, count=20), "not a reading")["rejected"] == 1
    assert server.push(reading("WD", spilt, value=1, AreaP=9))["alerts"] == 1
    # As the sweep writes them.
    for folder, line in {"alerts": (ROOT / "tests/data/alert.json").read_bytes(), "responses": RESPONSE}.items():
        archived = server.data / folder / "dt=2026-11-24/x.ndjson.zst"
        archived.parent.mkdir(parents=True)
        archived.write_bytes(zstandard.compress(line))
    (copy,) = commands("Move to AWS")
    with stack.secret({"username": "replaced", "password": "replaced"}), stack.rules(server.rules.read_text()):
        run_page(stack, server, copy)
        stack.force_cold_start()
        # A zone with something to archive is not replaced.
        stack.archive()
        rebuilt = run_ops(stack.aws, stack.operator.config, "rebuild-state", "--program", command(), "--replace", stdin="y\n")
        assert rebuilt.returncode == 0, rebuilt.stdout
        stored = [path.relative_to(server.data).as_posix() for path in server.data.rglob("*.zst")]
        assert {name.split("/")[0] for name in stored} == {"raw", "rejected", "alerts", "responses"} and set(stored) <= set(stack.keys())

        # The people count goes on, and the spill still fires.
        assert stack.push(reading("UM", counted, count=19), credentials=CLIENT).json()["alerts"] == 0
        assert stack.push(reading("UM", counted, count=1), credentials=CLIENT).json()["alerts"] == 1
        assert stack.push(reading("WD", spilt, value=1, AreaP=9), credentials=CLIENT).json()["alerts"] == 0
        # The notifications about the copied objects come late.
        with stack.alert_queue() as receive:
            for key in stored:
                stack.deliver_notification(key)
            assert receive() == []


def test_move_back_from_aws_keeps_readings_state_rules_and_credentials(stack, server, zones):
    counted, spilt = zones
    server.stop()
    server.rules.write_text("")
    username, password = stack.credentials
    with stack.secret({"username": username, "password": password}), stack.rules(RULES):
        assert stack.push(reading("UM", counted, count=20), "not a reading").json()["rejected"] == 1
        assert stack.push(reading("WD", spilt, value=1, AreaP=9)).json()["alerts"] == 1
        for block in commands("Move back from AWS"):
            run_page(stack, server, block)
        keys = {key for key in stack.keys() if not key.startswith(("config/", "lake/", "athena-results/"))}
    assert keys and all((server.data / key).is_file() for key in keys)
    saved = json.loads(server.credentials.read_text())
    assert (saved["username"], saved["password"]) == stack.credentials

    server.start()
    push = lambda *readings: server.push(*readings, auth=stack.credentials)["alerts"]
    assert push(reading("UM", counted, count=19)) == 0
    assert push(reading("UM", counted, count=1)) == 1
    assert push(reading("WD", spilt, value=1, AreaP=9)) == 0
