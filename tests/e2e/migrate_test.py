#!/usr/bin/env python3
"""umdev migrate: an instance goes to another daemon, or into a file and back, with its state; or it runs on."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import tempfile
import time
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
            self.assertEqual((self.listed(self.here), self.listed(self.there)), ([], [uuid]))
            self.assertEqual(self.there.json("show", uuid)["type"], "mtty-2")
            self.assertEqual(client.read(1, scratch), b"\x5a")
            self.assertEqual(self.there.json("migrate", uuid, "--to", str(self.here.directory)), {"uuid": uuid})
            self.assertEqual((self.listed(self.here), self.listed(self.there)), ([uuid], []))
            self.assertEqual(client.read(config_region, 0, 256), config)
            self.assertEqual(client.waiting(), b"on the way")

    def test_into_a_file_and_back(self) -> None:
        self.make("mtty-1")
        with Client(self.here) as client:
            client.send(b"kept")
            self.here.umdev("migrate", uuid, "--to", str(self.file))
            with self.assertRaises(OSError, msg="no client goes into a file"):
                client.read(0, lsr)
        self.assertEqual(self.file.stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.listed(self.here), [])
        self.assertEqual(self.there.umdev("migrate", "--from", str(self.file)).strip(), uuid)
        # Nobody has used it there yet, and it goes on and comes back.
        self.there.umdev("migrate", uuid, "--to", str(self.here.directory))
        self.here.umdev("migrate", uuid, "--to", str(self.there.directory))
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


class Carrier:
    """The control socket with descriptors: what umdev does, step by step."""

    def __init__(self, daemon: Daemon):
        self.connection = harness.connect(daemon.directory / "control.sock")

    def __enter__(self) -> Carrier:
        return self

    def __exit__(self, *_) -> None:
        self.connection.close()

    def call(self, method: str, descriptors: tuple[int, ...] = (), **parameters: str) -> tuple[dict, list[int]]:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
        line = json.dumps(request).encode() + b"\n"
        sent = socket.send_fds(self.connection, [line], list(descriptors)) if descriptors else 0
        self.connection.sendall(line[sent:])
        text, received = b"", []
        while not text.endswith(b"\n"):
            piece, fds, _, _ = socket.recv_fds(self.connection, 65536, 253)
            if not piece:
                raise ConnectionError("the daemon has closed the connection")
            text, received = text + piece, received + fds
        return json.loads(text), received


class StayingClient:
    """A program that uses its device without a break (moved_client/)."""

    def __init__(self, daemon: Daemon, name: str):
        program = harness.build_dir() / "tests/e2e/moved_client" / name
        self.process = subprocess.Popen(
            [program, daemon.socket_of(uuid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if self.process.stdout.readline() != "ready\n":
            raise harness.Failed(self.process.communicate()[1])

    def end(self) -> tuple[int, str]:
        """Its exit status and what it said of errors, after it has stopped by itself."""
        said = self.process.communicate(timeout=60)[1]
        return self.process.returncode, said

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


class Staying(unittest.TestCase):
    """A client that stays connected while its device moves."""

    parent, type_id, program = "mtty", "mtty-1", "e2e_moved_client"

    def setUp(self) -> None:
        self.here = self.daemon()
        self.there = self.daemon()
        self.here.umdev("create", self.parent, self.type_id, "--uuid", uuid)
        self.client = StayingClient(self.here, self.program)
        self.addCleanup(self.client.kill)

    def daemon(self) -> Daemon:
        daemon = Daemon(harness.build_dir()).start()
        self.addCleanup(daemon.close)
        return daemon

    def assert_went_on(self) -> None:
        self.assertEqual(self.client.end(), (0, ""))

    def where(self) -> list[Daemon]:
        return [place for place in (self.here, self.there) if place.json("list")]

    def move_often(self) -> None:
        """Between the two daemons, for ten seconds at most."""
        source, target = self.here, self.there
        end = time.monotonic() + 10
        for _ in range(40):
            result = source.run("migrate", uuid, "--to", str(target.directory))
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            source, target = target, source
            if time.monotonic() > end:
                break
        self.assert_went_on()
        self.assertEqual(self.where(), [source])


class Copying(Staying):
    """A DMA engine that has its client's memory to copy at every moment."""

    parent, type_id, program = "ioat", "ioat-1", "e2e_moved_dma_client"

    def test_no_byte_and_no_interrupt_is_lost_however_often_it_moves(self) -> None:
        self.move_often()

    def test_the_engine_goes_on_where_it_was_when_the_target_refuses(self) -> None:
        self.there.umdev("create", "null", "null-1", "--uuid", uuid)
        for _ in range(3):
            result = self.here.run("migrate", uuid, "--to", str(self.there.directory))
            self.assertIn("EEXIST", result.stderr)
        self.assert_went_on()


class Connected(Staying):
    """What may happen on the way."""

    @staticmethod
    def close_all(descriptors: list[int]) -> None:
        while descriptors:
            os.close(descriptors.pop())

    def save(self, source: Carrier) -> tuple[dict, list[int]]:
        answer, descriptors = source.call("migrate_out", uuid=uuid, client="moves")
        self.addCleanup(self.close_all, descriptors)
        self.assertEqual(answer["result"]["descriptors"], len(descriptors))
        return answer["result"], descriptors

    def test_it_sees_no_error_and_loses_no_interrupt_however_often_it_moves(self) -> None:
        self.move_often()

    def test_it_goes_on_where_it_was_when_the_target_refuses(self) -> None:
        self.there.umdev("create", "null", "null-1", "--uuid", uuid)
        for _ in range(3):
            result = self.here.run("migrate", uuid, "--to", str(self.there.directory))
            self.assertIn("EEXIST", result.stderr)
        self.assert_went_on()

    def test_it_may_die_on_the_way(self) -> None:
        moving = subprocess.Popen(
            [self.here.programs / "umdev", "--runtime-dir", self.here.directory, "migrate", uuid]
            + ["--to", self.there.directory],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.client.kill()
        moving.wait(60)
        places = self.where()
        self.assertEqual(len(places), 1)
        with Client(places[0]) as client:
            self.assertEqual(client.read(0, lsr)[0] & data_ready, 0)

    def test_a_client_that_stays_after_all_goes_on(self) -> None:
        with Carrier(self.here) as source, Carrier(self.there) as target:
            saved, descriptors = self.save(source)
            answer, _ = target.call("migrate_in", tuple(descriptors), stream=saved["stream"])
            self.assertEqual(answer["result"], {"uuid": uuid})
            source.call("migrate_end", uuid=uuid, outcome="stays")
        self.assert_went_on()
        # The target hears of it, and gives it up.
        while self.there.json("list"):
            time.sleep(0.01)

    def test_the_source_goes_on_when_the_target_dies_before_the_word(self) -> None:
        with Carrier(self.here) as source, Carrier(self.there) as target:
            saved, descriptors = self.save(source)
            target.call("migrate_in", tuple(descriptors), stream=saved["stream"])
            self.close_all(descriptors)
            self.there.kill()
            answer, _ = source.call("migrate_end", uuid=uuid, outcome="moved")
            self.assertEqual(answer["error"]["data"]["name"], "EPIPE")
        self.assert_went_on()
        self.assertEqual([instance["uuid"] for instance in self.here.json("list")], [uuid])

    def test_the_target_goes_on_when_the_source_dies_without_a_word(self) -> None:
        with Carrier(self.here) as source, Carrier(self.there) as target:
            saved, descriptors = self.save(source)
            target.call("migrate_in", tuple(descriptors), stream=saved["stream"])
            self.here.kill()
        self.assert_went_on()
        self.assertEqual([instance["uuid"] for instance in self.there.json("list")], [uuid])

    def test_what_does_not_fit_its_descriptors_makes_nothing(self) -> None:
        with Carrier(self.here) as source, Carrier(self.there) as target:
            saved, descriptors = self.save(source)
            first = (descriptors[0],) * len(descriptors)
            for wrong in ((), tuple(descriptors[:-1]), tuple(reversed(descriptors)), first):
                answer, _ = target.call("migrate_in", wrong, stream=saved["stream"])
                self.assertEqual(answer["error"]["data"]["name"], "EINVAL", wrong)
            self.assertEqual(self.there.json("list"), [])
            source.call("migrate_end", uuid=uuid, outcome="stays")
        self.assert_went_on()


if __name__ == "__main__":
    unittest.main()
