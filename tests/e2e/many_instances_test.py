#!/usr/bin/env python3
"""A thousand instances in one daemon, and the control socket under load."""

from __future__ import annotations

import time
import unittest

import harness
from harness import Daemon

count = 1000


class ManyInstances(unittest.TestCase):
    def setUp(self) -> None:
        self.daemon = Daemon(harness.build_dir()).start()
        self.addCleanup(self.daemon.close)

    def create_all(self, control: harness.Control) -> list[str]:
        calls = [control.send("create", parent="null", type="null-1") for _ in range(count)]
        return [control.answer(call)["result"]["uuid"] for call in calls]

    def numbers(self) -> dict:
        status = self.daemon.json("status")
        return {name: status[name] for name in ("instances", "sessions", "vfio", "memory")}

    def test_a_thousand_come_and_go_by_the_control_socket(self) -> None:
        before = self.numbers()
        with self.daemon.control() as control:
            uuids = self.create_all(control)
            self.assertEqual(len(set(uuids)), count)
            self.assertEqual(self.daemon.json("status")["instances"], count)
            self.assertTrue(all(self.daemon.socket_of(uuid).is_socket() for uuid in uuids))
            calls = [control.send("remove", uuid=uuid) for uuid in uuids]
            self.assertEqual([control.answer(call)["result"]["uuid"] for call in calls], uuids)
        self.assertEqual(self.numbers(), before)
        self.assertEqual(list((self.daemon.directory / "vfio-user").iterdir()), [])

    def test_a_thousand_idle_ones_use_no_processor(self) -> None:
        with self.daemon.control() as control:
            self.create_all(control)
        time.sleep(0.5)
        before = self.daemon.cpu_seconds()
        time.sleep(1.0)
        self.assertLessEqual(self.daemon.cpu_seconds() - before, 0.01)

    def test_the_daemon_ends_cleanly_with_a_thousand(self) -> None:
        with self.daemon.control() as control:
            self.create_all(control)
        self.assertEqual(self.daemon.stop(), 0, self.daemon.said())
        self.assertEqual(list(self.daemon.directory.rglob("*.sock")), [])

    def test_a_batch_is_answered_as_one(self) -> None:
        with self.daemon.control() as control:
            request = '[{"jsonrpc":"2.0","id":1,"method":"list"},{"jsonrpc":"2.0","id":2,"method":"none"}]\n'
            control._connection.sendall(request.encode())
            line = control._lines.readline()
        self.assertIn('"result":[]', line)
        self.assertIn("-32601", line)

    def test_a_removal_that_waits_does_not_hold_up_its_connection(self) -> None:
        uuid = self.daemon.umdev("create", "null", "null-1").strip()
        with harness.open_device(self.daemon.socket_of(uuid)) as client, self.daemon.control() as control:
            removal = control.send("remove", uuid=uuid)
            # Calls of one connection run side by side, so the removal may not have begun yet.
            self.assertTrue(harness.wait_until(lambda: control.call("list")[0]["state"] == "removing"))
            again = control.answer(control.send("remove", uuid=uuid))
            self.assertEqual(again["error"]["data"]["name"], "EAGAIN")
            self.assertFalse(control.has_answer(removal, 0.2))
            client.close()
            self.assertEqual(control.answer(removal)["result"], {"uuid": uuid})


if __name__ == "__main__":
    unittest.main(verbosity=2)
