"""What the built programs say of themselves with --help."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

programs = Path(os.environ["UMDEV_BUILD_DIR"]) / "bin"
time_limit = 60


def ask(program: str, *arguments: str) -> str:
    command = [programs / program, *arguments, "--help"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=time_limit).stdout


def lines_under(text: str, heading: str) -> list[str]:
    """The lines of a paragraph of CLI11's help."""
    found = re.search(rf"^{heading}:\n((?:[ \t].*\n)+)", text, re.MULTILINE)
    return found[1].splitlines() if found else []


def options_of(text: str) -> set[str]:
    """The long options that a help text lists."""
    starts = [re.match(r"  (-\S.*?)(?:  |$)", line) for line in lines_under(text, "Options")]
    return {option for start in starts if start for option in re.findall(r"--[a-z][a-z-]*", start[1])}


def commands_of(text: str) -> list[str]:
    starts = [re.match(r"  ([a-z][a-z-]*)", line) for line in lines_under(text, "Subcommands")]
    return [start[1] for start in starts if start]


def options_of_command(command: str) -> set[str]:
    """Those of a command of umdev, and of the commands below it."""
    text = ask("umdev", command)
    options = options_of(text)
    for below in commands_of(text):
        options |= options_of(ask("umdev", command, below))
    return options
