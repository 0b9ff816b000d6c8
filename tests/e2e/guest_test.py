#!/usr/bin/env python3
"""A stock Linux guest in an unmodified QEMU uses a serial card of ours, twice."""

from __future__ import annotations

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "guest"))
import debian  # noqa: E402
import guest  # noqa: E402
import harness  # noqa: E402
from harness import Daemon  # noqa: E402

kit: guest.Kit
count = 65536


class Guest(unittest.TestCase):
    def boot(self, daemon: Daemon, uuid: str) -> guest.Result:
        line = daemon.umdev("qemu-args", uuid).strip()
        return guest.check_serial(
            kit, line, ports="2", count=count, patience=30.0, timeout=300.0,
            on_step=lambda step: print(step, flush=True),
        )

    def check(self, result: guest.Result) -> None:
        """The guest's own checks are in result.ok; here is what must have been seen for it to mean anything."""
        self.assertTrue(result.ok, result.report())
        identity = result.values("pci")
        self.assertEqual(len(identity), 1)
        self.assertIn("vendor 0x4348 device 0x3253 class 0x070002 subsystem 0x4348:0x3253", identity[0])
        ports = result.values("port")
        self.assertEqual(len(ports), 2)
        for port in ports:
            self.assertIn("uart 16550A", port)
        loops = result.values("loop")
        self.assertEqual(len(loops), 2)
        for loop in loops:
            self.assertIn(str(count), loop.split())
        for interrupts in result.values("interrupts"):
            words = interrupts.split()
            before, after = int(words[words.index("before") + 1]), int(words[words.index("after") + 1])
            self.assertGreater(after, before)
        self.assertEqual(len(result.values("interrupts")), 2)
        self.assertEqual(result.qemu_status, 0)
        self.assertEqual(result.complaints, [])

    def test_two_boots_on_one_instance(self) -> None:
        with guest.one_cpu(), Daemon(harness.build_dir()) as daemon:
            uuid = daemon.umdev("create", "mtty", "mtty-2").strip()
            for boot in (1, 2):
                print(f"boot {boot}", flush=True)
                self.check(self.boot(daemon, uuid))
                # The guest has powered off: the daemon goes on, and holds nothing of it.
                self.assertTrue(daemon.is_running(), daemon.said())
                self.assertTrue(harness.wait_until(lambda: daemon.json("status")["sessions"] == []))
                status = daemon.json("status")
                self.assertEqual((status["memory"]["mappings"], status["memory"]["pins"]), (0, 0))
                self.assertEqual((status["vfio"]["containers"], status["vfio"]["open_files"]), (0, 0))
                self.assertEqual(status["memory"]["file_mappings"], 0)
            self.assertIn("256 bytes out and back", daemon.umdev("probe", uuid))
            daemon.umdev("remove", uuid)
            self.assertEqual(daemon.stop(), 0, daemon.said())


def main() -> None:
    global kit
    kit = guest.fetch_kit()
    unittest.main(verbosity=2)


if __name__ == "__main__":
    debian.run_command(main)
