#!/usr/bin/env python3
"""A stock Linux guest in an unmodified QEMU draws on the kernel's own sample displays, loaded as modules: on mbochs by
the kernel's driver for it; on mdpy by the kernel's sample of a driver, and by hand. The picture is taken outside of the
guest, pixel by pixel: from the memory of the device, and from the screen that QEMU makes of the display."""

from __future__ import annotations

import json
import re
import shlex
import struct
import tempfile
import unittest
from dataclasses import replace
from pathlib import Path
from typing import Callable

import fetch_display_driver
import fetch_samples
import kit as modules
import picture

import debian  # from tests/guest, as the next
import fetch_generic_kernel
import guest
import harness
import qmp

kit: guest.Kit
generic: Path  # a kernel and its modules
here = Path(guest.__file__).parent
bar0 = 0
vbe = 0x500  # VBE's registers in BAR 2 of mbochs, 16 bits each


def row_drawn(row: int, width: int) -> list[picture.Pixel]:
    """What /draw draws: every pixel says where it is. Red, green and blue."""
    return [(column >> 8 << 4 | row >> 8, row & 255, column & 255) for column in range(width)]


def memory_drawn(width: int, height: int) -> bytes:
    """The same as memory."""
    pack = struct.Struct("<BBBx").pack
    return b"".join(pack(*pixel[::-1]) for row in range(height) for pixel in row_drawn(row, width))


class Plugged:
    """The display as the host sees it, by QEMU's monitor; the guest goes on meanwhile."""

    def __init__(self, monitor: qmp.Monitor, folder: Path):
        self._monitor = monitor
        self._folder = folder

    def memory(self, address: int, size: int) -> bytes:
        """Guest-physical, which is the device's where it decodes that address."""
        file = self._folder / "memory"
        self._monitor.command("pmemsave", val=address, size=size, filename=str(file))
        return file.read_bytes()

    def register(self, address: int) -> int:
        """16 bits of it, in one access."""
        line = self._monitor.command("human-monitor-command", **{"command-line": f"xp /1hx {address:#x}"})
        return int(re.search(r": (0x[0-9a-f]+)", line)[1], 16)

    def screen(self) -> bytes:
        """What a viewer of QEMU's sees: rows of red, green and blue."""
        file = self._folder / "screen.ppm"
        self._monitor.command("screendump", filename=str(file), device="display")
        kind, size, most, pixels = file.read_bytes().split(b"\n", 3)
        assert (kind, size, most) == (b"P6", b"640 480", b"255")
        return pixels

    def take_away(self) -> None:
        self._monitor.command("device_del", id="display")
        self._monitor.event("DEVICE_DELETED", device="display")


class Display(unittest.TestCase):
    def setUp(self) -> None:
        self.scratch = Path(self.enterContext(tempfile.TemporaryDirectory(prefix="umdev-display-")))

    def plug(self, release: str, sample: str, kind: str) -> tuple[harness.Daemon, str]:
        try:
            sources = fetch_samples.fetch(debian.default_cache(), release)
        except debian.Unavailable as reason:
            self.skipTest(str(reason))
        module = self.scratch / f"{sample}.so"
        modules.compile_module(sources / f"{sample}.c", module)
        self.enterContext(guest.one_cpu())
        daemon = self.enterContext(harness.Daemon(harness.build_dir(), arguments=("--module", str(module))))
        return daemon, daemon.umdev("create", sample, kind).strip()

    def boot(
        self,
        device: dict,
        ids: str,
        driver: list[str],
        look: Callable[[Plugged, list[str]], None],
        kernel: Path | None = None,
        qemu: Path | None = None,
    ) -> guest.Result:
        """A guest that draws, and what look() makes of the display then, before it is taken away."""
        kernel = kernel or generic
        path = self.scratch / "monitor"

        def on_step(step: guest.Step) -> None:
            print(step, flush=True)
            if step.name == "drawn":
                with qmp.Monitor(path) as monitor:
                    plugged = Plugged(monitor, self.scratch)
                    look(plugged, step.value.split())
                    plugged.take_away()

        order = fetch_generic_kernel.load_order(kernel / "modules", *driver)
        result = guest.boot(
            replace(kit, kernel=kernel / "vmlinux", qemu=qemu or kit.qemu),
            here / "display_check.sh",
            qemu_args=[*qmp.Monitor.arguments(path), "-device", json.dumps(device | {"id": "display"})],
            files=fetch_generic_kernel.files_for(kernel / "modules", order)
            | {"draw": guest.compile_static(here / "draw.c", kit.cache)},
            environment={"IDS": ids, "MODULES": " ".join(order)},
            # No cursor blinks in the picture.
            machine=guest.Machine("pc", kernel_arguments="vt.global_cursor_default=0"),
            timeout=300.0,
            on_step=on_step,
        )
        self.assertTrue(result.ok, result.report())
        self.assertEqual(len(result.values("taken")), 1)
        return result

    def show(self, name: str, memory: bytes, width: int, height: int, stride: int) -> None:
        """It is what was drawn, as a picture too."""
        path = self.scratch / f"{name}.png"
        picture.write_png(path, memory, width, height, stride)
        rows = picture.read_png(path)
        self.assertEqual((len(rows), len(rows[0])), (height, width))
        for row, pixels in enumerate(rows):
            self.assertEqual(pixels, row_drawn(row, width), f"row {row}")

    def end(self, daemon: harness.Daemon, sample: str) -> None:
        self.assertTrue(harness.wait_until(lambda: daemon.json("status")["sessions"] == []))
        self.assertTrue(harness.wait_until(lambda: daemon.json("status")["vfio"]["open_files"] == 0))
        daemon.umdev("module", "remove", sample)
        self.assertEqual(daemon.stop(), 0, daemon.said())

    def user_device(self, daemon: harness.Daemon, uuid: str) -> dict:
        """By vfio-user."""
        option, value = shlex.split(daemon.umdev("qemu-args", uuid))
        self.assertEqual(option, "-device")
        return json.loads(value)

    def check_mbochs_under_the_kernels_driver(self, release: str) -> None:
        daemon, uuid = self.plug(release, "mbochs", "mbochs-medium")

        def look(plugged: Plugged, words: list[str]) -> None:
            width, height, stride = map(int, words[:3])
            memory, registers = int(words[4], 16), int(words[5], 16)
            register = lambda index: plugged.register(registers + vbe + 2 * index)  # noqa: E731
            self.assertEqual([register(index) for index in (1, 2, 3)], [width, height, 32])
            self.assertEqual((register(4) & 1, 4 * register(6)), (1, stride))
            begin = memory + 4 * register(8) + stride * register(9)
            # The driver copies what is written to the display a little later.
            expected = memory_drawn(width, height)
            self.assertEqual(stride, 4 * width)
            harness.wait_until(lambda: plugged.memory(begin, len(expected)) == expected)
            self.show("mbochs", plugged.memory(begin, len(expected)), width, height, stride)

        result = self.boot(self.user_device(daemon, uuid), "0x1234 0x1111", ["bochs"], look)
        self.assertIn("class 0x038000 driver bochs-drm frame bochs-drm", result.values("display")[0])
        self.end(daemon, "mbochs")

    def test_mbochs_of_6_1_under_the_kernels_driver(self) -> None:
        self.check_mbochs_under_the_kernels_driver("6.1")

    def test_the_newest_mbochs_under_the_kernels_driver(self) -> None:
        self.check_mbochs_under_the_kernels_driver("backports")

    def check_mdpy(self, plugged: Plugged, words: list[str]) -> None:
        self.assertEqual(words[:3], ["640", "480", str(4 * 640)])
        self.show("mdpy", plugged.memory(int(words[4], 16), 4 * 640 * 480), 640, 480, 4 * 640)

    def test_mdpy_under_the_kernels_sample_of_a_driver(self) -> None:
        try:
            kernel = fetch_display_driver.fetch(debian.default_cache())
        except debian.Unavailable as reason:
            self.skipTest(str(reason))
        daemon, uuid = self.plug("6.1", "mdpy", "mdpy-vga")
        result = self.boot(
            self.user_device(daemon, uuid), "0x1b36 0x000f", ["mdpy_fb"], self.check_mdpy, kernel=kernel
        )
        self.assertIn("class 0x038000 driver mdpy-fb frame mdpy-fb", result.values("display")[0])
        self.end(daemon, "mdpy")

    def test_mdpy_by_hand(self) -> None:
        daemon, uuid = self.plug("6.1", "mdpy", "mdpy-vga")
        result = self.boot(self.user_device(daemon, uuid), "0x1b36 0x000f", [], self.check_mdpy)
        self.assertIn("class 0x038000", result.values("display")[0])
        # Its memory lasts as long as the instance: the next user finds the picture.
        with modules.open_client(daemon, uuid) as client, modules.map_region(client, bar0) as memory:
            self.show("mdpy", memory[:], 640, 480, 4 * 640)
        self.end(daemon, "mdpy")

    def check_mdpy_on_the_screen_of_qemu(self, release: str) -> None:
        """QEMU asks for the plane and maps the display's region, which the sample has beside those that it counts."""
        daemon, uuid = self.plug(release, "mdpy", "mdpy-vga")
        if not daemon.has_mount("dev"):
            self.skipTest("no device nodes are mounted here: " + daemon.said())
        tried = daemon.run("run", "true")
        if tried.returncode == 125:
            self.skipTest(tried.stderr)

        def look(plugged: Plugged, _: list[str]) -> None:
            seen = plugged.screen()
            for row in range(480):
                line = b"".join(map(bytes, row_drawn(row, 640)))
                self.assertEqual(seen[3 * 640 * row : 3 * 640 * (row + 1)], line, f"row {row}")

        device = {"driver": "vfio-pci", "sysfsdev": f"/sys/bus/mdev/devices/{uuid}", "display": "on"}
        self.boot(device, "0x1b36 0x000f", [], look, qemu=daemon.program("qemu", kit.qemu))
        self.end(daemon, "mdpy")

    def test_mdpy_of_6_1_on_the_screen_of_qemu(self) -> None:
        self.check_mdpy_on_the_screen_of_qemu("6.1")

    def test_the_newest_mdpy_on_the_screen_of_qemu(self) -> None:
        self.check_mdpy_on_the_screen_of_qemu("backports")


def main() -> None:
    global kit, generic
    generic = fetch_generic_kernel.fetch(debian.default_cache())
    kit = guest.fetch_kit()
    unittest.main(verbosity=2)


if __name__ == "__main__":
    debian.run_command(main)
