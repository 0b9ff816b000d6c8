#!/usr/bin/env python3
"""Unpacks Debian's cloud kernel into a cache folder and takes the ELF vmlinux out of it.

QEMU boots a vmlinux by PVH, without the decompression that a bzImage costs. Prints the path of the vmlinux.
Exit status 77: it cannot be had here.
"""

from __future__ import annotations

import argparse
import gzip
import lzma
import re
import shutil
import struct
import subprocess
from pathlib import Path

import debian

recipe = 1
suites = {"trixie": ["trixie"], "trixie-backports": ["trixie", "trixie-backports"], "bookworm": ["bookworm"]}
default_suite = "trixie"


def tool(*command: str):
    def run(data: bytes) -> bytes:
        debian.need_tools(command[0])
        return subprocess.run(command, input=data, check=True, stdout=subprocess.PIPE).stdout

    return run


# The kernel's build appends the unpacked size to what it packs (gzip has it anyway, in its own trailer).
decompressors = [
    (b"\x28\xb5\x2f\xfd", 4, tool("zstd", "-dcq", "--long=31")),
    (b"\x02\x21\x4c\x18", 4, tool("lz4", "-dcq")),
    (b"\xfd7zXZ\0", 4, lzma.decompress),
    (b"\x1f\x8b\x08", 0, gzip.decompress),
]


def extract_vmlinux(image: bytes) -> bytes:
    """The ELF in a bzImage; field offsets are those of the x86 boot protocol, 2.08 and later."""
    if (
        len(image) < 0x250
        or image[0x202:0x206] != b"HdrS"
        or struct.unpack_from("<H", image, 0x206)[0] < 0x208
    ):
        raise debian.Unavailable("not a bzImage of boot protocol 2.08 or later")
    setup_sectors = image[0x1F1] or 4
    payload_offset, payload_length = struct.unpack_from("<II", image, 0x248)
    start = (setup_sectors + 1) * 512 + payload_offset
    payload = image[start : start + payload_length]
    for magic, trailer, decompress in decompressors:
        if payload.startswith(magic):
            elf = decompress(payload[: len(payload) - trailer])
            break
    else:
        raise debian.Unavailable(f"unknown compression of the kernel: {payload[:6].hex()}")
    if elf[:4] != b"\x7fELF" or len(elf) & 0xFFFFFFFF != struct.unpack("<I", payload[-4:])[0]:
        raise debian.Unavailable("the kernel did not unpack to an ELF file of the right size")
    return elf


def is_image(package: debian.Package) -> bool:
    # linux-image-VERSION holds the image and the modules; newer kernels have it in linux-binary-VERSION.
    return re.match(r"linux-(image|binary)-\d", package.name) is not None


def unpack(apt: debian.PrivateApt, name: str, suite: str, folder: Path) -> list[debian.Package]:
    """The packages of a kernel in folder/root, and its vmlinux in the folder."""
    packages = [package for package in apt.closure(name, suite) if is_image(package)]
    apt.unpack(packages, folder / "root")
    images = [path for path in (folder / "root").rglob("vmlinuz*") if path.is_file()]
    if len(images) != 1:
        raise debian.Unavailable(f"expected one kernel image in {suite}'s packages, found {len(images)}")
    (folder / "vmlinux").write_bytes(extract_vmlinux(images[0].read_bytes()))
    return packages


def build_vmlinux(apt: debian.PrivateApt, suite: str, folder: Path) -> tuple[str, list[debian.Package]]:
    packages = unpack(apt, "linux-image-cloud-amd64", suite, folder)
    shutil.rmtree(folder / "root")
    return packages[0].version, packages


def fetch(cache: Path, suite: str = default_suite, refresh: bool = False) -> Path:
    """The path of a vmlinux in the cache, fetched if it is not there."""
    kind = f"kernel-{suite}"

    def make(apt: debian.PrivateApt) -> Path:
        return debian.make_folder(cache, kind, recipe, lambda folder: build_vmlinux(apt, suite, folder))

    return debian.fetched(cache, kind, recipe, suites[suite], make, refresh) / "vmlinux"


def add_suite(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--suite", choices=list(suites), default=default_suite, help="default: %(default)s")


if __name__ == "__main__":
    debian.run_fetch(__doc__, fetch, add_suite)
