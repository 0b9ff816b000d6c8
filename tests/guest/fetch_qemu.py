#!/usr/bin/env python3
"""Unpacks an unmodified QEMU with the vfio-user-pci client, from Debian's backports, into a cache folder.

Prints the path of a `qemu-system-x86_64` to run from there: it brings its own C library and firmware.
Exit status 77: it cannot be had here.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import debian

recipe = 1
suites = ["trixie", "trixie-backports"]
suite = "trixie-backports"
oldest = (11, 1)  # 10.1 has the client, but its DMA by message puts the data at a wrong offset
library_path = "usr/lib/x86_64-linux-gnu"
useless = [
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/lintian",
    "usr/share/bug",
    "etc",
    "var",
    "usr/bin/qemu-system-i386",
    "usr/bin/qemu-system-x86_64-microvm",
    "usr/libexec",
]

# Debian 13's libc6 brings no /lib64: the loader is called by its path. The firmware lies in two folders.
wrapper = f"""#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
exec "$here/root/{library_path}/ld-linux-x86-64.so.2" --argv0 qemu-system-x86_64 \\
  --library-path "$here/root/{library_path}" "$here/root/usr/bin/qemu-system-x86_64" \\
  -L "$here/root/usr/share/seabios" -L "$here/root/usr/share/qemu" "$@"
"""


def is_wanted(package: debian.Package) -> bool:
    return package.name.startswith(("lib", "zlib", "qemu-system-", "seabios"))


def tried_version(program: Path) -> str:
    """Runs the unpacked QEMU: a missing library or a QEMU without the client shows here, not in a test."""

    def output(*arguments: str) -> str:
        run = subprocess.run(
            [str(program), *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
        )
        if run.returncode != 0:
            raise debian.Unavailable(f"the unpacked QEMU does not run: {run.stderr.strip()}")
        return run.stdout

    match = re.search(r"version (\d+)\.(\d+)[.\d]*", output("--version"))
    if match is None or (int(match[1]), int(match[2])) < oldest:
        raise debian.Unavailable(f"{suite} has no QEMU of version {oldest[0]}.{oldest[1]} or later")
    output("-device", "vfio-user-pci,help")
    return match[0].removeprefix("version ")


def fetch(cache: Path, refresh: bool = False) -> Path:
    """The path of the QEMU program in the cache, fetched if it is not there."""

    def make(apt: debian.PrivateApt) -> Path:
        packages = [package for package in apt.closure("qemu-system-x86", suite) if is_wanted(package)]

        def build(folder: Path) -> tuple[str, list[debian.Package]]:
            apt.unpack(packages, folder / "root")
            for name in useless:
                debian.remove(folder / "root" / name)
            program = folder / "qemu-system-x86_64"
            program.write_text(wrapper)
            program.chmod(0o755)
            return tried_version(program), packages

        return debian.make_folder(cache, "qemu", recipe, build)

    return debian.fetched(cache, "qemu", recipe, suites, make, refresh) / "qemu-system-x86_64"


if __name__ == "__main__":
    debian.run_fetch(__doc__, fetch)
