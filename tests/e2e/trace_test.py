#!/usr/bin/env python3
"""The messages of a session, as `umdev trace` prints them, writes them into a capture, and Wireshark reads that."""

from __future__ import annotations

import json
import shutil
import signal
import struct
import subprocess
import unittest
from pathlib import Path

import harness
from harness import Daemon

uuid = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001"
patience = 60.0
dissector = Path(__file__).resolve().parents[2] / "tools/wireshark/vfio-user.lua"


def records_of(capture: bytes) -> list[tuple[int, bytes]]:
    """(direction, message) of each record of a pcap file with times in nanoseconds and link type USER0."""
    magic, major, minor, _, _, _, link = struct.unpack_from("<IHHIIII", capture)
    assert (magic, major, minor, link) == (0xA1B23C4D, 2, 4, 147), capture[:24]
    records, at = [], 24
    while at < len(capture):
        _, nanoseconds, kept, size = struct.unpack_from("<IIII", capture, at)
        version, direction, _, session = struct.unpack_from("<BBHI", capture, at + 16)
        assert version == 1 and session >= 1 and kept <= size and nanoseconds < 10**9
        records.append((direction, capture[at + 24 : at + 16 + kept]))
        at += 16 + kept
    return records


class TraceTest(unittest.TestCase):
    def setUp(self) -> None:
        self.daemon = Daemon(harness.build_dir()).start()
        self.addCleanup(self.daemon.close)
        self.daemon.umdev("create", "mtty", "mtty-1", "--uuid", uuid)

    def command(self, *arguments: str) -> list[str]:
        return [str(self.daemon.programs / "umdev"), "--runtime-dir", str(self.daemon.directory), "trace", *arguments]

    def start(self, *arguments: str) -> subprocess.Popen:
        process = subprocess.Popen(self.command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

        def end() -> None:
            if process.poll() is None:
                process.kill()
            process.communicate()

        self.addCleanup(end)
        return process

    def trace(self, *arguments: str) -> list[dict]:
        """What is traced of a probe, which is ended by its last message."""
        process = self.start(uuid, "--json", *arguments)
        self.assertEqual(json.loads(process.stdout.readline()), {"event": "tracing"})
        self.daemon.umdev("probe", uuid)
        status = json.loads(self.daemon.umdev("status", "--json"))
        expected = 2 * sum(status["messages"].values()) - status["vfio_user"]["posted_writes"]
        lines = [json.loads(process.stdout.readline()) for _ in range(expected)]
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.communicate(timeout=patience)[0], "")
        self.assertEqual(process.returncode, 0)
        return lines

    def test_each_message_is_told_in_its_order_with_the_time_of_its_answer(self) -> None:
        lines = self.trace()
        self.assertEqual([line["command"] for line in lines[:4]], ["VERSION", "VERSION", "GET_INFO", "GET_INFO"])
        for asked, answered in zip(lines[::2], lines[1::2]):
            self.assertEqual((asked["from"], answered["from"]), ("client", "server"))
            self.assertEqual((asked["reply"], answered["reply"]), (False, True))
            self.assertEqual(asked["id"], answered["id"])
            self.assertEqual(answered["after"], answered["time"] - asked["time"])
            self.assertEqual(len(answered["data"]), 2 * answered["size"])
        with_descriptors = [line for line in lines if line["descriptors"]]
        self.assertEqual({line["command"] for line in with_descriptors}, {"SET_IRQS"})

    def test_a_capture_has_each_message_and_Wireshark_reads_it(self) -> None:
        capture = self.daemon.directory / "probe.pcap"
        lines = self.trace("--pcap", str(capture))
        records = records_of(capture.read_bytes())
        self.assertEqual([message.hex() for _, message in records], [line["data"] for line in lines])
        self.assertEqual([direction for direction, _ in records], [int(line["from"] == "server") for line in lines])
        if not shutil.which("tshark"):
            self.skipTest("tshark is not installed: what Wireshark makes of a capture is not looked at")
        command = ["tshark", "-X", f"lua_script:{dissector}", "-r", str(capture), "-T", "fields"]
        for field in ("direction", "id", "size", "type"):
            command += ["-e", f"vfio_user.{field}"]
        shown = subprocess.run(command, capture_output=True, text=True, timeout=patience, check=True).stdout
        wanted = []
        for direction, message in records:
            number, flags = struct.unpack_from("<H6xB", message)
            wanted.append(f"{direction}\t{number}\t{len(message)}\t{flags & 15}")
        self.assertEqual(shown.splitlines(), wanted)

    def test_a_capture_on_stdout_is_nothing_but_a_capture(self) -> None:
        process = subprocess.Popen(self.command(uuid, "--pcap", "-", "--count", "4"), stdout=subprocess.PIPE)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        head = process.stdout.read(24)  # it listens a moment after this
        while process.poll() is None:
            self.daemon.umdev("probe", uuid)
        records = records_of(head + process.stdout.read())
        self.assertEqual(process.wait(), 0)
        self.assertEqual([struct.unpack_from("<H", message, 2)[0] for _, message in records], [1, 1, 4, 4])

    def test_what_cannot_be_traced_is_refused(self) -> None:
        for arguments, text in (
            (["5d9f2ee0-0000-4000-8000-000000000000"], "ENODEV"),
            (["nonsense"], "not a UUID"),
            ([uuid, "--pcap", "/nowhere/file"], "ENOENT"),
        ):
            result = subprocess.run(self.command(*arguments), capture_output=True, text=True, timeout=patience)
            self.assertNotEqual(result.returncode, 0)
            self.assertIn(text, result.stderr)

    def test_nobody_is_held_up_by_a_trace_that_is_not_read(self) -> None:
        process = self.start(uuid, "--json")
        process.stdout.readline()
        process.send_signal(signal.SIGSTOP)
        for _ in range(20):
            self.daemon.umdev("probe", uuid)
        process.send_signal(signal.SIGCONT)


if __name__ == "__main__":
    unittest.main(verbosity=2)
