#!/usr/bin/env python3
"""Takes the kernel's own sample drivers, samples/vfio-mdev/*, out of Debian's packages of the kernel's sources, into a
cache folder. Prints the folder. They are not ours, so they are never part of this repository.

Exit status 77: they cannot be had here.
"""

from __future__ import annotations

import argparse
import re
import sys
import tarfile
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "guest"))
import debian  # noqa: E402

recipe = 1
# Each release has the drivers in another vintage of the kernel's interface.
suites = {
    "5.10": ["bullseye"],
    "6.1": ["bookworm"],
    "6.12": ["trixie"],
    "backports": ["trixie", "trixie-backports"],  # the newest there is
}
folder_in_sources = "samples/vfio-mdev/"
wanted = {"mtty.c", "mdpy.c", "mdpy-defs.h", "mbochs.c"}


def source_package(apt: debian.PrivateApt, suite: str) -> debian.Package:
    """The one that linux-source depends on: linux-source-VERSION."""
    found = [package for package in apt.closure("linux-source", suite) if re.match(r"linux-source-\d", package.name)]
    if len(found) != 1:
        raise debian.Unavailable(f"{suite} has no package of the kernel's sources")
    return found[0]


def take(archive: Path, folder: Path, names: set[str]) -> None:
    """Samples of those names from a tar file of the sources; the rest of it is not read once they have been found."""
    left = set(names)
    with tarfile.open(archive, "r|*") as sources:
        for member in sources:
            _, found, name = member.name.partition(folder_in_sources)
            if found and name in left and member.isfile():
                (folder / name).write_bytes(sources.extractfile(member).read())
                left.remove(name)
            if not left:
                return
    raise debian.Unavailable(f"{archive.name} lacks {', '.join(sorted(left))}")


def unpack_archive(apt: debian.PrivateApt, package: debian.Package, scratch: Path) -> Path:
    apt.unpack([package], scratch)
    archives = list(scratch.glob("usr/src/linux-source-*.tar.*"))
    if len(archives) != 1:
        raise debian.Unavailable(f"{package.name} holds {len(archives)} archives, expected one")
    return archives[0]


def fetch(cache: Path, release: str, refresh: bool = False) -> Path:
    """The folder with the drivers of that release, fetched if it is not there."""

    def make(apt: debian.PrivateApt) -> Path:
        package = source_package(apt, suites[release][-1])

        def build(folder: Path) -> tuple[str, list[debian.Package]]:
            with tempfile.TemporaryDirectory(dir=cache) as scratch:
                archive = unpack_archive(apt, package, Path(scratch))
                debian.progress(f"looking for the samples in {archive.name} ...")
                take(archive, folder, wanted)
            return package.version, [package]

        return debian.make_folder(cache, f"samples-{release}", recipe, build)

    return debian.fetched(cache, f"samples-{release}", recipe, suites[release], make, refresh)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--release", choices=list(suites), default="6.1", help="default: %(default)s")


if __name__ == "__main__":
    debian.run_fetch(__doc__, fetch, add_arguments)
