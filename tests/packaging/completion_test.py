"""The completion offers every command and every option that the programs have."""

from __future__ import annotations

import os
import subprocess
import unittest
from pathlib import Path

import help_text

script = Path(__file__).resolve().parents[2] / "packaging" / "completion" / "umdev.bash"
driver = """
source "$0"
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
complete_with=$(complete -p "$1" | sed 's/.*-F \\([^ ]*\\).*/\\1/')
"$complete_with"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def offered(*words: str) -> set[str]:
    """What is offered for the last of the words."""
    path = f"{help_text.programs}:{os.environ['PATH']}"
    result = subprocess.run(
        ["bash", "-c", driver, str(script), *words],
        check=True,
        capture_output=True,
        text=True,
        timeout=help_text.time_limit,
        env=os.environ | {"PATH": path, "UMDEV_RUNTIME_DIR": "/nonexistent"},
    )
    return set(result.stdout.split())


class Completion(unittest.TestCase):
    def test_offers_every_command(self):
        commands = set(help_text.commands_of(help_text.ask("umdev")))
        self.assertIn("create", commands)
        self.assertEqual(commands - offered("umdev", ""), set())

    def test_offers_every_option_of_every_command(self):
        for command in help_text.commands_of(help_text.ask("umdev")):
            with self.subTest(command=command):
                options = help_text.options_of_command(command)
                self.assertEqual(options - offered("umdev", command, "--"), set())

    def test_offers_every_option_of_the_programs(self):
        for program in ("umdev", "umdevd"):
            with self.subTest(program=program):
                options = help_text.options_of(help_text.ask(program))
                self.assertEqual(options - offered(program, "--"), set())


if __name__ == "__main__":
    unittest.main()
