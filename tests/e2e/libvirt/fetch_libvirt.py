#!/usr/bin/env python3
"""Unpacks Debian 12's libvirt, udev and mdevctl, with all that they need, into a root directory in a cache folder.

Of libvirt's drivers only the one of node devices is kept. Prints the path of the root directory. Exit status 77: it
cannot be had here.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "guest"))
import debian  # noqa: E402

recipe = 3
suite = "bookworm"
wanted = ("libvirt-daemon", "libvirt-clients", "udev", "mdevctl", "dash", "coreutils", "bsdutils")
useless = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "usr/lib/udev/hwdb.d",
           "usr/share/perl5", "usr/share/bash-completion")
merged = ("bin", "sbin", "lib", "lib64")
drivers = "usr/lib/x86_64-linux-gnu/libvirt/connection-driver"
kept_driver = "libvirt_driver_nodedev.so"
rules = "usr/lib/udev/rules.d"
kept_rules = "60-mdevctl.rules"


def merge_usr(root: Path) -> None:
    """As Debian's own installation has it: /bin is /usr/bin, and so on."""
    for name in merged:
        if (root / name).is_dir() and not (root / name).is_symlink():
            (root / "usr" / name).mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "-a", f"{root / name}/.", str(root / "usr" / name)], check=True)
            debian.remove(root / name)
        (root / name).symlink_to(f"usr/{name}")


def strip(root: Path) -> None:
    """What is left does nothing to this machine's own devices, whose events come too."""
    for name in useless:
        debian.remove(root / name)
    for folder, kept in ((drivers, kept_driver), (rules, kept_rules)):
        for file in (root / folder).iterdir():
            if file.name != kept:
                debian.remove(file)
        if not (root / folder / kept).exists():
            raise debian.Unavailable(f"the packages have no {folder}/{kept}")
    # The rule calls it there, where Debian's package has none: autostart would not work (in Debian 12 and 13).
    link = root / "usr" / "sbin" / "mdevctl"
    if not link.exists():
        link.symlink_to("../bin/mdevctl")


def fetch(cache: Path, refresh: bool = False) -> Path:
    """The path of the root directory in the cache, fetched if it is not there."""

    def make(apt: debian.PrivateApt) -> Path:
        found = {package.name: package for name in wanted for package in apt.closure(name, suite)}
        packages = sorted(found.values(), key=lambda package: package.name)

        def build(folder: Path) -> tuple[str, list[debian.Package]]:
            apt.unpack(packages, folder / "root")
            merge_usr(folder / "root")
            strip(folder / "root")
            return found["libvirt-daemon"].version, packages

        return debian.make_folder(cache, "libvirt", recipe, build)

    return debian.fetched(cache, "libvirt", recipe, [suite, "trixie"], make, refresh) / "root"


if __name__ == "__main__":
    debian.run_fetch(__doc__, fetch)
