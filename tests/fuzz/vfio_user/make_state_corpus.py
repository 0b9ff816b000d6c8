#!/usr/bin/env python3
"""Writes the corpus of the session state's fuzzer: sections as session_state.cc writes them, for one that goes on."""
import pathlib
import struct

SESSION, SOCKET, TWIN, BACKLOG, MEMORY, INTERRUPTS, UNKNOWN = range(7)
RAW = 0x80
FILE, NOTHING = b'\1', b'\0'


def section(which, contents):
    return struct.pack('<BH', which, len(contents)) + contents


def data(contents):
    return struct.pack('<I', len(contents)) + contents


def files(number):
    return struct.pack('<I', number) + FILE * number


def session(twin=False, data_max=1 << 20, pages=4096, shares=0):
    return section(SESSION, struct.pack('<IIIQBBBQQIB', 8, data_max, 1000, pages, 1, twin, 1, 4096, 1 << 16, 8, shares))


def stream(which=SOCKET, received=b'', attached=(), unsent=()):
    contents = FILE + data(received) + struct.pack('<I', len(attached))
    for position, lost, number in attached:
        contents += struct.pack('<IB', position, lost) + files(number)
    contents += struct.pack('<I', len(unsent))
    for piece, number in unsent:
        contents += data(piece) + files(number)
    return section(which, contents)


def backlog(*messages):
    contents = struct.pack('<I', len(messages))
    for number, (payload, descriptors) in enumerate(messages):
        header = struct.pack('<HHIII', number, 9, 16 + len(payload), 0, 0)
        contents += data(header) + data(payload) + b'\0' + files(descriptors)
    return section(BACKLOG, contents)


def memory(number, *mappings):
    contents = files(number) + struct.pack('<I', len(mappings))
    return section(MEMORY, contents + b''.join(struct.pack('<QQIIQ', *mapping) for mapping in mappings))


def interrupts(*indexes):
    contents = struct.pack('<I', len(indexes))
    for enabled, vectors in indexes:
        contents += struct.pack('<BII', enabled, len(vectors), len(vectors)) + b''.join(vectors)
    return section(INTERRUPTS, contents)


def programs():
    rest = stream() + backlog() + memory(0) + interrupts()
    yield 'least', b'\1' + session() + rest
    yield 'twin', b'\2' + session(twin=True) + stream() + stream(TWIN) + backlog() + memory(0) + interrupts()
    yield 'no_twin', b'\1' + session(twin=True) + rest
    yield 'received', (b'\5' + session() + stream(received=bytes(40), attached=[(3, 0, 2), (30, 1, 0)],
                                                  unsent=[(b'reply', 0), (b'with a file', 2)]) +
                       backlog() + memory(0) + interrupts())
    yield 'waiting', (b'\2' + session() + stream() + backlog((bytes(5), 1), (b'', 0)) + memory(0) + interrupts())
    yield 'mapped', (b'\3' + session() + stream() + backlog() +
                     memory(2, (0, 4096, 3, 1, 8192), (1 << 20, 4096, 1, 0xffffffff, 0)) + interrupts())
    yield 'mapped_file_missing', (b'\2' + session() + stream() + backlog() + memory(1, (0, 4096, 3, 1, 0)) +
                                  interrupts())
    line = b'\1\1\0' + FILE * 2
    silent = b'\0\0\1' + NOTHING * 2
    yield 'interrupts', (b'\3' + session(shares=1) + stream() + backlog() + memory(0) +
                         interrupts((1, [line]), (1, [silent] * 3), (0, [])))
    yield 'too_many_descriptors', b'\7' + session() + rest
    yield 'too_large', b'\1' + session(data_max=1 << 30) + rest
    yield 'no_pages', b'\1' + session(pages=0) + rest
    yield 'unknown', b'\1' + session() + rest + section(UNKNOWN, b'new')
    yield 'newer', b'\1' + section(RAW | UNKNOWN, b'') + session() + rest
    yield 'raw', bytes([RAW | 1]) + b'umdevst1' + data(b'umdev vfio-user session') + bytes(4)


def main():
    folder = pathlib.Path(__file__).parent / 'corpus' / 'vfio_user_session_state'
    folder.mkdir(parents=True, exist_ok=True)
    for name, contents in programs():
        (folder / name).write_bytes(contents)


if __name__ == '__main__':
    main()
