#!/usr/bin/env python3
"""Virtual functions of a DMA engine, by writes to sysfs, and a program that has one when it is taken away."""

from __future__ import annotations

import subprocess
import unittest
from pathlib import Path

import harness
from harness import Daemon

physical = "0000:00:06.0"
virtual = ("0000:00:16.0", "0000:00:16.1")
token = "52ac9bff-3a88-4fbd-901a-0d767c3b6c97"


class VirtualFunctions(unittest.TestCase):
    def setUp(self) -> None:
        self.daemon = self.enterContext(Daemon(harness.build_dir()))
        if not self.daemon.has_mount("dev"):
            self.skipTest("no device nodes are mounted here: " + self.daemon.said())
        self.uuid = self.daemon.umdev("create", "ioat", "ioat-sriov", "--pci", physical).strip()
        tried = self.daemon.run("run", "true")
        if tried.returncode == 125:
            self.skipTest(tried.stderr)
        self.functions = self.daemon.directory / "sys" / "bus" / "pci" / "devices"

    def group_of(self, function: str) -> str:
        return (self.functions / function / "iommu_group").resolve().name

    def count(self) -> Path:
        return self.functions / physical / "sriov_numvfs"

    def open_files(self) -> int:
        return self.daemon.json("status")["vfio"]["open_files"]

    def use(self, function: str, shown: str) -> subprocess.Popen:
        """A program that opens the function and keeps it, until its standard input ends."""
        program = harness.build_dir() / "tests" / "e2e" / "vfio_program" / "vfio_program"
        command = [str(self.daemon.programs / "umdev"), "--runtime-dir", str(self.daemon.directory), "run", "--"]
        process = subprocess.Popen(
            [*command, str(program), self.group_of(function), f"{function} vf_token={shown}", "hold"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process: subprocess.Popen) -> None:
        process.kill()
        process.communicate()

    def test_they_come_and_go_with_their_nodes(self) -> None:
        before = set((self.daemon.directory / "dev" / "vfio").iterdir())
        self.count().write_text("2\n")
        self.assertEqual((self.functions / physical / "virtfn1").resolve().name, virtual[1])
        self.assertEqual((self.functions / virtual[0] / "physfn").resolve().name, physical)
        groups = {self.daemon.directory / "dev" / "vfio" / self.group_of(function) for function in virtual}
        self.assertEqual(set((self.daemon.directory / "dev" / "vfio").iterdir()), before | groups)
        with self.assertRaises(OSError):
            self.count().write_text("1\n")
        self.count().write_text("0\n")
        self.assertEqual(set((self.daemon.directory / "dev" / "vfio").iterdir()), before)
        self.assertFalse((self.functions / virtual[0]).exists())

    def test_who_has_the_token_of_the_physical_functions_user_may_have_one(self) -> None:
        self.count().write_text("1\n")
        self.assertNotEqual(self.use(virtual[0], token).stdout.readline(), "ready\n")
        owner = self.use(physical, token)
        self.assertEqual(owner.stdout.readline(), "ready\n")
        user = self.use(virtual[0], token)
        self.assertEqual(user.stdout.readline(), "ready\n")
        other = token.replace("5", "6")
        self.assertNotEqual(self.use(virtual[0], other).stdout.readline(), "ready\n")
        self.end(owner)
        self.assertTrue(harness.wait_until(lambda: self.open_files() == 1))
        self.assertNotEqual(self.use(physical, other).stdout.readline(), "ready\n")
        self.assertEqual(self.use(physical, token).stdout.readline(), "ready\n")

    def test_a_removal_takes_them_along_and_waits_for_their_users_unless_forced(self) -> None:
        self.count().write_text("1\n")
        owner = self.use(physical, token)
        self.assertEqual(owner.stdout.readline(), "ready\n")
        self.assertEqual(self.use(virtual[0], token).stdout.readline(), "ready\n")
        self.end(owner)
        self.assertTrue(harness.wait_until(lambda: self.open_files() == 1))
        waiting = subprocess.Popen(
            [str(self.daemon.programs / "umdev"), "--runtime-dir", str(self.daemon.directory), "remove", self.uuid],
            stdin=subprocess.DEVNULL)
        self.addCleanup(self.end, waiting)
        self.assertTrue(harness.wait_until(lambda: not (self.functions / physical).exists()))
        self.assertIsNone(waiting.poll())
        self.daemon.run("remove", "--force", self.uuid)
        self.assertEqual(waiting.wait(60), 0)
        self.assertFalse((self.functions / virtual[0]).exists())
        self.assertTrue(self.daemon.is_running(), self.daemon.said())


if __name__ == "__main__":
    unittest.main(verbosity=2)
