#!/usr/bin/env python3
"""Debian 12's libvirt, unmodified, manages the daemon's devices, and sees what others do with them.

libvirtd (with only its node device driver), systemd-udevd and mdevctl run in a root directory unpacked from Debian's
packages, in the mount namespace of `umdev run` and a network namespace of their own, into which `umdev watch
--uevents` sends what happens. Nothing outside these namespaces sees any of it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import unittest
import xml.etree.ElementTree as xml
from pathlib import Path

import harness
from harness import Daemon, wait_until

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "guest"))
import debian  # noqa: E402
import fetch_libvirt  # noqa: E402

exit_skipped = 77
patience = 90.0
uuid = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001"
other = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1002"
parent = "mtty_mtty"  # as libvirt names it
environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "SYSTEMD_DEVICE_VERIFY_SYSFS": "0"}

# Runs in the mount namespace of `umdev run`, and holds it open until its input ends: KIT SCRATCH DEFINITIONS.
cell = r"""
set -e
mount -t tmpfs tmpfs "$2"
mkdir "$2/upper" "$2/work" "$2/root"
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
mount --rbind /sys "$2/root/sys"
mount --rbind /proc "$2/root/proc"
mount -t tmpfs tmpfs "$2/root/run"
mount -t tmpfs tmpfs "$2/root/dev"
for node in null zero full random urandom; do
  : > "$2/root/dev/$node"
  mount --bind "/dev/$node" "$2/root/dev/$node"
done
ln -s /proc/self/fd "$2/root/dev/fd"
ln -s fd/0 "$2/root/dev/stdin"
mount --bind "$3" "$2/root/etc/mdevctl.d"
echo ready
read line
"""

device_xml = f"""
<device>
  <parent>{parent}</parent>
  <capability type='mdev'>
    <type id='mtty-2'/>
    <uuid>{uuid}</uuid>
  </capability>
</device>
"""


def name_of(device: str) -> str:
    return f"mdev_{device.replace('-', '_')}_mtty"


class Libvirt(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        if os.geteuid() != 0:
            raise unittest.SkipTest("only root can chroot into the unpacked packages")
        for tool in ("unshare", "nsenter", "mount", "chroot"):
            if shutil.which(tool) is None:
                raise unittest.SkipTest(f"there is no {tool}")
        try:
            kit = fetch_libvirt.fetch(debian.default_cache())
        except debian.Unavailable as reason:
            raise unittest.SkipTest(f"libvirt cannot be had: {reason}") from None
        cls.daemon = Daemon(harness.build_dir()).start()
        cls.addClassCleanup(cls.daemon.close)
        if not (cls.daemon.directory / "sys").is_mount():
            raise unittest.SkipTest("the tree cannot be mounted here")
        cls.scratch = Path(tempfile.mkdtemp(prefix="umdev-libvirt-"))
        cls.addClassCleanup(shutil.rmtree, cls.scratch, ignore_errors=True)
        cls.enter_cell(kit)
        cls.start_programs()

    @classmethod
    def enter_cell(cls, kit: Path) -> None:
        definitions = (cls.daemon.directory / "etc" / "mdevctl.d").resolve()
        umdev = [str(cls.daemon.programs / "umdev"), "--runtime-dir", str(cls.daemon.directory), "run", "--"]
        cls.cell = subprocess.Popen(
            [*umdev, "unshare", "--net", "sh", "-c", cell, "sh", str(kit), str(cls.scratch), str(definitions)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        cls.addClassCleanup(cls.cell.communicate)
        if cls.cell.stdout.readline() != "ready\n":
            raise unittest.SkipTest(f"no namespaces here: {cls.cell.communicate()[1]}")

    @classmethod
    def inside(cls, *command: str) -> list[str]:
        return ["nsenter", "-t", str(cls.cell.pid), "-m", "-n", "--", "chroot", str(cls.scratch / "root"), *command]

    @classmethod
    def start(cls, command: list[str]) -> subprocess.Popen:
        log = open(cls.scratch.with_suffix(f".{Path(command[-1]).name}"), "w+")
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
                                   start_new_session=True)

        def end() -> None:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
            if "-v" in sys.argv:
                log.seek(0)
                print(f"--- {command[-1]}:\n{log.read()}")
            log.close()
            os.unlink(log.name)

        cls.addClassCleanup(end)
        return process

    @classmethod
    def start_programs(cls) -> None:
        cls.start(cls.inside("/lib/systemd/systemd-udevd"))
        if not wait_until(lambda: cls.run_inside("udevadm", "control", "--ping", "--timeout=1").returncode == 0):
            raise AssertionError("udevd does not run")
        umdev = [str(cls.daemon.programs / "umdev"), "--runtime-dir", str(cls.daemon.directory)]
        watch = cls.start(["nsenter", "-t", str(cls.cell.pid), "-n", "--", *umdev, "watch", "--json", "--uevents"])
        if not wait_until(lambda: cls.daemon.umdev("metrics").find("\numdev_watchers 1\n") > 0):
            raise AssertionError(f"nobody watches: {watch.poll()}")
        cls.start(cls.inside("/usr/sbin/libvirtd"))
        if not wait_until(lambda: cls.run_inside("virsh", "-c", cls.uri, "nodedev-list").returncode == 0):
            raise AssertionError("libvirtd does not run")

    uri = "nodedev:///system?mode=legacy"

    @classmethod
    def run_inside(cls, *command: str, text: str = "") -> subprocess.CompletedProcess:
        return subprocess.run(cls.inside(*command), input=text, capture_output=True, text=True, timeout=patience,
                              env=environment)

    def virsh(self, *command: str, text: str = "") -> str:
        result = self.run_inside("virsh", "-c", self.uri, *command, text=text)
        self.assertEqual(result.returncode, 0, f"virsh {' '.join(command)}: {result.stderr}")
        return result.stdout

    def listed(self, *flags: str) -> set[str]:
        return set(self.virsh("nodedev-list", "--cap", "mdev", *flags).split())

    def expect(self, name: str, present: bool, *flags: str) -> None:
        if not wait_until(lambda: (name in self.listed(*flags)) == present):
            self.fail(f"{name} {'is not' if present else 'is still'} listed {flags}: {self.listed(*flags)}")

    def active(self) -> set[str]:
        return {instance["uuid"] for instance in self.daemon.json("list")}

    def test_1_the_parent_is_listed_with_its_types(self) -> None:
        self.assertIn(parent, self.virsh("nodedev-list", "--cap", "mdev_types").split())
        device = xml.fromstring(self.virsh("nodedev-dumpxml", parent))
        types = {kind.get("id"): kind for kind in device.iter("type")}
        self.assertEqual(set(types), {"mtty-1", "mtty-2"})
        self.assertEqual(types["mtty-2"].findtext("deviceAPI"), "vfio-pci")
        available = {kind["type"]: kind["available_instances"] for kind in self.daemon.json("types")}
        self.assertEqual(int(types["mtty-2"].findtext("availableInstances")), available["mtty-2"])

    def test_2_a_device_is_created_and_destroyed(self) -> None:
        self.virsh("nodedev-create", "/dev/stdin", text=device_xml)
        self.assertEqual(self.active(), {uuid})
        self.expect(name_of(uuid), True)
        device = xml.fromstring(self.virsh("nodedev-dumpxml", name_of(uuid)))
        self.assertEqual(device.findtext("parent"), parent)
        self.assertEqual(device.find("capability/type").get("id"), "mtty-2")
        self.assertTrue(device.find("capability/iommuGroup").get("number").isdigit())
        self.virsh("nodedev-destroy", name_of(uuid))
        self.assertEqual(self.active(), set())
        self.expect(name_of(uuid), False)

    def test_3_a_definition_is_made_started_and_undone(self) -> None:
        self.virsh("nodedev-define", "/dev/stdin", text=device_xml)
        self.expect(name_of(uuid), True, "--inactive")
        self.assertEqual(self.active(), set())
        self.virsh("nodedev-autostart", name_of(uuid))
        file = self.daemon.directory / "etc" / "mdevctl.d" / "mtty" / uuid
        self.assertEqual(json.loads(file.read_text())["start"], "auto")
        self.assertRegex(self.virsh("nodedev-info", name_of(uuid)), r"Autostart: +yes")
        self.virsh("nodedev-start", name_of(uuid))
        self.assertEqual(self.active(), {uuid})
        self.expect(name_of(uuid), True)
        self.virsh("nodedev-destroy", name_of(uuid))
        self.expect(name_of(uuid), True, "--inactive")
        self.virsh("nodedev-undefine", name_of(uuid))
        self.assertFalse(file.exists())
        self.expect(name_of(uuid), False, "--all")

    def test_4_what_others_do_is_seen(self) -> None:
        self.daemon.umdev("create", "mtty", "mtty-1", "--uuid", other)
        self.expect(name_of(other), True)
        self.daemon.umdev("remove", other)
        self.expect(name_of(other), False)
        # mdevctl speaks to the daemon by the tree alone.
        started = self.run_inside("mdevctl", "start", "-u", other, "-p", "mtty", "-t", "mtty-1")
        self.assertEqual((started.returncode, started.stderr), (0, ""))
        self.assertEqual(self.active(), {other})
        self.expect(name_of(other), True)
        self.assertEqual(self.run_inside("mdevctl", "stop", "-u", other).returncode, 0)
        self.expect(name_of(other), False)

    def test_5_events_are_told_to_who_waits_for_them(self) -> None:
        waiting = subprocess.Popen(
            self.inside("virsh", "-c", self.uri, "nodedev-event", "--event", "lifecycle", "--loop"),
            stdout=subprocess.PIPE, text=True, env=environment)
        lines: list[str] = []
        reader = threading.Thread(target=lambda: lines.extend(waiting.stdout))
        reader.start()

        def end() -> None:
            waiting.kill()
            waiting.wait()
            reader.join()
            waiting.stdout.close()

        self.addCleanup(end)

        def told() -> bool:
            name = name_of(other)
            return re.search(rf"{name}: Created.*{name}: Deleted", "".join(lines), re.DOTALL) is not None

        for _ in range(20):  # the first may be over before it listens, which it does not tell
            self.daemon.umdev("create", "mtty", "mtty-1", "--uuid", other)
            self.expect(name_of(other), True)
            self.daemon.umdev("remove", other)
            self.expect(name_of(other), False)
            if wait_until(told, 3):
                return
        self.fail(f"told was {lines}")


if __name__ == "__main__":
    program = unittest.main(verbosity=2, exit=False)
    if not program.result.wasSuccessful():
        sys.exit(1)
    sys.exit(exit_skipped if program.result.skipped else 0)
