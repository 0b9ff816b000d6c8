#!/usr/bin/env python3
"""Sockets that somebody else made: a parent process by --fd, and a service manager as sd_listen_fds(3) has it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import harness
from harness import Daemon

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "wire"))
import client  # noqa: E402

uuid = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001"
config_region = 7


def vendor_of(connection: socket.socket) -> bytes:
    """What a client reads first of a device."""
    with client.Client(connection) as speaker:
        speaker.negotiate()
        return speaker.read(config_region, 0, 2)


class HandedSockets(unittest.TestCase):
    def setUp(self) -> None:
        self.scratch = tempfile.TemporaryDirectory(prefix="umdev-")
        self.addCleanup(self.scratch.cleanup)

    def listener(self, name: str) -> socket.socket:
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.bind(f"{self.scratch.name}/{name}")
        listening.listen()
        self.addCleanup(listening.close)
        return listening

    def connect(self, name: str) -> socket.socket:
        return harness.connect(Path(self.scratch.name) / name)

    def daemon(self, *sockets: tuple[str, socket.socket]) -> Daemon:
        arguments = [word for name, each in sockets for word in ("--fd", f"{name}={each.fileno()}")]
        daemon = Daemon(
            harness.build_dir(), arguments=tuple(arguments), descriptors=tuple(each.fileno() for _, each in sockets)
        )
        self.addCleanup(daemon.close)
        return daemon.start()

    def test_a_listening_socket_serves_its_instance_as_often_as_it_is_made(self) -> None:
        daemon = self.daemon((uuid, self.listener("port")))
        for _ in range(2):
            daemon.umdev("create", "mtty", "mtty-1", "--uuid", uuid)
            self.assertEqual(vendor_of(self.connect("port")), b"\x48\x43")
            self.assertEqual(daemon.json("show", uuid)["socket"], f"{self.scratch.name}/port")
            self.assertFalse(daemon.socket_of(uuid).exists())
            daemon.umdev("remove", uuid)
        self.assertEqual(daemon.stop(), 0)
        self.assertTrue((Path(self.scratch.name) / "port").is_socket(), "its path is not the daemon's to remove")

    def test_a_client_waits_in_the_queue_until_the_instance_is_made(self) -> None:
        daemon = self.daemon((uuid, self.listener("port")))
        early = self.connect("port")
        daemon.umdev("create", "mtty", "mtty-1", "--uuid", uuid)
        self.assertEqual(vendor_of(early), b"\x48\x43")

    def test_a_connected_socket_serves_its_one_client(self) -> None:
        ours, theirs = socket.socketpair()
        daemon = self.daemon((uuid, theirs))
        theirs.close()
        ours.settimeout(60)
        daemon.umdev("create", "mtty", "mtty-1", "--uuid", uuid)
        self.assertEqual(vendor_of(ours), b"\x48\x43")
        daemon.umdev("remove", uuid)
        daemon.umdev("create", "mtty", "mtty-1", "--uuid", uuid)
        self.assertTrue(daemon.socket_of(uuid).is_socket(), "the next one has a socket of its own")

    def test_others_have_sockets_of_their_own(self) -> None:
        daemon = self.daemon((uuid, self.listener("port")))
        other = daemon.umdev("create", "mtty", "mtty-1").strip()
        self.assertEqual(vendor_of(harness.connect(daemon.socket_of(other))), b"\x48\x43")

    def test_the_control_socket_can_be_handed_over(self) -> None:
        daemon = self.daemon(("control", self.listener("door")))
        with self.connect("door") as connection:
            connection.sendall(b'{"jsonrpc":"2.0","id":1,"method":"list"}\n')
            self.assertEqual(json.loads(connection.makefile().readline())["id"], 1)
        self.assertFalse((daemon.directory / "control.sock").exists())

    def test_a_service_manager_hands_over_by_name(self) -> None:
        listening = self.listener("port")
        # What a service manager does between fork and exec: descriptors from 3 on, and the child's own number.
        script = 'exec 3<&"$1"; shift; export LISTEN_PID=$$; exec "$@"'
        daemon = Daemon(harness.build_dir(), descriptors=(listening.fileno(),), LISTEN_FDS="1", LISTEN_FDNAMES=uuid)
        self.addCleanup(daemon.close)
        plain = daemon.command
        daemon.command = lambda: ["bash", "-c", script, "bash", str(listening.fileno()), *plain()]
        daemon.start()
        daemon.umdev("create", "mtty", "mtty-1", "--uuid", uuid)
        self.assertEqual(vendor_of(self.connect("port")), b"\x48\x43")

    def test_what_cannot_be_served_is_refused_at_the_start(self) -> None:
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        unconnected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with udp, unconnected, open(os.devnull) as no_socket:
            for word, reason in (
                ("nonsense", "wanted UUID=NUMBER"),
                (f"{uuid}=x", "wanted UUID=NUMBER"),
                (f"{uuid}=1", "wanted UUID=NUMBER"),
                (f"someone={no_socket.fileno()}", 'neither "control" nor a UUID'),
                (f"{uuid}={no_socket.fileno()}", "no socket"),
                (f"{uuid}={udp.fileno()}", "no UNIX stream socket"),
                (f"{uuid}={unconnected.fileno()}", "neither listens nor is connected"),
            ):
                command = [str(harness.build_dir() / "bin/umdevd"), "--runtime-dir", self.scratch.name, "--fd", word]
                passed = (udp.fileno(), unconnected.fileno(), no_socket.fileno())
                result = subprocess.run(command, capture_output=True, text=True, timeout=60, pass_fds=passed)
                self.assertEqual(result.returncode, 2, word)
                self.assertIn(reason, result.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
