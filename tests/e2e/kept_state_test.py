#!/usr/bin/env python3
"""A client that comes back after the daemon was restarted finds its device as it was."""

from __future__ import annotations

import signal
import sys
import tempfile
import unittest
from pathlib import Path

import harness
from harness import Daemon

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "wire"))
import client  # noqa: E402

uuid = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001"
port, scratch_register = 0, 7  # a BAR, and the register of a UART that does nothing but keep a byte
config, interrupt_line = 7, 0x3C


class KeptState(unittest.TestCase):
    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory(prefix="umdev-")
        self.addCleanup(scratch.cleanup)
        self.directory = Path(scratch.name) / "run"
        self.daemon = self.start()

    def start(self) -> Daemon:
        daemon = Daemon(harness.build_dir(), directory=self.directory)
        self.addCleanup(daemon.close)
        return daemon.start()

    def restart(self, number: int = signal.SIGTERM) -> None:
        status = self.daemon.stop(number)
        self.assertEqual(status, 0 if number == signal.SIGTERM else -number, self.daemon.said())
        self.daemon = self.start()

    def define(self, *arguments: str) -> None:
        self.daemon.umdev("define", "mtty", "mtty-1", "--uuid", uuid, *arguments)

    def use(self) -> client.Client:
        speaker = client.Client(harness.connect(self.daemon.socket_of(uuid)))
        self.addCleanup(speaker.close)
        speaker.negotiate()
        return speaker

    def mark(self, value: bytes = b"\x5a") -> client.Client:
        speaker = self.use()
        speaker.write(port, scratch_register, value)
        speaker.write(config, interrupt_line, b"\x0b")
        return speaker

    def marked(self) -> tuple[bytes, bytes]:
        speaker = self.use()
        found = speaker.read(port, scratch_register, 1), speaker.read(config, interrupt_line, 1)
        speaker.close()
        return found

    def kept(self) -> list[str]:
        return [path.name for path in (self.directory / "state/kept.d").rglob("*") if path.is_file()]

    def test_a_client_that_comes_back_finds_its_device_as_it_was(self) -> None:
        self.define("--auto")
        self.daemon.umdev("start", uuid)
        self.mark()
        self.restart()
        self.assertEqual(self.kept(), [], "it is there once")
        self.assertEqual(self.marked(), (b"\x5a", b"\x0b"))

    def test_it_waits_for_its_client_over_several_restarts(self) -> None:
        self.define("--auto")
        self.daemon.umdev("start", uuid)
        self.mark()
        self.restart()
        self.restart()
        self.assertEqual(self.marked(), (b"\x5a", b"\x0b"))

    def test_a_device_that_is_started_by_hand_has_it_too(self) -> None:
        self.define()
        self.daemon.umdev("start", uuid)
        self.mark()
        self.restart()
        self.assertEqual(self.kept(), [uuid])
        self.daemon.umdev("start", uuid)
        self.assertEqual(self.marked(), (b"\x5a", b"\x0b"))

    def test_a_device_that_nobody_uses_begins_anew(self) -> None:
        self.define("--auto")
        self.daemon.umdev("start", uuid)
        self.mark().close()
        harness.wait_until(lambda: self.daemon.json("status")["vfio_user"]["sessions"] == 0)
        self.restart()
        self.assertEqual(self.marked(), (b"\x00", b"\x00"))

    def test_a_crash_keeps_nothing(self) -> None:
        self.define("--auto")
        self.daemon.umdev("start", uuid)
        self.mark()
        self.restart(signal.SIGKILL)
        self.assertEqual(self.marked(), (b"\x00", b"\x00"))

    def test_what_is_not_defined_keeps_nothing(self) -> None:
        self.daemon.umdev("create", "mtty", "mtty-1", "--uuid", uuid)
        self.mark()
        self.daemon.stop()
        self.assertEqual(self.kept(), [])

    def test_undefining_forgets(self) -> None:
        self.define()
        self.daemon.umdev("start", uuid)
        self.mark()
        self.restart()
        self.daemon.umdev("undefine", uuid)
        self.assertEqual(self.kept(), [])

    def test_what_mdevctl_undefined_meanwhile_is_forgotten(self) -> None:
        self.define()
        self.daemon.umdev("start", uuid)
        self.mark()
        self.daemon.stop()
        (self.directory / f"state/mdevctl.d/mtty/{uuid}").unlink()
        self.daemon = self.start()
        self.assertEqual(self.kept(), [])

    def test_a_file_that_is_no_state_is_thrown_away_and_said(self) -> None:
        self.define()
        self.daemon.umdev("start", uuid)
        self.mark()
        self.daemon.stop()
        (self.directory / f"state/kept.d/mtty/{uuid}").write_bytes(b"nonsense")
        self.daemon = self.start()
        self.daemon.umdev("start", uuid)
        self.assertIn("is not its own", self.daemon.said())
        self.assertEqual(self.marked(), (b"\x00", b"\x00"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
