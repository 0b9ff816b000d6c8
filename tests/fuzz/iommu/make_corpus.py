#!/usr/bin/env python3
"""Writes the corpus of the dirty log's fuzzer: what migration asks of a log, and what it must refuse."""
import pathlib

MARK, CLEAR, REPORT = 0, 2, 3
ANY = b'\x02'  # a log of everything
LOW, MIB, GIB, BELOW_4_GIB, HALF_TIB, BIT_47, TOP, LAST = range(8)


def where(place, page, pages):
    return bytes([place, page, pages])


def mark(place, page, pages=1):
    return bytes([MARK]) + where(place, page, pages)


def report(place, page, pages, power=0):
    return bytes([REPORT]) + where(place, page, pages) + bytes([power])


def log(power, *ranges):
    return bytes([0, power, len(ranges) - 1]) + b''.join(where(*r) for r in ranges)


def programs():
    yield 'everything', (ANY + mark(LOW, 3) + mark(GIB, 200, 100) + report(LOW, 0, 16) + report(LOW, 0, 16) +
           report(GIB, 190, 200))
    yield 'edges', (ANY + mark(LAST, 0) + mark(TOP, 250, 5) + report(LAST, 0, 1) + report(TOP, 240, 16) +
           mark(BIT_47, 0, 9) + report(BIT_47, 0, 9))
    yield 'granules', (ANY + mark(BELOW_4_GIB, 7, 20) + b''.join(report(BELOW_4_GIB, 0, 64, p) +
           mark(BELOW_4_GIB, p, 1) for p in range(9)))
    yield 'ranges', (log(0, (LOW, 0, 16), (MIB, 0, 64), (HALF_TIB, 5, 1)) + mark(LOW, 10, 20) +
           mark(HALF_TIB, 5) + report(LOW, 0, 64) + report(HALF_TIB, 0, 16))
    yield 'overlap', log(0, (LOW, 0, 16), (LOW, 8, 16)) + mark(LOW, 0)
    yield 'misaligned', log(3, (LOW, 1, 16)) + mark(LOW, 0)
    yield 'clear', ANY + mark(MIB, 0, 128) + bytes([CLEAR]) + where(MIB, 32, 64) + report(MIB, 0, 200)
    yield 'little_memory', (b'\x03' + b''.join(mark(p, 17 * p, 3) for p in range(8)) * 2 + report(GIB, 0, 64) +
           report(LOW, 0, 9))


def main():
    folder = pathlib.Path(__file__).parent / 'corpus' / 'iommu_dirty_log'
    folder.mkdir(parents=True, exist_ok=True)
    for name, steps in programs():
        (folder / name).write_bytes(steps)


if __name__ == '__main__':
    main()
