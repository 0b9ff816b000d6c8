#!/usr/bin/env python3
"""A stock Linux guest in an unmodified QEMU uses the kernel's own sample of a serial card, loaded as a module."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path

import fetch_samples
import kit as modules

import debian  # from tests/guest, as the next
import guest
import harness

kit: guest.Kit
count = 512
# The sample takes a buffer of 16 bytes that is full for an empty one, so fewer are under way at a time.
chunk = 8


class Guest(unittest.TestCase):
    """It finds the ports, and bytes come back."""

    def check(self, release: str) -> None:
        try:
            samples = fetch_samples.fetch(debian.default_cache(), release)
        except debian.Unavailable as reason:
            self.skipTest(str(reason))
        scratch = Path(self.enterContext(tempfile.TemporaryDirectory(prefix="umdev-guest-")))
        modules.compile_module(samples / "mtty.c", scratch / "mtty.so")
        with guest.one_cpu(), modules.daemon_with(scratch / "mtty.so") as daemon:
            uuid = daemon.umdev("create", "mtty", "mtty-2").strip()
            line = daemon.umdev("qemu-args", uuid).strip()
            result = guest.check_serial(
                kit, line, ports="2", count=count, chunk=chunk, patience=30.0, timeout=300.0,
                on_step=lambda step: print(step, flush=True),
            )
            self.assertTrue(result.ok, result.report())
            self.assertEqual(len(result.values("port")), 2)
            self.assertEqual(len(result.values("loop")), 2)
            for loop in result.values("loop"):
                self.assertIn(str(count), loop.split())
            self.assertTrue(harness.wait_until(lambda: daemon.json("status")["sessions"] == []))
            daemon.umdev("module", "remove", "mtty")
            self.assertEqual(daemon.stop(), 0, daemon.said())

    def test_of_6_1(self) -> None:
        self.check("6.1")

    def test_of_the_newest(self) -> None:
        self.check("backports")


def main() -> None:
    global kit
    kit = guest.fetch_kit()
    unittest.main(verbosity=2)


if __name__ == "__main__":
    debian.run_command(main)
