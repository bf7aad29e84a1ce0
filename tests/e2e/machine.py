"""A server of its own: systemd in namespaces, on a copy of this computer's root folder that lasts as long as the test."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

CGROUPS = Path("/sys/fs/cgroup")
# Mounts the copy, whose changes are kept in memory, and starts systemd. Without a terminal, apt-get assumes yes.
BOOT = r"""
set -eu
mount -t tmpfs machine /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay machine -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
cd /mnt/root
mount -t proc proc proc
mount -t sysfs sysfs sys
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    mount -t cgroup2 cgroup2 sys/fs/cgroup
else
    mount -t tmpfs cgroup sys/fs/cgroup
    mkdir sys/fs/cgroup/systemd
    mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
fi
mount -t tmpfs dev dev
for device in null zero full random urandom tty; do : >dev/$device; mount --bind /dev/$device dev/$device; done
ln -s /proc/self/fd dev/fd
mkdir dev/shm dev/pts
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
for folder in run tmp var/tmp root; do mount -t tmpfs $folder $folder; done
chmod 1777 tmp var/tmp dev/shm
: >etc/fstab
rm -f usr/sbin/policy-rc.d
echo 'APT::Get::Assume-Yes "true";' >etc/apt/apt.conf.d/99test
printf '#!/bin/bash\n[ "$1" != -u ] || exec runuser -u "$2" -- "${@:3}"\nexec "$@"\n' >usr/local/bin/sudo
chmod 755 usr/local/bin/sudo
# Not chroot: in a changed root, services can have no user namespace.
mkdir old
pivot_root . old
umount --lazy /old
exec env -i container=test PATH="$PATH" /lib/systemd/systemd --unit=basic.target
"""


def unavailable():
    """The reason why a machine cannot start on this computer; None if it can."""
    if os.geteuid() != 0:
        return "needs root"
    missing = [name for name in ("unshare", "nsenter", "apt-get", "sqlite3") if not shutil.which(name)]
    if not Path("/lib/systemd/systemd").exists():
        missing.append("systemd")
    return f"needs {', '.join(missing)}" if missing else None


class Machine:
    """A running machine. Its network is its own."""

    def __init__(self):
        self.environment = {"PATH": os.environ["PATH"], "HOME": "/root"}
        self._boot, self._groups = None, []

    def __enter__(self):
        try:
            self._start()
        except (OSError, AssertionError) as error:
            # A container may lack the right to make namespaces or control groups.
            self.__exit__()
            pytest.skip(f"systemd cannot start in namespaces of this computer: {error}")
        return self

    def _start(self):
        # A control group of its own, because systemd manages the group that it starts in.
        hierarchies = [CGROUPS] if (CGROUPS / "cgroup.controllers").exists() else [CGROUPS / "systemd"]
        for group in [path / f"smartclean-push-test-{os.getpid()}" for path in hierarchies]:
            group.mkdir()
            self._groups.append(group)
        join = "".join(f"echo $$ >{group}/cgroup.procs; " for group in self._groups)
        command = ["unshare", "--mount", "--pid", "--fork", "--uts", "--ipc", "--net", "--cgroup", "--kill-child", "--propagation", "private"]
        self._boot = subprocess.Popen(
            ["sh", "-c", join + 'exec "$@"', "sh", *command, "sh", "-c", BOOT], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until(lambda: self._children().read_text(), "the machine starts")
        self.wait_for("systemctl is-active basic.target")

    def __exit__(self, *_):
        if self._boot:
            self._boot.kill()
            self._boot.wait()
        for group in self._groups:
            wait_until(lambda group=group: remove_group(group), "its processes end")

    def _children(self):
        return Path(f"/proc/{self._boot.pid}/task/{self._boot.pid}/children")

    @property
    def _init(self):
        return self._children().read_text().split()[0]

    @property
    def root(self):
        """Its root folder, seen from outside."""
        return Path(f"/proc/{self._init}/root")

    def enter(self, script):
        """The command that runs a script in it, as root in the folder /root."""
        names = ("--mount", "--pid", "--uts", "--ipc", "--net", "--root", "--wd")
        environment = [f"{name}={value}" for name, value in self.environment.items()]
        return ["nsenter", "--target", self._init, *names, "env", "-i", *environment, "bash", "-euc", f"cd /root\n{script}"]

    def attempt(self, script):
        """Runs a script. Returns the completed process."""
        return subprocess.run(self.enter(script), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)

    def run(self, script):
        """Runs a script that must succeed. Returns its output."""
        done = self.attempt(script)
        assert done.returncode == 0, f"{script}\n{done.stdout}"
        return done.stdout

    def start(self, script):
        """Starts a script."""
        return subprocess.Popen(self.enter(script), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def wait_for(self, script):
        """Repeats a script until it succeeds. Returns its output."""
        done = wait_until(lambda: (done := self.attempt(script)).returncode == 0 and done, f"{script} succeeds")
        return done.stdout


def remove_group(group):
    """Removes a control group with those in it. Returns false if processes are left."""
    try:
        for path in sorted(group.glob("**/"), reverse=True):
            path.rmdir()
    except OSError:
        return False
    return True


def wait_until(condition, what):
    """Waits until `condition` is truthy, and returns its value."""
    deadline = time.monotonic() + 60
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within 60 s: {what}"
        time.sleep(0.1)
    return value
