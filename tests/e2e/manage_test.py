#!/usr/bin/env python3
"""Definitions, ownership and desired states, as their users see them."""

from __future__ import annotations

import json
import os
import shutil
import stat
import tempfile
import unittest
from pathlib import Path

import harness
from harness import Daemon

uuid = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001"
other = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1002"
changed = 10


class Manage(unittest.TestCase):
    def setUp(self) -> None:
        self.scratch = Path(tempfile.mkdtemp(prefix="umdev-"))
        self.addCleanup(shutil.rmtree, self.scratch, ignore_errors=True)
        self.daemon = self.make_daemon()
        self.daemon.start()

    def make_daemon(self, *arguments: str) -> Daemon:
        arguments = ("--state-dir", str(self.scratch / "state"), *arguments)
        daemon = Daemon(harness.build_dir(), self.scratch / "run", arguments)
        self.addCleanup(daemon.close)
        return daemon

    def restart(self) -> None:
        self.assertEqual(self.daemon.stop(), 0)
        self.daemon.start()

    def definition(self, name: str = uuid) -> dict:
        found = [one for one in self.daemon.json("list", "--defined") if one.get("uuid") == name]
        return found[0] if found else {}

    def refused(self, *arguments: str, status: int = 1) -> str:
        result = self.daemon.run(*arguments)
        self.assertEqual(result.returncode, status, result.stderr)
        return result.stderr

    # --- definitions

    def test_what_is_defined_for_it_comes_back(self) -> None:
        self.daemon.umdev("define", "mtty", "mtty-2", "--auto", "--uuid", uuid, "--attr", "uevent=change")
        self.daemon.umdev("define", "null", "null-1", "--uuid", other)
        self.assertEqual(self.daemon.json("list"), [])
        self.daemon.umdev("start", other)
        self.restart()
        self.assertEqual([one["uuid"] for one in self.daemon.json("list")], [uuid])
        self.assertEqual(self.definition()["state"], "active")
        self.assertEqual(self.definition()["attrs"], [{"uevent": "change"}])
        self.assertEqual(self.definition(other)["state"], "inactive")
        harness.open_device(self.daemon.socket_of(uuid)).close()

    def test_the_file_is_mdevctls(self) -> None:
        self.daemon.umdev("define", "mtty", "mtty-1", "--uuid", uuid, "--attr", "uevent=add", "--attr", "uevent=change")
        path = self.daemon.directory / "etc" / "mdevctl.d" / "mtty" / uuid
        expected = {"mdev_type": "mtty-1", "start": "manual", "attrs": [{"uevent": "add"}, {"uevent": "change"}]}
        self.assertEqual(json.loads(path.read_text()), expected)
        path.with_name(other).write_text('{"mdev_type": "mtty-1", "start": "auto", "attrs": [], "note": "kept"}')
        self.daemon.umdev("autostart", other, "--off")
        self.assertEqual(json.loads(path.with_name(other).read_text())["note"], "kept")

    def test_start_stop_modify_undefine(self) -> None:
        self.daemon.umdev("define", "null", "null-1", "--uuid", uuid)
        self.daemon.umdev("start", uuid)
        self.assertIn("EEXIST", self.refused("start", uuid))
        self.assertEqual(self.daemon.json("show", uuid)["definition"]["start"], "manual")
        self.daemon.umdev("stop", uuid)
        shown = self.daemon.umdev("show", uuid)
        self.assertIn("inactive", shown)
        self.daemon.umdev("autostart", uuid)
        self.daemon.umdev("modify", uuid, "--attr", "uevent=add")
        self.assertEqual((self.definition()["start"], self.definition()["attrs"]), ("auto", [{"uevent": "add"}]))
        self.daemon.umdev("modify", uuid, "--no-attrs", "--manual")
        self.assertEqual((self.definition()["start"], self.definition()["attrs"]), ("manual", []))
        self.daemon.umdev("undefine", uuid)
        self.assertEqual(self.definition(), {})
        self.assertIn("ENOENT", self.refused("start", uuid))

    def test_a_device_that_is_there_is_defined_as_it_is(self) -> None:
        self.daemon.umdev("create", "mtty", "mtty-2", "--uuid", uuid)
        self.assertEqual(self.daemon.umdev("define", "--uuid", uuid, "--auto").strip(), uuid)
        self.assertEqual(self.definition()["type"], "mtty-2")
        self.restart()
        self.assertEqual(self.definition()["state"], "active")

    def test_an_attribute_that_is_refused_leaves_no_device(self) -> None:
        self.daemon.umdev("define", "mtty", "mtty-1", "--uuid", uuid, "--attr", "vendor/sample_mdev_dev=1")
        self.assertIn("EACCES", self.refused("start", uuid))
        self.assertEqual(self.daemon.json("list"), [])
        self.assertEqual(self.definition()["state"], "failed")

    def test_wrong_definitions_are_refused(self) -> None:
        self.assertIn("ENODEV", self.refused("define", "none", "mtty-1"))
        self.assertIn("EINVAL", self.refused("define", "mtty", "none"))
        self.assertIn("EINVAL", self.refused("define", "mtty", "mtty-1", "--attr", "../remove=1"))
        self.refused("define", "mtty", "mtty-1", "--attr", "speed", status=2)
        self.refused("define", "mtty", status=2)
        self.assertEqual(self.daemon.json("list", "--defined"), [])

    def test_bad_files_and_orphans_stop_nothing_else(self) -> None:
        self.daemon.umdev("define", "null", "null-1", "--auto", "--uuid", uuid)
        self.assertEqual(self.daemon.stop(), 0)
        folder = self.scratch / "state" / "mdevctl.d"
        (folder / "null" / other).write_text('{"mdev_type": ')
        (folder / "gone").mkdir()
        (folder / "gone" / other).write_text('{"mdev_type": "gone-1", "start": "auto"}')
        self.daemon.start()
        states = {one["parent"]: one["state"] for one in self.daemon.json("list", "--defined") if one["uuid"] == other}
        self.assertEqual(states, {"gone": "orphaned", "null": "unreadable"})
        self.assertEqual(self.definition()["state"], "active")
        self.assertIn("line 1: it is no JSON", self.daemon.said())
        self.assertIn("ENODEV", self.daemon.said())
        self.assertEqual(self.daemon.json("status")["definitions"]["orphaned"], 1)

    def test_one_daemon_uses_a_state_directory(self) -> None:
        second = Daemon(harness.build_dir(), None, ("--state-dir", str(self.scratch / "state")))
        self.addCleanup(second.close)
        with self.assertRaisesRegex(harness.Failed, "another umdevd"):
            second.start()

    # --- other users

    def as_user(self, number: int, *calls: tuple) -> list[dict]:
        """What the daemon answers to that user: (method, parameters)."""
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.setgroups([])
                os.setresgid(number, number, number)
                os.setresuid(number, number, number)
                with self.daemon.control() as control:
                    answers = [control.answer(control.send(method, **parameters)) for method, parameters in calls]
                os.write(writing, json.dumps(answers).encode())
            finally:
                os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            text = pipe.read()
        os.waitpid(child, 0)
        return json.loads(text)

    def error_names(self, answers: list[dict]) -> list[str]:
        return [answer["error"]["data"]["name"] if "error" in answer else "" for answer in answers]

    def open_daemon(self) -> None:
        """One whose sockets everybody may open."""
        self.assertEqual(self.daemon.stop(), 0)
        self.scratch.chmod(0o711)
        config = self.scratch / "umdevd.toml"
        config.write_text('[control]\nmode = "0666"\n[sockets]\nowner = "2"\ngroup = "3"\nmode = "0660"\n'
                          '[[parent]]\ndriver = "mtty"\n[parent.types.mtty-1]\nsockets = { mode = "0600" }\n')
        self.daemon = self.make_daemon("--config", str(config))
        self.daemon.start()

    @unittest.skipUnless(os.geteuid() == 0, "only root can be several users")
    def test_others_cannot_take_away_what_is_not_theirs(self) -> None:
        self.open_daemon()
        made = {"parent": "mtty", "type": "mtty-1"}
        ann = self.as_user(1001, ("create", made | {"uuid": uuid}), ("define", made | {"uuid": other}),
                           ("start", {"uuid": other}))
        self.assertEqual(self.error_names(ann), ["", "", ""])
        ours = self.daemon.umdev("create", "mtty", "mtty-1").strip()
        bob = self.as_user(1002, ("remove", {"uuid": uuid}), ("remove", {"uuid": uuid, "policy": "force"}),
                           ("stop", {"uuid": other}), ("undefine", {"uuid": other}),
                           ("modify", {"uuid": other, "start": "auto"}), ("start", {"uuid": other}),
                           ("define", {"uuid": uuid}), ("remove", {"uuid": ours}))
        self.assertEqual(self.error_names(bob), ["EPERM"] * 8)
        self.assertEqual(self.error_names(self.as_user(1002, ("list", {}), ("show", {"uuid": uuid}))), ["", ""])
        owners = {one["uuid"]: one["owner"]["uid"] for one in self.daemon.json("list")}
        self.assertEqual(owners, {uuid: 1001, other: 1001, ours: 0})
        self.assertEqual(self.definition(other)["owner"]["uid"], 1001)
        ann = self.as_user(1001, ("remove", {"uuid": uuid}), ("stop", {"uuid": other}))
        self.assertEqual(self.error_names(ann), ["", ""])
        self.daemon.umdev("undefine", other)

    @unittest.skipUnless(os.geteuid() == 0, "only root can be several users")
    def test_a_set_is_its_users(self) -> None:
        self.open_daemon()
        desired = {"set": "ci", "instances": [{"parent": "mtty", "type": "mtty-1", "count": 2}]}
        self.assertEqual(self.as_user(1001, ("apply", {"desired": desired}))[0]["result"]["changed"], 2)
        self.assertEqual(self.error_names(self.as_user(1002, ("apply", {"desired": desired}))), ["EPERM"])
        self.assertEqual({one["owner"]["uid"] for one in self.daemon.json("list")}, {1001})
        self.assertEqual(self.daemon.run("apply", self.write('set = "ci"\n')).returncode, changed)

    @unittest.skipUnless(os.geteuid() == 0, "only root can give files away")
    def test_sockets_are_whose_the_configuration_says(self) -> None:
        self.open_daemon()
        for type_id, name in (("mtty-2", uuid), ("mtty-1", other)):
            self.daemon.umdev("create", "mtty", type_id, "--uuid", name)

        def access(path: Path) -> tuple[int, int, int]:
            status = path.stat()
            return status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)

        self.assertEqual(access(self.daemon.socket_of(uuid)), (2, 3, 0o660))
        self.assertEqual(access(self.daemon.socket_of(other)), (2, 3, 0o600))
        self.assertEqual(access(self.daemon.directory / "control.sock"), (0, 0, 0o666))
        self.assertEqual(access(self.daemon.directory), (0, 0, 0o711))
        self.assertEqual(access(self.daemon.directory / "vfio-user"), (0, 0, 0o711))

    def test_nothing_is_open_unless_it_is_said(self) -> None:
        self.daemon.umdev("create", "null", "null-1", "--uuid", uuid)
        for path, mode in ((self.daemon.directory, 0o700), (self.daemon.directory / "vfio-user", 0o700),
                           (self.daemon.directory / "control.sock", 0o600), (self.daemon.socket_of(uuid), 0o600),
                           (self.scratch / "state", 0o700)):
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), mode, path)

    # --- desired states

    def write(self, text: str, name: str = "ci.toml") -> str:
        path = self.scratch / name
        path.write_text(text)
        return str(path)

    def groups(self, count: int, extra: str = "") -> str:
        return self.write(f'set = "ci"\n[[instances]]\nparent = "null"\ntype = "null-1"\ncount = {count}\n{extra}')

    def apply(self, path: str, status: int) -> dict:
        result = self.daemon.run("apply", path, "--json")
        self.assertEqual(result.returncode, status, result.stderr)
        return json.loads(result.stdout)

    def test_apply_is_idempotent_and_survives_a_restart(self) -> None:
        path = self.groups(3)
        self.assertEqual(self.daemon.run("diff", path).returncode, changed)
        self.assertEqual(self.daemon.json("list"), [])
        self.assertEqual(self.apply(path, changed)["changed"], 3)
        before = self.daemon.json("list")
        self.assertEqual(self.apply(path, 0)["steps"], [])
        self.assertEqual(self.daemon.run("diff", path).returncode, 0)
        self.restart()
        self.assertEqual(self.apply(path, 0)["steps"], [])
        self.assertEqual({one["uuid"] for one in self.daemon.json("list")}, {one["uuid"] for one in before})

    def test_apply_touches_nothing_else(self) -> None:
        self.daemon.umdev("create", "null", "null-1", "--uuid", uuid)
        self.daemon.umdev("define", "null", "null-1", "--auto", "--uuid", other)
        self.apply(self.groups(1), changed)
        self.apply(self.write('set = "ci"\n'), changed)
        self.assertEqual([one["uuid"] for one in self.daemon.json("list")], [uuid])
        self.assertEqual(self.definition(other)["state"], "inactive")
        group = f'parent = "null"\ntype = "null-1"\nuuids = ["{uuid}", "{other}"]\n'
        problems = self.refused("apply", self.write(f'set = "ci"\n[[instances]]\n{group}'))
        self.assertIn(f"{uuid} is not of the set ci", problems)
        self.assertIn(f"{other} is not of the set ci", problems)

    def test_a_device_in_use_is_not_taken_away(self) -> None:
        self.apply(self.groups(1), changed)
        made = self.daemon.json("list")[0]["uuid"]
        with harness.open_device(self.daemon.socket_of(made)):
            report = self.apply(self.write('set = "ci"\n'), 1)
            self.assertEqual((report["failed"], report["steps"][0]["result"]), (1, "failed"))
            self.assertIn("EBUSY", report["steps"][0]["error"])
            self.assertEqual(self.definition(made)["state"], "active")

    def test_what_mdevctl_took_away_is_put_right(self) -> None:
        self.apply(self.groups(2), changed)
        first, second = [one["uuid"] for one in self.daemon.json("list")]
        (self.scratch / "state" / "mdevctl.d" / "null" / first).unlink()
        self.daemon.umdev("stop", second)
        actions = {step["uuid"]: step["action"] for step in self.apply(self.groups(2), changed)["steps"]}
        self.assertEqual(actions, {first: "define", second: "start"})

    def test_attributes_that_change_restart_the_device(self) -> None:
        self.apply(self.groups(1), changed)
        steps = self.apply(self.groups(1, 'attrs = [{ uevent = "change" }]\n'), changed)["steps"]
        self.assertEqual([step["action"] for step in steps], ["restart"])
        self.assertEqual(self.definition(steps[0]["uuid"])["attrs"], [{"uevent": "change"}])

    def test_what_has_no_room_leaves_nothing_behind(self) -> None:
        path = self.write('set = "ci"\n[[instances]]\nparent = "mtty"\ntype = "mtty-2"\ncount = 13\n')
        report = self.apply(path, 1)
        self.assertEqual((report["changed"], report["failed"]), (12, 1))
        self.assertEqual(len(self.daemon.json("list", "--defined")), 12)

    def test_a_wrong_file_is_told_by_its_line(self) -> None:
        self.assertIn("ci.toml:6: number: unknown key", self.refused("apply", self.groups(1, "number = 1\n")))
        self.assertIn("there is no parent none", self.refused("apply", self.write(
            '{"set":"ci","instances":[{"parent":"none","type":"a","count":1}]}', "ci.json")))


if __name__ == "__main__":
    unittest.main(verbosity=2)
