"""A small repository for each test: files are written, a rule is run, its findings are compared."""

from __future__ import annotations

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from house.repository import Repository  # noqa: E402


class RuleTest(unittest.TestCase):
    def repository(self, files: dict[str, str]) -> Repository:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        for path, text in files.items():
            full = Path(folder.name) / path
            full.parent.mkdir(parents=True, exist_ok=True)
            full.write_text(text, encoding="utf-8")
        return Repository(Path(folder.name))

    def clean(self, rule, files: dict[str, str]) -> None:
        self.assertEqual([str(finding) for finding in rule(self.repository(files))], [])

    def caught(self, rule, files: dict[str, str], *expected: str) -> None:
        """Exactly as many findings as `expected`, each with its text in it, in any order."""
        found = [str(finding) for finding in rule(self.repository(files))]
        for text in expected:
            matching = [finding for finding in found if text in finding]
            self.assertTrue(matching, f"{text!r} is not in {found}")
            found.remove(matching[0])
        self.assertEqual(found, [])
