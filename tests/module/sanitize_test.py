#!/usr/bin/env python3
"""AddressSanitizer and UndefinedBehaviorSanitizer in a module name the module's mistakes, and the daemon goes on."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path

import kit
from harness import Daemon, Failed, build_dir

mistakes = {
    0x200: "heap-buffer-overflow",
    0x210: "heap-use-after-free",
    0x220: "shift exponent 40 is too large",
}


class Sanitized(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        scratch = Path(cls.enterClassContext(tempfile.TemporaryDirectory(prefix="umdev-sanitize-")))
        cls.module = scratch / "clumsy.so"
        try:
            kit.compile_module(kit.drivers / "clumsy.c", cls.module, "--sanitize", "address,undefined")
        except kit.NotCompiled as error:
            raise unittest.SkipTest(f"no sanitizers for this compiler: {error}")

    def test_each_mistake_is_named_with_its_line_and_the_request_goes_on(self):
        daemon = self.enterContext(kit.daemon_with(self.module))
        uuid = daemon.umdev("create", "clumsy", "clumsy-1").strip()
        with kit.open_client(daemon, uuid) as client:
            for offset, words in mistakes.items():
                with self.subTest(words):
                    client.read(0, offset, 1)
                    self.assertTrue(words in daemon.said())
            self.assertEqual(client.read(0, 1, 1), b"\1")
        said = daemon.said()
        self.assertTrue("clumsy.c:" in said and "do_what_is_asked" in said)
        self.assertEqual(daemon.json("module", "list")[0]["state"], "live")
        self.assertEqual(daemon.stop(), 0)

    def test_a_daemon_without_it_refuses_the_module_and_says_what_to_do(self):
        daemon = self.enterContext(Daemon(build_dir(), arguments=("--no-tree",)))
        with self.assertRaises(Failed) as caught:
            daemon.umdev("module", "add", str(self.module))
        self.assertIn("--module", str(caught.exception))
        self.assertEqual(daemon.stop(), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
