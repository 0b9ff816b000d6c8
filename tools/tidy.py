#!/usr/bin/env python3
"""Runs clang-tidy over our files and remembers what was clean, because two cores are slow at it.

A file is looked at again when it, a header of ours that it includes, its compile command, a .clang-tidy or
clang-tidy itself has changed. What was clean is kept in .cache/tidy.

  tools/tidy.py -p build/clang             every file of the compile database
  tools/tidy.py -p build/clang --changed   only what git says has changed, or includes something that has
  tools/tidy.py -p build/clang umdev/vfio  only these files or folders
  tools/tidy.py -p build/clang --minutes 9 as many as it can begin in so long, what changed last first
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "tidy"
OURS = ("umdev/", "drivers/", "apps/", "tests/", "bench/")
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)

# C here is what others bring along: programs that open files as any program does, and drivers in the kernel's style.
NOT_FOR_C = ("readability-identifier-naming", "modernize-macro-to-enum", "android-cloexec-*",
             "bugprone-casting-through-void", "bugprone-macro-parentheses",
             "bugprone-multi-level-implicit-pointer-conversion", "bugprone-sizeof-expression",
             "bugprone-suspicious-string-compare", "bugprone-switch-missing-default-case", "bugprone-unsafe-functions",
             "clang-diagnostic-gnu-variable-sized-type-not-at-end")


class Sources:
    """Our files, what they include, and a digest of all that decides what clang-tidy says of one."""

    def __init__(self, tidy: str):
        version = subprocess.run([tidy, "--version"], capture_output=True, text=True, check=True).stdout
        self.common = version.encode()
        self.includes: dict[str, list[str]] = {}
        self.contents: dict[str, bytes] = {}

    def read(self, path: str) -> bytes:
        if path not in self.contents:
            full = ROOT / path
            self.contents[path] = full.read_bytes() if full.is_file() else b""
            names = INCLUDE.findall(self.contents[path].decode(errors="replace"))
            self.includes[path] = [name for name in names if (ROOT / name).is_file()]
        return self.contents[path]

    def closure(self, path: str) -> list[str]:
        seen, waiting = {path}, [path]
        while waiting:
            current = waiting.pop()
            self.read(current)
            for name in self.includes[current]:
                if name not in seen:
                    seen.add(name)
                    waiting.append(name)
        return sorted(seen)

    def configurations(self, path: str) -> list[str]:
        folders = [Path("."), *reversed(Path(path).parents[:-1])]
        return [str(folder / ".clang-tidy") for folder in folders]

    def digest(self, path: str, command: str) -> str:
        # What was clean in one checkout is so in every other.
        total = hashlib.sha256(self.common + command.replace(str(ROOT), "").encode())
        total.update("".join(checks_for(path)).encode())
        for name in self.configurations(path) + self.closure(path):
            content = self.read(name)
            total.update(f"{name}\0{len(content)}\0".encode() + content)
        return total.hexdigest()


def changed_files(reference: str) -> set[str]:
    def git(*arguments: str) -> list[str]:
        run = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True)
        return run.stdout.splitlines()

    return set(git("diff", "--name-only", reference)) | set(git("ls-files", "-o", "--exclude-standard"))


def compile_commands(folder: Path) -> dict[str, str]:
    """Path from the root -> compile command, for files of ours."""
    commands = {}
    for entry in json.loads((folder / "compile_commands.json").read_text()):
        full = Path(entry["directory"], entry["file"])
        if full.is_relative_to(ROOT) and full.is_file():
            path = full.relative_to(ROOT).as_posix()
            if path.startswith(OURS):
                commands[path] = entry["command"]
    return commands


def checks_for(path: str) -> list[str]:
    return [f"--checks={','.join('-' + check for check in NOT_FOR_C)}"] if path.endswith(".c") else []


def latest_first(paths: list[str]) -> list[str]:
    """By when git last saw them changed; what it does not know is new."""
    log = subprocess.run(["git", "-C", str(ROOT), "log", "--format=", "--name-only", "-n", "200"],
                         capture_output=True, text=True, check=True)
    age = {path: number for number, path in reversed(list(enumerate(log.stdout.split())))}
    new = changed_files("HEAD")
    return sorted(paths, key=lambda path: (path not in new, age.get(path, len(age)), path))


def lint(tidy: str, database: Path, path: str) -> tuple[bool, str]:
    command = [tidy, "-p", str(database), "--quiet", *checks_for(path), path]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    said = "\n".join(line for line in (run.stdout + run.stderr).splitlines()
                     if not re.match(r"\d+ warnings? .*(generated|treated)|Suppressed|Use -header-filter", line))
    return run.returncode == 0, said.strip()


def select(sources: Sources, commands: dict[str, str], arguments: argparse.Namespace) -> list[str]:
    paths = sorted(commands)
    if arguments.paths:
        wanted = [Path(path).resolve().relative_to(ROOT).as_posix() for path in arguments.paths]
        paths = [path for path in paths if any(f"{path}/".startswith(f"{prefix}/") for prefix in wanted)]
    if arguments.changed is not None:
        changed = changed_files(arguments.changed)
        paths = [path for path in paths if changed.intersection(sources.closure(path))]
    return paths


def forget_unused(used: set[str]) -> None:
    for entry in CACHE.iterdir():
        if entry.name not in used:
            entry.unlink(missing_ok=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-p", dest="database", type=Path, required=True, help="folder of compile_commands.json")
    parser.add_argument("-j", dest="jobs", type=int, default=2, help="how many at once")
    parser.add_argument("--tidy", default="clang-tidy-19")
    parser.add_argument("--changed", nargs="?", const="HEAD", metavar="REF", help="only what differs from REF")
    parser.add_argument("--minutes", type=float, metavar="N", help="begin no file after so long")
    parser.add_argument("paths", nargs="*", help="files or folders (default: all)")
    arguments = parser.parse_args()

    CACHE.mkdir(parents=True, exist_ok=True)
    sources, commands = Sources(arguments.tidy), compile_commands(arguments.database)
    paths = select(sources, commands, arguments)
    digests = {path: sources.digest(path, commands[path]) for path in paths}
    waiting = [path for path in paths if not (CACHE / digests[path]).exists()]
    print(f"clang-tidy: {len(paths)} files, {len(paths) - len(waiting)} known to be clean", flush=True)

    bad, left, began = 0, 0, time.monotonic()
    if arguments.minutes is not None:
        waiting = latest_first(waiting)

    def lint_in_time(path: str) -> tuple[str, tuple[bool, str] | None]:
        late = arguments.minutes is not None and time.monotonic() - began > arguments.minutes * 60
        return path, None if late else lint(arguments.tidy, arguments.database, path)

    with ThreadPoolExecutor(arguments.jobs) as pool:
        for number, (path, outcome) in enumerate(pool.map(lint_in_time, waiting), 1):
            if outcome is None:
                left += 1
                continue
            clean, said = outcome
            if clean:
                (CACHE / digests[path]).touch()
            else:
                bad += 1
                print(f"{path}:\n{said}", flush=True)
            if number % 20 == 0:
                print(f"clang-tidy: {number} of {len(waiting)}, {time.monotonic() - began:.0f} s", flush=True)
    if left:
        print(f"clang-tidy: {left} files were not looked at: the {arguments.minutes:g} minutes are over")
    if not arguments.paths and arguments.changed is None and not bad and not left:
        forget_unused(set(digests.values()))
    print(f"clang-tidy: {bad} files with findings" if bad else "clang-tidy: clean")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
