#!/usr/bin/env python3
"""The cases of the VFIO user API (tests/uapi) under `umdev run`: but for what docs/conformance.md lists, a program
finds what a kernel would answer."""

from __future__ import annotations

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "guest"))
import debian  # noqa: E402
import harness  # noqa: E402
import user_api  # noqa: E402
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
        serial = daemon.umdev("create", "mtty", "mtty-1").strip()
        cases = user_api.run_cases(self, daemon, serial)
        wrong = [line.partition(" - ")[2] for line in cases if line.startswith("not ok")]
        self.assertEqual([line for line in wrong if not line.startswith(known)], [])


if __name__ == "__main__":
    debian.run_command(lambda: unittest.main(verbosity=2))
