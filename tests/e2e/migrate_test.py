#!/usr/bin/env python3
"""umdev migrate: an instance goes to another daemon, or into a file and back, with its state; or it runs on."""

from __future__ import annotations

import socket
import struct
import tempfile
import unittest
from pathlib import Path

import harness
from harness import Daemon

uuid = "83b8f4f2-509f-382f-3c1e-e6bfe0fa2001"
region_read, region_write = 9, 10
config_region = 7
# Registers of a port of the serial card.
data, fcr, lsr, scratch = 0, 2, 5, 7
data_ready = 0x01


class Client:
    """A vfio-user client of a serial card."""

    def __init__(self, daemon: Daemon):
        self.connection = harness.open_device(daemon.socket_of(uuid))
        self.next_id = 10

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_) -> None:
        self.connection.close()

    def call(self, command: int, payload: bytes) -> bytes:
        self.next_id += 1
        self.connection.sendall(struct.pack("<HHIII", self.next_id, command, 16 + len(payload), 0, 0) + payload)
        number, _, size, flags, code = struct.unpack("<HHIII", self.receive(16))
        answer = self.receive(size - 16)
        assert number == self.next_id
        if flags & 0x20:
            raise OSError(code, "refused")
        return answer

    def receive(self, size: int) -> bytes:
        got = self.connection.recv(size, socket.MSG_WAITALL) if size else b""
        if len(got) != size:
            raise ConnectionError("the daemon has closed the connection")
        return got

    def read(self, region: int, offset: int, size: int = 1) -> bytes:
        return self.call(region_read, struct.pack("<QII", offset, region, size))[16:]

    def write(self, region: int, offset: int, content: bytes) -> None:
        self.call(region_write, struct.pack("<QII", offset, region, len(content)) + content)

    def send(self, text: bytes) -> None:
        """What stays in the FIFO of the first port until it is read."""
        self.write(0, fcr, b"\x01")
        for byte in text:
            self.write(0, data, bytes([byte]))

    def waiting(self) -> bytes:
        text = b""
        while self.read(0, lsr)[0] & data_ready:
            text += self.read(0, data)
        return text


class Migrate(unittest.TestCase):
    def setUp(self) -> None:
        self.here = self.daemon()
        self.there = self.daemon()
        directory = tempfile.TemporaryDirectory(prefix="umdev-")
        self.addCleanup(directory.cleanup)
        self.file = Path(directory.name) / "card.umdev"

    def daemon(self) -> Daemon:
        daemon = Daemon(harness.build_dir()).start()
        self.addCleanup(daemon.close)
        return daemon

    def make(self, type_id: str = "mtty-2") -> None:
        self.here.umdev("create", type_id.split("-")[0], type_id, "--uuid", uuid)

    def refused(self, daemon: Daemon, *arguments: str, status: int = 1) -> str:
        result = daemon.run("migrate", *arguments)
        self.assertEqual((result.returncode, result.stdout), (status, ""), result.stderr)
        return result.stderr

    def listed(self, daemon: Daemon) -> list[str]:
        return [instance["uuid"] for instance in daemon.json("list")]

    def test_to_another_daemon_with_everything_and_back(self) -> None:
        self.make()
        with Client(self.here) as client:
            client.send(b"on the way")
            client.write(1, scratch, b"\x5a")
            client.write(config_region, 0x10, struct.pack("<I", 0x3001))
            config = client.read(config_region, 0, 256)
            self.assertEqual(self.here.umdev("migrate", uuid, "--to", str(self.there.directory)).strip(), uuid)
            with self.assertRaises(OSError, msg="its clients go with it"):
                client.read(0, lsr)
        self.assertEqual((self.listed(self.here), self.listed(self.there)), ([], [uuid]))
        self.assertEqual(self.there.json("show", uuid)["type"], "mtty-2")
        # Nobody has used it there yet, and it goes on.
        self.assertEqual(self.there.json("migrate", uuid, "--to", str(self.here.directory)), {"uuid": uuid})
        self.assertEqual((self.listed(self.here), self.listed(self.there)), ([uuid], []))
        with Client(self.here) as client:
            self.assertEqual(client.read(config_region, 0, 256), config)
            self.assertEqual(client.read(1, scratch), b"\x5a")
            self.assertEqual(client.waiting(), b"on the way")

    def test_into_a_file_and_back(self) -> None:
        self.make("mtty-1")
        with Client(self.here) as client:
            client.send(b"kept")
            self.here.umdev("migrate", uuid, "--to", str(self.file))
        self.assertEqual(self.file.stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.listed(self.here), [])
        self.assertEqual(self.there.umdev("migrate", "--from", str(self.file)).strip(), uuid)
        with Client(self.there) as client:
            self.assertEqual(client.waiting(), b"kept")
        self.assertIn("EEXIST", self.refused(self.there, "--from", str(self.file)))
        # The file is a copy: it can be taken in again elsewhere.
        self.here.umdev("migrate", "--from", str(self.file))
        self.assertEqual(self.listed(self.here), [uuid])

    def test_what_the_target_refuses_stays_and_runs_on(self) -> None:
        self.make()
        self.there.umdev("create", "null", "null-1", "--uuid", uuid)
        with Client(self.here) as client:
            client.send(b"still here")
            self.assertIn("EEXIST", self.refused(self.here, uuid, "--to", str(self.there.directory)))
            self.assertIn("ENODEV", self.refused(self.here, uuid, "--to", str(self.there.directory), "--parent", "x"))
            self.assertEqual(client.waiting(), b"still here")
        self.assertEqual(self.listed(self.here), [uuid])

    def test_what_has_nowhere_to_go_is_not_touched(self) -> None:
        self.make()
        with Client(self.here) as client:
            client.send(b"still here")
            self.file.write_bytes(b"mine")
            self.assertIn("there already", self.refused(self.here, uuid, "--to", str(self.file)))
            self.assertEqual(self.file.read_bytes(), b"mine")
            self.refused(self.here, uuid, "--to", str(self.file.parent / "no" / "such"))
            self.there.stop()
            self.refused(self.here, uuid, "--to", str(self.there.directory), status=3)
            self.assertEqual(client.waiting(), b"still here")

    def test_a_damaged_file_makes_nothing(self) -> None:
        self.make()
        self.here.umdev("migrate", uuid, "--to", str(self.file))
        stream = bytearray(self.file.read_bytes())
        for position in range(0, len(stream), 7):
            stream[position] ^= 0x20
            self.file.write_bytes(stream)
            self.assertIn("EINVAL", self.refused(self.here, "--from", str(self.file)))
            stream[position] ^= 0x20
        self.file.write_bytes(stream[:-1])
        self.assertIn("EINVAL", self.refused(self.here, "--from", str(self.file)))
        self.assertEqual(self.listed(self.here), [])
        self.file.write_bytes(stream)
        self.here.umdev("migrate", "--from", str(self.file))

    def test_a_device_that_cannot_move_says_so(self) -> None:
        self.make("null-1")
        self.assertIn("EOPNOTSUPP", self.refused(self.here, uuid, "--to", str(self.file)))
        self.assertFalse(self.file.exists())
        self.assertEqual(self.listed(self.here), [uuid])

    def test_it_says_where_to_or_where_from(self) -> None:
        self.refused(self.here, status=2)
        self.refused(self.here, uuid, status=2)
        self.refused(self.here, "--to", str(self.file), status=2)
        self.refused(self.here, uuid, "--to", "a", "--from", "b", status=2)


if __name__ == "__main__":
    unittest.main()
