#!/usr/bin/env python3
"""System calls by chance on the device nodes, under `umdev run`: the daemon must stay whole and leak nothing.

As a test, some seeds. `random_calls_test.py --minutes N [--seed N] [--build DIRECTORY]` (./dev fuzz-calls) goes on with
one seed after the other, and says which one has found something; the same seed makes the same calls."""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import time
import unittest
from collections import Counter
from pathlib import Path

import harness
import private_mounts
from harness import Daemon

nobody = 65534
seeds_as_a_test = 4
calls_of_a_seed = 2500
# Programs that use devices at once, each with calls of its own.
at_once = 3
patience = 300


class Found(Exception):
    """What the daemon, or the machine, is not to be like after a seed."""


class Calls:
    """A daemon, a device of each kind, and programs that make calls by chance."""

    def __init__(self, user: int | None = None):
        self.daemon = Daemon(harness.build_dir(), user=user).start()
        self.program = harness.build_dir() / "tests" / "e2e" / "random_calls" / "random_calls"
        if user is not None:
            self.program = self.daemon.programs / "random_calls"
            self.program.write_bytes((harness.build_dir() / "tests/e2e/random_calls/random_calls").read_bytes())
            self.program.chmod(0o755)
        if not self.daemon.has_mount("dev"):
            raise unittest.SkipTest("no device nodes are mounted here: " + self.daemon.said())
        tried = self.daemon.run("run", "true")
        if tried.returncode == 125:
            raise unittest.SkipTest(tried.stderr)
        self.devices = [self.daemon.umdev("create", *words).strip()
                        for words in (("mtty", "mtty-1"), ("ioat", "ioat-1"), ("ioat", "ioat-4"))]
        self.run_seed(0, calls=200)  # what is made once is there then
        self.before = self.descriptors()

    def close(self) -> None:
        self.daemon.close()

    def descriptors(self) -> Counter[str]:
        """Of the daemon, by what they are."""
        kinds: Counter[str] = Counter()
        for link in Path(f"/proc/{self.daemon.process.pid}/fd").iterdir():
            try:
                kinds[re.sub(r":\[\d+\]", "", os.readlink(link))] += 1
            except FileNotFoundError:
                continue  # closed meanwhile
        return kinds

    def words(self, number: int, *what: str) -> list[str]:
        return [str(self.daemon.programs / "umdev"), "--runtime-dir", str(self.daemon.directory), "run", "--",
                *what, str(number), self.devices[number], f"/dev/vfio/devices/vfio{number}"]

    def run_seed(self, seed: int, calls: int = calls_of_a_seed) -> None:
        """Every program ends by itself, or by its own alarm (SIGALRM) where a call hangs."""
        programs = [subprocess.Popen(self.words(number, str(self.program), str(seed * at_once + number), str(calls)),
                                     stdin=subprocess.DEVNULL, start_new_session=True, **self.daemon.identity)
                    for number in range(at_once)]
        try:
            for number, program in enumerate(programs):
                status = program.wait(patience)
                if status != 0:
                    raise Found(f"program {number} ended with {status}")
        finally:
            for program in programs:
                if program.poll() is None:
                    os.killpg(program.pid, signal.SIGKILL)
                    program.wait()
        if self.daemon.process.poll() is not None:
            raise Found(f"the daemon ended with {self.daemon.process.returncode}: {self.daemon.said()}")

    def check_nothing_left(self) -> None:
        """Each device can be had again; some threads that called are remembered, all else is closed."""
        vfio_program = harness.build_dir() / "tests" / "e2e" / "vfio_program" / "vfio_program_static"
        if self.daemon.identity:
            copied = self.daemon.programs / "vfio_program_static"
            copied.write_bytes(vfio_program.read_bytes())
            copied.chmod(0o755)
            vfio_program = copied

        def is_free(number: int) -> bool:
            words = self.words(number, str(vfio_program))[:-1] + ["tour"]
            return subprocess.run(words, stdout=subprocess.DEVNULL, **self.daemon.identity).returncode == 0

        for number in range(at_once):
            if not harness.wait_until(lambda: is_free(number)):
                raise Found(f"device {number} is not free: {self.daemon.said()}")
        # Who called is remembered until twice as many have as were alive when somebody looked last.
        allowed = self.before + Counter({"pidfd": 48, "anon_inode:[pidfd]": 48})
        if not harness.wait_until(lambda: (self.descriptors() - allowed).total() <= 8):
            raise Found(f"descriptors came up: {dict(self.descriptors() - self.before)}")
        if "is faulted" in self.daemon.said():
            raise Found(self.daemon.said())


class AsThisUser(unittest.TestCase):
    user: int | None = None

    def test_calls_by_chance_leave_the_daemon_whole_and_nothing_behind(self) -> None:
        calls = Calls(self.user)
        self.addCleanup(calls.close)
        for seed in range(1, seeds_as_a_test + 1):
            with self.subTest(seed=seed):
                calls.run_seed(seed)
        calls.check_nothing_left()
        self.assertEqual(calls.daemon.stop(), 0, calls.daemon.said())


@unittest.skipUnless(os.getuid() == 0, "takes root to become another user")
class AsNobody(AsThisUser):
    user = nobody


def go_on(arguments: argparse.Namespace) -> int:
    calls = Calls()
    seed, end = arguments.seed, time.monotonic() + arguments.minutes * 60
    try:
        while time.monotonic() < end:
            calls.run_seed(seed, arguments.calls)
            calls.check_nothing_left()
            seed += 1
    except Found as found:
        print(f"seed {seed} FOUND something: {found}", file=sys.stderr)
        return 1
    finally:
        calls.close()
    print(f"{seed - arguments.seed} seeds, {at_once * arguments.calls} calls each: nothing found", file=sys.stderr)
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description="System calls by chance on the device nodes.")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--calls", type=int, default=20000)
    return go_on(parser.parse_args())


if __name__ == "__main__":
    private_mounts.open_fuse_to_everybody()
    if len(sys.argv) > 1 and sys.argv[1] in ("--minutes", "--seed", "--calls", "--help"):
        sys.exit(main())
    unittest.main(verbosity=2)
