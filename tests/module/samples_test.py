#!/usr/bin/env python3
"""The kernel's own sample drivers, as Debian's packages of the kernel's sources have them: compiled unmodified, without
a warning, loaded, and used through the tree and by a vfio-user client."""

from __future__ import annotations

import errno
import struct
import sys
import tempfile
import unittest
import uuid as uuids
from pathlib import Path

import fetch_samples
import kit
import picture
import user_api
from harness import Daemon, build_dir

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "guest"))
import debian  # noqa: E402

# What is said of the interface that was picked, by release.
interfaces = {"5.10": "4.10", "6.1": "6.1", "6.12": "6.12", "backports": "7.0"}
bar0, bar2, config = 0, 2, 7
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


class OfEachRelease:
    """The check of a sample, once for each kernel that has it."""

    def test_of_5_10(self):
        self.check("5.10")

    def test_of_6_1(self):
        self.check("6.1")

    def test_of_6_12(self):
        self.check("6.12")

    def test_of_the_newest(self):
        self.check("backports")


class Mtty(OfEachRelease, Sample):
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


def device_state(client: kit.client.Client, state: int | None = None) -> int:
    """Goes to a state of migration, if one is given; the state then. Raises for an error."""
    flags = kit.codec.device_state_feature
    if state is not None:
        client.ok(kit.codec.FEATURE, kit.codec.feature(flags | kit.codec.feature_set, kit.codec.device_state(state)))
    reply = client.ok(kit.codec.FEATURE, kit.codec.feature(flags | kit.codec.feature_get, argsz=16))
    return struct.unpack_from("=I", kit.codec.unpack_feature(reply.payload).data)[0]


def error_of_state(client: kit.client.Client, state: int) -> int | None:
    data = kit.codec.device_state(state)
    flags = kit.codec.device_state_feature | kit.codec.feature_set
    return client.call(kit.codec.FEATURE, kit.codec.feature(flags, data)).error


def take_stream(client: kit.client.Client, size: int = 10) -> bytes:
    """What there is to read at present, in small pieces."""
    taken = b""
    while True:
        reply = client.call(kit.codec.MIG_DATA_READ, kit.codec.mig_data(size))
        if reply.error == errno.ENOMSG:
            return taken
        piece = kit.codec.unpack_mig_data(reply.payload).data
        if not piece:
            return taken
        taken += piece


class MovingMtty(Sample):
    """Since 6.8 the sample moves: through a file of its own operations."""

    header_size, port_size = 24, 36
    lines = 2  # ports of mtty-2

    def fill(self, client: kit.client.Client) -> None:
        """A register, and two bytes that wait in the first port's FIFO."""
        client.write(bar0, 7, b"\x5a")
        client.write(bar0, 2, b"\xc1")  # the FIFO is on
        client.write(bar0, 4, b"\x1b")  # what is sent comes back
        client.write(bar0, 0, b"h")
        client.write(bar0, 0, b"i")

    def check_filled(self, client: kit.client.Client) -> None:
        self.assertEqual(client.read(bar0, 7, 1), b"\x5a")
        self.assertEqual([client.read(bar0, 0, 1) for _ in "hi"], [b"h", b"i"])
        self.assertEqual(client.read(bar0, 5, 1)[0] & 1, 0)

    def write_stream(self, client: kit.client.Client, data: bytes) -> int | None:
        return client.call(kit.codec.MIG_DATA_WRITE, kit.codec.mig_data(len(data), data)).error

    def move(self, release: str) -> None:
        """By a vfio-user client, from one instance into another one."""
        daemon = self.start(self.compile(release, "mtty"))
        uuids = [self.create(daemon, "mtty", "mtty-2") for _ in range(2)]
        with kit.open_client(daemon, uuids[0]) as here, kit.open_client(daemon, uuids[1]) as there:
            self.fill(here)
            self.assertEqual(device_state(here, kit.codec.pre_copy), kit.codec.pre_copy)
            stream = take_stream(here)
            self.assertEqual(len(stream), self.header_size)
            device_state(here, kit.codec.stop_copy)
            stream += take_stream(here)
            self.assertEqual(len(stream), self.header_size + self.lines * self.port_size)
            device_state(here, kit.codec.stop)

            device_state(there, kit.codec.resuming)
            self.assertEqual(self.write_stream(there, stream[:30]), None)
            self.assertEqual(error_of_state(there, kit.codec.stop), errno.EINVAL, "a stream that is not whole")
            self.assertEqual(self.write_stream(there, stream[30:]), None)
            self.assertEqual(self.write_stream(there, b"more"), errno.ENOMEM)
            self.assertEqual(device_state(there, kit.codec.running), kit.codec.running)
            self.check_filled(there)

            device_state(here, kit.codec.resuming)
            self.assertEqual(self.write_stream(here, b"\0" * self.header_size), errno.EFAULT, "not its stream")
            here.ok(kit.codec.RESET)
            self.assertEqual(device_state(here), kit.codec.running)
        (daemon.directory / "sys/bus/mdev/devices" / uuids[0] / "remove").write_text("1")
        self.remove(daemon, uuids[1], "mtty")

    def test_of_6_12_by_a_client(self):
        self.move("6.12")

    def test_of_the_newest_by_a_client(self):
        self.move("backports")

    def test_of_6_12_by_umdev_migrate(self):
        """The daemons move it, the client stays."""
        module = self.compile("6.12", "mtty")
        here, there = self.start(module), self.start(module)
        uuid = self.create(here, "mtty", "mtty-2")
        with kit.open_client(here, uuid) as client:
            self.fill(client)
            here.umdev("migrate", uuid, "--to", str(there.directory))
            self.assertEqual([instance["uuid"] for instance in there.json("list")], [uuid])
            self.check_filled(client)
        self.remove(there, uuid, "mtty")
        self.assertEqual(here.json("list"), [])


class BoundMtty(Sample):
    """Since 6.2 the samples are bound to iommufds, by callbacks that are the kernel's helpers."""

    def bind(self, release: str) -> None:
        """What the documents say of iommufd, a program finds with the sample's device."""
        daemon = self.start(self.compile(release, "mtty"))
        uuid = self.create(daemon, "mtty", "mtty-2")
        cases = user_api.run_cases(self, daemon, uuid)
        self.assertEqual([case for case in cases if case.startswith("not ok") and case.endswith("# reference")], [])
        for case in ("BIND_IOMMUFD: 0", "ATTACH_IOMMUFD_PT: 0", "DETACH_IOMMUFD_PT: 0"):
            self.assertTrue(any(f" - {case} " in line for line in cases), case)
        self.remove(daemon, uuid, "mtty")

    def test_of_6_12(self):
        self.bind("6.12")

    def test_of_the_newest(self):
        self.bind("backports")


class Mdpy(OfEachRelease, Sample):
    width, height = 640, 480

    def check(self, release: str) -> None:
        """Its frame buffer is a grey that grows from line to line, after a reset; and what a client draws."""
        daemon = self.start(self.compile(release, "mdpy"), "count=2")
        self.assertEqual({t["available_instances"] for t in daemon.json("types") if t["parent"] == "mdpy"}, {2})
        uuid = self.create(daemon, "mdpy", "mdpy-vga")
        with kit.open_client(daemon, uuid) as client:
            client.ok(kit.codec.RESET)
            memory = self.enterContext(kit.map_region(client, bar0))
            self.show(release, memory[:], lambda row, _: 3 * (row * 255 // self.height,))
            for row in range(100, 200):
                begin = 4 * (row * self.width + 200)
                memory[begin : begin + 400] = b"\x10\x80\xf0\0" * 100
            inside = lambda row, column: 100 <= row < 200 and 200 <= column < 300  # noqa: E731
            self.show(
                release,
                memory[:],
                lambda row, column: (0xF0, 0x80, 0x10) if inside(row, column) else 3 * (row * 255 // self.height,),
            )
        self.remove(daemon, uuid, "mdpy")

    def show(self, release: str, memory: bytes, expected) -> None:
        path = self.scratch / f"mdpy-{release}.png"
        picture.write_png(path, memory, self.width, self.height, 4 * self.width)
        rows = picture.read_png(path)
        self.assertEqual((len(rows), len(rows[0])), (self.height, self.width))
        for row in range(0, self.height, 7):
            for column in (0, 199, 200, 299, 300, 639):
                self.assertEqual(rows[row][column], expected(row, column), (row, column))


class Mbochs(OfEachRelease, Sample):
    width, height = 320, 200
    vbe = 0x500  # VBE's registers in the region, 16 bits each

    def check(self, release: str) -> None:
        daemon = self.start(self.compile(release, "mbochs"))
        uuid = self.create(daemon, "mbochs", "mbochs-small")
        with kit.open_client(daemon, uuid) as client:
            self.assertEqual(struct.unpack("<HH", client.read(config, 0, 4)), (0x1234, 0x1111))
            for index, value in ((1, self.width), (2, self.height), (3, 32), (6, self.width), (4, 1)):
                client.write(bar2, self.vbe + 2 * index, struct.pack("<H", value))
            self.assertEqual(client.read(bar2, self.vbe + 2, 2), struct.pack("<H", self.width))
            memory = self.enterContext(kit.map_region(client, bar0))
            for row in range(self.height):
                pixels = b"".join(bytes((column & 255, row, 255 - row, 0)) for column in range(self.width))
                memory[4 * row * self.width : 4 * (row + 1) * self.width] = pixels
            path = self.scratch / f"mbochs-{release}.png"
            picture.write_png(path, memory[:], self.width, self.height, 4 * self.width)
        rows = picture.read_png(path)
        for row, column in ((0, 0), (0, 319), (100, 7), (199, 300)):
            self.assertEqual(rows[row][column], (255 - row, row, column & 255))
        self.remove(daemon, uuid, "mbochs")


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
