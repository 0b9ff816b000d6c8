#!/usr/bin/env python3
"""The cases of the VFIO user API (tests/uapi) on a kernel: Debian's, in a guest, with vfio-pci behind intel-iommu. What
they expect is what that kernel answers."""

from __future__ import annotations

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "guest"))
import debian  # noqa: E402
import fetch_generic_kernel  # noqa: E402
import guest  # noqa: E402
import harness  # noqa: E402

kit: guest.Kit
modules: Path
here = Path(__file__).resolve().parent


class Kernel(unittest.TestCase):
    def check(self, device: str, ids: str) -> None:
        order = fetch_generic_kernel.load_order(modules, "vfio_pci", "vfio_iommu_type1")
        files = fetch_generic_kernel.files_for(modules, order)
        files["uapi_check"] = (harness.build_dir() / "tests/uapi/uapi_check").read_bytes()
        result = guest.boot(
            kit,
            here.parent / "guest" / "uapi_check.sh",
            qemu_args=["-device", "intel-iommu", "-device", device],
            files=files,
            environment={"MODULES": " ".join(order), "IDS": ids},
            machine=guest.Machine(kernel_arguments="intel_iommu=on"),
            timeout=300,
        )
        wrong = [line for line in result.console.splitlines() if line.startswith("not ok")]
        self.assertEqual(wrong, [])
        self.assertTrue(result.ok, result.report())
        self.assertIn("# 0 failed", result.console)

    def test_of_a_function_with_intx_and_msi(self) -> None:
        self.check("edu", "0x1234 0x11e8")

    def test_of_a_pci_express_function_with_msix(self) -> None:
        self.check("e1000e,romfile=", "0x8086 0x10d3")


def main() -> None:
    global kit, modules
    kit, modules = guest.fetch_generic_kit()
    unittest.main(verbosity=2)


if __name__ == "__main__":
    debian.run_command(main)
