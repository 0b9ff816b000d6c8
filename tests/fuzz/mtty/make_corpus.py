#!/usr/bin/env python3
"""Writes the corpus of the serial card's migration fuzzer: streams as programs of sections, and accesses."""
import pathlib
import struct
import zlib

CARD, PORT, UNKNOWN = 1, 2, 3
OPTIONAL = 4


def section(which, contents):
    return bytes([which, len(contents)]) + contents


def port(fcr=0, received=b'', mcr=0, inputs=0xb0):
    """ier, fcr, lcr, mcr, scr, dll, dlm, last received, modem inputs and deltas, overrun, THR, how many wait, they."""
    return section(PORT, bytes([0, fcr, 3, mcr, 0x5a, 1, 0, 0, inputs, 0, 0, 0, len(received)]) + received)


def raw(identity, sections):
    stream = b'umdevst1' + struct.pack('<I', len(identity)) + identity
    stream += struct.pack('<I', zlib.crc32(stream))
    for tag, contents in sections:
        body = tag + struct.pack('<HHI', 1, 0, len(contents)) + contents
        stream += body + struct.pack('<I', zlib.crc32(body))
    body = struct.pack('<IHHIQ', 0, 1, 0, 8, len(stream))
    return stream + body + struct.pack('<I', zlib.crc32(body))


def programs():
    guest = bytes([0x82, 1, 0x80, 65, 0x80, 66, 0x05, 0x00, 0x02, 0x84, 0x10, 0x80, 67, 0x06, 0x81, 0x0f])
    for inputs in (0, 0xb0):
        yield f'one_port_{inputs:x}', b'\0' + section(CARD, b'\0') + port(inputs=inputs) + b'\xff' + guest
    yield 'two_ports', b'\1' + section(CARD, b'\0\1') + port(0x41, b'abcdef') + port(1, b'x' * 16) + b'\xff' + guest
    yield 'optional', b'\0' + section(CARD, b'\0') + port() + section(UNKNOWN | OPTIONAL, b'ab') + b'\xff' + guest
    yield 'mandatory', b'\0' + section(CARD, b'\0') + port() + section(UNKNOWN, b'ab') + b'\xff'
    yield 'too_many_bytes', b'\0' + section(CARD, b'\0') + port(0, b'ab') + b'\xff'
    yield 'guest_only', b'\0\xff' + guest * 3
    yield 'raw', b'\2' + raw(b'mtty, ports: 1', [(b'mtty', b'\0'), (b'uart', bytes(10) + bytes(3))])
    yield 'raw_cut', (b'\2' + raw(b'mtty, ports: 1', [(b'mtty', b'\0')]))[:40]
    yield 'raw_other', b'\2' + raw(b'null', [])


def main():
    folder = pathlib.Path(__file__).parent / 'corpus' / 'mtty_migration'
    folder.mkdir(parents=True, exist_ok=True)
    for name, steps in programs():
        (folder / name).write_bytes(steps)


if __name__ == '__main__':
    main()
