#!/usr/bin/env python3
"""Unpacks an unmodified mdevctl of a Debian release, with the C library that it was built for, into a cache folder.

Prints the path of a `mdevctl` to run from there. Exit status 77: it cannot be had here.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "guest"))
import debian  # noqa: E402

recipe = 1
releases = {"1.2": "bookworm", "1.4": "trixie"}
wanted = ("mdevctl", "libc6", "libgcc-s1")
loader = "ld-linux-x86-64.so.2"
files = (loader, "libc.so.6", "libgcc_s.so.1", "mdevctl")

wrapper = f"""#!/bin/sh
here=$(dirname "$(readlink -f "$0")")/lib
exec "$here/{loader}" --argv0 mdevctl --library-path "$here" "$here/mdevctl" "$@"
"""


def check(folder: Path) -> None:
    """A missing library shows here, not in a test."""
    library = folder / "lib"
    command = [str(library / loader), "--library-path", str(library), "--list", str(library / "mdevctl")]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if run.returncode != 0:
        raise debian.Unavailable(f"the unpacked mdevctl cannot be loaded: {run.stderr.strip()}")


def keep_what_is_needed(unpacked: Path, folder: Path) -> None:
    """A few files of the packages, in one folder."""
    (folder / "lib").mkdir()
    for name in files:
        found = [path for path in unpacked.rglob(name) if path.is_file() and not path.is_symlink()
                 and "completions" not in str(path)]
        if len(found) != 1:
            raise debian.Unavailable(f"the packages have {len(found)} files {name}")
        shutil.copy2(found[0], folder / "lib" / name)
        (folder / "lib" / name).chmod(0o755)
    program = folder / "mdevctl"
    program.write_text(wrapper)
    program.chmod(0o755)


def fetch(cache: Path, version: str, refresh: bool = False) -> Path:
    """The path of that mdevctl in the cache, fetched if it is not there."""
    suite = releases[version]
    kind = f"mdevctl-{suite}"

    def make(apt: debian.PrivateApt) -> Path:
        packages = [package for package in apt.closure("mdevctl", suite) if package.name in wanted]

        def build(folder: Path) -> tuple[str, list[debian.Package]]:
            apt.unpack(packages, folder / "root")
            keep_what_is_needed(folder / "root", folder)
            debian.remove(folder / "root")
            check(folder)
            return next(package.version for package in packages if package.name == "mdevctl"), packages

        return debian.make_folder(cache, kind, recipe, build)

    return debian.fetched(cache, kind, recipe, sorted(releases.values()), make, refresh) / "mdevctl"


if __name__ == "__main__":
    debian.run_fetch(__doc__, fetch, lambda parser: parser.add_argument("version", choices=sorted(releases)))
