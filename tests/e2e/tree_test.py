#!/usr/bin/env python3
"""The tree as a shell user has it, and what of it a daemon that ends or is killed leaves."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import harness
from harness import Daemon

uuid = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001"
create = "class/mdev_bus/null/mdev_supported_types/null-1/create"


def mounts(below: Path) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line.split()[4] for line in lines if line.split()[4].startswith(str(below))]


def shell(command: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, **options)


class Tree(unittest.TestCase):
    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory(prefix="umdev-")
        self.addCleanup(scratch.cleanup)
        self.scratch = Path(scratch.name).resolve()
        self.sys = self.scratch / "run" / "sys"
        self.both_mounts = [str(self.scratch / "run" / name) for name in ("dev", "sys")]

    def daemon(self, *arguments: str) -> Daemon:
        daemon = Daemon(harness.build_dir(), self.scratch / "run", arguments)
        self.addCleanup(daemon.close)
        return daemon.start()

    def test_echo_is_a_complete_way_to_make_and_remove_a_device(self) -> None:
        daemon = self.daemon()
        made = shell(f"echo {uuid} > {create}", cwd=self.sys)
        self.assertEqual((made.returncode, made.stderr), (0, ""))
        harness.open_device(daemon.socket_of(uuid)).close()
        self.assertEqual(daemon.json("list")[0]["uuid"], uuid)
        again = shell(f"echo {uuid} > {create}", cwd=self.sys)
        self.assertNotEqual(again.returncode, 0)
        self.assertEqual(shell(f"echo 1 > bus/mdev/devices/{uuid}/remove", cwd=self.sys).returncode, 0)
        self.assertEqual(daemon.json("list"), [])

    def test_what_is_made_elsewhere_is_there_at_once(self) -> None:
        daemon = self.daemon()
        for _ in range(20):
            made = daemon.umdev("create", "null", "null-1").strip()
            self.assertEqual(os.listdir(self.sys / "bus/mdev/devices"), [made])
            self.assertTrue((self.sys / "bus/mdev/devices" / made / "uevent").exists())
            daemon.umdev("remove", made)
            self.assertFalse((self.sys / "bus/mdev/devices" / made).exists())
            self.assertEqual(os.listdir(self.sys / "bus/mdev/devices"), [])

    def test_an_instance_is_a_pci_function_too_where_it_is_asked_for(self) -> None:
        daemon = self.daemon()
        uuid = daemon.umdev("create", "ioat", "ioat-1", "--pci", "0000:00:05.0").strip()
        function = self.sys / "bus/pci/devices/0000:00:05.0"
        self.assertEqual((function / "vendor").read_text(), "0x8086\n")
        self.assertEqual(os.path.basename(os.readlink(function / "driver")), "vfio-pci")
        self.assertEqual(os.listdir(function / "vfio-dev"), ["vfio0"])
        self.assertEqual(os.listdir(function / "iommu_group/devices"), [uuid])
        self.assertEqual((function / "config").read_bytes()[:4], bytes.fromhex("86802120"))
        unbound = shell("echo 0000:00:05.0 > bus/pci/drivers/vfio-pci/unbind", cwd=self.sys)
        self.assertEqual(unbound.returncode, 0, unbound.stderr)
        self.assertFalse((function / "vfio-dev").exists())
        bound = shell("echo 0000:00:05.0 > bus/pci/drivers/vfio-pci/bind", cwd=self.sys)
        self.assertEqual(bound.returncode, 0, bound.stderr)
        for address, error in (("0000:00:05.0", "EEXIST"), ("5.0", "EINVAL")):
            self.assertIn(error, daemon.run("create", "ioat", "ioat-1", "--pci", address).stderr)
        self.assertEqual(len(daemon.json("list")), 1)
        daemon.umdev("remove", uuid)
        self.assertEqual(os.listdir(self.sys / "bus/pci/devices"), [])

    def test_its_end_leaves_no_mount(self) -> None:
        daemon = self.daemon()
        self.assertEqual(sorted(mounts(self.scratch)), self.both_mounts)
        self.assertEqual(daemon.stop(), 0, daemon.said())
        self.assertEqual(mounts(self.scratch), [])
        self.assertNotIn("warning", daemon.said())

    def test_it_ends_although_the_tree_is_in_use(self) -> None:
        daemon = self.daemon()
        inside = os.open(self.sys / "bus/mdev/devices", os.O_RDONLY)
        self.addCleanup(os.close, inside)
        attribute = open(self.sys / "class/mdev_bus/null/mdev_supported_types/null-1/name")
        self.addCleanup(attribute.close)
        waiting = subprocess.Popen(["sleep", "60"], cwd=self.sys / "class")
        self.addCleanup(waiting.wait)
        self.addCleanup(waiting.kill)
        self.assertEqual(daemon.stop(), 0, daemon.said())
        self.assertEqual(mounts(self.scratch), [])
        with self.assertRaises(OSError):
            os.listdir(inside)
        self.daemon()
        self.assertEqual(os.listdir(self.sys / "bus/mdev/devices"), [])

    def test_a_killed_daemons_mount_is_taken_over(self) -> None:
        for _ in range(5):
            daemon = self.daemon()
            self.assertEqual(shell(f"echo {uuid} > {create}", cwd=self.sys).returncode, 0)
            inside = os.open(self.sys / "class", os.O_RDONLY)
            daemon.kill()
            os.close(inside)
            self.assertEqual(sorted(mounts(self.scratch)), self.both_mounts)
        daemon = self.daemon()
        self.assertEqual(sorted(mounts(self.scratch)), self.both_mounts)
        self.assertEqual(shell(f"echo {uuid} > {create}", cwd=self.sys).returncode, 0)

    def test_a_writer_that_waits_when_the_daemon_is_killed_is_let_go(self) -> None:
        daemon = self.daemon()
        daemon.umdev("create", "null", "null-1", "--uuid", uuid)
        client = harness.open_device(daemon.socket_of(uuid))
        self.addCleanup(client.close)
        writer = subprocess.Popen(["sh", "-c", f"echo 1 > bus/mdev/devices/{uuid}/remove"], cwd=self.sys,
                                  stderr=subprocess.DEVNULL)
        self.assertTrue(harness.wait_until(lambda: daemon.json("list")[0]["state"] == "removing"))
        daemon.kill()
        self.assertNotEqual(writer.wait(60), 0)

    def test_somebody_who_unmounts_it_is_told_of(self) -> None:
        daemon = self.daemon()
        subprocess.run(["umount", self.sys], check=True)
        self.assertTrue(harness.wait_until(lambda: "unmounted" in daemon.said()))
        self.assertEqual(daemon.json("list"), [])
        self.assertEqual(daemon.stop(), 0, daemon.said())

    def test_it_can_be_left_out(self) -> None:
        daemon = self.daemon("--no-tree")
        self.assertEqual(mounts(self.scratch), [])
        self.assertEqual(daemon.json("list"), [])

    def test_where_it_cannot_be_mounted_the_daemon_says_so_and_goes_on(self) -> None:
        (self.scratch / "run").mkdir(mode=0o700)
        self.sys.write_text("in the way")
        daemon = self.daemon()
        self.assertIn("the tree is not mounted", daemon.said())
        self.assertIn("--no-tree", daemon.said())
        self.assertEqual(daemon.json("list"), [])


if __name__ == "__main__":
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
        print("skipped: needs root and /dev/fuse", file=sys.stderr)
        sys.exit(77)
    unittest.main(verbosity=2)
