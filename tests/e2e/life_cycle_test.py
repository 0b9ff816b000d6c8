#!/usr/bin/env python3
"""How a daemon begins and ends."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import harness
from harness import Daemon

null = ("create", "null", "null-1")


class LifeCycle(unittest.TestCase):
    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory(prefix="umdev-")
        self.addCleanup(scratch.cleanup)
        self.scratch = Path(scratch.name)

    def daemon(self, *arguments: str, directory: Path | None = None, **environment: str) -> Daemon:
        daemon = Daemon(harness.build_dir(), directory or self.scratch / "run", arguments, **environment)
        self.addCleanup(daemon.close)
        return daemon

    def refused(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        """An umdevd that is to end by itself."""
        command = self.daemon(*arguments).command()
        return subprocess.run(
            command, capture_output=True, text=True, timeout=60, env=os.environ | environment
        )

    def sockets(self) -> list[str]:
        # By name: what a killed daemon has left mounted cannot be looked into.
        return [path.name for place in ("run", "run/vfio-user") for path in (self.scratch / place).glob("*.sock")]

    def test_it_says_that_it_is_ready(self) -> None:
        daemon = self.daemon().start()
        self.assertEqual(daemon.ready_line, f"umdevd: ready, serving {daemon.directory}\n")

    def test_it_tells_the_service_manager(self) -> None:
        path = self.scratch / "notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(path))
            manager.settimeout(30)
            daemon = self.daemon(NOTIFY_SOCKET=str(path)).start()
            self.assertEqual(manager.recv(4096), b"READY=1")
            daemon.stop()
            self.assertEqual(manager.recv(4096), b"STOPPING=1")

    def test_SIGTERM_and_SIGINT_end_it_cleanly(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            daemon = self.daemon().start()
            daemon.umdev(*null)
            self.assertEqual(len(self.sockets()), 2)
            self.assertEqual(daemon.stop(number), 0, daemon.said())
            self.assertEqual(self.sockets(), [])

    def test_its_end_ends_sessions_and_waiting_calls(self) -> None:
        daemon = self.daemon().start()
        uuid = daemon.umdev(*null).strip()
        client = harness.open_device(daemon.socket_of(uuid))
        self.addCleanup(client.close)
        control = daemon.control()
        self.addCleanup(control.close)
        control.send("remove", uuid=uuid)
        self.assertTrue(harness.wait_until(lambda: daemon.json("list")[0]["state"] == "removing"))
        self.assertEqual(daemon.stop(), 0, daemon.said())
        self.assertEqual(client.recv(1), b"")
        self.assertEqual(self.sockets(), [])

    def test_its_workers_run_one_step_before_the_rest_where_they_may(self) -> None:
        step = "import os; os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, 0) - 1)"
        allowed = subprocess.run([sys.executable, "-c", step], capture_output=True).returncode == 0
        daemon = self.daemon().start()
        ours = os.getpriority(os.PRIO_PROCESS, 0)

        def nice() -> dict[str, set[int]]:
            found: dict[str, set[int]] = {}
            for thread in Path(f"/proc/{daemon.process.pid}/task").iterdir():
                fields = (thread / "stat").read_text().rpartition(")")[2].split()
                found.setdefault((thread / "comm").read_text().strip(), set()).add(int(fields[16]))
            return found

        wanted = {ours - 1 if allowed else ours}
        self.assertTrue(harness.wait_until(lambda: nice()["umdev-worker"] == wanted), nice())
        others = (values for name, values in nice().items() if name != "umdev-worker")
        self.assertEqual(set().union(*others), {ours})

    def test_a_second_daemon_on_the_same_directory_is_refused(self) -> None:
        daemon = self.daemon().start()
        second = self.refused()
        self.assertEqual(second.returncode, 1)
        self.assertIn(f"another umdevd (process {daemon.process.pid}) serves {daemon.directory}", second.stderr)
        self.assertEqual(daemon.umdev("list").count("\n"), 1)

    def test_two_daemons_live_side_by_side(self) -> None:
        first = self.daemon(directory=self.scratch / "a").start()
        second = self.daemon(directory=self.scratch / "b").start()
        uuid = first.umdev(*null).strip()
        second.umdev(*null, "--uuid", uuid)
        self.assertEqual(first.json("list")[0]["uuid"], second.json("list")[0]["uuid"])

    def test_stale_sockets_of_a_dead_daemon_are_taken_over(self) -> None:
        dead = self.daemon().start()
        dead.umdev(*null)
        dead.kill()
        self.assertEqual(len(self.sockets()), 2)
        daemon = self.daemon().start()
        self.assertEqual(self.sockets(), ["control.sock"])
        uuid = daemon.umdev(*null).strip()
        harness.open_device(daemon.socket_of(uuid)).close()

    def test_what_is_no_socket_is_not_touched(self) -> None:
        run = self.scratch / "run"
        (run / "vfio-user").mkdir(parents=True)
        kept = run / "vfio-user" / "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001.sock"
        kept.write_text("a file")
        daemon = self.daemon().start()
        self.assertEqual(daemon.run(*null, "--uuid", kept.stem).returncode, 1)
        self.assertEqual(daemon.json("list"), [])
        self.assertEqual(kept.read_text(), "a file")

    def test_a_runtime_directory_may_be_longer_than_a_socket_address(self) -> None:
        deep = self.scratch / ("d" * 100) / ("e" * 100)
        daemon = self.daemon(directory=deep).start()
        uuid = daemon.umdev("create", "mtty", "mtty-1").strip()
        self.assertIn("256 bytes out and back", daemon.umdev("probe", uuid))
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(self.sockets(), [])

    def test_a_relative_runtime_directory_is_understood(self) -> None:
        relative = Path(os.path.relpath(self.scratch / "run"))
        daemon = self.daemon(directory=relative).start()
        uuid = daemon.umdev(*null).strip()
        self.assertTrue(daemon.json("show", uuid)["socket"].startswith("/"))

    def test_a_directory_that_cannot_be_made_is_named(self) -> None:
        blocked = self.scratch / "run"
        blocked.write_text("a file")
        result = self.refused()
        self.assertEqual(result.returncode, 1)
        self.assertIn(str(blocked), result.stderr)

    def test_without_a_place_to_be_it_says_what_to_do(self) -> None:
        if os.geteuid() == 0:
            self.skipTest("root has /run/umdev")
        environment = {name: value for name, value in os.environ.items() if name != "XDG_RUNTIME_DIR"}
        result = subprocess.run([self.daemon().command()[0]], capture_output=True, text=True, env=environment)
        self.assertEqual(result.returncode, 2)
        self.assertIn("--runtime-dir", result.stderr)

    def test_the_configuration_names_the_parents(self) -> None:
        config = self.scratch / "umdev.toml"
        config.write_text('[[parent]]\ndriver = "mtty"\nname = "desk"\nports = 3\n')
        daemon = self.daemon("--config", str(config)).start()
        types = {entry["type"]: entry["available_instances"] for entry in daemon.json("types")}
        self.assertEqual([parent["name"] for parent in daemon.json("parents")], ["desk"])
        self.assertEqual(types, {"mtty-1": 3, "mtty-2": 1})

    def test_an_error_in_the_configuration_names_file_line_and_key(self) -> None:
        config = self.scratch / "umdev.toml"
        config.write_text('[[parent]]\ndriver = "mtty"\nprots = 3\n')
        result = self.refused("--config", str(config))
        self.assertEqual(result.returncode, 2)
        self.assertIn(f"{config}:3: prots: ", result.stderr)
        self.assertEqual(self.refused("--config", str(self.scratch / "none")).returncode, 2)

    def test_wrong_arguments_are_status_2(self) -> None:
        self.assertEqual(self.refused("--nonsense").returncode, 2)

    def test_it_raises_its_descriptor_limit_and_budgets_it(self) -> None:
        hard = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 640)
        command = ["sh", "-c", f'ulimit -Sn 128; ulimit -Hn {hard}; exec "$0" "$@"']
        daemon = self.daemon()
        plain = daemon.command
        daemon.command = lambda: command + plain()
        daemon.start()
        limits = Path(f"/proc/{daemon.process.pid}/limits").read_text()
        self.assertRegex(limits, rf"Max open files +{hard} +{hard} ")
        budget = (hard - 256) // 2
        with daemon.control() as control:
            for _ in range(budget):
                control.call("create", parent="null", type="null-1")
            error = control.answer(control.send("create", parent="null", type="null-1"))["error"]
        self.assertEqual(error["data"]["name"], "ENOSPC")
        self.assertEqual(len(daemon.json("list")), budget)


if __name__ == "__main__":
    unittest.main(verbosity=2)
