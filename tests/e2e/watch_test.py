#!/usr/bin/env python3
"""What happens, as watchers are told it, as udev is told it, and as Prometheus is told it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import harness
from harness import Daemon

uuid = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001"
patience = 60.0
# What the kernel says of a life, in its order: action, subsystem, keys beside ACTION, DEVPATH, SUBSYSTEM and SEQNUM.
life = [
    ("add", "mdev", set()),
    ("add", "vfio", {"MAJOR", "MINOR", "DEVNAME"}),
    ("add", "vfio-dev", set()),
    ("bind", "mdev", {"DRIVER"}),
    ("remove", "vfio-dev", set()),
    ("remove", "vfio", {"MAJOR", "MINOR", "DEVNAME"}),
    ("unbind", "mdev", set()),
    ("remove", "mdev", set()),
]


class WatchTest(unittest.TestCase):
    def setUp(self) -> None:
        self.daemon = Daemon(harness.build_dir()).start()
        self.addCleanup(self.daemon.close)

    def command(self, *arguments: str) -> list[str]:
        return [str(self.daemon.programs / "umdev"), "--runtime-dir", str(self.daemon.directory), "watch", *arguments]

    def start(self, command: list[str]) -> subprocess.Popen:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

        def end() -> None:
            if process.poll() is None:
                process.kill()
            process.communicate()

        self.addCleanup(end)
        return process

    def watch(self, *arguments: str) -> subprocess.Popen:
        """When it returns, it watches."""
        process = self.start(self.command("--json", *arguments))
        self.assertEqual(json.loads(process.stdout.readline()), {"event": "watching"})
        return process

    def live(self) -> None:
        self.daemon.umdev("create", "mtty", "mtty-1", "--uuid", uuid)
        self.daemon.umdev("remove", uuid)


class Watch(WatchTest):
    def test_a_life_is_told_in_the_kernels_words_and_order(self) -> None:
        watch = self.watch()
        self.live()
        for action, subsystem, _ in life:
            event = json.loads(watch.stdout.readline())
            self.assertEqual((event["event"], event["subsystem"]), (action, subsystem))
            self.assertIn(f"ACTION={action}", event["environment"])
            if subsystem != "vfio":
                self.assertEqual((event["uuid"], event["parent"]), (uuid, "mtty"))

    def test_definitions_are_told_of(self) -> None:
        watch = self.watch()
        self.daemon.umdev("define", "mtty", "mtty-1", "--uuid", uuid)
        self.daemon.umdev("autostart", uuid)
        self.assertIn('umdev_definitions{state="inactive"} 1\n', self.daemon.umdev("metrics"))
        self.daemon.umdev("undefine", uuid)
        told = {"uuid": uuid, "parent": "mtty", "type": "mtty-1"}
        self.assertEqual(json.loads(watch.stdout.readline()), {"event": "defined"} | told)
        self.assertEqual(json.loads(watch.stdout.readline()), {"event": "modified"} | told)
        del told["type"]
        self.assertEqual(json.loads(watch.stdout.readline()), {"event": "undefined"} | told)

    def test_people_get_a_line_for_each_event(self) -> None:
        watch = self.start(self.command())
        self.assertIn("EVENT", watch.stdout.readline())
        self.live()
        self.assertRegex(watch.stdout.readline(), rf"^[0-9:.]+ +add +mdev +/devices/virtual/mtty/mtty/{uuid}$")

    def test_it_ends_cleanly_by_a_signal(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            watch = self.watch()
            watch.send_signal(number)
            self.assertEqual(watch.wait(patience), 0)
            self.assertEqual(watch.stderr.read(), "")

    def test_it_ends_quietly_with_its_reader_even_when_nothing_happens(self) -> None:
        watch = self.watch()
        watch.stdout.close()
        self.assertEqual(watch.wait(patience), 0)
        self.assertEqual(watch.stderr.read(), "")

    def test_the_end_of_the_daemon_is_said(self) -> None:
        watch = self.watch()
        self.daemon.stop()
        self.assertEqual(watch.wait(patience), 3)
        self.assertIn("has gone", watch.stderr.read())

    def test_until_waits_for_an_event_of_the_instance_itself(self) -> None:
        watch = self.watch("--until", "remove", "--timeout", str(patience), uuid.upper())
        self.live()
        self.assertEqual(watch.wait(patience), 0)
        last = json.loads(watch.stdout.read().splitlines()[-1])
        self.assertEqual((last["event"], last["subsystem"]), ("remove", "mdev"))

    def test_until_says_what_has_not_come_in_time(self) -> None:
        result = self.daemon.run("watch", "--until", "remove", "--timeout", "0.1", uuid)
        self.assertEqual(result.returncode, 1)
        self.assertIn(f'no "remove" has come for {uuid}', result.stderr)
        self.assertEqual(self.daemon.run("watch", "--timeout", "0.1").returncode, 0)

    def test_of_one_instance_nothing_else_is_shown(self) -> None:
        watch = self.watch("--until", "remove", uuid)
        self.daemon.umdev("create", "mtty", "mtty-1")
        self.live()
        self.assertEqual(watch.wait(patience), 0)
        for line in watch.stdout.read().splitlines():
            self.assertEqual(json.loads(line)["uuid"], uuid)

    def test_wrong_arguments_are_refused(self) -> None:
        self.assertEqual(self.daemon.run("watch", "--timeout", "-1").returncode, 2)
        self.assertEqual(self.daemon.run("watch", "nonsense").returncode, 2)


class Uevents(WatchTest):
    """In a network namespace of their own, so that nobody's udev hears of them."""

    def enter(self, *flags: str) -> list[str]:
        command = ["unshare", *flags]
        if shutil.which("unshare") is None:
            self.skipTest("there is no unshare(1)")
        probe = subprocess.run([*command, "true"], capture_output=True, text=True)
        if probe.returncode != 0:
            self.skipTest(f"no namespaces here: {probe.stderr.strip()}")
        return command

    def listen(self, where: list[str], runtime: Path, *command: str) -> subprocess.Popen:
        listener = Path(__file__).with_name("uevent_listener.py")
        process = self.start([*where, sys.executable, "-B", str(listener), str(runtime), *command])
        if process.stdout.readline() != "ready\n":
            self.fail(process.communicate()[1])
        return process

    def check_a_life(self, listener: subprocess.Popen, daemon: Daemon) -> None:
        daemon.umdev("create", "mtty", "mtty-1", "--uuid", uuid)
        heard = []
        while len(heard) < 4:  # before it goes again, all has to be there
            heard.append(json.loads(listener.stdout.readline()))
        daemon.umdev("remove", uuid)
        heard += [json.loads(line) for line in listener.stdout]
        self.assertEqual(len(heard), len(life))
        numbers = []
        for (action, subsystem, more), event in zip(life, heard, strict=True):
            keys = event["keys"]
            numbers.append(int(keys.pop("SEQNUM")))
            self.assertEqual((keys["ACTION"], keys["SUBSYSTEM"]), (action, subsystem))
            self.assertEqual(set(keys), {"ACTION", "DEVPATH", "SUBSYSTEM"} | more)
            self.assertNotEqual(event["complete"], False, f"{action} came before the tree was complete")
        self.assertEqual(numbers, sorted(set(numbers)))

    def check_watch(self, *flags: str) -> None:
        command = self.command("--json", "--uevents")
        self.check_a_life(self.listen(self.enter(*flags), self.daemon.directory, *command), self.daemon)

    def hold_namespace(self) -> subprocess.Popen:
        if os.geteuid() != 0:
            self.skipTest("only root has a network namespace without a user namespace")
        holder = subprocess.Popen([*self.enter("--net"), "sh", "-c", "echo; read line"], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE)
        self.addCleanup(holder.communicate)
        holder.stdout.readline()
        return holder

    def test_reach_who_listens_in_the_network_namespace(self) -> None:
        if os.geteuid() != 0:
            self.skipTest("only root has a network namespace without a user namespace")
        self.check_watch("--net")

    def test_need_no_root_in_a_user_namespace(self) -> None:
        self.check_watch("--user", "--map-root-user", "--net")

    def test_go_to_another_namespace(self) -> None:
        holder = self.hold_namespace()
        where = ["nsenter", "-t", str(holder.pid), "-n"]
        watch = self.watch("--uevents", "--netns", f"/proc/{holder.pid}/ns/net")
        self.check_a_life(self.listen(where, self.daemon.directory, "echo", "watching"), self.daemon)
        watch.terminate()

    def test_the_daemon_sends_them_itself_its_parents_registration_too(self) -> None:
        holder = self.hold_namespace()
        scratch = Path(tempfile.mkdtemp(prefix="umdev-uevents-"))
        self.addCleanup(shutil.rmtree, scratch, ignore_errors=True)
        where = ["nsenter", "-t", str(holder.pid), "-n"]
        listener = self.listen(where, scratch / "run", "echo", "watching")
        arguments = ("--uevents", f"/proc/{holder.pid}/ns/net")
        with Daemon(harness.build_dir(), scratch / "run", arguments) as daemon:
            while True:
                keys = json.loads(listener.stdout.readline())["keys"]
                if keys.get("MDEV_STATE") == "registered" and keys["DEVPATH"].endswith("/null/null"):
                    break
            self.check_a_life(listener, daemon)
            self.assertIn("\numdev_uevents_failed_total 0\n", daemon.umdev("metrics"))

    def test_a_daemon_that_may_not_send_them_does_not_start(self) -> None:
        daemon = Daemon(harness.build_dir(), arguments=("--uevents", "/nowhere"))
        self.addCleanup(daemon.close)
        with self.assertRaisesRegex(harness.Failed, "cannot open the network namespace"):
            daemon.start()

    def test_are_refused_at_once_where_they_would_not_be_let_through(self) -> None:
        command = [*self.enter("--user", "--map-root-user"), *self.command("--uevents", "--timeout", "1")]
        result = subprocess.run(command, capture_output=True, text=True, timeout=patience)
        self.assertEqual(result.returncode, 1)
        self.assertIn("CAP_SYS_ADMIN", result.stderr)


class Metrics(WatchTest):
    def check(self, text: str) -> None:
        self.assertIn(f'umdev_instances{{parent="mtty",type="mtty-1"}} {1 if self.exists else 0}\n', text)
        self.assertIn("# TYPE umdev_build_info gauge\n", text)
        if shutil.which("promtool"):
            result = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
            self.assertEqual((result.returncode, result.stdout + result.stderr), (0, ""))

    def test_are_told_over_the_control_socket(self) -> None:
        self.daemon.umdev("create", "mtty", "mtty-1", "--uuid", uuid)
        self.exists = True
        self.daemon.umdev("probe", uuid)
        self.check(self.daemon.umdev("metrics"))
        names = [metric["name"] for metric in self.daemon.json("metrics")]
        self.assertIn("umdev_vfio_user_message_duration_seconds", names)
        self.assertEqual(names, [metric["name"] for metric in self.daemon.json("status")["metrics"]])

    def test_can_be_read_as_a_file(self) -> None:
        link = self.daemon.directory / "metrics"
        if not link.is_symlink():
            self.skipTest("the tree is not mounted here")
        for self.exists in (False, True):
            self.check(subprocess.run(["cat", str(link)], check=True, capture_output=True, text=True).stdout)
            if not self.exists:
                self.daemon.umdev("create", "mtty", "mtty-1", "--uuid", uuid)
        with open(link, encoding="utf-8") as file:
            while file.read(7):  # in small pieces
                pass
        self.daemon.stop()
        self.assertFalse(link.is_symlink())

    def test_status_sums_them_up_for_people(self) -> None:
        self.daemon.umdev("create", "mtty", "mtty-1", "--uuid", uuid)
        self.daemon.umdev("probe", uuid)
        status = self.daemon.umdev("status")
        self.assertRegex(status, r"(?m)^  mtty +mtty-1 +1 +\d+$")
        self.assertRegex(status, r"(?m)^  vfio-user +REGION_READ +\d+ +[0-9.]+(ns|us|ms) ")
        self.assertRegex(status, r"(?m)^  control +create +1 ")


if __name__ == "__main__":
    unittest.main()
