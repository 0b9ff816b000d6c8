#!/usr/bin/env python3
"""Builds the kernel's own guest driver of its sample mdpy (samples/vfio-mdev/mdpy-fb.c), which no Debian kernel has,
for Debian's kernel, with that kernel's headers, in a cache folder. Prints the folder: `vmlinux`, and `modules`.

Exit status 77: they cannot be had here.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import fetch_samples

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "guest"))
import debian  # noqa: E402
import fetch_kernel  # noqa: E402

recipe = 1
kind = "display-driver"
# The release whose compiler builds its modules: what the headers ask for (gcc-12) must be on the machine.
suite = "bookworm"
sources = {"mdpy-fb.c", "mdpy-defs.h"}
time_limit = 300.0


def unpack_headers(apt: debian.PrivateApt, root: Path) -> list[debian.Package]:
    closure = apt.closure("linux-headers-amd64", suite)
    packages = [package for package in closure if re.match(r"linux-(headers-\d|kbuild-)", package.name)]
    apt.unpack(packages, root)
    return packages


def headers_of(root: Path, release: str) -> Path:
    """The folder to build in. Its Makefile names another one by where it is installed, which it is not."""
    folder = root / "usr/src" / f"linux-headers-{release}"
    makefile = folder / "Makefile"
    if not makefile.is_file():
        raise debian.Unavailable(f"there are no headers of the kernel {release}")
    makefile.write_text(makefile.read_text().replace(" /usr/src/", f" {root}/usr/src/"))
    return folder


def compile_driver(headers: Path, folder: Path) -> Path:
    debian.need_tools("make")
    (folder / "Makefile").write_text("obj-m := mdpy-fb.o\n")
    command = ["make", "-C", headers, f"M={folder}", "modules"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=time_limit, check=False)
    if run.returncode != 0:
        words = "\n  ".join((run.stdout + run.stderr).strip().splitlines()[-6:])
        raise debian.Unavailable(f"the driver does not compile here:\n  {words}")
    return folder / "mdpy-fb.ko"


def take_sources(apt: debian.PrivateApt, folder: Path, scratch: Path) -> debian.Package:
    package = fetch_samples.source_package(apt, suite)
    archive = fetch_samples.unpack_archive(apt, package, scratch)
    debian.progress(f"looking for the driver in {archive.name} ...")
    fetch_samples.take(archive, folder, sources)
    return package


def build(apt: debian.PrivateApt, folder: Path) -> tuple[str, list[debian.Package]]:
    packages = fetch_kernel.unpack(apt, "linux-image-amd64", suite, folder)
    shutil.rmtree(folder / "root")
    release = packages[0].name.removeprefix("linux-image-")
    with tempfile.TemporaryDirectory(dir=apt.folder) as scratch:
        root, driver = Path(scratch) / "root", Path(scratch) / "driver"
        driver.mkdir()
        packages += unpack_headers(apt, root)
        packages.append(take_sources(apt, driver, Path(scratch) / "sources"))
        (folder / "modules").mkdir()
        shutil.copy(compile_driver(headers_of(root, release), driver), folder / "modules" / "mdpy_fb.ko")
    return packages[0].version, packages


def fetch(cache: Path, refresh: bool = False) -> Path:
    """The folder in the cache, fetched and built if it is not there."""

    def make(apt: debian.PrivateApt) -> Path:
        return debian.make_folder(cache, kind, recipe, lambda folder: build(apt, folder))

    return debian.fetched(cache, kind, recipe, [suite], make, refresh)


if __name__ == "__main__":
    debian.run_fetch(__doc__, fetch)
