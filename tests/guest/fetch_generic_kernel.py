#!/usr/bin/env python3
"""Unpacks Debian's generic kernel into a cache folder: its vmlinux, and modules that drive real hardware.

The cloud kernel, which starts faster, has none of these. Prints the path of the folder: `vmlinux`, and `modules`.
Exit status 77: it cannot be had here.
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

recipe = 3
# What is kept, each with the modules that it needs: a DMA engine, functions handed through, a display.
wanted = ("ioatdma", "vfio_pci", "vfio_iommu_type1", "bochs")
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
    """The named modules and all that they need."""
    files = {module_name(path): path for path in root.rglob("*.ko*") if path.is_file()}

    def keep(name: str) -> None:
        kept = folder / f"{name}.ko"
        if kept.exists():
            return
        if name not in files:
            raise debian.Unavailable(f"the kernel has no module {name}")
        kept.write_bytes(decompressors[files[name].suffix](files[name].read_bytes()))
        for needed in needs(kept.read_bytes()):
            keep(needed)

    folder.mkdir()
    for name in names:
        keep(name)


def load_order(modules: Path, *names: str) -> list[str]:
    """The named modules and all that they need, as they are to be loaded."""
    order: list[str] = []

    def add(name: str) -> None:
        for needed in needs((modules / f"{name}.ko").read_bytes()):
            add(needed)
        if name not in order:
            order.append(name)

    for name in names:
        add(name)
    return order


def files_for(modules: Path, order: Iterable[str]) -> dict[str, bytes]:
    """Those modules as files of a guest."""
    return {f"modules/{name}.ko": (modules / f"{name}.ko").read_bytes() for name in order}


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
