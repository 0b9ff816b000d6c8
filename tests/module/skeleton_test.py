#!/usr/bin/env python3
"""What `umdev module new` writes compiles without a warning, and runs at once; in C and in C++ it does the same."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import tempfile
import unittest
from pathlib import Path

import kit
from harness import Daemon, build_dir

bar0, config = 0, 7
size_mask = struct.pack("<I", 0xFFFFF000)


class Skeleton(unittest.TestCase):
    def setUp(self) -> None:
        self.scratch = Path(self.enterContext(tempfile.TemporaryDirectory(prefix="umdev-skeleton-")))
        self.daemon = self.enterContext(Daemon(build_dir(), arguments=("--no-tree",)))

    def new(self, name: str, *options: str) -> Path:
        command = [build_dir() / "bin/umdev", "module", "new", name, *options]
        subprocess.run(command, cwd=self.scratch, check=True, capture_output=True, timeout=kit.time_limit)
        return self.scratch / name

    def transcript(self) -> list:
        """What a client sees of an instance."""
        uuid = self.daemon.umdev("create", "card", "card-1").strip()
        seen: list = []
        with kit.open_client(self.daemon, uuid) as client:
            seen += [client.info(), *(client.region(index)[1:] for index in range(9))]
            seen += [client.irq(index) for index in range(5)]
            seen.append(client.read(config, 0, 64))
            client.write(config, 0x10, b"\xff\xff\xff\xff")
            seen.append(client.read(config, 0x10, 4))
            self.assertEqual(seen[-1], size_mask)
            client.write(bar0, 0x80, bytes(range(200)))
            seen += [client.read(bar0, 0x80, 200), client.read(bar0, 0xFFF, 1)]
            self.assertEqual(seen[-2], bytes(range(200)))
            seen += [kit.error_of_read(client, bar0, 0xFFF, 2), kit.error_of_read(client, 1, 0, 1)]
            client.ok(kit.codec.RESET)
            seen += [client.read(bar0, 0x80, 4), client.read(config, 0x10, 4)]
            self.assertEqual(seen[-2:], [bytes(4), bytes(4)])
        self.daemon.umdev("remove", uuid)
        return seen

    def run_one(self, *options: str) -> list:
        folder = self.new("card", *options)
        (source,) = (path for path in folder.iterdir() if path.name != "Makefile")
        said = kit.compile_module(source, folder / "card.so", "--", "-Wextra")
        self.assertEqual(kit.warnings_in(said), [], said)
        self.daemon.umdev("module", "add", str(folder / "card.so"), "instances=3")
        available = [kind["available_instances"] for kind in self.daemon.json("types") if kind["parent"] == "card"]
        self.assertEqual(available, [3])
        seen = self.transcript()
        self.daemon.umdev("module", "remove", "card")
        shutil.rmtree(folder)
        return seen

    def test_c_and_cxx_give_the_same_transcript(self):
        self.assertEqual(self.run_one(), self.run_one("--language", "c++"))
        self.assertEqual(self.daemon.stop(), 0, self.daemon.said())

    @unittest.skipUnless(shutil.which("make"), "there is no make")
    def test_its_makefile_loads_and_unloads_it(self):
        folder = self.new("card")
        environment = os.environ | {"UMDEV_RUNTIME_DIR": str(self.daemon.directory)}
        for target, names in (("load", ["card"]), ("reload", ["card"]), ("unload", [])):
            command = ["make", "-C", folder, target, f"UMDEV={build_dir() / 'bin/umdev'}"]
            done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=kit.time_limit)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual([module["name"] for module in self.daemon.json("module", "list")], names)

    def test_what_is_there_is_not_written_over(self):
        folder = self.new("card")
        (folder / "card.c").write_text("mine")
        with self.assertRaises(subprocess.CalledProcessError):
            self.new("card")
        self.assertEqual((folder / "card.c").read_text(), "mine")


if __name__ == "__main__":
    unittest.main(verbosity=2)
