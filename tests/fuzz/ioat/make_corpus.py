#!/usr/bin/env python3
"""Writes the corpus and the dictionary of the DMA engine's fuzzer: what drivers do, and what they should not."""
import pathlib

WORK, PUT, COMMAND, REGISTERS, BAR, CONFIG, READ, WHOLE = range(8)
COPY, FILL = 0, 1
DONE_TELLS = 0x09  # completion and interrupt
NULL = 0x20


def put(index, size, control, operation, source, destination, following):
    return bytes([PUT, index, size, control, operation, 0, source, 0, destination, following])


def arm(ring=0, channel=0):
    return bytes([COMMAND | channel << 6, 0, 0, 0x80, ring])


def count(number, channel=0):
    return bytes([COMMAND | channel << 6, 1, number])


def command(bits, channel=0):
    return bytes([COMMAND | channel << 6, 2, bits])


def clear(channel=0):
    return bytes([COMMAND | channel << 6, 3])


def registers(offset, data):
    return bytes([REGISTERS]) + offset.to_bytes(2, 'little') + bytes([len(data) - 1]) + data


def bar(offset, data):
    return bytes([BAR]) + offset.to_bytes(2, 'little') + bytes([len(data) - 1]) + data


def config(offset, data):
    return bytes([CONFIG]) + offset.to_bytes(2, 'little') + bytes([len(data) - 1]) + data


work = bytes([WORK]) * 3
reset = bytes([WHOLE])
listen = bytes([WHOLE + 8, 3])
stop = bytes([WHOLE + 24])
go = bytes([WHOLE + 24 + 0x40])


def programs():
    chain = b''.join(put(i, 2, DONE_TELLS, i % 2, 40 + i, 60 + i, i + 1) for i in range(8))
    for name, how in ('pinned', 0), ('messages', 2), ('four', 1), ('four_messages', 3):
        yield f'chain_{name}', bytes([how]) + listen + registers(3, b'\x08') + chain + arm() + count(8) + work * 8
        yield f'reset_{name}', bytes([how]) + chain + arm() + count(8) + work + command(0x20) + arm() + count(1) + work
        yield f'stop_{name}', bytes([how]) + chain + arm() + count(8) + stop + work + go + work * 3 + reset + work
    yield 'channels', bytes([1]) + chain + b''.join(arm(i, i) + count(4, i) for i in range(4)) + work * 20
    yield 'loop', (bytes([0]) + put(0, 1, 0, COPY, 40, 41, 0) + arm() + count(255) + work + command(4) + work +
                   command(0x10))
    yield 'errors', bytes([0]) + b''.join(put(0, size, 0, operation, 40, 41, 1) + arm() + count(1) + work + clear()
                                          for size, operation in ((0, 0), (1, 2), (0xe9, 0), (0xe8, 1)))
    yield 'abort', bytes([2]) + chain + arm() + count(3) + work + command(8) + work + arm() + count(2) + work
    yield 'shared_interrupt', (bytes([1]) + listen + registers(3, b'\x01') + chain + arm() + count(4) + work * 3 +
                               bytes([READ, 3, 0, 0, READ, 4, 0, 3]) + registers(3, b'\x01'))
    yield 'table', (bytes([0]) + listen + bar(0x200c, b'\x01\x00\x00\x00') + registers(3, b'\x08') + chain + arm() +
                    count(1) + work * 3 + bar(0x200c, b'\x00\x00\x00\x00'))
    yield 'no_bus_master', bytes([0]) + config(4, b'\x02\x00') + chain + arm() + count(1) + work
    yield 'function_reset', bytes([2]) + chain + arm() + count(4) + work + b''.join(
        config(at, b'\x00\x80') for at in range(0x40, 0xc0, 2)) + work
    yield 'all_registers', bytes([1]) + b''.join(registers(at, b'\xff' * 16) for at in range(0, 0x280, 16)) + work


def main():
    here = pathlib.Path(__file__).parent
    folder = here / 'corpus' / 'ioat_engine'
    folder.mkdir(parents=True, exist_ok=True)
    for name, steps in programs():
        (folder / name).write_bytes(steps)
    words = {
        'copy': put(0, 2, DONE_TELLS, COPY, 40, 60, 1), 'fill': put(1, 2, 0, FILL, 40, 60, 0),
        'null': put(2, 1, NULL, COPY, 0, 0, 0), 'arm': arm(), 'count': count(3), 'reset': command(0x20),
        'suspend': command(4), 'resume': command(0x10), 'abort': command(8), 'clear': clear(), 'work': work,
        'function_reset': reset, 'listen': listen, 'stop': stop, 'go': go, 'vectors': registers(3, b'\x08'),
        'master': registers(3, b'\x01'),
    }
    dictionary = here / 'dictionary'
    dictionary.mkdir(exist_ok=True)
    lines = ['# Steps: descriptors, what drivers do with a channel, resets, a stop and a start.']
    lines += [f'{name}="' + ''.join(f'\\x{byte:02x}' for byte in word) + '"' for name, word in words.items()]
    (dictionary / 'ioat_engine.dict').write_text('\n'.join(lines) + '\n')


if __name__ == '__main__':
    main()
