"""A server of its own: systemd in namespaces, on a fresh Debian whose changes last as long as the test."""

import contextlib
import ctypes
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from deployed import ROOT

CGROUPS = Path("/sys/fs/cgroup")
# Made once. It has what the page expects of a server; everything else is what Debian cannot do without.
DEBIAN = ROOT / ".tools/debian-12"
DEBOOTSTRAP = ["debootstrap", "--variant=minbase", "--include=systemd,sudo,ca-certificates,curl,sqlite3", "bookworm"]
# Mounts Debian, with changes in memory, and starts systemd. Without a terminal, apt-get assumes yes.
BOOT = rf"""
set -eu
mount -t tmpfs machine /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay machine -o lowerdir={DEBIAN},upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
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
for folder in run tmp; do mount -t tmpfs $folder $folder; done
chmod 1777 tmp dev/shm
echo "127.0.0.1 localhost $(hostname)" >etc/hosts
echo 'APT::Get::Assume-Yes "true";' >etc/apt/apt.conf.d/99test
# Not chroot: in a changed root, services can have no user namespace.
mkdir old
pivot_root . old
umount --lazy /old
exec env -i container=test /lib/systemd/systemd --unit=basic.target
"""


def unavailable():
    """The reason why a machine cannot start on this computer; None if it can."""
    if os.geteuid() != 0:
        return "needs root"
    missing = [name for name in ("unshare", "nsenter", "debootstrap") if not shutil.which(name)]
    return f"needs {', '.join(missing)}" if missing else None


def make_debian():
    """Downloads Debian, unless an earlier test did."""
    if not DEBIAN.exists():
        unfinished = DEBIAN.with_name("debian-unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        # A firewall can swallow its requests, which it repeats for hours.
        limited = ["timeout", "--kill-after=10", "900", *DEBOOTSTRAP, unfinished]
        done = subprocess.run(limited, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            pytest.skip(f"debootstrap cannot download Debian: {done.stdout[-1000:]}")
        unfinished.rename(DEBIAN)


class Machine:
    """A running machine. Its network is its own."""

    def __init__(self):
        self.environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
        self._boot, self._groups = None, []

    def __enter__(self):
        make_debian()
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

    @contextlib.contextmanager
    def network(self):
        """In this block, this thread and the threads that it starts use the network of the machine."""
        with open("/proc/thread-self/ns/net") as outside, open(f"/proc/{self._init}/ns/net") as inside:
            set_namespace(inside)
            try:
                yield
            finally:
                set_namespace(outside)

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


def set_namespace(file):
    """Moves this thread to a namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(file.fileno(), 0) != 0:
        raise OSError(ctypes.get_errno(), "setns")


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
