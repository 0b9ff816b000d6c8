"""Configuration space, written at every offset, in every size, with every value that one may think of.

A random case has its seed in its name; it fails again with the same seed.
"""

import random

import codec
import pytest
from codec import REGION_READ, REGION_WRITE, config_region

header = 64
sizes = [1, 2, 3, 4, 5, 8, 16]
identity = [(0x00, 4), (0x08, 4), (0x2C, 4)]  # vendor and device; revision and class; subsystem


@pytest.fixture
def space(client):
    """A client, whose device is reset afterwards."""
    yield client
    client.close()


def identity_of(client) -> list[bytes]:
    return [client.read(config_region, offset, size) for offset, size in identity]


def capabilities(client) -> list[tuple[int, int]]:
    """Where each capability begins, and its id. Fails where the list leads nowhere."""
    space = client.read(config_region, 0, 256)
    found, at = [], space[0x34] & 0xFC if space[6] & 0x10 else 0
    while at:
        assert 0x40 <= at < 0x100, f"a capability at {at:#x}"
        assert at not in [offset for offset, _ in found], "the list of capabilities is a ring"
        found.append((at, space[at]))
        at = space[at + 1] & 0xFC
    return found


def extended_capabilities(client) -> list[tuple[int, int]]:
    if client.region(config_region).size < 4096:
        return []
    space, found, at = client.read(config_region, 0, 4096), [], 0x100
    while at:
        word = int.from_bytes(space[at : at + 4], "little")
        if word in (0, 0xFFFFFFFF):
            break
        assert at not in [offset for offset, _ in found], "the list of extended capabilities is a ring"
        found.append((at, word & 0xFFFF))
        at = word >> 20
    return found


def is_whole(client) -> None:
    """Whatever was written, this is the same device with the same lists."""
    for bar in codec.bars:
        size = client.region(bar).size
        assert size & (size - 1) == 0
    capabilities(client)
    extended_capabilities(client)
    client.lives()


@pytest.mark.parametrize("size", sizes)
@pytest.mark.parametrize("value", [0x00, 0xFF, 0x55, 0xAA])
def test_every_offset_with_one_value(space, size, value):
    before, lists = identity_of(space), (capabilities(space), extended_capabilities(space))
    end = space.region(config_region).size
    for offset in range(0, end - size + 1):
        space.write(config_region, offset, bytes([value]) * size)
    assert identity_of(space) == before
    assert (capabilities(space), extended_capabilities(space)) == lists
    is_whole(space)


@pytest.mark.parametrize("size", sizes)
def test_what_reaches_beyond_the_end_is_refused(space, size):
    end = space.region(config_region).size
    for offset in range(end - size + 1, end + 8):
        space.refused(REGION_WRITE, codec.access(offset, config_region, size, bytes(size)))
        space.refused(REGION_READ, codec.access(offset, config_region, size))
    is_whole(space)


@pytest.mark.parametrize("seed", range(30))
def test_random_writes(space, seed):
    chance = random.Random(seed)
    before, lists = identity_of(space), (capabilities(space), extended_capabilities(space))
    end = space.region(config_region).size
    for _ in range(1000):
        size = chance.choice(sizes)
        offset = chance.randrange(header if chance.random() < 0.5 else end)
        size = min(size, end - offset)
        data = chance.randbytes(size)
        if chance.random() < 0.7:
            space.post(config_region, offset, data)
        else:
            space.write(config_region, offset, data)
    assert identity_of(space) == before
    assert (capabilities(space), extended_capabilities(space)) == lists
    is_whole(space)


@pytest.mark.parametrize("seed", range(5))
def test_a_write_is_the_same_in_one_piece_and_byte_by_byte(space, seed):
    """Of registers without side effects: BARs, interrupt line, what is read-only."""
    chance = random.Random(seed)
    for _ in range(50):
        offset, size = chance.randrange(0x10, 0x28), chance.choice([2, 4, 8])
        data = chance.randbytes(size)
        space.write(config_region, 0x10, bytes(0x18))
        space.write(config_region, offset, data)
        at_once = space.read(config_region, 0, header)
        space.write(config_region, 0x10, bytes(0x18))
        for i, byte in enumerate(data):
            space.write(config_region, offset + i, bytes([byte]))
        assert space.read(config_region, 0, header) == at_once


def test_each_capability_is_written_over(space):
    """Each byte of each, in each size, with all ones, all zeros and something between."""
    found = capabilities(space)
    if not found:
        pytest.skip("the device has no capabilities")
    for at, _ in found:
        for size in (1, 2, 4):
            for offset in range(at, min(at + 64, 256 - size)):
                for value in (0xFF, 0x00, 0xA5):
                    space.write(config_region, offset, bytes([value]) * size)
    assert capabilities(space) == found
    is_whole(space)


@pytest.mark.parametrize("bit", range(16))
def test_each_bit_of_the_command_register(space, bit):
    space.write(config_region, 4, (1 << bit).to_bytes(2, "little"))
    is_whole(space)
    space.write(config_region, 4, bytes(2))
    is_whole(space)


def test_a_reset_leaves_it_whole_and_comes_to_rest(space):
    if not space.info().flags & codec.info_reset:
        pytest.skip("the device cannot be reset")
    for offset in range(256):
        space.write(config_region, offset, b"\xff")
    space.ok(codec.RESET)
    is_whole(space)
    once = space.read(config_region, 0, 256)
    space.ok(codec.RESET)
    assert space.read(config_region, 0, 256) == once
