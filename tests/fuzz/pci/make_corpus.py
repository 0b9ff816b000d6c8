#!/usr/bin/env python3
"""Writes the corpus of the configuration space fuzzer: what a guest's firmware and kernel do to a function."""
import pathlib

READ, READ_MUCH, WRITE, DEVICE, RESET = 2, 3, 4, 1, 0


def read(offset, size):
    return bytes([READ]) + offset.to_bytes(2, 'little') + bytes([size])


def write(offset, data):
    return bytes([WRITE]) + offset.to_bytes(2, 'little') + bytes([len(data)]) + data


def looks(flags, size=0):
    return bytes([flags, size])


def size_bars():
    return b''.join(write(0x10 + 4 * i, b'\xff' * 4) + read(0x10 + 4 * i, 4) + write(0x10 +
           4 * i, bytes([0, 0x10 * i, 0, 0xfe]))
                    for i in range(6))


def programs():
    walk = b''.join(read(at, size) for at in range(0, 256, 5) for size in (1, 2, 4, 8))
    yield 'walk', looks(0xff) + walk + bytes([READ_MUCH, 0, 0, 0, 1])
    yield 'size_bars', (looks(0x06, 0x35) + size_bars() + write(0x30, b'\xff' * 4) + read(0x30, 4) +
           write(4, b'\x07\x00'))
    yield 'express', (looks(0x91) + bytes([READ_MUCH, 0, 0, 0, 0x10]) + write(0xffc, b'\xff' * 4) +
           write(0xffe, b'\xff' * 4))
    yield 'capabilities', (looks(0xf8, 0x0f) + b''.join(write(at, b'\xff' * 2) +
           write(at, bytes(2)) for at in range(0x40, 0xa0, 2)))
    yield 'status', (looks(0x18) + bytes([DEVICE, 6, 0, 0xff, DEVICE, 7, 0, 0xff]) + write(6, b'\x00\xf9') +
           write(4, b'\xff' * 8))
    yield 'beyond', (looks(0) +
           bytes([0xf2, 0, 1, 4, 0xf4, 0xfe, 0, 4, 1, 2, 3, 4, 0xfa, 0xff, 0xff, 255, 0xfc, 0, 0, 1, 9]))
    yield 'reset', looks(0x38) + write(4, b'\x07\x04') + bytes([RESET, 0, 0]) + read(4, 4)


def main():
    folder = pathlib.Path(__file__).parent / 'corpus' / 'pci_config_space'
    folder.mkdir(parents=True, exist_ok=True)
    for name, steps in programs():
        (folder / name).write_bytes(steps)


if __name__ == '__main__':
    main()
