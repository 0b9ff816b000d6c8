#!/usr/bin/env python3
"""Writes the corpus of the instruction fuzzer: accesses that drivers make of registers."""
import pathlib

INSTRUCTIONS = {
    'store': '8907',
    'store_number': '48c707f8ffffff',
    'load_indexed': '438b14fc',
    'load_signed': '480fbf08',
    'load_next': '4c8b0598000000',
    'modify': 'f0834f08fe',
    'bit': '480fbb07',
    'string': 'f348ab',
    'move': 'f3a4',
    'vector': 'f30f7f4710',
    'long_vector': 'c4c17c1108',
    'swap': '480f38f107',
}


def main():
    folder = pathlib.Path(__file__).parent / 'corpus' / 'instruction'
    folder.mkdir(parents=True, exist_ok=True)
    for name, code in INSTRUCTIONS.items():
        (folder / name).write_bytes(bytes(range(1, 17)) + b'\x11' + bytes.fromhex(code))


if __name__ == '__main__':
    main()
