#!/usr/bin/env python3
"""Writes the corpus of the session fuzzer: programs of steps that take each command along its good path.

The encoding is that of vfio_user_session_fuzz.cc, step for step; a change there is a change here. What a fuzzer
finds later is added beside these files under its own name.
"""
import itertools
import pathlib

STEPS = ['command', 'posted', 'any_header', 'any_bytes', 'time', 'resize', 'switch', 'connect', 'behave', 'answer',
         'interrupt', 'hang_up', 'serve', 'remove', 'socket', 'pieces']
REGISTERS, DOORBELL, MEMORY, IDENTITY, MISSING, BROKEN = range(6)
PIN_READ, PIN_WRITE, UNPIN, COPY_IN, COPY_OUT, RAISE, LOWER = range(7)
GET, SET, PROBE = 1, 2, 4
RUNNING, STOP, STOP_COPY, RESUMING, P2P, PRE_COPY = 2, 1, 3, 4, 5, 6
EDGES = [1, 2, 7, 8, 15, 16, 255, 256, 4095, 4096, 4097, 65535, 65536, 0xfffff, 1 << 20, 0x100001, 0x7fffffff,
         0x80000000, 0xfffff000, 0xffffffff, 1 << 32, 1 << 40, 1 << 62, 1 << 63, 2**64 - 4096, 2**64 - 16, 2**64 - 2,
         2**64 - 1]


def number(value, unit=1):
    """As StepReader::number reads it."""
    if value % unit == 0 and value // unit < 0xe0:
        return bytes([value // unit])
    if value in EDGES:
        return bytes([0xe0 + EDGES.index(value)])
    return b'\xff' + value.to_bytes(8, 'little')


def step(name, *operands, later=False):
    """One step; `later`: the server does not run before the next one."""
    return bytes([STEPS.index(name) | (0x80 if later else 0)]) + b''.join(
        bytes([o]) if isinstance(o, int) else o for o in operands)


def command(number_, *operands, posted=False, later=False):
    return step('posted' if posted else 'command', number_, *operands, later=later)


def version(text=1, **how):
    return command(1, text, **how)


def dma_map(file, iova, size, offset=0, flags=3, **how):
    operands = [file, 0, number(flags), number(iova, 4096), number(size, 4096)]
    return command(2, *operands, *([number(offset, 4096)] if file < 12 else []), **how)


NO_FILE = 12


def dma_unmap(iova, size, flags=0, bitmap=None, **how):
    extra = [number(bitmap[0], 4096), number(bitmap[1], 8)] if bitmap else []
    # The first operand is how much more than the structure argsz has room for.
    return command(3, 100 if bitmap else 0, number(flags), number(iova, 4096), number(size, 4096), *extra, **how)


def info(which, index=0):
    return command(which, 0, number(index))


def set_irqs(flags, index, start, count, data=b'', with_=0):
    return command(8, 0, number(flags), number(index), number(start), number(count), with_, data)


def read(region, offset, count, **how):
    return command(9, number(region), number(offset), number(count), **how)


def write(region, offset, data, **how):
    return command(10, number(region), number(offset), number(len(data)), data, 0, **how)


def write_multi(*entries, **how):
    body = b''.join(number(r) + number(o) + number(c) + bytes([d]) for r, o, c, d in entries)
    return command(15, len(entries), 0, body, **how)


def doorbell(action, iova=0, size=64, low=0, **how):
    """An interrupt's `size` is index << 16 | vector."""
    return command(11, action, number(iova, 4096), low, number(size, 64), **how)


def feature(index, how, data=b''):
    return command(16, 200, index, how, len(data), data)


def migration_state(state):
    return feature(2, SET, state.to_bytes(4, 'little') + b'\xff\xff\xff\xff')


def mig_read(size):
    return command(17, size, number(size))


def mig_write(data):
    return command(18, 0, number(len(data)), data)


def time(which):
    return step('time', which)


RESET = command(13, 0)
MAPS = dma_map(0, 0, 0x10000) + dma_map(1, 0x10000, 0x8000, offset=0x2000)


def device_programs():
    """Name and steps of what concerns the device."""
    yield 'version_texts', b''.join(version(t) + step('connect') for t in range(8))
    yield 'information', (version() + info(4) + b''.join(info(5, i) for i in range(7)) +
                          b''.join(info(7, i) for i in range(6)) + b''.join(info(6, i) for i in range(7)))
    yield 'registers', (version() + write(REGISTERS, 8, b'12345678') + read(REGISTERS, 0, 32) + RESET +
                        read(REGISTERS, 0, 256) + read(IDENTITY, 0, 16) + write(IDENTITY, 0, b'1') +
                        read(MISSING, 0, 4) + write(BROKEN, 0, b'1234') + read(BROKEN, 4, 4) +
                        write(MEMORY, 4096, b'memory') + read(MEMORY, 4096, 6) + read(REGISTERS, 0, 1 << 20))
    yield 'posted_writes', (version() + b''.join(write(REGISTERS, i, b'ab', posted=True, later=True)
                                                 for i in range(20)) + read(REGISTERS, 0, 32))
    yield 'write_multi', (version() + write_multi((0, 0, 8, 1), (0, 8, 4, 2), (2, 0, 1, 3)) +
                          write_multi((0, 0, 1, 9), (BROKEN, 0, 4, 1), (0, 1, 1, 9)) + read(REGISTERS, 0, 16) +
                          write_multi((9, 0, 1, 1)) + write_multi(posted=True))
    yield 'interrupts', (version() + set_irqs(0x24, 2, 0, 8) + step('interrupt', 2, 3, 0) +
                         set_irqs(0x24, 0, 0, 1) + set_irqs(0x21, 2, 0, 0) + set_irqs(0x24, 0, 0, 1) +
                         step('interrupt', 0, 0, 0) + set_irqs(0x11, 0, 0, 1) + set_irqs(0x09, 0, 0, 1) +
                         set_irqs(0x12, 0, 0, 1, b'\x01') + step('interrupt', 0, 0, 1) + set_irqs(0x14, 0, 0, 1) +
                         set_irqs(0x22, 2, 0, 4, b'\x01\x00\x01\x01') + set_irqs(0x24, 4, 0, 1) +
                         set_irqs(0x24, 2, 0, 8, with_=240) + doorbell(RAISE, size=2 << 16) + step('remove'))
    yield 'migration', (version(3) + feature(1, GET) + feature(1, GET | PROBE) + feature(2, GET) + feature(9, GET) +
                        migration_state(PRE_COPY) + feature(12, GET) + mig_read(64) + migration_state(STOP_COPY) +
                        mig_read(200) + mig_read(200) + mig_read(16) + migration_state(RESUMING) +
                        mig_write(b'x' * 64) + migration_state(RUNNING) + read(REGISTERS, 0, 64) +
                        migration_state(P2P) + RESET + feature(2, GET))


def memory_programs():
    """Of the client's memory."""
    yield 'maps', (version() + MAPS + doorbell(COPY_IN, 0x1000, 256) + doorbell(COPY_OUT, 0x10000, 128) +
                   dma_unmap(0, 0x10000) + dma_unmap(0x10000, 0x1000) + dma_unmap(0, 0, flags=2))
    yield 'map_errors', (version() + dma_map(0, 0, 0x11000) + dma_map(5, 0, 0x1000) + dma_map(6, 0, 0x1000) +
                         dma_map(4, 0, 0x1000) + dma_map(4, 0, 0x1000, flags=1) + dma_map(0, 0, 0x1000) +
                         dma_map(0, 2**64 - 4096, 0x1000) + dma_map(NO_FILE, 2**64 - 4096, 4096))
    yield 'pins', (version() + MAPS + doorbell(PIN_READ, 0, 4096) + doorbell(PIN_WRITE, 0x10000, 8192) +
                   dma_unmap(0x10000, 0x8000) + doorbell(UNPIN) + dma_unmap(0, 0x10000))
    yield 'kept_pins', (version() + MAPS + step('behave', 2) + doorbell(PIN_WRITE, 0, 64) + dma_unmap(0, 0x10000) +
                        read(REGISTERS, 0, 4, later=True) + time(7) + read(REGISTERS, 0, 4))
    yield 'shrinking_file', (version() + dma_map(0, 0, 0x10000) + doorbell(PIN_WRITE, 0xf000, 64) +
                             step('resize', 0, 1) + doorbell(COPY_OUT, 0x4000, 4096) + doorbell(UNPIN) +
                             step('resize', 0, 16) + dma_map(0, 0x100000, 0x10000) + doorbell(COPY_IN, 0x100000, 256))
    yield 'message_memory', (version() + dma_map(NO_FILE, 0x100000, 0x10000) + doorbell(COPY_IN, 0x100000, 256) +
                             step('serve', 0) + doorbell(COPY_OUT, 0x101000, 4096) + step('serve', 0) +
                             doorbell(COPY_IN, 0x100000, 8192) + step('serve', 1, 14) +
                             doorbell(COPY_IN, 0x100000, 64) + step('serve', 2, 3, b'abc') +
                             doorbell(COPY_OUT, 0x100000, 64) + step('serve', 3, 1) +
                             doorbell(COPY_IN, 0x100000, 64) + dma_unmap(0x100000, 0x10000) + step('serve', 0))
    yield 'message_memory_small', (version(2) + dma_map(NO_FILE, 0, 0x10000) + doorbell(COPY_IN, 0, 640) +
                                   step('serve', 0) * 10 + doorbell(COPY_OUT, 0, 640) + step('serve', 0) * 10)
    yield 'message_memory_late', (version() + dma_map(NO_FILE, 0, 0x10000) + doorbell(COPY_IN, 0, 64) + time(5) +
                                  time(6) + doorbell(COPY_IN, 0, 65536, posted=True) + step('hang_up'))
    yield 'twin_socket', (version(5) + dma_map(NO_FILE, 0, 0x200000) + doorbell(COPY_IN, 0, 4096) + step('serve', 0) +
                          doorbell(COPY_OUT, 0x1000, 4096) + step('serve', 0) + read(REGISTERS, 0, 4))
    logging = (1 << 12).to_bytes(8, 'little') + (1).to_bytes(4, 'little') + bytes(4)
    yield 'dirty_log', (version(3) + MAPS + feature(6, SET, logging + bytes(8) + (0x18000).to_bytes(8, 'little')) +
                        doorbell(COPY_OUT, 0x1000, 64) +
                        feature(8, GET, bytes(8) + (0x10000).to_bytes(8, 'little') + logging[:8]) +
                        dma_unmap(0, 0x10000, flags=1, bitmap=(4096, 8)) + feature(7, SET))


def life_programs():
    """Of sockets, time, and the ends of things."""
    yield 'slow_device', (version() + step('behave', 1) + read(REGISTERS, 0, 4) + read(REGISTERS, 4, 4) +
                          step('answer') + step('answer') + RESET + step('answer') + migration_state(STOP) +
                          step('answer') + read(REGISTERS, 0, 4) + time(5) + read(REGISTERS, 0, 4))
    yield 'two_clients', (version() + step('switch') + step('connect') + version() + time(2) + step('switch') +
                          step('hang_up') + step('switch') + time(3) + info(4) + step('connect') + version() + info(4))
    yield 'pieces', (step('pieces', 1) + version() + step('pieces', 7) + MAPS + step('socket', 0, 2) +
                     read(REGISTERS, 0, 64) + step('socket', 1, 4) + read(REGISTERS, 0, 64) + step('socket', 2, 1) +
                     read(REGISTERS, 0, 200) + read(REGISTERS, 0, 200) + step('socket', 3, 2) + info(4))
    yield 'lost_descriptors', version() + step('socket', 4, 0) + dma_map(0, 0, 0x1000) + dma_map(0, 0, 0x1000)
    yield 'odd_headers', (version() + step('any_header', 4, 2, 3, 0) + step('any_header', 9, 1, 0, 4, b'abcd') +
                          step('any_header', 200, 0, 0, 0) + step('any_header', 4, 0x30, 0, 0) + info(4) +
                          step('any_bytes', 16, b'\x00' * 16))
    yield 'removed', version() + MAPS + doorbell(PIN_READ, 0, 64) + step('remove') + info(4) + time(7) + info(4)
    yield 'silent', step('any_bytes', 5, b'\x01\x00\x01\x00\x20') + time(7) + time(7)


def main():
    folder = pathlib.Path(__file__).parent / 'corpus' / 'vfio_user_session'
    folder.mkdir(parents=True, exist_ok=True)
    for name, steps in itertools.chain(device_programs(), memory_programs(), life_programs()):
        (folder / name).write_bytes(steps)


if __name__ == '__main__':
    main()
