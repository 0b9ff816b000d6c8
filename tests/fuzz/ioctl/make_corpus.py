#!/usr/bin/env python3
"""Writes the corpus of the user API's fuzzer: what programs begin with."""
import pathlib

CONTAINER, GROUP, DEVICE, IOMMUFD = range(4)


def opens(what, device=0):
    return bytes([0, device, what])


def calls(file, command, *words, place=0, number=None):
    """A call on the open file number `file`, with words that are small numbers below 0xe0 or descriptors."""
    taken = b''.join(word if isinstance(word, bytes) else bytes([2, word]) for word in words)
    tail = b'' if number is None else bytes([number])
    return bytes([4, file, 1, command - 0x3b64, place, len(words)]) + taken + tail


def fd(index):
    return bytes([0, index])


def programs():
    head = bytes([0, 0])
    legacy = (head + opens(CONTAINER) + opens(GROUP) + calls(1, 0x3b68, fd(0)) + calls(0, 0x3b66, number=3) +
              calls(1, 0x3b6a) + b'\0')
    yield 'legacy', legacy
    buffer = bytes([1, 0])
    yield 'map', legacy + calls(0, 0x3b71, 32, 3, buffer, 0, 0, 0, bytes([4, 1]), 0) + bytes([3, 0, 0, 0, 1]) + calls(
        0, 0x3b72, 24, 2, 0, 0, 0, 0)
    yield 'info', legacy + calls(2, 0x3b6b, 24) + calls(2, 0x3b6c, 32, 0, 0) + calls(2, 0x3b6d, 16, 0, 0)
    yield 'irqs', legacy + calls(2, 0x3b6e, 24, 33, 0, 0, 1, fd(0)) + calls(2, 0x3b6f)
    yield 'iommufd', (head + opens(IOMMUFD) + opens(DEVICE) + calls(1, 0x3b76, 16, 0, fd(0), 0) +
                      calls(0, 0x3b81, 12, 0, 0) + calls(1, 0x3b77, 12, 0, 2) + calls(1, 0x3b78, 8, 0) +
                      calls(0, 0x3b80, 8, 2))
    yield 'compatibility', head + opens(IOMMUFD) + opens(GROUP) + calls(1, 0x3b68, fd(0)) + calls(
        0, 0x3b66, number=3) + calls(1, 0x3b6a) + b'\0'


corpus = pathlib.Path(__file__).parent / 'corpus' / 'ioctl'
corpus.mkdir(parents=True, exist_ok=True)
for name, program in programs():
    (corpus / name).write_bytes(program)
