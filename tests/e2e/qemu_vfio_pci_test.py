#!/usr/bin/env python3
"""An unmodified QEMU hands devices of ours through to its guest by vfio-pci, as it would a kernel's: under `umdev run`,
by a container and by an iommufd, as root and as another user. The guest's stock drivers take them."""

from __future__ import annotations

import os
import subprocess
import sys
import unittest
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "guest"))
import debian  # noqa: E402
import fetch_generic_kernel  # noqa: E402
import guest  # noqa: E402
import harness  # noqa: E402
import private_mounts  # noqa: E402
from harness import Daemon  # noqa: E402

kit: guest.Kit
modules: Path
here = Path(guest.__file__).parent
address = "0000:00:05.0"
nobody = 65534


def show(step: guest.Step) -> None:
    print(step, flush=True)


class Killed(Exception):
    pass


class HandedThrough:
    """What both users' tests need."""

    user: int | None = None

    def setUp(self) -> None:
        self.enterContext(guest.one_cpu())
        self.daemon = self.enterContext(Daemon(harness.build_dir(), user=self.user))
        if not self.daemon.has_mount("dev"):
            self.skipTest("no device nodes are mounted here: " + self.daemon.said())
        tried = self.daemon.run("run", str(kit.qemu), "--version")
        if tried.returncode != 0:
            self.skipTest(tried.stderr)

    def qemu(self, *opened: str) -> guest.Kit:
        """QEMU under `umdev run`, which finds those files open, from descriptor 3 on."""
        files = " ".join(f"{number}<>{path}" for number, path in enumerate(opened, 3))
        return replace(kit, qemu=self.daemon.program("qemu", "sh", "-c", f'exec "$@" {files}', "sh", kit.qemu))

    def check_all_given_back(self, result: guest.Result) -> None:
        self.assertTrue(result.ok, result.report())
        self.check_free()

    def check_free(self) -> None:
        self.assertTrue(self.daemon.is_running(), self.daemon.said())
        # Each file of QEMU's is closed by a message of its own.
        self.assertTrue(harness.wait_until(lambda: self.in_use() == (0, 0, 0, 0)), self.in_use())

    def in_use(self) -> tuple[int, int, int, int]:
        status = self.daemon.json("status")
        memory, vfio = status["memory"], status["vfio"]
        return memory["mappings"], memory["pins"], vfio["containers"], vfio["open_files"]

    def boot_with_engine(
        self, *arguments: str, channels: int, opened=(), environment=None, on_step=show, **options
    ) -> guest.Result:
        self.daemon.umdev("create", "ioat", f"ioat-{channels}", "--pci", address)
        order = fetch_generic_kernel.load_order(modules, "ioatdma")
        return guest.boot(
            self.qemu(*opened),
            here / "dma_check.sh",
            qemu_args=arguments,
            files=fetch_generic_kernel.files_for(modules, order)
            | {"dma_copy": guest.compile_static(here / "dma_copy.c", kit.cache)},
            environment={"MODULES": " ".join(order), "CHANNELS": str(channels)} | (environment or {}),
            timeout=300.0,
            on_step=on_step,
            user=self.user,
            **options,
        )

    def check_engine(self, *arguments: str, channels: int, **options) -> guest.Result:
        """The stock ioatdma driver keeps it after its own self test, and each channel copies."""
        result = self.boot_with_engine(*arguments, channels=channels, **options)
        self.check_all_given_back(result)
        self.assertEqual(len(result.values("engine")), 2, "at the driver's first probe and its second")
        for engine in result.values("engine"):
            self.assertIn(f"driver ioatdma channels {channels} ", engine)
            self.assertIn(f"vectors {channels} msix", engine)
        self.assertEqual(len(result.values("dma")), channels)
        return result

    def test_mapped_registers(self) -> None:
        """Each access of the guest to them is one of QEMU's own instructions, and served as such."""
        self.check_engine("-device", f"vfio-pci,host={address}", channels=4)

    def test_private_memory_and_registers_that_are_read_and_written(self) -> None:
        self.check_engine(
            *("-device", f"vfio-pci,host={address},x-no-mmap=on"), channels=1, machine=guest.Machine(shared=False)
        )


class AsThisUser(HandedThrough, unittest.TestCase):
    def test_by_iommufd(self) -> None:
        """QEMU opens no cdev that is not a character device: it gets the files open. (11.1 wants an id then.)"""
        self.check_engine(
            *("-object", "iommufd,id=iommufd,fd=3", "-device", "vfio-pci,id=engine,fd=4,iommufd=iommufd"),
            channels=1,
            opened=("/dev/iommu", "/dev/vfio/devices/vfio0"),
        )

    def test_behind_a_virtual_iommu(self) -> None:
        """The driver reaches what it has mapped; whoever has mapped nothing reaches nothing."""
        result = self.check_engine(
            *("-device", "intel-iommu,intremap=on,caching-mode=on", "-device", f"vfio-pci,host={address}"),
            channels=1,
            machine=guest.Machine(kernel_arguments="intel_iommu=on iommu.strict=1"),
            environment={"IOMMU": "1"},
        )
        self.assertIn("DMA", result.values("iommu")[0])

    def test_one_guest_at_a_time_and_all_comes_back_from_one_that_is_killed(self) -> None:
        device = ["-device", f"vfio-pci,host={address}"]

        def stop(step: guest.Step) -> None:
            if step.name == "engine":
                machine = "-nodefaults -no-user-config -display none -machine q35 -accel tcg -S".split()
                words = [str(self.qemu().qemu), *machine, *device]
                second = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
                self.assertEqual(second.returncode, 1)
                self.assertIn("Device or resource busy", second.stderr)
                raise Killed

        with self.assertRaises(Killed):
            self.boot_with_engine(*device, channels=1, on_step=stop)
        self.check_free()

    def test_a_serial_card_that_is_an_mdev(self) -> None:
        uuid = self.daemon.umdev("create", "mtty", "mtty-2").strip()
        result = guest.check_serial(
            self.qemu(),
            ["-device", f"vfio-pci,sysfsdev=/sys/bus/mdev/devices/{uuid}"],
            ports="2",
            count=512,
            patience=30.0,
            timeout=300.0,
            on_step=show,
        )
        self.check_all_given_back(result)
        self.assertEqual(len(result.values("loop")), 2)


@unittest.skipUnless(os.getuid() == 0, "takes root to become another user")
class AsNobody(HandedThrough, unittest.TestCase):
    user = nobody


def main() -> None:
    global kit, modules
    modules = fetch_generic_kernel.fetch(debian.default_cache()) / "modules"
    kit = replace(guest.fetch_kit(), kernel=modules.parent / "vmlinux")
    private_mounts.open_fuse_to_everybody()
    unittest.main(verbosity=2)


if __name__ == "__main__":
    debian.run_command(main)
