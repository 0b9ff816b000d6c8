#!/usr/bin/env python3
"""Builds an initramfs (a newc cpio archive) from busybox-static, the guest's init and extra files.

Pure Python: no cpio, and no root for the device node. The same input gives the same bytes.
"""

from __future__ import annotations

import argparse
import stat
import struct
from pathlib import Path

import debian

here = Path(__file__).resolve().parent
busybox_default = Path("/usr/bin/busybox")
pt_interp = 3


class Initramfs:
    """Entries in the order in which they are added; a file's parent folders are added before it."""

    def __init__(self) -> None:
        self._archive = bytearray()
        self._folders: set[str] = set()
        self._inode = 0

    def add_folder(self, path: str) -> None:
        if path in self._folders or path == "":
            return
        self.add_folder(parent_of(path))
        self._folders.add(path)
        self._add(path, stat.S_IFDIR | 0o755)

    def add_file(self, path: str, data: bytes, mode: int = 0o644) -> None:
        self.add_folder(parent_of(path))
        self._add(path, stat.S_IFREG | mode, data)

    def add_link(self, path: str, target: str) -> None:
        self.add_folder(parent_of(path))
        self._add(path, stat.S_IFLNK | 0o777, target.encode())

    def add_character_device(self, path: str, major: int, minor: int) -> None:
        self.add_folder(parent_of(path))
        self._add(path, stat.S_IFCHR | 0o600, device=(major, minor))

    def finish(self) -> bytes:
        self._inode = -1  # the trailer's inode is 0
        self._add("TRAILER!!!", 0)
        return bytes(self._archive)

    def _add(self, path: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)) -> None:
        self._inode += 1
        name = path.encode() + b"\0"
        links = 2 if stat.S_ISDIR(mode) else 1
        fields = [self._inode, mode, 0, 0, links, 0, len(data), 0, 0, *device, len(name), 0]
        self._archive += b"070701" + b"".join(b"%08X" % field for field in fields) + name
        self._pad()
        self._archive += data
        self._pad()

    def _pad(self) -> None:
        self._archive += bytes(-len(self._archive) % 4)


def parent_of(path: str) -> str:
    return path.rpartition("/")[0]


def is_static(program: bytes) -> bool:
    """A 64-bit ELF that asks for no loader: nothing else would run in a guest without libraries."""
    if program[:5] != b"\x7fELF\x02":
        return False
    table, size, count = struct.unpack_from("<Q", program, 0x20)[0], *struct.unpack_from("<HH", program, 0x36)
    return all(struct.unpack_from("<I", program, table + i * size)[0] != pt_interp for i in range(count))


def read_busybox(path: Path = busybox_default) -> bytes:
    if not path.exists() or not is_static(path.read_bytes()):
        raise debian.Unavailable(f"{path} is not a static busybox (package busybox-static)")
    return path.read_bytes()


def build(check: bytes, files: dict[str, bytes], busybox: Path = busybox_default) -> bytes:
    """An archive whose init runs `check` as /check; `files` are further files, all of them executable."""
    archive = Initramfs()
    for folder in ("dev", "proc", "sys", "tmp", "bin"):
        archive.add_folder(folder)
    archive.add_character_device("dev/console", 5, 1)
    archive.add_file("bin/busybox", read_busybox(busybox), 0o755)
    archive.add_link("bin/sh", "busybox")
    archive.add_file("init", (here / "init").read_bytes(), 0o755)
    archive.add_file("check", check, 0o755)
    for path, data in files.items():
        archive.add_file(path, data, 0o755)
    return archive.finish()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("check", type=Path, help="the script that init runs")
    parser.add_argument("files", nargs="*", metavar="NAME=FILE", help="more files for the archive")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    files = {
        name: Path(source).read_bytes()
        for name, _, source in (word.partition("=") for word in arguments.files)
    }
    arguments.output.write_bytes(build(arguments.check.read_bytes(), files))


if __name__ == "__main__":
    debian.run_command(main)
