#!/usr/bin/env python3
"""What umdev promises: every subcommand for people and for scripts, errors that say what to do, statuses."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import tempfile
import unittest
from pathlib import Path

import harness
from harness import Daemon

uuid = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001"
other = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1002"
subcommands = (
    "parents types list show status metrics watch qemu-args create remove migrate probe "
    "define undefine modify autostart start stop apply diff"
).split()
completion = Path(__file__).resolve().parents[2] / "packaging" / "completion" / "umdev.bash"


class CommandLine(unittest.TestCase):
    def setUp(self) -> None:
        self.daemon = Daemon(harness.build_dir()).start()
        self.addCleanup(self.daemon.close)

    def make(self, type_id: str = "mtty-2", name: str = uuid) -> str:
        return self.daemon.umdev("create", type_id.split("-")[0], type_id, "--uuid", name).strip()

    def refused(self, *arguments: str, status: int = 1) -> str:
        """What it says on stderr."""
        result = self.daemon.run(*arguments)
        self.assertEqual(result.returncode, status, result.stderr)
        self.assertEqual(result.stdout, "")
        self.assertTrue(result.stderr.startswith("umdev: ") or status == 2, result.stderr)
        return result.stderr

    # --- each subcommand

    def test_parents(self) -> None:
        self.assertEqual(self.daemon.umdev("parents").splitlines()[2].split()[:3], ["mtty", "mtty-1,mtty-2", "0"])
        self.assertEqual([parent["name"] for parent in self.daemon.json("parents")], ["ioat", "mtty", "null"])

    def test_types(self) -> None:
        self.make()
        lines = self.daemon.umdev("types").splitlines()
        self.assertEqual(lines[0].split(), ["PARENT", "TYPE", "NAME", "API", "AVAILABLE", "INSTANCES"])
        self.assertIn(["mtty", "mtty-2", "Dual", "port", "serial", "vfio-pci", "11", "1"],
                      [line.split() for line in lines])
        types = {entry["type"]: entry for entry in self.daemon.json("types")}
        self.assertEqual(types["mtty-1"]["available_instances"], 22)
        self.assertEqual(types["null-1"]["available_instances"], 65536)

    def test_create_prints_the_uuid(self) -> None:
        self.assertEqual(self.make(), uuid)
        made = self.daemon.umdev("create", "null", "null-1")
        self.assertRegex(made, r"\A[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\n\Z")
        self.assertEqual(list(self.daemon.json("create", "null", "null-1")), ["uuid"])

    def test_the_socket_is_there_when_create_returns_and_goes_with_the_instance(self) -> None:
        self.make()
        path = self.daemon.socket_of(uuid)
        harness.open_device(path).close()
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        self.daemon.umdev("remove", uuid)
        self.assertFalse(path.exists())

    def test_list(self) -> None:
        self.assertEqual(self.daemon.json("list"), [])
        self.make()
        expected = [uuid, "mtty", "mtty-2", "active", "0", str(os.getuid())]
        self.assertEqual(self.daemon.umdev("list").splitlines()[1].split(), expected)
        self.assertEqual(self.daemon.json("list")[0]["socket"], str(self.daemon.socket_of(uuid)))

    def test_show(self) -> None:
        self.make()
        text = self.daemon.umdev("show", uuid)
        for expected in ("Dual port serial", "BAR1    8     read,write", "INTx", str(self.daemon.socket_of(uuid))):
            self.assertIn(expected, text)
        self.assertNotIn("users:", text)
        shown = self.daemon.json("show", uuid)
        self.assertEqual(shown["owner"]["uid"], os.getuid())
        self.assertEqual([region["name"] for region in shown["regions"]], ["BAR0", "BAR1", "config"])

    def test_show_tells_the_users(self) -> None:
        self.make()
        with harness.open_device(self.daemon.socket_of(uuid)):
            self.assertRegex(self.daemon.umdev("show", uuid), rf"users:\n.*\n +{os.getpid()} +true")
            self.assertEqual(self.daemon.json("show", uuid)["open_files"], 1)
        self.assertTrue(harness.wait_until(lambda: self.daemon.json("show", uuid)["sessions"] == []))

    def test_status(self) -> None:
        self.make()
        self.assertIn(f"process {self.daemon.process.pid}: 3 parents, 1 instances", self.daemon.umdev("status"))
        with harness.open_device(self.daemon.socket_of(uuid)):
            status = self.daemon.json("status")
            self.assertEqual(status["sessions"][0]["uuid"], uuid)
            self.assertEqual(status["vfio"]["containers"], 1)
            self.assertEqual(status["memory"]["mappings"], 0)
            self.assertEqual(status["memory"]["pins"], 0)
            self.assertEqual(status["messages"]["VERSION"], 1)

    def test_qemu_args_is_one_line_for_a_shell(self) -> None:
        self.make()
        line = self.daemon.umdev("qemu-args", uuid)
        self.assertEqual(line.count("\n"), 1)
        words = shlex.split(line)
        self.assertEqual(words[0], "-device")
        socket = {"type": "unix", "path": str(self.daemon.socket_of(uuid))}
        self.assertEqual(json.loads(words[1]), {"driver": "vfio-user-pci", "socket": socket})
        self.assertEqual(self.daemon.json("qemu-args", uuid)["arguments"], words)

    def test_probe(self) -> None:
        self.make()
        lines = self.daemon.umdev("probe", uuid).splitlines()
        self.assertIn("4348:3253 class 070002", lines[0])
        self.assertEqual(len(lines), 3)
        for port in self.daemon.json("probe", uuid)["ports"]:
            self.assertEqual(port["bytes"], 256)
            self.assertGreater(port["interrupts"], 0)
        self.make("null-1", other)
        self.assertEqual(self.daemon.json("probe", other)["ports"], [])

    def test_remove(self) -> None:
        self.make()
        self.assertEqual(self.daemon.umdev("remove", uuid), "")
        self.assertEqual(self.daemon.json("list"), [])
        self.assertEqual(self.make(), uuid)

    def test_remove_waits_for_the_user_and_says_so(self) -> None:
        self.make()
        command = [str(self.daemon.programs / "umdev"), "remove", uuid]
        environment = os.environ | {"UMDEV_RUNTIME_DIR": str(self.daemon.directory)}
        with harness.open_device(self.daemon.socket_of(uuid)):
            waiting = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
            self.addCleanup(waiting.stderr.close)
            self.assertIn("waiting until it has been let go", waiting.stderr.readline())
            self.assertEqual(self.daemon.json("list")[0]["state"], "removing")
            self.assertFalse(self.daemon.socket_of(uuid).exists())
        self.assertEqual(waiting.wait(30), 0)

    def test_remove_force_takes_it_from_its_user(self) -> None:
        self.make()
        with harness.open_device(self.daemon.socket_of(uuid)) as client:
            self.daemon.umdev("remove", uuid, "--force")
            self.assertEqual(client.recv(1), b"")
        self.assertEqual(self.daemon.json("list"), [])

    def test_remove_force_ends_another_remove_s_wait(self) -> None:
        self.make()
        with harness.open_device(self.daemon.socket_of(uuid)), self.daemon.control() as control:
            waiting = control.send("remove", uuid=uuid)
            self.assertFalse(control.has_answer(waiting, 0.3))
            self.daemon.umdev("remove", uuid, "--force")
            self.assertEqual(control.answer(waiting)["result"], {"uuid": uuid})

    # --- errors and statuses

    def test_what_is_refused_is_status_1_and_says_what_to_do(self) -> None:
        self.make()
        self.assertIn("umdev parents", self.refused("create", "none", "mtty-1"))
        self.assertIn("umdev types", self.refused("create", "mtty", "mtty-9"))
        self.assertIn("(EEXIST)", self.refused("create", "mtty", "mtty-1", "--uuid", uuid))
        self.assertIn("not a UUID", self.refused("create", "mtty", "mtty-1", "--uuid", "1234"))
        for command in ("show", "remove", "qemu-args", "probe"):
            self.assertIn("umdev list", self.refused(command, other))

    def test_a_parent_that_is_spent_says_so(self) -> None:
        for _ in range(12):
            self.daemon.umdev("create", "mtty", "mtty-2")
        error = self.refused("create", "mtty", "mtty-1")
        self.assertIn("(ENOSPC)", error)
        self.assertIn("umdev types", error)

    def test_probe_of_a_used_instance_says_who_can_tell(self) -> None:
        self.make()
        with harness.open_device(self.daemon.socket_of(uuid)):
            error = self.refused("probe", uuid)
        self.assertIn("(EBUSY)", error)
        self.assertIn("umdev show", error)

    def test_wrong_arguments_are_status_2(self) -> None:
        for arguments in ((), ("nonsense",), ("create",), ("create", "mtty"), ("show",), ("list", "extra"),
                          ("remove", uuid, "--nonsense")):
            self.refused(*arguments, status=2)

    def test_without_a_daemon_it_is_status_3_and_says_how_to_start_one(self) -> None:
        self.daemon.stop()
        for command in (["list"], ["create", "mtty", "mtty-1"], ["show", uuid], ["remove", uuid], ["status"]):
            self.assertIn(f"umdevd --runtime-dir {self.daemon.directory}", self.refused(*command, status=3))

    # --- the rest

    def test_the_daemon_is_found_by_the_environment(self) -> None:
        environment = os.environ | {"UMDEV_RUNTIME_DIR": str(self.daemon.directory)}
        program = str(self.daemon.programs / "umdev")
        self.assertEqual(subprocess.run([program, "list"], env=environment, capture_output=True).returncode, 0)
        elsewhere = [program, "--runtime-dir", "/nonexistent", "list"]
        self.assertEqual(subprocess.run(elsewhere, env=environment, capture_output=True).returncode, 3)

    def test_options_may_stand_behind_the_subcommand(self) -> None:
        command = [str(self.daemon.programs / "umdev"), "list", "--runtime-dir", str(self.daemon.directory)]
        self.assertEqual(subprocess.run(command, capture_output=True).returncode, 0)

    def test_every_subcommand_has_help(self) -> None:
        overview = self.daemon.umdev("--help")
        for name in subcommands:
            self.assertIn(name, overview)
            self.assertIn("--json", self.daemon.umdev(name, "--help"))
        self.assertIn("memory-backend-memfd", self.daemon.umdev("qemu-args", "--help"))
        self.assertIn("3 no daemon", overview)

    def test_both_programs_tell_their_version(self) -> None:
        for name in ("umdev", "umdevd"):
            run = subprocess.run([str(self.daemon.programs / name), "--version"], capture_output=True, text=True)
            self.assertEqual((run.returncode, run.stdout.split()[0]), (0, name))

    def test_an_output_that_cannot_be_written_is_an_error(self) -> None:
        command = [str(self.daemon.programs / "umdev"), "--runtime-dir", str(self.daemon.directory), "types"]
        with open("/dev/full", "w") as full:
            run = subprocess.run(command, stdout=full, stderr=subprocess.PIPE)
        self.assertEqual(run.returncode, 1)

    def test_long_paths_are_given_to_qemu_through_the_daemon_s_descriptors(self) -> None:
        with tempfile.TemporaryDirectory(prefix="umdev-") as scratch:
            with Daemon(harness.build_dir(), Path(scratch) / ("d" * 150)) as daemon:
                made = daemon.umdev("create", "mtty", "mtty-1").strip()
                path = json.loads(shlex.split(daemon.umdev("qemu-args", made))[1])["socket"]["path"]
                self.assertLessEqual(len(path), 107)
                harness.open_device(Path(path)).close()

    def complete(self, *words: str) -> list[str]:
        script = f"source {completion}; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _umdev; echo \"${{COMPREPLY[@]}}\""
        path = f"{self.daemon.programs}:{os.environ['PATH']}"
        environment = os.environ | {"PATH": path, "UMDEV_RUNTIME_DIR": str(self.daemon.directory)}
        run = subprocess.run(["bash", "-c", script, "bash", *words], capture_output=True, text=True, env=environment)
        self.assertEqual(run.stderr, "")
        return run.stdout.split()

    def test_bash_completes_subcommands_parents_types_and_uuids(self) -> None:
        self.make()
        self.assertEqual(self.complete("umdev", "st"), ["status", "start", "stop"])
        self.assertEqual(self.complete("umdev", "create", "m"), ["mtty"])
        self.assertEqual(self.complete("umdev", "create", "mtty", "mtty-"), ["mtty-1", "mtty-2"])
        self.assertEqual(self.complete("umdev", "--runtime-dir", str(self.daemon.directory), "show", "8"), [uuid])
        self.assertEqual(self.complete("umdev", "remove", uuid, "--f"), ["--force"])
        self.daemon.umdev("define", "null", "null-1", "--uuid", other)
        self.assertEqual(self.complete("umdev", "start", "8"), [other])
        self.assertEqual(self.complete("umdev", "modify", other, "--no"), ["--no-attrs"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
