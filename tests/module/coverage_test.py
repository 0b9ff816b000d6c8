#!/usr/bin/env python3
"""A module that is compiled for coverage says which of its lines have run."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import kit
from harness import build_dir


class Coverage(unittest.TestCase):
    @unittest.skipUnless(shutil.which("gcov"), "there is no gcov")
    def test_lines_that_ran_are_counted(self):
        folder = Path(self.enterContext(tempfile.TemporaryDirectory(prefix="umdev-coverage-")))
        command = [build_dir() / "bin/umdev", "module", "new", "card"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=kit.time_limit)
        source = folder / "card/card.c"
        compile_it = [build_dir() / "bin/umdev", "cc", "card.c", "-o", "card.so", "--coverage"]
        subprocess.run(compile_it, cwd=source.parent, check=True, capture_output=True, timeout=kit.time_limit)
        with kit.daemon_with(source.parent / "card.so") as daemon:
            uuid = daemon.umdev("create", "card", "card-1").strip()
            with kit.open_client(daemon, uuid) as client:
                client.read(0, 0, 4)
            self.assertEqual(daemon.stop(), 0, daemon.said())
        (counts,) = source.parent.glob("*.gcda")
        subprocess.run(["gcov", counts], cwd=source.parent, check=True, capture_output=True, timeout=kit.time_limit)
        lines = (source.parent / "card.c.gcov").read_text().splitlines()
        self.assertTrue(self.has_run(lines, r"ret = card_access\(state, piece, part, \*ppos, false\)"))
        self.assertFalse(self.has_run(lines, r"ret = card_access\(state, piece, part, \*ppos, true\)"))

    def has_run(self, lines: list[str], code: str) -> bool:
        (line,) = (line for line in lines if re.search(code, line))
        return line.split(":")[0].strip().rstrip("*").isdigit()


if __name__ == "__main__":
    unittest.main(verbosity=2)
