"""A Debian system in a directory whose own systemd is process 1, in namespaces of its own.

    with Machine(root) as machine:
        machine.run("systemctl", "is-system-running", "--wait")

Mounts, processes, network and the cgroup tree are the machine's own, and end with it. Kernel and /dev/fuse are this
machine's: it needs root. `Unavailable` says what is missing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

boot_timeout = 90.0
time_limit = 120.0


class Unavailable(Exception):
    """Such a machine cannot be had here; the text says why."""


class Failed(Exception):
    """Something did not do what it was to do; the text is all that it said."""


# Runs in the new namespaces, and becomes systemd. $1: the root directory.
switch_on = r"""
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
cd "$1"
# Not to be changed for the machine outside: its kernel's settings, its devices.
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 dev dev
for node in null zero full random urandom tty fuse; do cp -a "/dev/$node" dev/; done
ln -s /proc/self/fd dev/fd
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs -o mode=1777 shm dev/shm
mount -t tmpfs -o mode=755 run run
mkdir -p .outside
pivot_root . .outside
exec env -i container=umdev PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  /bin/sh -c 'umount -l /.outside; mount --make-rshared /; exec /sbin/init --log-target=console --show-status=0'
"""


def check() -> None:
    """Raises Unavailable where no such machine can be had."""
    if os.geteuid() != 0:
        raise Unavailable("only root can boot a systemd of its own")
    for tool in ("unshare", "nsenter", "mount", "pivot_root", "mmdebstrap"):
        if shutil.which(tool) is None:
            raise Unavailable(f"{tool} is not installed")
    if not Path("/dev/fuse").exists():
        raise Unavailable("there is no /dev/fuse")
    cgroup_root()


def cgroup_root() -> Path:
    """Where the unified hierarchy is mounted."""
    for line in Path("/proc/mounts").read_text().splitlines():
        fields = line.split()
        if fields[2] == "cgroup2" and "rw" in fields[3].split(","):
            return Path(fields[1])
    raise Unavailable("no cgroup v2 hierarchy is mounted for writing")


class Cgroup:
    """A cgroup for one machine, which sees it as the root of all."""

    def __init__(self):
        own = Path("/proc/self/cgroup").read_text()
        path = next(line[3:] for line in own.splitlines() if line.startswith("0::"))
        self.path = Path(tempfile.mkdtemp(prefix="umdev-machine-", dir=cgroup_root() / path.lstrip("/")))
        self.path.chmod(0o755)  # users of the machine have cgroups of their own below it

    def enter(self) -> None:
        (self.path / "cgroup.procs").write_text("0")

    def remove(self) -> None:
        with contextlib.suppress(OSError):
            (self.path / "cgroup.kill").write_text("1")
        for _ in range(100):
            with contextlib.suppress(OSError):
                for folder, _, _ in os.walk(self.path, topdown=False):
                    os.rmdir(folder)
                return
            time.sleep(0.05)


class Machine:
    """Booted while the context lasts."""

    def __init__(self, root: Path):
        self.root = root
        self._cgroup: Cgroup | None = None
        self._outer: subprocess.Popen | None = None
        self._init = 0
        self._console = tempfile.TemporaryFile("w+")

    def __enter__(self) -> Machine:
        try:
            self.boot()
        except BaseException:
            self.switch_off()
            raise
        return self

    def __exit__(self, *_) -> None:
        self.switch_off()

    def boot(self) -> None:
        self._cgroup = Cgroup()
        self._outer = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup", "--fork", "--kill-child"]
            + ["sh", "-c", switch_on, "sh", str(self.root)],
            stdin=subprocess.DEVNULL,
            stdout=self._console,
            stderr=self._console,
            start_new_session=True,
            preexec_fn=self._cgroup.enter,
        )
        deadline = time.monotonic() + boot_timeout
        while time.monotonic() < deadline and self._outer.poll() is None:
            if not self._init:
                self._init = self._find_init()
            elif self.attempt("systemctl", "is-system-running").stdout.strip() in ("running", "degraded"):
                return
            time.sleep(0.2)
        raise Failed(f"the machine has not booted:\n{self.console()}")

    def switch_off(self) -> None:
        """Kills what runs in it: the machine is thrown away."""
        if self._outer is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._outer.pid, signal.SIGKILL)
            self._outer.wait()
        if self._cgroup is not None:
            self._cgroup.remove()
        self._console.close()

    def console(self) -> str:
        self._console.seek(0)
        return self._console.read()

    def attempt(self, *command: str, timeout: float = time_limit) -> subprocess.CompletedProcess:
        """Runs a command in the machine, whatever comes of it."""
        enter = ["nsenter", "--target", str(self._init), "--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup"]
        environment = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "TERM=dumb", "HOME=/root"]
        return subprocess.run(
            [*enter, *environment, "DEBIAN_FRONTEND=noninteractive", *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def run(self, *command: str, timeout: float = time_limit) -> str:
        """What a command prints. Raises Failed when it does not succeed."""
        result = self.attempt(*command, timeout=timeout)
        if result.returncode != 0:
            said = result.stdout + result.stderr
            raise Failed(f"{' '.join(command)}: status {result.returncode}:\n{said}")
        return result.stdout

    def _find_init(self) -> int:
        """The process that is 1 in there; 0 while it is not systemd yet."""
        children = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children").read_text().split()
        for child in children:
            with contextlib.suppress(OSError):
                if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                    return int(child)
        return 0
