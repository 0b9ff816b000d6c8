#!/usr/bin/env python3
"""The cases of the VFIO user API (tests/uapi) under `umdev run`: but for what docs/conformance.md lists, a program
finds what a kernel would answer."""

from __future__ import annotations

import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "guest"))
import debian  # noqa: E402
import harness  # noqa: E402
from harness import Daemon  # noqa: E402

# What the way of the calls makes different.
known = (
    "command 0x3b73 without a driver: EFAULT",
    "command 0x3b73 with a driver: EFAULT",
    "command 0x3b6a of a device: EFAULT",
    "GET_GFX_DMABUF: EFAULT",
    "map BAR 0 privately: 0",
)


class UnderRun(unittest.TestCase):
    def test_every_case(self) -> None:
        daemon = self.enterContext(Daemon(harness.build_dir()))
        if not daemon.has_mount("dev"):
            raise unittest.SkipTest("no device nodes are mounted here: " + daemon.said())
        serial = daemon.umdev("create", "mtty", "mtty-1").strip()
        tried = daemon.run("run", "true")
        if tried.returncode == 125:
            raise unittest.SkipTest(tried.stderr)
        check = harness.build_dir() / "tests" / "uapi" / "uapi_check"
        command = [str(daemon.programs / "umdev"), "--runtime-dir", str(daemon.directory), "run", "--"]
        run = subprocess.run([*command, str(check), "0", serial, "/dev/vfio/devices/vfio0"], capture_output=True,
                             text=True, timeout=300, stdin=subprocess.DEVNULL)
        self.assertIn(run.returncode, (0, 1), run.stderr)
        wrong = [line.partition(" - ")[2] for line in run.stdout.splitlines() if line.startswith("not ok")]
        self.assertEqual([line for line in wrong if not line.startswith(known)], [])
        self.assertGreater(sum(line.startswith("ok ") for line in run.stdout.splitlines()), 600)


if __name__ == "__main__":
    debian.run_command(lambda: unittest.main(verbosity=2))
