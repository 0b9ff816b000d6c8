#!/usr/bin/env python3
"""A stock Linux guest in an unmodified QEMU draws on the kernel's own sample displays, loaded as modules: on mbochs by
the kernel's driver for it, on mdpy by hand. The picture is taken outside of the guest, pixel by pixel."""

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

import fetch_samples
import kit as modules
import picture

import debian  # from tests/guest, as the next
import fetch_generic_kernel
import guest
import harness
import qmp

kit: guest.Kit
samples: Path
kernel_modules: Path
here = Path(guest.__file__).parent
bar0 = 0
vbe = 0x500  # VBE's registers in BAR 2 of mbochs, 16 bits each


def drawn(width: int, height: int) -> bytes:
    """What /draw draws: every pixel says where it is."""
    pixel = struct.Struct("<BBBx").pack
    return b"".join(
        pixel(column & 255, row & 255, column >> 8 << 4 | row >> 8) for row in range(height) for column in range(width)
    )


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

    def take_away(self) -> None:
        self._monitor.command("device_del", id="display")
        self._monitor.event("DEVICE_DELETED", device="display")


class Display(unittest.TestCase):
    def setUp(self) -> None:
        self.scratch = Path(self.enterContext(tempfile.TemporaryDirectory(prefix="umdev-display-")))
        self.pictures: list[bytes] = []

    def plug(self, sample: str, kind: str) -> tuple[harness.Daemon, str]:
        modules.compile_module(samples / f"{sample}.c", self.scratch / f"{sample}.so")
        self.enterContext(guest.one_cpu())
        daemon = self.enterContext(modules.daemon_with(self.scratch / f"{sample}.so"))
        return daemon, daemon.umdev("create", sample, kind).strip()

    def boot(
        self, daemon: harness.Daemon, uuid: str, ids: str, driver: list[str], look: Callable[[Plugged, list[str]], None]
    ) -> guest.Result:
        """A guest that draws, and what look() makes of the display then, before it is taken away."""
        option, value = shlex.split(daemon.umdev("qemu-args", uuid))
        path = self.scratch / "monitor"

        def on_step(step: guest.Step) -> None:
            print(step, flush=True)
            if step.name == "drawn":
                with qmp.Monitor(path) as monitor:
                    plugged = Plugged(monitor, self.scratch)
                    look(plugged, step.value.split())
                    plugged.take_away()

        order = fetch_generic_kernel.load_order(kernel_modules, *driver)
        result = guest.boot(
            kit,
            here / "display_check.sh",
            qemu_args=[*qmp.Monitor.arguments(path), option, json.dumps(json.loads(value) | {"id": "display"})],
            files=fetch_generic_kernel.files_for(kernel_modules, order)
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
            expected = [(column >> 8 << 4 | row >> 8, row & 255, column & 255) for column in range(width)]
            self.assertEqual(pixels, expected, f"row {row}")

    def end(self, daemon: harness.Daemon, sample: str) -> None:
        self.assertTrue(harness.wait_until(lambda: daemon.json("status")["sessions"] == []))
        daemon.umdev("module", "remove", sample)
        self.assertEqual(daemon.stop(), 0, daemon.said())

    def test_mbochs_under_the_kernels_driver(self) -> None:
        daemon, uuid = self.plug("mbochs", "mbochs-medium")

        def look(plugged: Plugged, words: list[str]) -> None:
            width, height, stride = map(int, words[:3])
            memory, registers = int(words[4], 16), int(words[5], 16)
            register = lambda index: plugged.register(registers + vbe + 2 * index)  # noqa: E731
            self.assertEqual([register(index) for index in (1, 2, 3)], [width, height, 32])
            self.assertEqual((register(4) & 1, 4 * register(6)), (1, stride))
            begin = memory + 4 * register(8) + stride * register(9)
            # The driver copies what is written to the display a little later.
            expected = drawn(width, height)
            self.assertEqual(stride, 4 * width)
            harness.wait_until(lambda: plugged.memory(begin, len(expected)) == expected)
            self.show("mbochs", plugged.memory(begin, len(expected)), width, height, stride)

        result = self.boot(daemon, uuid, "0x1234 0x1111", ["bochs"], look)
        self.assertIn("class 0x038000 driver bochs-drm frame bochs-drm", result.values("display")[0])
        self.end(daemon, "mbochs")

    def test_mdpy_by_hand(self) -> None:
        daemon, uuid = self.plug("mdpy", "mdpy-vga")

        def look(plugged: Plugged, words: list[str]) -> None:
            self.assertEqual(words[:3], ["640", "480", str(4 * 640)])
            self.show("mdpy", plugged.memory(int(words[4], 16), 4 * 640 * 480), 640, 480, 4 * 640)

        result = self.boot(daemon, uuid, "0x1b36 0x000f", [], look)
        self.assertIn("class 0x038000", result.values("display")[0])
        # Its memory lasts as long as the instance: the next user finds the picture.
        with modules.open_client(daemon, uuid) as client, modules.map_region(client, bar0) as memory:
            self.show("mdpy", memory[:], 640, 480, 4 * 640)
        self.end(daemon, "mdpy")


def main() -> None:
    global kit, samples, kernel_modules
    samples = fetch_samples.fetch(debian.default_cache(), "6.1")
    generic = fetch_generic_kernel.fetch(debian.default_cache())
    kit = replace(guest.fetch_kit(), kernel=generic / "vmlinux")
    kernel_modules = generic / "modules"
    unittest.main(verbosity=2)


if __name__ == "__main__":
    debian.run_command(main)
