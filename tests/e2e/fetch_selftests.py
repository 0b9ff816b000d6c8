#!/usr/bin/env python3
"""Takes the kernel's own tests of VFIO, tools/testing/selftests/vfio, out of Debian's package of the kernel's sources,
and builds them, in a cache folder. Prints the folder with the programs. They are not ours, so they are never part of
this repository.

Exit status 77: they cannot be had here.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "guest"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "module"))
import debian  # noqa: E402
import fetch_samples  # noqa: E402

recipe = 1
suites = ["trixie", "trixie-backports"]
tests = "tools/testing/selftests/vfio"
# What they include and are built by. Some of it is there as a link to a file of a driver.
wanted = (
    "arch/x86/include/",
    "drivers/dma/idxd/",
    "drivers/dma/ioat/",
    "drivers/net/ethernet/intel/igb/",
    "include/linux/",
    "scripts/subarch.include",
    "tools/arch/x86/include/",
    "tools/include/",
    "tools/scripts/",
    "tools/testing/selftests/kselftest",
    "tools/testing/selftests/lib.mk",
    tests,
)
used_types = (".c", ".h", ".mk", ".sh", "Makefile", ".include")


def is_wanted(member: tarfile.TarInfo) -> bool:
    name = member.name.partition("/")[2]
    return name.startswith(wanted) and (member.issym() or member.isfile() and name.endswith(used_types))


def take(archive: Path, folder: Path) -> Path:
    """The wanted files, unpacked; the root of the sources."""
    with tarfile.open(archive, "r|*") as sources:
        sources.extractall(folder, members=(member for member in sources if is_wanted(member)), filter="data")
    (root,) = folder.iterdir()
    return root


def build(sources: Path, headers: Path, output: Path) -> None:
    """By their own makefile. The kernel's headers for programs are those of Debian's package of them."""
    debian.need_tools("make", "gcc")
    include = f"-isystem {headers}/usr/include -isystem {headers}/usr/include/x86_64-linux-gnu"
    run = subprocess.run(["make", "-j2", f"OUTPUT={output}", f"KHDR_INCLUDES={include}"], cwd=sources / tests,
                         capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if run.returncode != 0:
        words = "\n  ".join(run.stderr.strip().splitlines()[-12:])
        raise debian.Unavailable(f"the kernel's tests cannot be built here:\n  {words}")


def fetch(cache: Path, refresh: bool = False) -> Path:
    """The folder with the test programs, fetched and built if it is not there."""

    def make(apt: debian.PrivateApt) -> Path:
        package = fetch_samples.source_package(apt, suites[-1])
        headers = apt.closure("linux-libc-dev", suites[-1])

        def build_in(folder: Path) -> tuple[str, list[debian.Package]]:
            with tempfile.TemporaryDirectory(dir=cache) as scratch:
                archive = fetch_samples.unpack_archive(apt, package, Path(scratch))
                apt.unpack(headers, Path(scratch) / "headers")
                debian.progress(f"looking for the tests in {archive.name} ...")
                sources = take(archive, Path(scratch) / "sources")
                debian.progress("building them ...")
                build(sources, Path(scratch) / "headers", folder)
            return package.version, [package, *headers]

        return debian.make_folder(cache, "vfio-selftests", recipe, build_in)

    return debian.fetched(cache, "vfio-selftests", recipe, suites, make, refresh)


if __name__ == "__main__":
    debian.run_fetch(__doc__, fetch)
