#!/usr/bin/env python3
"""The kernel's own tests of VFIO (tools/testing/selftests/vfio) on a DMA engine of ours, unmodified, under `umdev run`:
as root and in a user namespace. Each program runs all of its cases in every IOMMU mode."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "guest"))
import debian  # noqa: E402
import fetch_selftests  # noqa: E402
import harness  # noqa: E402
import private_mounts  # noqa: E402
from harness import Daemon  # noqa: E402

nobody = 65534
address = "0000:00:05.0"
physical = "0000:00:06.0"
modes = ("vfio_type1_iommu", "vfio_type1v2_iommu", "iommufd_compat_type1", "iommufd_compat_type1v2", "iommufd")


class Selftests:
    """The tests of both users."""

    user: int | None = None
    programs: Path

    @classmethod
    def setUpClass(cls) -> None:
        cls.daemon = Daemon(harness.build_dir(), user=cls.user).start()
        cls.addClassCleanup(cls.daemon.close)
        if not cls.daemon.has_mount("dev"):
            raise unittest.SkipTest("no device nodes are mounted here: " + cls.daemon.said())
        cls.daemon.umdev("create", "ioat", "ioat-1", "--pci", address)
        cls.daemon.umdev("create", "ioat", "ioat-sriov", "--pci", physical)
        tried = cls.daemon.run("run", "true")
        if tried.returncode == 125:
            raise unittest.SkipTest(tried.stderr)

    def run_program(self, name: str, function: str = address) -> subprocess.CompletedProcess:
        program = str(self.programs / name)
        if self.user is not None:
            program = shutil.copy(program, self.daemon.programs / name)
            os.chmod(program, 0o755)
        command = [str(self.daemon.programs / "umdev"), "--runtime-dir", str(self.daemon.directory), "run", "--"]
        return subprocess.run([*command, str(program), function], capture_output=True, text=True, timeout=600,
                              stdin=subprocess.DEVNULL, **self.daemon.identity)

    def check(self, name: str, in_each_mode: bool = True, may_skip: str = "", function: str = address) -> None:
        """All cases of a program pass. Some may be skipped, when their line says `may_skip`."""
        run = self.run_program(name, function)
        said = run.stdout + run.stderr
        cases = re.findall(r"^(ok|not ok) \d+ (.*)$", run.stdout, re.MULTILINE)
        skipped = [text for outcome, text in cases if "SKIP" in text]
        self.assertEqual([text for outcome, text in cases if outcome != "ok"], [], said)
        self.assertEqual(run.returncode, 0, said)
        self.assertEqual([text for text in skipped if not (may_skip and re.search(may_skip, text))], [], said)
        if in_each_mode:
            for mode in modes:
                named = re.compile(rf"\b{mode}(_\w+_uuid)?\b")
                self.assertTrue(any(named.search(text.replace(".", " ")) for _, text in cases), mode)
        who = "root" if self.user is None else "a user"
        print(f"{name} as {who}: {len(cases) - len(skipped)} pass, {len(skipped)} skipped", file=sys.stderr)

    def test_mapping_memory(self) -> None:
        # Without huge pages of the machine's the kernel's test leaves these out.
        self.check("vfio_dma_mapping_test", may_skip="hugetlb|mmap")

    def test_mapping_registers_for_dma(self) -> None:
        self.check("vfio_dma_mapping_mmio_test")

    def test_setting_an_iommufd_up(self) -> None:
        self.check("vfio_iommufd_setup_test", in_each_mode=False)

    def test_a_pci_device(self) -> None:
        self.check("vfio_pci_device_test", in_each_mode=False)

    def test_opening_devices_at_once(self) -> None:
        self.check("vfio_pci_device_init_perf_test")

    def test_a_driver(self) -> None:
        self.check("vfio_pci_driver_test")

    def test_virtual_functions(self) -> None:
        """And the tokens that they want: the program enables one, and takes it away."""
        self.check("vfio_pci_sriov_uapi_test", function=physical)
        count = f"/sys/bus/pci/devices/{physical}/sriov_numvfs"
        self.assertEqual(self.daemon.umdev("run", "cat", count), "0\n")


class AsThisUser(Selftests, unittest.TestCase):
    pass


@unittest.skipUnless(os.getuid() == 0, "takes root to become another user")
class AsNobody(Selftests, unittest.TestCase):
    user = nobody


def main() -> None:
    Selftests.programs = fetch_selftests.fetch(debian.default_cache())
    private_mounts.open_fuse_to_everybody()
    unittest.main(verbosity=2)


if __name__ == "__main__":
    debian.run_command(main)
