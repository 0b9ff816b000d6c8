#!/usr/bin/env python3
"""Unpacks Debian's own build of DPDK's test program, with the libraries it needs, into a cache folder. Prints the
folder.

Exit status 77: it cannot be had here.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "guest"))
import debian  # noqa: E402

recipe = 1
suites = ["trixie"]
program = "usr/bin/dpdk-test"
# Of what the package brings along: all that makes a system, and no library.
unwanted = ("systemd", "python3", "udev", "dpkg", "mount", "passwd", "adduser", "tzdata", "perl", "media-types",
            "linux-libc-dev", "libpython3", "python3.13", "rdma-core")


def is_wanted(name: str) -> bool:
    return name == "dpdk-dev" or (name not in unwanted and not name.endswith("-dev"))


def fetch(cache: Path, refresh: bool = False) -> Path:
    """The folder, made if it is not there."""

    def make(apt: debian.PrivateApt) -> Path:
        packages = [package for package in apt.closure("dpdk-dev", suites[-1]) if is_wanted(package.name)]
        version = next(package.version for package in packages if package.name == "dpdk-dev")

        def build(folder: Path) -> tuple[str, list[debian.Package]]:
            apt.unpack(packages, folder)
            if not (folder / program).exists():
                raise debian.Unavailable(f"the package has no {program}")
            return version, packages

        return debian.make_folder(cache, "dpdk", recipe, build)

    return debian.fetched(cache, "dpdk", recipe, suites, make, refresh)


if __name__ == "__main__":
    debian.run_fetch(__doc__, fetch)
