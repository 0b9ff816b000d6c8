#!/usr/bin/env python3
"""Debian 12's libvirtd, unmodified, manages the devices of a running daemon; each step is printed.

It runs under `umdev run`, with its own network namespace, in which systemd-udevd hears the daemon's events as the
kernel's. Exit status 77: that cannot be had here.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path

here = Path(__file__).resolve().parent
sys.path[:0] = [str(here), str(here.parent), str(here.parents[1] / "guest")]
import debian  # noqa: E402
import fetch_libvirt  # noqa: E402
import harness  # noqa: E402

first, second = (f"83b8f4f2-509f-382f-3c1e-e6bfe0fa100{number}" for number in range(2))
parent = "mtty_mtty"
private = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child"]
virsh = "LC_ALL=C virsh -q -c nodedev:///system"
patience = 60.0


class Machine:
    """The small machine that enter.sh makes: a shell in it, one command at a time."""

    def __init__(self, daemon: harness.Daemon, root: Path, scratch: Path):
        new = scratch / "root"
        new.mkdir()
        umdev = daemon.programs / "umdev"
        self.process = subprocess.Popen(
            [str(umdev), "--runtime-dir", str(daemon.directory), "run", *private, "sh", str(here / "enter.sh"),
             str(new), str(root), str(daemon.directory), str(umdev)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0, start_new_session=True,
        )
        self.count = 0

    def tries(self, command: str) -> tuple[int, str]:
        """Exit status and output."""
        self.count += 1
        mark = f"@@{self.count} "
        self.process.stdin.write(f"{{ {command}\n}} < /dev/null 2>&1; status=$?; echo; echo {mark}$status\n".encode())
        seen = b""
        deadline = time.monotonic() + patience
        while f"\n{mark}".encode() not in seen or not seen.endswith(b"\n"):
            if not select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise SystemExit(f"no answer to {command}: {seen.decode()}")
            piece = os.read(self.process.stdout.fileno(), 65536)
            if not piece:
                raise SystemExit(f"the machine has gone: {seen.decode()}")
            seen += piece
        text, _, status = seen.decode().rpartition(f"\n{mark}")
        return int(status), text.strip()

    def does(self, command: str) -> str:
        status, text = self.tries(command)
        if status != 0:
            raise SystemExit(f"wrong: {command}: status {status}: {text}\n{self.logs()}")
        return text

    def logs(self) -> str:
        return self.tries("for log in /tmp/*.log; do echo $log:; tail -n 12 $log; done")[1]

    def end(self) -> None:
        """unshare ends, and the first process of the machine with it, and with that one all others."""
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class NodeDevices:
    """libvirt's view, step by step."""

    def __init__(self, daemon: harness.Daemon, machine: Machine):
        self.daemon = daemon
        self.machine = machine
        self.steps = 0

    def step(self, what: str) -> None:
        self.steps += 1
        print(f"{self.steps:3}  {what}", flush=True)

    def virsh(self, command: str) -> str:
        self.step(f"virsh {command}")
        return self.machine.does(f"{virsh} {command}")

    def refused(self, command: str, reason: str) -> None:
        self.step(f"virsh {command}: refused")
        status, text = self.machine.tries(f"{virsh} {command}")
        self.check(status != 0 and reason in text, f"status {status}: {text}")

    def check(self, condition: bool, text: str) -> None:
        if not condition:
            raise SystemExit(f"wrong in step {self.steps}: {text}\n{self.machine.logs()}\n{self.daemon.said()}")

    def eventually(self, what: str, command: str, expected: list[str]) -> None:
        """What comes by an event, and so in a while."""
        self.step(what)
        seen: list[str] = []

        def is_so() -> bool:
            seen[:] = self.machine.does(f"{virsh} {command}").split()
            return seen == expected

        self.check(harness.wait_until(is_so, patience), f"{command}: {seen}, not {expected}")

    def active(self, what: str, *uuids: str) -> None:
        self.eventually(what, "nodedev-list --cap mdev", [name(uuid) for uuid in uuids])

    def defined(self, what: str, *uuids: str) -> None:
        self.eventually(what, "nodedev-list --cap mdev --inactive", [name(uuid) for uuid in uuids])

    def available(self, type_id: str) -> str:
        text = self.machine.does(f"{virsh} nodedev-dumpxml {parent}")
        return text.partition(f"<type id='{type_id}'>")[2].partition("<availableInstances>")[2].partition("<")[0]


def name(uuid: str) -> str:
    return f"mdev_{uuid.replace('-', '_')}_mtty"


def start_services(machine: Machine) -> None:
    machine.does("/usr/lib/systemd/systemd-udevd > /tmp/udevd.log 2>&1 &")
    machine.does("libvirtd > /tmp/libvirtd.log 2>&1 &")
    if not harness.wait_until(lambda: machine.tries(f"{virsh} nodedev-list --cap mdev_types")[0] == 0, patience):
        raise SystemExit(f"libvirtd does not serve\n{machine.logs()}")
    if not harness.wait_until(lambda: "EVENT" in machine.tries("cat /tmp/watch.log")[1], patience):
        raise SystemExit(f"nobody hears the daemon's events\n{machine.logs()}")


def what_is_listed(libvirt: NodeDevices) -> None:
    libvirt.eventually("the parent is there", "nodedev-list --cap mdev_types", [parent])
    text = libvirt.virsh(f"nodedev-dumpxml {parent}")
    for line in ("<path>/sys/devices/virtual/mtty/mtty</path>", "<type id='mtty-1'>", "<type id='mtty-2'>",
                 "<name>Dual port serial</name>", "<deviceAPI>vfio-pci</deviceAPI>",
                 "<availableInstances>12</availableInstances>"):
        libvirt.check(line in text, f"{line} is not in {text}")


def create_and_destroy(libvirt: NodeDevices) -> None:
    libvirt.virsh("nodedev-create /tmp/device.xml")
    libvirt.active("the device is listed", first)
    text = libvirt.virsh(f"nodedev-dumpxml {name(first)}")
    for line in (f"<parent>{parent}</parent>", "<type id='mtty-2'/>", f"<uuid>{first}</uuid>", "<name>vfio_mdev</name>",
                 "<iommuGroup number="):
        libvirt.check(line in text, f"{line} is not in {text}")
    libvirt.check(libvirt.available("mtty-2") == "11", "the type does not say that one is taken")
    libvirt.step("umdev probe: the device works")
    libvirt.check("256 bytes out and back" in libvirt.daemon.umdev("probe", first), "it does not work")
    libvirt.refused("nodedev-create /tmp/device.xml", "already exists")
    libvirt.virsh(f"nodedev-destroy {name(first)}")
    libvirt.active("the device is gone")
    libvirt.check(libvirt.daemon.json("list") == [], "the daemon still has it")


def external_changes(libvirt: NodeDevices) -> None:
    libvirt.step("mdevctl start")
    libvirt.machine.does(f"mdevctl start -p mtty -t mtty-1 -u {second}")
    libvirt.active("libvirt sees what mdevctl has started", second)
    libvirt.daemon.umdev("create", "mtty", "mtty-1", "--uuid", first)
    libvirt.active("libvirt sees what umdev has made", first, second)
    libvirt.machine.does(f"mdevctl stop -u {second}")
    libvirt.active("libvirt sees what mdevctl has stopped", first)
    libvirt.daemon.umdev("remove", first)
    libvirt.active("libvirt sees what umdev has removed")
    libvirt.machine.does(f"mdevctl define -p mtty -t mtty-1 -u {second}")
    libvirt.defined("libvirt sees what mdevctl has defined", second)
    libvirt.machine.does(f"mdevctl undefine -u {second}")
    libvirt.defined("libvirt sees what mdevctl has undefined")


def definitions(libvirt: NodeDevices) -> None:
    libvirt.virsh("nodedev-define /tmp/device.xml")
    libvirt.defined("the definition is listed", first)
    stored = libvirt.daemon.directory / "etc" / "mdevctl.d" / "mtty" / first
    libvirt.check('"start": "manual"' in stored.read_text(), stored.read_text())
    libvirt.virsh(f"nodedev-autostart {name(first)}")
    libvirt.check('"start": "auto"' in stored.read_text(), stored.read_text())
    libvirt.virsh(f"nodedev-start {name(first)}")
    libvirt.active("the device is listed", first)
    facts = libvirt.virsh(f"nodedev-info {name(first)}").split()
    libvirt.check(facts[-5:] == ["yes", "Persistent:", "yes", "Autostart:", "yes"], str(facts))
    libvirt.virsh(f"nodedev-destroy {name(first)}")
    libvirt.active("the device is gone")
    libvirt.step("the parent comes again: Debian's udev rule starts what is defined for it")
    libvirt.machine.does("echo add > /sys/devices/virtual/mtty/mtty/uevent")
    libvirt.active("the device is listed", first)
    libvirt.virsh(f"nodedev-autostart --disable {name(first)}")
    libvirt.virsh(f"nodedev-undefine {name(first)}")
    libvirt.check(not stored.exists(), "the definition is still there")
    libvirt.active("the device goes on without its definition", first)
    libvirt.virsh(f"nodedev-destroy {name(first)}")
    libvirt.active("the device is gone")


def lifecycle_events(libvirt: NodeDevices) -> None:
    libvirt.machine.does(f"{virsh} nodedev-event --event lifecycle --loop > /tmp/events.log 2>&1 &")
    libvirt.step("virsh nodedev-event: who waits is told")
    said = ""
    for _ in range(20):  # it does not tell from when on it listens
        libvirt.daemon.umdev("create", "mtty", "mtty-1", "--uuid", first)
        libvirt.active("the device is listed", first)
        libvirt.daemon.umdev("remove", first)
        libvirt.active("the device is gone")
        said = libvirt.machine.does("cat /tmp/events.log")
        if f"{name(first)}: Deleted" in said.partition(f"{name(first)}: Created")[2]:
            return
    libvirt.check(False, said)


def check(daemon: harness.Daemon, machine: Machine) -> None:
    if machine.tries("test -d /sys/class/mdev_bus")[0] != 0:
        raise debian.Unavailable("the machine cannot be made here")
    xml = f"<parent>{parent}</parent><capability type='mdev'><type id='mtty-2'/><uuid>{first}</uuid></capability>"
    machine.does(f'echo "<device>{xml}</device>" > /tmp/device.xml')
    start_services(machine)
    libvirt = NodeDevices(daemon, machine)
    for part in (what_is_listed, create_and_destroy, external_changes, definitions, lifecycle_events):
        print(f"{part.__name__.replace('_', ' ')}:", flush=True)
        part(libvirt)
    print(f"{libvirt.steps} steps went as they should", flush=True)


def main() -> None:
    if os.geteuid() != 0:
        raise debian.Unavailable("udevd and libvirtd take root, and this is not root")
    tried = subprocess.run([*private, "true"], capture_output=True, text=True)
    if tried.returncode != 0:
        raise debian.Unavailable(tried.stderr.strip())
    root = fetch_libvirt.fetch(debian.default_cache())
    with harness.Daemon(harness.build_dir()) as daemon, tempfile.TemporaryDirectory(prefix="umdev-") as scratch:
        if not daemon.has_tree():
            raise debian.Unavailable(f"the daemon mounts no tree: {daemon.said()}")
        machine = Machine(daemon, root, Path(scratch))
        try:
            check(daemon, machine)
        finally:
            machine.end()


if __name__ == "__main__":
    debian.run_command(main)
