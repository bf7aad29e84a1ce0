"""docs/on-premises.md: the .deb on a machine with systemd. The tests run the commands of the page."""

import contextlib
import json
import re
import shutil
import subprocess
import time

import machine
import pytest
import tomlkit
from deployed import ROOT

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

    def push(self, device_type, zone, **values):
        """Pushes a reading. Returns the number of alerts."""
        reading = {"DevType": f"SMARTCLEAN#{device_type}", "DEVID": f"{device_type}-{zone}", "Display": zone, "InsID": zone,
                   "PID": "tower", "Region": "Asia/Singapore", "unixT": time.time_ns() // 1_000_000, "v": values}  # fmt: skip
        (self.root / "root/push.json").write_text(json.dumps([json.dumps(reading)]))
        response = self.run(f'curl -fsS -u "$PUSH_USERNAME:$PUSH_PASSWORD" -H "Content-Type: application/json" -d @push.json {URL}/push')
        return json.loads(response)["alerts"]

    def alerts(self, file="alerts.ndjson"):
        return [json.loads(line) for line in self.run(f"cat {DATA}/{file}").splitlines()]

    @contextlib.contextmanager
    def load(self, seed, ledger):
        """Pushes all the time, and repeats a push that gets no answer, until the end of the block."""
        simulate = f"smartclean-push simulate --url {URL}/push --devices 20 --days 365 --seed {seed} --ledger {ledger}"
        load = self.start(f"echo $$ >load.pid; exec {simulate}")
        self.wait_for(f"test -s {ledger}")
        yield
        self.run("kill $(cat load.pid)")
        output, _ = load.communicate(timeout=60)
        assert load.returncode == 130, output

    def main_process(self):
        return self.run("systemctl show --value --property MainPID smartclean-push").strip()


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


def test_upgrade_and_rollback_under_load_lose_no_push_and_no_setting(server):
    server.run("echo '# mine' >>/etc/smartclean-push/rules.toml")
    with server.load(seed=3, ledger="load.ndjson"):
        processes = [server.main_process()]
        for block, version in zip(commands("Upgrade and roll back"), (NEW, VERSION), strict=True):
            server.run(block)
            assert f"Version: {version}\n" in server.run("dpkg --status smartclean-push")
            processes.append(server.main_process())
            server.wait_for(f"curl -fsS {URL}/health")
    assert len(set(processes)) == 3 and "0" not in processes
    entries = [json.loads(line) for line in server.run("cat load.ndjson").splitlines()]
    assert len(entries) > 100 and all(entry["status"] in (200, 400) for entry in entries)
    server.run(f"smartclean-push simulate --verify {DATA} --ledger load.ndjson")
    assert "# mine" in server.run("cat /etc/smartclean-push/rules.toml")
    assert "cut off" not in server.run("journalctl -u smartclean-push")


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
