#!/usr/bin/env python3
"""The Debian package on a system of its own, whose systemd is process 1: installed, used, restarted, killed, upgraded,
booted again, removed and purged. Builds the package, and a higher version of it. `./dev package-test` runs this.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import machine

repository = Path(__file__).resolve().parents[2]
exit_skipped = 77
build_timeout = 3600
# What the service's users bring, and what a user's own service needs: a login, and /dev/fuse as udev makes it.
companions = ("systemd", "systemd-sysv", "dbus", "libpam-systemd", "fuse3", "mdevctl")
begin = time.monotonic()


def heading(text: str) -> None:
    print(f"[{time.monotonic() - begin:6.1f} s] {text}", flush=True)


def expect(condition: bool, text: str) -> None:
    if not condition:
        raise machine.Failed(text)


def wait_until(condition, text: str, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        expect(time.monotonic() < deadline, f"it did not happen: {text}")
        time.sleep(0.1)


# --- what is tested, and where


def version_of(package: Path) -> str:
    return field_of(package, "Version")


def field_of(package: Path, name: str) -> str:
    command = ["dpkg-deb", "--field", str(package), name]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def build_package(folder: Path, *arguments: str) -> Path:
    jobs = os.environ.get("UMDEV_JOBS", str(os.cpu_count()))
    command = [str(repository / "tools/package.sh"), "--no-lintian", "--jobs", jobs, *arguments]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=build_timeout)
    return Path(shutil.copy(result.stdout.strip().splitlines()[-1], folder))


def base_system(package: Path, cache: Path) -> Path:
    """A tar of a Debian 12 with everything that the package depends on, so that apt needs no network in there."""
    depends = re.sub(r"\([^)]*\)", "", field_of(package, "Depends"))
    needed = sorted({words.split("|")[0].strip() for words in depends.split(",")} | set(companions))
    key = hashlib.sha256(" ".join(needed).encode()).hexdigest()[:12]
    tar = cache / f"system-{key}.tar"
    if not tar.exists():
        cache.mkdir(parents=True, exist_ok=True)
        heading(f"a Debian 12 with {', '.join(needed)}")
        unfinished = tar.with_suffix(".tmp")
        command = ["mmdebstrap", "--quiet", "--variant=minbase", "--format=tar", f"--include={','.join(needed)}"]
        result = subprocess.run([*command, "bookworm", str(unfinished)], timeout=build_timeout)
        if result.returncode != 0:
            unfinished.unlink(missing_ok=True)
            raise machine.Unavailable("no Debian 12 can be had by mmdebstrap")
        unfinished.rename(tar)
    return tar


def unpack(tar: Path, root: Path) -> None:
    root.mkdir()
    command = ["tar", "--extract", "--numeric-owner", "--exclude=./dev/*", f"--file={tar}", f"--directory={root}"]
    subprocess.run(command, check=True)


# --- the life of a package


class Life:
    def __init__(self, system: machine.Machine):
        self.system = system

    def umdev(self, *arguments: str) -> str:
        return self.system.run("umdev", *arguments)

    def service(self, name: str) -> str:
        return self.system.run("systemctl", "show", "--value", f"--property={name}", "umdevd.service").strip()

    def instances(self) -> list[str]:
        return sorted(instance["uuid"] for instance in json.loads(self.umdev("list", "--json")))

    def mounts(self) -> list[str]:
        """Mount points below the runtime directory that everybody sees."""
        points = [line.split()[4] for line in self.system.run("cat", "/proc/1/mountinfo").splitlines()]
        return [point for point in points if point.startswith("/run/umdev")]

    def exists(self, path: str) -> bool:
        return self.system.attempt("test", "-e", path).returncode == 0

    def install(self, package: Path) -> None:
        shutil.copy(package, self.system.root / "root")
        self.system.run("apt-get", "install", "--yes", "--quiet", f"/root/{package.name}")
        installed = self.system.run("dpkg-query", "--show", "--showformat=${Version} ${Status}", "umdev")
        expect(installed == f"{version_of(package)} install ok installed", f"dpkg says: {installed}")

    def check_service(self) -> None:
        state = self.service("ActiveState"), self.service("SubState"), self.service("UnitFileState")
        journal = self.system.run("journalctl", "--boot", "--no-pager", "--unit=umdevd.service")
        expect(state == ("active", "running", "enabled"), f"the service is {state}:\n{journal}")
        expect(self.system.attempt("systemctl", "is-system-running").stdout.strip() == "running", "degraded")

    def check_mount(self) -> None:
        """The tree is seen by processes that have nothing to do with the service."""
        expect("/run/umdev/sys" in self.mounts(), f"mounted are {self.mounts()}")
        shown = self.system.run("ls", "/run/umdev/sys/class/mdev_bus").split()
        expect("mtty" in shown, f"class/mdev_bus has {shown}")

    # --- the chapters

    def first_install(self, package: Path) -> None:
        heading(f"install {version_of(package)}")
        self.install(package)
        self.check_service()
        self.system.run("getent", "group", "umdev")
        for header in ("linux/vfio.h", "linux/mdev.h", "umdev/services.h"):
            expect(self.exists(f"/usr/include/umdev/kernel/{header}"), f"`umdev cc` lacks its header {header}")
        said = self.system.run("journalctl", "--boot", "--no-pager", "--output=cat", "--priority=warning", "_PID=1")
        complaints = [line for line in said.splitlines() if "umdev" in line]
        expect(complaints == [], f"systemd complains of the unit: {complaints}")

    def use(self) -> None:
        heading("use it: create, show, probe, remove")
        self.check_mount()
        uuid = self.umdev("create", "mtty", "mtty-2").strip()
        self.umdev("show", uuid)
        self.umdev("probe", uuid)
        expect(self.instances() == [uuid], "list has something else")
        self.umdev("remove", uuid)
        expect(self.instances() == [], "it is still there")

    def define(self) -> list[str]:
        heading("define a device for autostart, and one that is not")
        uuid = self.umdev("define", "mtty", "mtty-1", "--auto").strip()
        self.umdev("define", "null", "null-1")
        self.umdev("start", uuid)
        expect(self.instances() == [uuid], "it has not started")
        return [uuid]

    def restart(self, expected: list[str]) -> None:
        heading("restart the service")
        before = self.service("MainPID")
        self.system.run("systemctl", "restart", "umdevd.service")
        expect(self.service("MainPID") != before, "the process is the same")
        self.check_service()
        self.check_mount()
        expect(self.instances() == expected, f"there are {self.instances()}")

    def kill(self, expected: list[str]) -> None:
        heading("kill the daemon: systemd starts it again")
        before = self.service("MainPID")
        self.system.run("systemctl", "kill", "--signal=SIGKILL", "umdevd.service")
        wait_until(lambda: self.service("ActiveState") == "active" and self.service("MainPID") not in (before, "0"),
                   "a new daemon")
        self.check_service()
        self.check_mount()
        expect(self.mounts() == ["/run/umdev/sys"], f"mounted are {self.mounts()}")
        expect(self.instances() == expected, f"there are {self.instances()}")

    def upgrade(self, package: Path, expected: list[str]) -> None:
        heading(f"upgrade to {version_of(package)}, with a configuration of one's own")
        configuration = self.system.root / "etc/umdev/umdevd.toml"
        configuration.write_text(configuration.read_text() + "# mine\n")
        before = self.service("MainPID")
        self.install(package)
        self.check_service()
        expect(self.service("MainPID") != before, "the service was not restarted")
        self.check_mount()
        expect(self.instances() == expected, f"there are {self.instances()}")
        expect("# mine" in configuration.read_text(), "the configuration was overwritten")

    def open_to_a_group(self) -> None:
        heading("the configuration opens the daemon to the group umdev")
        self.system.run("useradd", "--create-home", "somebody")
        asked = ("runuser", "-u", "somebody", "--", "umdev", "--runtime-dir", "/run/umdev", "list")
        expect(self.system.attempt(*asked).returncode != 0, "anybody may use the daemon")
        self.system.run("usermod", "--append", "--groups", "umdev", "somebody")
        configuration = self.system.root / "etc/umdev/umdevd.toml"
        configuration.write_text(configuration.read_text() + '[control]\ngroup = "umdev"\nmode = "0660"\n')
        self.system.run("systemctl", "restart", "umdevd.service")
        self.check_service()
        self.system.run(*asked)

    def own_daemon_of_a_user(self) -> None:
        heading("a user's own daemon")
        self.system.run("loginctl", "enable-linger", "somebody")
        number = self.system.run("id", "--user", "somebody").strip()
        wait_until(lambda: self.exists(f"/run/user/{number}/systemd/private"), "the user's systemd")

        def as_user(*command: str) -> str:
            directory = f"XDG_RUNTIME_DIR=/run/user/{number}"
            return self.system.run("runuser", "-u", "somebody", "--", "env", directory, *command)

        as_user("systemctl", "--user", "start", "umdevd.service")
        uuid = as_user("umdev", "create", "mtty", "mtty-1").strip()
        expect(uuid in as_user("ls", f"/run/user/{number}/umdev/sys/bus/mdev/devices"), "it is not in the tree")
        as_user("umdev", "remove", uuid)
        as_user("systemctl", "--user", "stop", "umdevd.service")
        expect(not self.exists(f"/run/user/{number}/umdev"), "the runtime directory is left")
        self.system.run("loginctl", "disable-linger", "somebody")

    def remove(self) -> None:
        heading("remove: configuration and definitions stay")
        self.system.run("apt-get", "remove", "--yes", "--quiet", "umdev")
        running = self.system.attempt("sh", "-c", "grep -lx umdevd /proc/[0-9]*/comm").stdout
        expect(running == "", f"a daemon runs: {running}")
        expect(self.mounts() == [], f"mounted are {self.mounts()}")
        expect(not self.exists("/run/umdev"), "the runtime directory is left")
        expect(self.exists("/etc/umdev/umdevd.toml"), "the configuration is gone")
        expect(self.exists("/var/lib/umdev/mdevctl.d"), "the definitions are gone")

    def purge(self) -> None:
        heading("purge: nothing is left")
        self.system.run("apt-get", "purge", "--yes", "--quiet", "umdev")
        for path in ("/etc/umdev", "/var/lib/umdev", "/usr/share/doc/umdev", "/etc/systemd/system/umdevd.service"):
            expect(not self.exists(path), f"{path} is left")
        left = self.system.run("sh", "-c", "find /etc /usr /var/lib -xdev -name '*umdev*' ! -path '/var/lib/dpkg/*'")
        expect(left == "", f"left are {left}")
        expect(self.system.attempt("systemctl", "is-system-running").stdout.strip() == "running", "degraded")


def run(scratch: Path, package: Path, newer: Path, tar: Path) -> None:
    root = scratch / "root"
    unpack(tar, root)
    with machine.Machine(root) as system:
        life = Life(system)
        life.first_install(package)
        life.use()
        expected = life.define()
        life.restart(expected)
        life.kill(expected)
        life.upgrade(newer, expected)
        life.open_to_a_group()
        life.own_daemon_of_a_user()
    heading("boot the system again")
    with machine.Machine(root) as system:
        life = Life(system)
        life.check_service()
        life.check_mount()
        expect(life.instances() == expected, f"there are {life.instances()}")
        life.remove()
        life.purge()
        life.first_install(newer)
        life.use()
    heading("done")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=repository / ".cache", help="default: %(default)s")
    parser.add_argument("--packages", type=Path, nargs=2, metavar=("OLD", "NEW"), help="test these, and build none")
    arguments = parser.parse_args()
    try:
        machine.check()
        with tempfile.TemporaryDirectory(prefix="umdev-package-") as folder:
            scratch = Path(folder)
            if arguments.packages:
                package, newer = arguments.packages
            else:
                heading("build the package, and a newer one")
                package = build_package(scratch)
                newer = build_package(scratch, "--packed-anew", "--version", f"{version_of(package)}+upgrade1")
            run(scratch, package, newer, base_system(package, arguments.cache))
    except machine.Unavailable as reason:
        print(f"skipped: {reason}")
        return exit_skipped
    except (machine.Failed, subprocess.SubprocessError) as reason:
        print(f"package-test: {reason}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
