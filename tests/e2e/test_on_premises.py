"""docs/on-premises.md: the .deb on a machine with systemd. The tests run the commands of the page."""

import contextlib
import json
import re
import shutil
import subprocess
import threading
import time

import machine
import pytest
import requests
import tomlkit
from deployed import ROOT
from local_aws import make_certificate
from receivers import SMTP_LOGIN, Mailboxes, eventually

PAGE = (ROOT / "docs/on-premises.md").read_text(encoding="utf-8")
VERSION = tomlkit.parse((ROOT / "Cargo.toml").read_text(encoding="utf-8"))["workspace"]["package"]["version"]
NEW = f"{VERSION}+1"
DATA = "/var/lib/smartclean-push"
URL = "http://127.0.0.1:8080"

pytestmark = pytest.mark.skipif(bool(machine.unavailable()), reason=str(machine.unavailable()))


def commands(heading):
    """The blocks of commands below a heading of the page."""
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return [block.replace("VERSION", VERSION).replace("NEW", NEW) for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL)]


class Server(machine.Machine):
    """A machine with the package, installed as the page says."""

    def __init__(self, package, folder):
        super().__init__()
        (deb,) = package.glob("*.deb")
        self._packages = [deb, newer(deb, folder)]

    def __enter__(self):
        super().__enter__()
        for path in self._packages:
            shutil.copy(path, self.root / "root")
        self.installed = self.attempt(commands("Install")[0])
        self.wait_for(f"curl -fsS {URL}/health")
        login = json.loads(self.run(f"cat {DATA}/credentials.json"))
        self.environment |= {"PUSH_USERNAME": login["username"], "PUSH_PASSWORD": login["password"]}
        return self

    @property
    def login(self):
        return self.environment["PUSH_USERNAME"], self.environment["PUSH_PASSWORD"]

    def push(self, device_type, zone, **values):
        """Pushes a reading. Returns the number of alerts."""
        with self.network():
            response = requests.post(f"{URL}/push", json=[reading(device_type, zone, **values)], auth=self.login, timeout=20)
        response.raise_for_status()
        return response.json()["alerts"]

    def alerts(self, file="alerts.ndjson"):
        return [json.loads(line) for line in self.run(f"cat {DATA}/{file}").splitlines()]

    @contextlib.contextmanager
    def load(self, seed, ledger):
        """Pushes known readings, and repeats a push that gets no answer, until the end of the block."""
        simulate = f"smartclean-push simulate --url {URL}/push --devices 20 --days 365 --seed {seed} --ledger {ledger}"
        load = self.start(f"echo $$ >load.pid; exec {simulate}")
        self.wait_for(f"test -s {ledger}")
        yield
        self.run("kill $(cat load.pid)")
        output, _ = load.communicate(timeout=60)
        assert load.returncode == 130, output

    @contextlib.contextmanager
    def count_people(self):
        """One person after another enters four zones, each is a push that is not repeated, until the end of the block."""
        counts, failures, ended = dict.fromkeys(("kept-1", "kept-2", "new-1", "new-2"), 0), [], threading.Event()

        def count(zone):
            with requests.Session() as session:
                # Two clients use a connection for many pushes, two open one for each.
                session.headers["Connection"] = "keep-alive" if zone.startswith("kept") else "close"
                while not ended.wait(0.01):
                    try:
                        response = session.post(f"{URL}/push", json=[reading("UM", zone, count=1)], auth=self.login, timeout=30)
                        response.raise_for_status()
                        assert {"accepted": 1, "duplicates": 0}.items() <= response.json().items()
                        counts[zone] += 1
                    except (requests.RequestException, AssertionError) as failure:
                        failures.append(f"{zone}, push {counts[zone] + 1}: {failure!r}")

        with self.network():
            clients = [threading.Thread(target=count, args=[zone]) for zone in counts]
            for client in clients:
                client.start()
        try:
            eventually(lambda: all(counts.values()) or failures)
            yield counts, failures
        finally:
            ended.set()
            for client in clients:
                client.join()

    def restart(self, options=""):
        """Restarts the service with these options."""
        self.run(f"""sed -i "s/^OPTIONS=.*/OPTIONS=\\"{options}\\"/" /etc/smartclean-push/environment""")
        # systemd limits the number of starts in a short time, which tests exceed.
        self.run("systemctl reset-failed smartclean-push; systemctl restart smartclean-push")

    def stored_pushes(self):
        return int(self.run(f"find {DATA}/raw -name '*.zst' | wc -l"))

    def main_process(self):
        return self.run("systemctl show --value --property MainPID smartclean-push").strip()


def reading(device_type, zone, **values):
    """A reading of now as JSON text."""
    return json.dumps({
        "DevType": f"SMARTCLEAN#{device_type}", "DEVID": f"{device_type}-{zone}", "Display": zone, "InsID": zone,
        "PID": "tower", "Region": "Asia/Singapore", "unixT": time.time_ns() // 1_000_000, "v": values,
    })  # fmt: skip


def newer(deb, folder):
    """A copy of a package with a newer version."""
    tree, path = folder / "newer", folder / f"smartclean-push_{NEW}_amd64.deb"
    subprocess.run(["dpkg-deb", "--raw-extract", deb, tree], check=True)
    control = (tree / "DEBIAN/control").read_text()
    (tree / "DEBIAN/control").write_text(control.replace(f"Version: {VERSION}\n", f"Version: {NEW}\n"))
    subprocess.run(["dpkg-deb", "-Zgzip", "-z1", "--root-owner-group", "--build", tree, path], check=True, stdout=subprocess.DEVNULL)
    return path


@pytest.fixture(scope="module")
def server(package, tmp_path_factory):
    with Server(package, tmp_path_factory.mktemp("newer")) as server:
        yield server


def test_installed_service_stores_pushes_and_writes_alerts(server):
    assert json.loads(server.run(f"curl -fsS {URL}/health")) == {"status": "ok", "version": VERSION}
    assert server.run("smartclean-push --version").strip() == f"smartclean-push {VERSION}"
    assert server.push("WD", "lobby", value=1, AreaP=9) == 1
    (alert,) = [alert for alert in server.alerts() if "lobby" in json.dumps(alert)]
    assert alert["subject"].startswith("[HIGH]")
    assert server.run("systemctl is-enabled smartclean-push").strip() == "enabled"
    assert server.run(f"stat -c %U /proc/{server.main_process()}").strip() == "smartclean-push"
    assert "started" in (log := server.run("journalctl -u smartclean-push")) and VERSION in log
    assert server.environment["PUSH_PASSWORD"] not in log
    for block in commands("Install")[1:]:
        server.run(block)
    assert server.run(f"find {DATA} ! -user smartclean-push") == ""


def test_alert_of_the_installed_service_arrives_by_email(server, tmp_path):
    certificate = make_certificate(tmp_path)
    shutil.copy(certificate[0], server.root / "etc/ssl/mail.pem")
    rules, credentials = (server.root / path for path in ("etc/smartclean-push/rules.toml", DATA[1:] + "/credentials.json"))
    original = rules.read_text()
    with server.network():
        mailboxes = Mailboxes(certificate).start()
    try:
        table = {"smtp": mailboxes.url, "from": "alerts@example.com", "username": SMTP_LOGIN[0], "password": "smtp", "to": ["ops@example.com"]}
        rules.write_text(original + tomlkit.dumps({"email": table}))
        credentials.write_text(json.dumps(json.loads(credentials.read_text()) | {"secrets": {"smtp": SMTP_LOGIN[1]}}))
        server.run("echo SSL_CERT_FILE=/etc/ssl/mail.pem >>/etc/smartclean-push/environment")
        server.restart()
        assert server.push("WD", "pantry", value=1, AreaP=9) == 1
        ((_, recipient, message),) = eventually(lambda: mailboxes.messages)
    finally:
        rules.write_text(original)
        mailboxes.stop()
    assert recipient == "ops@example.com" and "pantry" in message["Subject"]


def test_service_can_write_its_data_folder_and_nothing_else(server):
    inside = f"nsenter --target {server.main_process()} --mount"
    server.run(f"{inside} touch {DATA}/tmp/probe && rm {DATA}/tmp/probe")
    for folder in ("/etc", "/usr/bin", "/var/log"):
        assert "Read-only file system" in server.attempt(f"{inside} touch {folder}/probe").stdout
    assert server.run(f"{inside} ls /home") == ""
    # 1.1 of 10; without the limits of the unit 9.2.
    server.run("systemd-analyze security --threshold=15 smartclean-push")
    assert server.attempt("systemd-analyze security --threshold=5 smartclean-push").returncode == 1
    assert server.attempt("systemd-analyze verify smartclean-push.service").stdout.count("smartclean-push") == 0


def test_restored_server_has_the_readings_and_the_state_of_the_backup(server):
    assert (server.push("UM", "counted", count=20), server.push("WD", "firing", value=1, AreaP=9)) == (0, 1)
    server.run(f"smartclean-push simulate --url {URL}/push --devices 20 --days 0.02 --ledger before.ndjson")
    with server.load(seed=2, ledger="during.ndjson"):
        for block in commands("Back up"):
            server.run(block)

    # Lost with the disk, except for the backup.
    server.run(f"rm -rf {DATA}/raw {DATA}/metadata; echo damaged >{DATA}/state.db; echo >/etc/smartclean-push/rules.toml")
    for block in commands("Restore"):
        server.run(block)
    server.wait_for(f"curl -fsS {URL}/health")
    server.run(f"smartclean-push simulate --verify {DATA} --ledger before.ndjson")
    assert "Your rules" in server.run("cat /etc/smartclean-push/rules.toml")
    # The spill still fires, and 20 of 30 people are counted.
    assert (server.push("UM", "counted", count=10), server.push("WD", "firing", value=1, AreaP=9)) == (1, 0)


def test_upgrade_and_rollback_under_load_fail_no_push_and_keep_the_settings(server):
    limit = 50_000
    server.run(f"""printf '[[rule]]\nid = "high-usage"\nat_least = {limit}\n' >>/etc/smartclean-push/rules.toml; sleep 3""")
    stored = server.stored_pushes()
    with server.count_people() as (counts, failures):
        processes = [server.main_process()]
        for block, version in zip(commands("Upgrade and roll back"), (NEW, VERSION), strict=True):
            server.run(block)
            assert f"Version: {version}\n" in server.run("dpkg --status smartclean-push")
            processes.append(server.main_process())
            counted = sum(counts.values())
            eventually(lambda counted=counted: sum(counts.values()) > counted + 100 or failures)
    assert failures == []
    assert len(set(processes)) == 3 and "0" not in processes
    assert server.stored_pushes() == stored + sum(counts.values())
    # Each person counts once.
    for zone, count in counts.items():
        assert (server.push("UM", zone, count=limit - count - 1), server.push("UM", zone, count=1)) == (0, 1)
    assert f"at_least = {limit}" in server.run("cat /etc/smartclean-push/rules.toml")
    assert "cut off" not in server.run("journalctl -u smartclean-push")


def test_pushes_fail_in_a_restart_if_systemd_keeps_no_socket(server):
    """Otherwise, the test above proves nothing."""
    folder = "/run/systemd/system/smartclean-push.service.d"
    server.run(f"mkdir -p {folder}; printf '[Service]\nFileDescriptorStoreMax=0\n' >{folder}/test.conf; systemctl daemon-reload")
    server.restart()
    with server.count_people() as (_, failures):
        server.restart()
    assert any("Connection refused" in failure for failure in failures), failures
    server.run(f"rm {folder}/test.conf; systemctl daemon-reload")


def test_changed_address_applies_at_a_restart(server):
    for address, options in {"0.0.0.0:8080": "--listen 0.0.0.0:8080", "127.0.0.1:8081": "--listen :8081", URL[7:]: ""}.items():
        server.restart(options)
        server.run(f"curl -fsS http://{address}/health")
        assert server.run("systemctl show --value --property NFileDescriptorStore smartclean-push").strip() == "1"
    assert "Failed to connect" in server.attempt("curl -sS http://127.0.0.1:8081/health").stdout


def test_stopped_service_refuses_pushes_until_it_starts(server):
    server.run("systemctl stop smartclean-push")
    assert "Failed to connect" in server.attempt(f"curl -sS {URL}/health").stdout
    server.run(f"systemctl start smartclean-push; curl -fsS {URL}/health")


def test_readings_of_past_days_are_compacted_at_the_time_of_the_option(server):
    assert "default: 18:00" in server.run("smartclean-push serve --help")
    server.run(f"smartclean-push simulate --url {URL}/push --devices 1 --days 4 --ledger past.ndjson")
    server.restart("--compact $(date -u -d '+5 seconds' +%T)")
    assert "dt=" in server.wait_for(f"ls {DATA}/lake/readings/*/*")
    assert server.run(f"find {DATA} ! -user smartclean-push") == ""
    server.wait_for("journalctl -u smartclean-push | grep 'compaction finished'")


def test_alerts_begin_a_new_file(server):
    assert server.push("WD", "before", value=1, AreaP=9) == 1
    for block in commands("Compaction, logs and disk space"):
        server.run(block)
    server.wait_for(f"curl -fsS {URL}/health")
    assert server.push("WD", "after", value=1, AreaP=9) == 1
    zones = [json.dumps(server.alerts(file)) for file in (f"alerts-{server.run('date +%Y-%m-%d').strip()}.ndjson", "alerts.ndjson")]
    assert [("before" in zone, "after" in zone) for zone in zones] == [(True, False), (False, True)]


def test_removed_package_keeps_the_readings(server):
    server.run("apt-get purge smartclean-push")
    assert server.attempt("systemctl is-active smartclean-push").stdout.strip() in ("inactive", "unknown")
    assert server.run(f"ls {DATA}/raw") != ""
