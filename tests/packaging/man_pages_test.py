"""The manual pages are well formed, and tell of every command, option, driver and key that the programs have."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import unittest
from pathlib import Path

from help_text import ask, commands_of, options_of, options_of_command

repository = Path(__file__).resolve().parents[2]
pages = repository / "packaging" / "man"
time_limit = 60


def plain(source: str) -> str:
    """mdoc source with its options as they are typed."""
    return re.sub(r"\bFl -", "--", source)


def item(source: str, start: str) -> str:
    """A list item of a page, up to the next one of the same kind; empty if there is none."""
    macro, _, name = start.partition(" ")
    found = re.search(
        rf"^\.It {macro} {re.escape(name)}\b(?!-).*?(?=^\.It {macro} |^\.Sh )", source, re.MULTILINE | re.DOTALL
    )
    return found[0] if found else ""


def mentions(text: str, option: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", text) is not None


class Pages(unittest.TestCase):
    def test_they_are_well_formed(self):
        checkers = [["mandoc", "-T", "lint", "-W", "warning"], ["man", "--warnings", "-l"]]
        present = [checker for checker in checkers if shutil.which(checker[0])]
        if not present:
            self.skipTest("neither mandoc nor man is installed")
        for page in sorted(pages.iterdir()):
            for checker in present:
                with self.subTest(page=page.name, checker=checker[0]):
                    result = subprocess.run(
                        [*checker, str(page)],
                        capture_output=True,
                        text=True,
                        timeout=time_limit,
                        env=os.environ | {"LC_ALL": "C.UTF-8", "MANPAGER": "cat"},
                    )
                    complaints = result.stderr + (result.stdout if checker[0] == "mandoc" else "")
                    self.assertEqual((result.returncode, complaints), (0, ""))

    def test_umdev_1_has_every_command_and_option(self):
        source = plain((pages / "umdev.1").read_text())
        general = source.partition(".Sh COMMANDS")[0]
        summary = ask("umdev")
        commands = commands_of(summary)
        self.assertIn("create", commands)
        missing = [option for option in options_of(summary) if not mentions(general, option)]
        for command in commands:
            described = item(source, f"Ic {command}")
            if not described:
                missing.append(command)
                continue
            options = options_of_command(command)
            self.assertIn("--help", options, command)
            missing += [
                f"{command} {option}"
                for option in sorted(options)
                if not mentions(described, option) and not mentions(general, option)
            ]
        self.assertEqual(missing, [])

    def test_umdev_1_has_nothing_else(self):
        source = plain((pages / "umdev.1").read_text())
        described = re.findall(r"^\.It Ic ([a-z-]+)", source, re.MULTILINE)
        commands = commands_of(ask("umdev"))
        self.assertEqual(sorted(set(described) - set(commands)), [])
        for command in described:
            known = options_of_command(command) | options_of(ask("umdev"))
            heading = item(source, f"Ic {command}").partition("\n")[0]
            with self.subTest(command=command):
                self.assertEqual(set(re.findall(r"--[a-z][a-z-]*", heading)) - known, set())

    def test_umdevd_8_has_every_option(self):
        source = plain((pages / "umdevd.8").read_text())
        options = options_of(ask("umdevd"))
        self.assertIn("--config", options)
        self.assertEqual([option for option in sorted(options) if not mentions(source, option)], [])

    def test_umdevd_toml_5_has_every_driver_and_key(self):
        source = (pages / "umdevd.toml.5").read_text()
        found = re.findall(r"^  (\w+) +(\w+) = (\d+) \(.*, (\d+) to (\d+)\)$", ask("umdevd"), re.MULTILINE)
        self.assertIn("mtty", [driver for driver, *_ in found])
        for driver, key, fallback, least, most in found:
            with self.subTest(driver=driver, key=key):
                described = item(source, f"Cm {key}")
                self.assertIn(f".It Cm {driver}\n", source)
                self.assertIn(f"{least}...{most}", described)
                self.assertIn(f"{fallback} when left out", described)


if __name__ == "__main__":
    unittest.main()
