#!/usr/bin/env python3
"""The kernel's own sample drivers, as Debian's packages of the kernel's sources have them: compiled unmodified, without
a warning, loaded, and used through the tree and by a vfio-user client."""

from __future__ import annotations

import struct
import sys
import tempfile
import unittest
import uuid as uuids
from pathlib import Path

import fetch_samples
import kit
from harness import Daemon, build_dir

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "guest"))
import debian  # noqa: E402

# What is said of the interface that was picked, by release.
interfaces = {"6.1": "6.1"}
bar0, config = 0, 7
folders: dict[str, Path] = {}
reasons: dict[str, str] = {}


class Sample(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.scratch = Path(cls.enterClassContext(tempfile.TemporaryDirectory(prefix="umdev-samples-")))

    def compile(self, release: str, name: str) -> Path:
        if release not in folders:
            self.skipTest(reasons[release])
        output = self.scratch / f"{name}.so"
        said = kit.compile_module(folders[release] / f"{name}.c", output)
        self.assertEqual(kit.warnings_in(said), [], said)
        self.assertIn(f"interface {interfaces[release]}:", said)
        return output

    def start(self, module: Path, *parameters: str) -> Daemon:
        words = ["--module", str(module)]
        words += [word for parameter in parameters for word in ("--module-param", parameter)]
        daemon = self.enterContext(Daemon(build_dir(), arguments=tuple(words)))
        if not daemon.has_tree():
            self.skipTest("no FUSE here: the tree is not mounted")
        return daemon

    def create(self, daemon: Daemon, parent: str, kind: str) -> str:
        """Through the tree, as on a host."""
        uuid = str(uuids.uuid4())
        types = daemon.directory / "sys/class/mdev_bus" / parent / "mdev_supported_types" / kind
        before = int((types / "available_instances").read_text())
        (types / "create").write_text(uuid)
        self.assertTrue((types / "devices" / uuid).exists())
        self.assertLess(int((types / "available_instances").read_text()), before)
        self.assertEqual((types / "device_api").read_text(), "vfio-pci\n")
        return uuid

    def remove(self, daemon: Daemon, uuid: str, module: str) -> None:
        (daemon.directory / "sys/bus/mdev/devices" / uuid / "remove").write_text("1")
        self.assertEqual(daemon.json("list"), [])
        daemon.umdev("module", "remove", module)
        self.assertEqual(daemon.json("module", "list"), [])
        self.assertEqual(daemon.stop(), 0, daemon.said())


class Mtty(Sample):
    def check(self, release: str) -> None:
        daemon = self.start(self.compile(release, "mtty"))
        uuid = self.create(daemon, "mtty", "mtty-2")
        with kit.open_client(daemon, uuid) as client:
            self.assertEqual(struct.unpack("<HH", client.read(config, 0, 4)), (0x4348, 0x3253))
            self.assertEqual(client.region(bar0).size, 8)
            # The scratch register of the first port; then a byte through its loop.
            client.write(bar0, 7, b"\x5a")
            self.assertEqual(client.read(bar0, 7, 1), b"\x5a")
            client.write(bar0, 4, b"\x1b")
            client.write(bar0, 0, b"\xa7")
            self.assertEqual(client.read(bar0, 5, 1)[0] & 1, 1)
            self.assertEqual(client.read(bar0, 0, 1), b"\xa7")
            self.assertEqual(client.read(bar0, 5, 1)[0] & 1, 0)
        self.remove(daemon, uuid, "mtty")

    def test_of_6_1(self):
        self.check("6.1")


def main() -> None:
    for release in interfaces:
        try:
            folders[release] = fetch_samples.fetch(debian.default_cache(), release)
        except debian.Unavailable as reason:
            reasons[release] = str(reason)
    if not folders:
        raise debian.Unavailable("; ".join(reasons.values()))
    unittest.main(verbosity=2)


if __name__ == "__main__":
    debian.run_command(main)
