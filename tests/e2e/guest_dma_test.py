#!/usr/bin/env python3
"""A DMA engine in real guests: the stock ioatdma driver takes it after its own self test, and every channel copies, in
memory that is shared, in memory that is not, behind a virtual IOMMU, and beside a serial card."""

from __future__ import annotations

import shlex
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "guest"))
import debian  # noqa: E402
import fetch_generic_kernel  # noqa: E402
import guest  # noqa: E402
import harness  # noqa: E402
from harness import Daemon  # noqa: E402

kit: guest.Kit
modules: Path
here = Path(guest.__file__).parent


class GuestDma(unittest.TestCase):
    def setUp(self) -> None:
        self.enterContext(guest.one_cpu())
        self.daemon = self.enterContext(Daemon(harness.build_dir()))
        self.seen: dict[str, dict] = {}  # the daemon's status at steps of the guest

    def plug(self, parent: str, kind: str) -> list[str]:
        uuid = self.daemon.umdev("create", parent, kind).strip()
        return shlex.split(self.daemon.umdev("qemu-args", uuid))

    def boot(self, arguments: list[str], channels: str, **options) -> guest.Result:
        def show(step: guest.Step) -> None:
            print(step, flush=True)
            self.seen[step.name] = self.daemon.json("status")

        order = fetch_generic_kernel.load_order(modules, "ioatdma")
        files = fetch_generic_kernel.files_for(modules, order)
        files["dma_copy"] = guest.compile_static(here / "dma_copy.c", kit.cache)
        files["serial_check"] = (here / "serial_check.sh").read_bytes()
        files["serial_loop"] = guest.compile_static(here / "serial_loop.c", kit.cache)
        environment = {"MODULES": " ".join(order), "CHANNELS": channels} | options.pop("environment", {})
        return guest.boot(
            kit,
            here / "dma_check.sh",
            qemu_args=arguments,
            files=files,
            environment=environment,
            timeout=300.0,
            on_step=show,
            **options,
        )

    def check(self, result: guest.Result, channels: list[int]) -> None:
        self.assertTrue(result.ok, result.report())
        engines = result.values("engine")
        self.assertEqual(len(engines), 2 * len(channels), "each at the driver's first probe and its second")
        for engine, count in zip(engines[::2], channels):
            self.assertIn(f"driver ioatdma channels {count} ", engine)
            self.assertIn(f"vectors {count} msix", engine)
        self.assertEqual(len(result.values("dma")), sum(channels))
        self.assertTrue(self.daemon.is_running(), self.daemon.said())
        self.assertTrue(harness.wait_until(lambda: self.daemon.json("status")["sessions"] == []))
        status = self.daemon.json("status")
        self.assertEqual((status["memory"]["mappings"], status["memory"]["pins"]), (0, 0))
        self.assertEqual((status["vfio"]["containers"], status["vfio"]["open_files"]), (0, 0))

    def test_engines_of_four_channels_and_of_one_beside_a_serial_card(self) -> None:
        arguments = self.plug("ioat", "ioat-4") + self.plug("ioat", "ioat-1") + self.plug("mtty", "mtty-2")
        result = self.boot(arguments, "4 1", environment={"PORTS": "2", "BYTES": "2048"})
        self.check(result, [4, 1])
        self.assertEqual(len(result.values("loop")), 2)
        self.assertEqual(self.seen["dma"]["vfio_user"]["dma_messages"], 0, "the memory is shared")

    def test_memory_without_a_shared_file(self) -> None:
        """All of it is reached by DMA_READ and DMA_WRITE."""
        result = self.boot(self.plug("ioat", "ioat-4"), "4", machine=guest.Machine(shared=False))
        self.check(result, [4])
        # A descriptor is one read, a copy another, its result and its completion are writes.
        self.assertGreater(self.seen["dma"]["vfio_user"]["dma_messages"], 3 * 16 * 4)

    def test_behind_a_virtual_iommu(self) -> None:
        """The driver reaches what it has mapped; whoever has mapped nothing reaches nothing."""
        result = self.boot(
            ["-device", "intel-iommu,intremap=on,caching-mode=on", *self.plug("ioat", "ioat-1")],
            "1",
            machine=guest.Machine(kernel_arguments="intel_iommu=on iommu.strict=1"),
            environment={"IOMMU": "1"},
        )
        self.check(result, [1])
        self.assertIn("DMA", result.values("iommu")[0])


def main() -> None:
    global kit, modules
    kit, modules = guest.fetch_generic_kit()
    unittest.main(verbosity=2)


if __name__ == "__main__":
    debian.run_command(main)
