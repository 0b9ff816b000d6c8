"""A frame buffer as a picture: 32 bits a pixel (XRGB8888), written as PNG and read back."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

Pixel = tuple[int, int, int]


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write_png(path: Path, memory: bytes, width: int, height: int, stride: int) -> None:
    lines = bytearray()
    for row in range(height):
        line = memory[row * stride : row * stride + 4 * width]
        colours = bytearray(3 * width)
        colours[0::3], colours[1::3], colours[2::3] = line[2::4], line[1::4], line[0::4]
        lines += b"\0" + colours
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(bytes(lines))), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


def read_png(path: Path) -> list[list[Pixel]]:
    """The rows of a picture that write_png() has written."""
    data, at, packed, width = path.read_bytes(), 8, b"", 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        content = data[at + 8 : at + 8 + size]
        if kind == b"IHDR":
            width = struct.unpack_from(">I", content)[0]
        if kind == b"IDAT":
            packed += content
        at += size + 12
    lines = zlib.decompress(packed)
    length = 1 + 3 * width
    rows = [lines[begin + 1 : begin + length] for begin in range(0, len(lines), length)]
    return [[tuple(row[at : at + 3]) for at in range(0, len(row), 3)] for row in rows]
