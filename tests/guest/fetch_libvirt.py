#!/usr/bin/env python3
"""Unpacks Debian 12's libvirt, with udev and mdevctl, into a cache folder, as a root directory to chroot into.

Prints its path. Of libvirt's drivers only the node device driver is there, so its daemon does nothing else.
Exit status 77: it cannot be had here.
"""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

import debian

recipe = 1
suite = "bookworm"
wanted = ["libvirt-daemon", "libvirt-clients", "udev", "mdevctl"]
drivers = "usr/lib/x86_64-linux-gnu/libvirt/connection-driver"
driver = "libvirt_driver_nodedev.so"
useless = [
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/lintian",
    "usr/share/bug",
    "usr/share/zoneinfo",
    "usr/lib/udev/hwdb.d",
    "lib/udev/hwdb.d",
    "var/lib/dpkg",
]
places = ["proc", "sys", "dev", "run", "tmp", "var/tmp", "etc/mdevctl.d", "etc/udev/rules.d"]
groups = "tty disk kmem lp cdrom tape dialout audio video render input sgx kvm"
accounts = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": "root:x:0:\n" + "".join(f"{name}:x:{id}:\n" for id, name in enumerate(groups.split(), 1)),
    "etc/nsswitch.conf": "passwd: files\ngroup: files\n",
    "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
}


def tried_version(root: Path) -> str:
    """Looks whether the daemon finds its libraries there: what is missing shows here, not in a test."""
    loader = root / "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
    libraries = ":".join(str(root / name / "x86_64-linux-gnu") for name in ("lib", "usr/lib"))
    run = subprocess.run(
        [str(loader), "--library-path", libraries, str(root / "usr/sbin/libvirtd"), "--version"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    if run.returncode != 0:
        raise debian.Unavailable(f"the unpacked libvirtd does not run: {run.stderr.strip()}")
    return run.stdout.split()[-1]


def fetch(cache: Path, refresh: bool = False) -> Path:
    """The root directory in the cache, fetched if it is not there."""
    with debian.cache_lock(cache):
        folder = None if refresh else debian.finished(cache, "libvirt", recipe)
        if folder is None:
            apt = debian.PrivateApt(cache / "apt-bookworm", [suite])
            apt.update()
            packages = {package for name in wanted for package in apt.closure(name, suite)}

            def build(folder: Path) -> tuple[str, list[debian.Package]]:
                root = folder / "root"
                apt.unpack(sorted(packages, key=lambda package: package.name), root)
                for name in useless:
                    debian.remove(root / name)
                for other in (root / drivers).iterdir():
                    if other.name != driver:
                        debian.remove(other)
                for name in places:
                    (root / name).mkdir(parents=True, exist_ok=True)
                for name, text in accounts.items():
                    (root / name).write_text(text)
                (root / "var/run").symlink_to("../run")
                return tried_version(root), list(packages)

            folder = debian.make_folder(cache, "libvirt", recipe, build)
        return folder.resolve() / "root"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cache", type=Path, default=debian.default_cache(), help="default: %(default)s")
    parser.add_argument("--refresh", action="store_true", help="fetch again even if the cache has one")
    arguments = parser.parse_args()
    print(fetch(arguments.cache, arguments.refresh))


if __name__ == "__main__":
    debian.run_command(main)
