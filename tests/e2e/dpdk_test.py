#!/usr/bin/env python3
"""Debian's DPDK, unmodified, under `umdev run`: its own tests of DMA engines (dmadev_autotest) on an engine of ours, by
its driver for the I/OAT kind, as root and as another user."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "guest"))
import debian  # noqa: E402
import fetch_dpdk  # noqa: E402
import harness  # noqa: E402
import private_mounts  # noqa: E402
from harness import Daemon  # noqa: E402

nobody = 65534
address = "0000:00:05.0"
drivers = ("librte_bus_pci", "librte_mempool_ring", "librte_dma_ioat")
# Without huge pages DPDK maps its memory page by page, so it gets little.
memory = ("--no-huge", "-m", "32", "--iova-mode=va")
unpacked: Path


class Dpdk:
    """The tests of both users."""

    user: int | None = None
    installed: Path

    def setUp(self) -> None:
        self.daemon = self.enterContext(Daemon(harness.build_dir(), user=self.user))
        if not self.daemon.has_mount("dev"):
            self.skipTest("no device nodes are mounted here: " + self.daemon.said())
        self.daemon.umdev("create", "ioat", "ioat-1", "--pci", address)
        tried = self.daemon.run("run", "true")
        if tried.returncode == 125:
            self.skipTest(tried.stderr)

    def run_test(self, name: str) -> str:
        libraries = self.installed / "lib" / "x86_64-linux-gnu"
        plugins = next((libraries / "dpdk").iterdir())
        loaded = [word for driver in drivers for word in ("-d", str(next(plugins.glob(f"{driver}.so.*"))))]
        program = [str(libraries / "ld-linux-x86-64.so.2"), "--library-path", str(libraries),
                   str(self.installed / "bin" / "dpdk-test")]
        # What it leaves behind of itself, in a folder of its own.
        own = Path(tempfile.mkdtemp(dir=self.daemon.directory.parent))
        os.chmod(own, 0o777)
        run = subprocess.run(
            [str(self.daemon.programs / "umdev"), "--runtime-dir", str(self.daemon.directory), "run", "--", *program,
             "-l", "0", *memory, *loaded, "-a", address, f"--file-prefix=umdev-{os.getpid()}"],
            env=os.environ | {"DPDK_TEST": name, "RUNTIME_DIRECTORY": str(own), "XDG_RUNTIME_DIR": str(own)},
            capture_output=True, text=True, timeout=900, stdin=subprocess.DEVNULL, **self.daemon.identity)
        said = run.stdout + run.stderr
        self.assertIn("\nTest OK\n", run.stdout, said)
        self.assertEqual(run.returncode, 0, said)
        return said

    def test_dmadev_autotest(self) -> None:
        """Its interface, 85,120 copies, a full ring, fills: each look at the engine is an access to registers."""
        said = self.run_test("dmadev_autotest")
        self.assertIn(f"### Test dmadev instance 0 [{address}]", said)
        cases = dict(re.findall(r"TestCase \[ *\d+\] : (\w+) (\w+)", said))
        self.assertNotIn("failed", cases.values(), said)
        # An engine of version 3.3 lets its driver handle no errors, and gather nothing.
        for name in ("test_dma_completed", "test_dma_completed_status", "copy", "stop_start", "burst_capacity", "fill"):
            self.assertEqual(cases.get(name), "succeeded", said)
        operations = re.findall(r"Ops submitted: (\d+)\tOps completed: (\d+)\tErrors: 0", said)
        self.assertIn(("85120", "85120"), operations)
        who = "root" if self.user is None else "a user"
        passed = sum(outcome == "succeeded" for outcome in cases.values())
        print(f"dmadev_autotest as {who}: {passed} pass, {len(cases) - passed} skipped", file=sys.stderr)


class AsThisUser(Dpdk, unittest.TestCase):
    pass


@unittest.skipUnless(os.getuid() == 0, "takes root to become another user")
class AsNobody(Dpdk, unittest.TestCase):
    user = nobody


def setUpModule() -> None:
    """DPDK loads no driver from below a folder that everybody may write, such as /tmp."""
    folder = Path(tempfile.mkdtemp(prefix="umdev-dpdk-", dir="/run" if os.getuid() == 0 else Path.home()))
    unittest.addModuleCleanup(shutil.rmtree, folder, ignore_errors=True)
    os.chmod(folder, 0o755)
    Dpdk.installed = Path(shutil.copytree(unpacked / "usr", folder / "usr", symlinks=True))


def main() -> None:
    global unpacked
    unpacked = fetch_dpdk.fetch(debian.default_cache())
    private_mounts.open_fuse_to_everybody()
    unittest.main(verbosity=2)


if __name__ == "__main__":
    debian.run_command(main)
