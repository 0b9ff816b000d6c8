#!/usr/bin/env python3
"""Unpacks Debian's generic kernel into a cache folder: its vmlinux, and modules that drive real hardware.

The cloud kernel, which starts faster, has none of these. Prints the path of the folder: `vmlinux`, and `modules`
with their `order`. Exit status 77: it cannot be had here.
"""

from __future__ import annotations

import gzip
import lzma
import re
import shutil
from pathlib import Path
from typing import Iterable

import debian
import fetch_kernel

recipe = 2
# What is kept, each with the modules that it needs.
wanted = ("ioatdma", "vfio_pci", "vfio_iommu_type1")
decompressors = {
    ".ko": bytes,
    ".xz": lzma.decompress,
    ".gz": gzip.decompress,
    ".zst": fetch_kernel.tool("zstd", "-dcq"),
}


def module_name(path: Path) -> str:
    return path.name.partition(".")[0].replace("-", "_")


def needs(module: bytes) -> list[str]:
    """What the module itself says in its .modinfo; the package has no modules.dep."""
    found = re.search(rb"\0depends=([^\0]*)\0", module)
    return [name.replace("-", "_") for name in found[1].decode().split(",") if name] if found else []


def keep_modules(root: Path, names: Iterable[str], folder: Path) -> None:
    """The named modules and all that they need; `order` lists them as they are to be loaded."""
    files = {module_name(path): path for path in root.rglob("*.ko*") if path.is_file()}
    order: list[str] = []

    def keep(name: str) -> None:
        if name in order:
            return
        if name not in files:
            raise debian.Unavailable(f"the kernel has no module {name}")
        module = decompressors[files[name].suffix](files[name].read_bytes())
        for needed in needs(module):
            keep(needed)
        order.append(name)
        (folder / f"{name}.ko").write_bytes(module)

    folder.mkdir()
    for name in names:
        keep(name)
    (folder / "order").write_text("".join(f"{name}\n" for name in order))


def build(apt: debian.PrivateApt, suite: str, folder: Path) -> tuple[str, list[debian.Package]]:
    packages = fetch_kernel.unpack(apt, "linux-image-amd64", suite, folder)
    keep_modules(folder / "root", wanted, folder / "modules")
    shutil.rmtree(folder / "root")
    return packages[0].version, packages


def fetch(cache: Path, suite: str = fetch_kernel.default_suite, refresh: bool = False) -> Path:
    """The folder in the cache, fetched if it is not there."""
    kind = f"generic-kernel-{suite}"

    def make(apt: debian.PrivateApt) -> Path:
        return debian.make_folder(cache, kind, recipe, lambda folder: build(apt, suite, folder))

    return debian.fetched(cache, kind, recipe, fetch_kernel.suites[suite], make, refresh)


if __name__ == "__main__":
    debian.run_fetch(__doc__, fetch, fetch_kernel.add_suite)
