#!/usr/bin/env python3
"""Unmodified VFIO programs under `umdev run`: dynamic and static, as root and as another user, killed and stopped."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
import unittest
from pathlib import Path

import harness
import private_mounts
from harness import Daemon

nobody = 65534
# How often a program is killed at a random moment. The stress test has 1,000.
kills = int(os.environ.get("UMDEV_KILLS", "40"))


class Programs:
    """The tests of both users."""

    user: int | None = None

    @classmethod
    def setUpClass(cls) -> None:
        cls.daemon = Daemon(harness.build_dir(), user=cls.user).start()
        cls.addClassCleanup(cls.daemon.close)
        if not cls.daemon.has_mount("dev"):
            raise unittest.SkipTest("no device nodes are mounted here: " + cls.daemon.said())
        cls.programs = {name: cls.place(name) for name in ("vfio_program", "vfio_program_static")}
        cls.serial = cls.daemon.umdev("create", "mtty", "mtty-1").strip()
        cls.engine = cls.daemon.umdev("create", "ioat", "ioat-1").strip()
        tried = cls.daemon.run("run", "true")
        if tried.returncode == 125:
            raise unittest.SkipTest(tried.stderr)

    @classmethod
    def place(cls, name: str) -> str:
        """Where everybody may execute it."""
        built = harness.build_dir() / "tests" / "e2e" / "vfio_program" / name
        if cls.user is None:
            return str(built)
        copied = shutil.copy(built, cls.daemon.programs / name)
        os.chmod(copied, 0o755)
        return str(copied)

    def words(self, uuid: str, *what: str, program: str = "vfio_program") -> list[str]:
        group = {self.serial: "0", self.engine: "1"}[uuid]
        return [str(self.daemon.programs / "umdev"), "--runtime-dir", str(self.daemon.directory), "run", "--",
                self.programs[program], group, uuid, *what]

    def do(self, uuid: str, *what: str) -> None:
        for program in self.programs:
            run = subprocess.run(self.words(uuid, *what, program=program), capture_output=True, text=True, timeout=120,
                                 stdin=subprocess.DEVNULL, **self.daemon.identity)
            self.assertEqual((run.returncode, run.stdout, run.stderr), (0, "", ""), program)

    def start(self, uuid: str, *what: str) -> subprocess.Popen:
        """A program that says that it is ready."""
        process = subprocess.Popen(self.words(uuid, *what), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                   **self.daemon.identity)
        self.addCleanup(end, process)
        self.assertEqual(process.stdout.readline(), "ready\n")
        return process

    def assert_free(self, uuid: str) -> None:
        """The device can be had again, at once or when the supervisor of a killed program has let go of it too."""
        command = self.words(uuid, "tour")
        self.assertTrue(harness.wait_until(
            lambda: subprocess.run(command, stdout=subprocess.DEVNULL, **self.daemon.identity).returncode == 0))

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.daemon.process.pid}/fd"))

    # --- what a program does

    def test_a_drivers_start(self) -> None:
        self.do(self.serial, "tour")
        self.do(self.engine, "tour")

    def test_threads_at_once(self) -> None:
        self.do(self.serial, "threads")

    def test_fork_exec_dup_and_sent_descriptors(self) -> None:
        self.do(self.serial, "family")

    def test_dma_to_every_kind_of_memory(self) -> None:
        for memory in ("private", "shared", "memfd"):
            for size in (4096, 65536, 4 << 20):
                with self.subTest(memory=memory, size=size):
                    self.do(self.engine, "dma", memory, str(size))

    def test_every_kind_of_access_to_mapped_registers(self) -> None:
        self.do(self.engine, "registers")
        # The C program has made two accesses, in each of its forms, that no driver makes.
        self.assertTrue(harness.wait_until(lambda: self.daemon.said().count("the instruction db") >= 2))

    def test_a_shell_sees_the_nodes(self) -> None:
        command = self.words(self.serial)[:-3] + ["sh", "-c", "ls /dev/vfio /dev/vfio/devices; test -e /dev/iommu"]
        run = subprocess.run(command, capture_output=True, text=True, **self.daemon.identity)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual(set(run.stdout.split()),
                         {"/dev/vfio:", "0", "1", "devices", "vfio", "/dev/vfio/devices:", "vfio0", "vfio1"})

    def test_a_program_has_no_descriptor_and_no_child_of_a_helper(self) -> None:
        command = self.words(self.serial)[:-3] + ["sh", "-c", "ls /proc/self/fd; cat /proc/$$/task/$$/children"]
        run = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, **self.daemon.identity)
        self.assertEqual(run.stdout.split()[:4], ["0", "1", "2", "3"])  # 3: the listing itself
        self.assertEqual(len(run.stdout.split()), 5)  # cat

    # --- how it ends

    def test_killed_at_random_moments_it_leaves_nothing(self) -> None:
        before = self.descriptors()
        choose = random.Random(4711)
        for number in range(kills):
            uuid = (self.serial, self.engine)[number % 2]
            process = self.start(uuid, "loop")
            time.sleep(choose.random() * 0.02)
            process.kill()
            self.assertEqual(process.wait(30), -signal.SIGKILL)
            end(process)
            self.assert_free(uuid)
        # Some threads that called are remembered, each with its process; all else is closed.
        self.assertTrue(harness.wait_until(lambda: self.descriptors() <= before + 16), (before, self.descriptors()))

    def test_stopped_in_the_middle_it_holds_nobody_up(self) -> None:
        process = self.start(self.serial, "loop")
        for _ in range(10):
            time.sleep(0.01)
            process.send_signal(signal.SIGSTOP)
            self.do(self.engine, "tour")
            process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGSTOP)
        process.kill()
        self.assertEqual(process.wait(30), -signal.SIGKILL)
        self.assert_free(self.serial)

    def test_when_the_daemon_dies_programs_get_errors(self) -> None:
        for number in (signal.SIGKILL, signal.SIGTERM):
            with Daemon(harness.build_dir(), user=self.user) as daemon:
                uuid = daemon.umdev("create", "mtty", "mtty-1").strip()
                command = [str(self.daemon.programs / "umdev"), "--runtime-dir", str(daemon.directory), "run", "--",
                           self.programs["vfio_program"], "0", uuid, "hold"]
                process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                           **self.daemon.identity)
                self.addCleanup(end, process)
                self.assertEqual(process.stdout.readline(), "ready\n")
                daemon.process.send_signal(number)
                daemon.process.wait(60)
                daemon.process.stdout.close()
                said = process.communicate("go\n", timeout=60)[0]
                self.assertEqual((process.returncode, said), (0, ""))

    def test_the_supervisor_ends_with_the_program(self) -> None:
        def supervisors() -> int:
            def is_one(path: Path) -> bool:
                try:
                    words = (path / "cmdline").read_bytes().split(b"\0")
                    return b"run" in words and str(self.daemon.directory).encode() in words
                except OSError:
                    return False

            return sum(is_one(path) for path in Path("/proc").iterdir() if path.name.isdecimal())

        process = self.start(self.serial, "loop")
        self.assertEqual(supervisors(), 1)
        process.kill()
        self.assertTrue(harness.wait_until(lambda: supervisors() == 0))


def end(process: subprocess.Popen) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None and not stream.closed:
            stream.close()


class AsThisUser(Programs, unittest.TestCase):
    pass


@unittest.skipUnless(os.getuid() == 0, "takes root to become another user")
class AsNobody(Programs, unittest.TestCase):
    user = nobody


if __name__ == "__main__":
    private_mounts.open_fuse_to_everybody()
    unittest.main(verbosity=2)
