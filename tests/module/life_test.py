#!/usr/bin/env python3
"""The life of a module in the daemon: it begins or leaves nothing behind, ends or is in use, and may crash."""

from __future__ import annotations

import contextlib
import errno
import shutil
import tempfile
import unittest
from pathlib import Path

import kit
from harness import Daemon, Failed, build_dir

asks = {"null": 0x100, "null in the library": 0x110, "division": 0x120, "BUG": 0x130, "call of null": 0x140}
ask_null_under_lock, ask_lock = 0x150, 0x160


class Modules(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.scratch = Path(cls.enterClassContext(tempfile.TemporaryDirectory(prefix="umdev-module-")))
        cls.clumsy = cls.scratch / "clumsy.so"
        said = kit.compile_module(kit.drivers / "clumsy.c", cls.clumsy)
        assert kit.warnings_in(said) == [], said

    def start(self, *parameters: str) -> Daemon:
        return self.enterContext(kit.daemon_with(self.clumsy, parameters=parameters))

    def start_empty(self) -> Daemon:
        return self.enterContext(Daemon(build_dir(), arguments=("--no-tree",)))

    def names(self, daemon: Daemon) -> list[str]:
        return [module["name"] for module in daemon.json("module", "list")]

    def parents(self, daemon: Daemon) -> set[str]:
        return {parent["name"] for parent in daemon.json("parents")}

    def refused(self, daemon: Daemon, *words: str) -> str:
        with self.assertRaises(Failed) as caught:
            daemon.umdev("module", *words)
        return str(caught.exception)


class Beginning(Modules):
    def test_a_module_of_the_command_line_is_there_when_the_daemon_is_ready(self):
        daemon = self.start()
        (module,) = daemon.json("module", "list")
        self.assertEqual(
            (module["name"], module["path"], module["api"], module["state"], module["parents"]),
            ("clumsy", str(self.clumsy), "6.1", "live", ["clumsy"]),
        )
        self.assertEqual((module["license"], module["version"]), ("GPL", "3"))
        self.assertIn("clumsy", self.parents(daemon))
        self.assertEqual(daemon.stop(), 0)

    def test_a_module_comes_and_goes_while_the_daemon_runs(self):
        daemon = self.start_empty()
        for _ in range(3):
            self.assertEqual(daemon.umdev("module", "add", str(self.clumsy)), "clumsy\n")
            uuid = daemon.umdev("create", "clumsy", "clumsy-1").strip()
            with kit.open_client(daemon, uuid) as client:
                self.assertEqual(client.read(0, 5, 4), bytes([5, 6, 7, 8]))
            daemon.umdev("module", "remove", "clumsy")
            self.assertEqual(self.names(daemon), [])
            self.assertNotIn("clumsy", self.parents(daemon))
            self.assertFalse(daemon.socket_of(uuid).exists())
        self.assertEqual(daemon.stop(), 0)

    def test_parameters_are_set_before_it_begins_and_shown(self):
        daemon = self.start("word=hello")
        values = {one["name"]: (one["value"], one["meaning"]) for one in daemon.json("module", "list")[0]["parameters"]}
        self.assertEqual(values["word"], ("hello", "any word"))
        self.assertEqual(values["crash_init"][0], "N")
        daemon.umdev("module", "remove", "clumsy")
        daemon.umdev("module", "add", str(self.clumsy), "word=a=b", "fail_init=0")
        values = {one["name"]: one["value"] for one in daemon.json("module", "list")[0]["parameters"]}
        self.assertEqual((values["word"], values["fail_init"]), ("a=b", "0"))

    def test_what_is_no_parameter_is_refused_and_nothing_is_loaded(self):
        daemon = self.start_empty()
        self.assertIn("no_such=1", self.refused(daemon, "add", str(self.clumsy), "no_such=1"))
        self.assertIn("fail_init=x", self.refused(daemon, "add", str(self.clumsy), "fail_init=x"))
        self.assertIn("NAME=VALUE", self.refused(daemon, "add", str(self.clumsy), "word"))
        self.assertEqual(self.names(daemon), [])
        daemon.umdev("module", "add", str(self.clumsy))

    def test_a_beginning_that_fails_leaves_nothing_behind(self):
        daemon = self.start_empty()
        before = self.parents(daemon)
        for _ in range(2):
            text = self.refused(daemon, "add", str(self.clumsy), f"fail_init={errno.ENXIO}")
            self.assertIn("ENXIO", text)
            self.assertEqual(self.names(daemon), [])
            self.assertEqual(self.parents(daemon), before)
        self.assertIn("left the", daemon.said())
        daemon.umdev("module", "add", str(self.clumsy))
        self.assertEqual(self.parents(daemon), before | {"clumsy"})

    def test_the_daemon_does_not_start_without_a_module_that_it_was_told_to_load(self):
        for daemon, word in (
            (kit.daemon_with(self.clumsy, parameters=(f"fail_init={errno.ENXIO}",)), "ENXIO"),
            (kit.daemon_with(self.scratch / "missing.so"), "missing.so"),
        ):
            with contextlib.closing(daemon), self.assertRaises(Failed) as caught:
                daemon.start()
            self.assertIn(word, str(caught.exception))

    def test_the_same_module_twice_is_refused(self):
        daemon = self.start()
        self.assertIn("EEXIST", self.refused(daemon, "add", str(self.clumsy)))
        copy = self.scratch / "copy.so"
        shutil.copy(self.clumsy, copy)
        self.assertIn("EEXIST", self.refused(daemon, "add", str(copy)))
        self.assertEqual(self.names(daemon), ["clumsy"])

    def test_two_modules_live_side_by_side(self):
        text = (kit.drivers / "clumsy.c").read_text().replace("clumsy", "other")
        source, other = self.scratch / "other.c", self.scratch / "other.so"
        source.write_text(text)
        kit.compile_module(source, other)
        daemon = self.enterContext(kit.daemon_with(self.clumsy, other, parameters=("other.word=two",)))
        self.assertEqual(self.names(daemon), ["clumsy", "other"])
        first, second = (daemon.umdev("create", name, f"{name}-1").strip() for name in ("clumsy", "other"))
        with kit.open_client(daemon, first) as one, kit.open_client(daemon, second) as two:
            self.assertEqual(kit.error_of_read(one, 0, asks["null"], 1), errno.EIO)
            self.assertEqual(two.read(0, 3, 1), b"\3")
        states = {module["name"]: module["state"] for module in daemon.json("module", "list")}
        self.assertEqual(states, {"clumsy": "crashed", "other": "live"})
        daemon.umdev("module", "remove", "other")

    def test_what_is_no_module_is_refused(self):
        daemon = self.start_empty()
        contents = {"empty.so": b"", "text.so": b"int main;\n", "cut.so": self.clumsy.read_bytes()[:3000]}
        for name, content in contents.items():
            (self.scratch / name).write_bytes(content)
            self.assertIn("ENOEXEC", self.refused(daemon, "add", str(self.scratch / name)))
        self.assertIn("ENOENT", self.refused(daemon, "add", str(self.scratch / "missing.so")))
        self.assertIn("ENOEXEC", self.refused(daemon, "add", str(self.scratch)))


class Ending(Modules):
    def test_a_module_in_use_stays_until_it_is_not_or_by_force(self):
        daemon = self.start()
        uuid = daemon.umdev("create", "clumsy", "clumsy-1").strip()
        with kit.open_client(daemon, uuid) as client:
            self.assertIn("EBUSY", self.refused(daemon, "remove", "clumsy"))
            self.assertEqual(daemon.json("module", "list")[0]["open_files"], 1)
            self.assertEqual(client.read(0, 1, 1), b"\1")
            daemon.umdev("module", "remove", "--force", "clumsy")
            self.assertTrue(client.has_closed())
        self.assertEqual((self.names(daemon), daemon.json("list")), ([], []))
        self.assertIn("ENOENT", self.refused(daemon, "remove", "clumsy"))
        self.assertEqual(daemon.stop(), 0)

    def test_what_a_device_has_is_known_when_it_is_opened(self):
        daemon = self.start()
        uuid = daemon.umdev("create", "clumsy", "clumsy-1").strip()
        shown = daemon.json("show", uuid)
        self.assertEqual((shown["regions"], shown["irqs"]), (None, None))
        self.assertIn("regions: known at the first open", daemon.umdev("show", uuid))
        with kit.open_client(daemon, uuid):
            shown = daemon.json("show", uuid)
        self.assertEqual(([region["size"] for region in shown["regions"]], shown["irqs"]), ([0x1000], []))

    def end_that_does_not_come(self, daemon: Daemon) -> None:
        """Asks for it, is told what it waits for, and gives the module up."""
        text = self.refused(daemon, "remove", "clumsy")
        self.assertRegex(text, r"waits for module_exit, work clumsy\.so\+0x[0-9a-f]+; .*ETIMEDOUT")
        (module,) = daemon.json("module", "list")
        self.assertEqual((module["state"], len(module["unfinished"])), ("going", 2))
        self.assertIn("EAGAIN", self.refused(daemon, "remove", "clumsy"))
        daemon.umdev("module", "remove", "--force", "clumsy")
        self.assertIn("is given up", daemon.said())
        self.assertEqual(self.names(daemon), [])
        self.assertNotIn("clumsy", self.parents(daemon))
        daemon.umdev("module", "add", str(self.clumsy))
        daemon.umdev("module", "remove", "clumsy")

    def test_an_end_that_waits_for_ever_is_said_and_given_up(self):
        daemon = self.start("stay=1")
        self.end_that_does_not_come(daemon)
        self.assertEqual(daemon.stop(), 0)

    def test_work_that_never_ends_is_left_behind(self):
        daemon = self.start("stay=2")
        self.end_that_does_not_come(daemon)
        self.assertNotEqual(daemon.stop(), 0)
        self.assertIn("does not come back", daemon.said())

    def test_the_daemon_ends_with_modules_in_use(self):
        daemon = self.start()
        uuid = daemon.umdev("create", "clumsy", "clumsy-1").strip()
        with kit.open_client(daemon, uuid):
            self.assertEqual(daemon.stop(), 0)


class Crashing(Modules):
    def check_crash(self, offset: int) -> None:
        daemon = self.start()
        uuid, other = (daemon.umdev("create", "clumsy", "clumsy-1").strip() for _ in range(2))
        with kit.open_client(daemon, uuid) as client:
            self.assertEqual(client.read(0, 1, 1), b"\1")
            self.assertEqual(kit.error_of_read(client, 0, offset, 1), errno.EIO)
            self.assertEqual(kit.error_of_read(client, 0, 1, 1), errno.EIO)
        (module,) = daemon.json("module", "list")
        self.assertEqual(module["state"], "crashed")
        self.assertTrue(module["crash"].startswith(f"read of {uuid}: "), module)
        self.assertIn("module clumsy has crashed in read", daemon.said())
        self.assertIn("EIO", self.refused(daemon, "remove", "clumsy"))
        daemon.umdev("module", "remove", "--force", "clumsy")
        self.assertEqual((self.names(daemon), daemon.json("list")), ([], []))
        # And once more, as somebody who has mended it would.
        daemon.umdev("module", "add", str(self.clumsy))
        uuid = daemon.umdev("create", "clumsy", "clumsy-1").strip()
        with kit.open_client(daemon, uuid) as client:
            self.assertEqual(client.read(0, 2, 1), b"\2")
        self.assertEqual(daemon.stop(), 0)

    def test_a_crash_fails_the_request_and_the_daemon_goes_on(self):
        for name, offset in asks.items():
            with self.subTest(name):
                self.check_crash(offset)

    def test_a_call_that_waits_for_a_lock_of_a_crashed_one_is_let_go(self):
        daemon = self.start()
        uuid = daemon.umdev("create", "clumsy", "clumsy-1").strip()
        with kit.open_client(daemon, uuid) as client:
            self.assertEqual(client.read(0, ask_lock, 1), b"\1")
            for offset in (ask_null_under_lock, ask_lock):
                client.send(kit.codec.REGION_READ, kit.codec.access(offset, 0, 1))
            self.assertEqual([client.receive().error for _ in range(2)], [errno.EIO, errno.EIO])
        self.assertEqual(daemon.stop(), 0)

    def test_a_crash_in_module_init_leaves_nothing_behind(self):
        daemon = self.start_empty()
        before = self.parents(daemon)
        self.assertIn("EIO", self.refused(daemon, "add", str(self.clumsy), "crash_init=y"))
        self.assertEqual((self.names(daemon), self.parents(daemon)), ([], before))
        self.assertIn("module clumsy has crashed in module_init", daemon.said())
        daemon.umdev("module", "add", str(self.clumsy))
        self.assertEqual(daemon.stop(), 0)

    def test_a_crash_in_module_exit_ends_the_module_by_force(self):
        daemon = self.start("crash_exit=y")
        self.assertEqual(daemon.umdev("module", "remove", "clumsy"), "")
        self.assertIn("module clumsy has crashed in module_exit", daemon.said())
        self.assertEqual((self.names(daemon), "clumsy" in self.parents(daemon)), ([], False))
        daemon.umdev("module", "add", str(self.clumsy))
        self.assertEqual(daemon.stop(), 0)

    def test_a_crash_in_the_description_of_a_type_fails_the_beginning(self):
        daemon = self.start_empty()
        before = self.parents(daemon)
        self.assertIn("EIO", self.refused(daemon, "add", str(self.clumsy), "crash_description=y"))
        self.assertEqual((self.names(daemon), self.parents(daemon)), ([], before))
        self.assertIn("module clumsy has crashed in show_description of 1", daemon.said())
        self.assertEqual(daemon.stop(), 0)


class CrashesInAttributes(Modules):
    def create(self) -> tuple[Daemon, str, Path]:
        """A daemon, an instance, and an attribute of that."""
        daemon = self.enterContext(Daemon(build_dir(), arguments=("--module", str(self.clumsy))))
        if not daemon.has_tree():
            self.skipTest("no FUSE here: the tree is not mounted")
        uuid = daemon.umdev("create", "clumsy", "clumsy-1").strip()
        mood = daemon.directory / "sys/bus/mdev/devices" / uuid / "mood"
        self.assertEqual(mood.read_text(), "fine\n")
        return daemon, uuid, mood

    def errno_of(self, call) -> int:
        with self.assertRaises(OSError) as caught:
            call()
        return caught.exception.errno

    def check_end(self, daemon: Daemon, uuid: str, mood: Path, words: str) -> None:
        """The module is not called any more, by whatever way; the daemon goes on."""
        self.assertIn(f"module clumsy has crashed in {words} of {uuid}: SIGSEGV", daemon.said())
        self.assertIn(words, daemon.json("module", "list")[0]["crash"])
        self.assertEqual(self.errno_of(mood.read_text), errno.EIO)
        self.assertEqual(self.errno_of(lambda: mood.write_text("crash now")), errno.EIO)
        daemon.umdev("module", "remove", "--force", "clumsy")
        self.assertFalse(mood.exists())
        self.assertEqual(daemon.stop(), 0)

    def test_show(self):
        daemon, uuid, mood = self.create()
        self.assertEqual(self.errno_of(lambda: mood.write_text("what")), errno.EINVAL)
        mood.write_text("crash later")
        self.assertEqual(self.errno_of(mood.read_text), errno.EIO)
        self.check_end(daemon, uuid, mood, "show of mood")

    def test_store(self):
        daemon, uuid, mood = self.create()
        self.assertEqual(self.errno_of(lambda: mood.write_text("crash now")), errno.EIO)
        self.check_end(daemon, uuid, mood, "store of mood")


if __name__ == "__main__":
    unittest.main(verbosity=2)
